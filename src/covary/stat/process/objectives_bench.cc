// Seconds of what an optimiser with several objectives repeats.
//
// `hypervolume`, `boxes`: once an observation. `closed`: a value with gradient of one candidate;
// the floor is m (n + 2) exponentials and error functions, about 20 ns each, and 6 m flops a box.
// `sampled`: a value with slopes of a batch of 4; the floor is draws x boxes of the batch x boxes of
// the front x 12 m flops, at 4 a cycle of SSE2: boxes_flops counts them.
#include <cmath>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/random.h"
#include "covary/stat/process/box_decomposition.h"
#include "covary/stat/process/expected_hypervolume.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/sampled_hypervolume.h"

namespace covary::stat {
namespace {

// n points of the positive part of the unit sphere.
std::vector<double> sphere(size_t n, size_t m) {
  const Random random(1, 3);
  std::vector<double> y(n * m);
  for (size_t i = 0; i < n; ++i) {
    double norm = 0;
    for (size_t j = 0; j < m; ++j) {
      y[i * m + j] = std::abs(random.normal(i * m + j));
      norm += y[i * m + j] * y[i * m + j];
    }
    for (size_t j = 0; j < m; ++j) y[i * m + j] /= std::sqrt(norm);
  }
  return y;
}

void volume(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1));
  const std::vector<double> y = sphere(n, m), reference(m, 0);
  for (auto _ : state) state.counters["volume"] = hypervolume(y, reference);
}
BENCHMARK(volume)
    ->Name("hypervolume")
    ->ArgNames({"m", "n"})
    ->ArgsProduct({{2, 3, 4}, {20, 100, 1000}})
    ->Args({5, 100})
    ->Unit(benchmark::kMicrosecond);

void boxes(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1));
  const std::vector<double> y = sphere(n, m), reference(m, 0);
  for (auto _ : state) {
    state.counters["boxes"] = static_cast<double>(BoxDecomposition(y, reference).size());
  }
}
BENCHMARK(boxes)
    ->ArgNames({"m", "n"})
    ->ArgsProduct({{2, 3, 4}, {20, 100}})
    ->Args({5, 30})
    ->Unit(benchmark::kMicrosecond);

void closed(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1));
  const bool logarithm = state.range(2) != 0;
  ExpectedHypervolume ehvi(
      std::make_shared<BoxDecomposition>(sphere(n, m), std::vector<double>(m, 0)));
  const std::vector<double> mean(m, 0.5), sd(m, 0.2);
  std::vector<double> by_mean(m), by_sd(m);
  for (auto _ : state) {
    state.counters["value"] =
        logarithm ? ehvi.log_value(mean, sd, by_mean, by_sd) : ehvi.value(mean, sd, by_mean, by_sd);
  }
}
BENCHMARK(closed)
    ->ArgNames({"m", "n", "log"})
    ->ArgsProduct({{2, 3, 4}, {50}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

void sampled(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1));
  const bool logarithm = state.range(2) != 0;
  const size_t q = 4, draws = 128;
  const auto front = std::make_shared<BoxDecomposition>(sphere(n, m), std::vector<double>(m, 0));
  SampledHypervolume gain(front, q, draws);
  std::vector<double> y(m * q * draws), slopes(y.size());
  for (size_t i = 0; i < y.size(); ++i) y[i] = 0.5 + 0.2 * Random(2).normal(i);
  for (auto _ : state) {
    state.counters["value"] = logarithm ? gain.log_value(y, slopes) : gain.value(y, slopes);
  }
}
BENCHMARK(sampled)
    ->ArgNames({"m", "n", "log"})
    ->ArgsProduct({{2, 3, 4}, {50}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace covary::stat
