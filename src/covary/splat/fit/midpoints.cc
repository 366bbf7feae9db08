#include "covary/splat/fit/midpoints.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "covary/core/compute/knn/knn.h"
#include "covary/core/numeric/median.h"

namespace covary::fit {
namespace {

constexpr int kNear = 3;
constexpr double kSparse = 2;  // over the median distance

}  // namespace

scene::Points with_midpoints(const scene::Points& points, int64_t most) {
  scene::Points out = points;
  const auto n = static_cast<int64_t>(points.positions.size());
  if (n <= kNear || n >= most) return out;
  const auto places = static_cast<size_t>(n) * kNear;
  std::vector<int64_t> near(places);
  std::vector<double> squares(places);
  compute::knn<float>(points.positions[0].data(), n, kNear, near.data(), squares.data());
  std::vector<double> distance(static_cast<size_t>(n));
  for (size_t i = 0; i < distance.size(); ++i)
    for (size_t k = 0; k < kNear; ++k) distance[i] += std::sqrt(squares[kNear * i + k]) / kNear;
  const double sparse = kSparse * numeric::upper_median(distance);
  std::vector<size_t> order(distance.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t i) { return !(distance[i] > sparse); });
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return distance[a] > distance[b]; });
  const bool colored = points.colors.size() == points.positions.size();
  std::set<std::pair<size_t, size_t>> pairs;
  for (const size_t i : order)
    for (size_t k = 0; k < kNear; ++k) {
      if (static_cast<int64_t>(out.positions.size()) >= most) return out;
      const auto j = static_cast<size_t>(near[kNear * i + k]);
      if (squares[kNear * i + k] == 0 || !pairs.emplace(std::min(i, j), std::max(i, j)).second)
        continue;
      out.positions.emplace_back(0.5F * (points.positions[i] + points.positions[j]));
      if (!colored) continue;
      Eigen::Matrix<uint8_t, 3, 1> color;
      for (int c = 0; c < 3; ++c)
        color[c] = static_cast<uint8_t>((points.colors[i][c] + points.colors[j][c] + 1) / 2);
      out.colors.push_back(color);
    }
  return out;
}

}  // namespace covary::fit
