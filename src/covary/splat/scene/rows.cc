#include "covary/splat/scene/rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/quantise.h"

namespace covary::scene {

constexpr int64_t kGrain = 8192;  // rows

std::vector<int64_t> places_by_weight(const std::vector<double>& weights) {
  std::vector<int64_t> places(weights.size());
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(), [&](int64_t a, int64_t b) {
    return weights[static_cast<size_t>(a)] > weights[static_cast<size_t>(b)];
  });
  return places;
}

void append_weights(const Cloud& rows, std::vector<double>& weights) {
  const CloudValues in(rows);
  const size_t before = weights.size();
  weights.resize(before + static_cast<size_t>(in.n));
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* s = in.scales + 3 * i;
      weights[before + static_cast<size_t>(i)] =
          std::exp(static_cast<double>(s[0]) + s[1] + s[2]) * sigmoid(in.opacities[i]);
    }
  });
}

}  // namespace covary::scene
