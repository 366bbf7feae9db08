// Seconds of what an optimiser with several objectives repeats.
//
// `hypervolume`, `boxes`: once an observation. `closed`: a value with gradient of one candidate;
// the floor is m (n + 2) exponentials and error functions, about 20 ns each, and 6 m flops a box.
// `sampled`: a value with slopes of a batch of 4; the floor is draws x boxes of the batch (4, 7, 10)
// x boxes of the front (51, 101, about 350) x 6 m^2 flops at 2 lanes an instruction.
#include <cmath>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/stat/process/box_decomposition.h"
#include "covary/stat/process/expected_hypervolume.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/sampled_hypervolume.h"

namespace covary::stat {
namespace {

double fraction(double x) { return x - std::floor(x); }

// The arrays of bench/peers/hypervolume.py: n points of the positive part of the unit sphere.
std::vector<double> sphere(size_t n, size_t m) {
  static constexpr double kPrimes[] = {2, 3, 5, 7, 11};
  std::vector<double> y(n * m);
  for (size_t i = 0; i < n; ++i) {
    double norm = 0;
    for (size_t j = 0; j < m; ++j) {
      y[i * m + j] = 0.05 + fraction(static_cast<double>(i + 1) * std::sqrt(kPrimes[j]));
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
  state.counters["slope"] = by_mean[0];
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
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = 0.3 + 0.6 * fraction(static_cast<double>(i + 1) * std::sqrt(23.0));
  }
  for (auto _ : state) {
    state.counters["value"] = logarithm ? gain.log_value(y, slopes) : gain.value(y, slopes);
  }
  double sum = 0;
  for (const double v : slopes) sum += v;
  state.counters["slope"] = sum;
}
BENCHMARK(sampled)
    ->ArgNames({"m", "n", "log"})
    ->ArgsProduct({{2, 3, 4}, {50}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace covary::stat
