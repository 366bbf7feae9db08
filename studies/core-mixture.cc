// core-mixture: mixtures, densities and filters, the shared base of the statistics wing.
#include "studies/core-mixture/bars.h"

#include <cmath>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"

namespace covary::studies {

using eval::Bar;

at::Tensor normal_rows(int64_t n, int64_t d, uint64_t seed, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(seed, stream);
  for (int64_t i = 0; i < n * d; ++i)
    x.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  return x;
}

at::Tensor clump_rows(int64_t n, int64_t k, double radius, uint64_t seed) {
  at::Tensor x = normal_rows(n, 2, seed, stream_of("clumps"));
  for (int64_t i = 0; i < n; ++i) {
    const double angle = 2 * M_PI * static_cast<double>(i % k) / static_cast<double>(k);
    x.data_ptr<double>()[2 * i] += radius * std::cos(angle);
    x.data_ptr<double>()[2 * i + 1] += radius * std::sin(angle);
  }
  return x;
}

namespace {

// Bars whose measurement is not written yet; they keep the study "partial".
Bar planned(const std::string& id, const std::string& part, const std::string& title,
            const std::string& metric, const std::string& bound, bool gpu = false) {
  return {.id = id,
          .part = part,
          .title = title,
          .metric = metric,
          .bound = bound,
          .desk = !gpu,
          .full = gpu,
          .gpu = gpu};
}

void add(std::vector<Bar>& all, std::vector<Bar> some) {
  all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
}

eval::Study make_study() {
  eval::Study study{
      .slug = "core-mixture",
      .title = "Mixtures, density estimation and filters: values, robustness, streams",
      .bars = {}};
  add(study.bars, value_bars());
  add(study.bars, mixture_speed_bars());
  add(study.bars, filter_speed_bars());
  study.bars.push_back(planned("2", "e", "EM on a GPU, diagonal, 1M x 64, k = 64, 100 steps",
                               "seconds", "ours <= 3 s", true));
  add(study.bars, robustness_bars());
  add(study.bars, process_bars());
  add(study.bars, streaming_bars());
  add(study.bars, filter_bars());
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
