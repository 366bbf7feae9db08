// One step of Bayesian optimisation: the best batch of 4 by logei on Hartmann-6 with 50 points known, and what it is
// made of. The points are those of bench/peers/optimizer.py: multiples of roots of primes, without their whole part.
// Bound: a value costs 2 q n^2 + q^2 draws flops and q draws logarithms, 2.4e4 + 8e3 + 2048 x 3 ns = 10 us at
// n = 50, q = 4, 512 draws on one AVX-512 core; a gradient as much again.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/stat/process/candidates.h"
#include "covary/stat/process/optimizer_test_problems.h"

namespace covary::stat {
namespace {

GaussianProcess process(int64_t n) {
  static constexpr double kPrimes[] = {2, 3, 5, 7, 11, 13};
  at::Tensor x = at::empty({n, 6}, at::kDouble), y = at::empty({n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    double* row = x.data_ptr<double>() + 6 * i;
    for (int k = 0; k < 6; ++k) {
      double whole;
      row[k] = std::modf(static_cast<double>(i + 1) * std::sqrt(kPrimes[k]), &whole);
    }
    y.data_ptr<double>()[i] = -hartmann6({row, 6});
  }
  return fit_gp(
      x, y,
      {.kernel = "const(0.5)*matern52(ard,lengthscale=[0.4,0.6,0.9,0.5,0.5,0.5]) + white(1e-4)",
       .mean = "zero",
       .fit = false});
}

void step(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(2)));
  const GaussianProcess gp = process(state.range(0));
  const double best = gp.data().y.max().item<double>();
  const SearchSpace space = SearchSpace::cube(6);
  Candidates c;
  for (auto _ : state) {
    const auto acquisition = make_acquisition({.draws = 512}, {.objective = &gp, .best = best});
    c = find_candidates(*acquisition, space, state.range(1), {}, 1);
  }
  state.counters["value"] = c.value;
  state.counters["evaluations"] = static_cast<double>(c.evaluations);
  for (size_t i = 0; i < c.points.size(); ++i) {
    char name[24];
    std::snprintf(name, sizeof name, "x%02zu", i);
    state.counters[name] = c.points[i];
  }
  set_threads(0);
}
BENCHMARK(step)
    ->ArgNames({"n", "q", "threads"})
    ->Args({50, 4, 1})
    ->Args({50, 4, 2})
    ->Args({50, 1, 1})
    ->Args({200, 4, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void value(benchmark::State& state) {
  const GaussianProcess gp = process(state.range(0));
  const auto acquisition = make_acquisition(
      {.draws = 512}, {.objective = &gp, .best = gp.data().y.max().item<double>()});
  const auto worker = acquisition->worker(state.range(1));
  std::vector<double> x(static_cast<size_t>(6 * state.range(1))),
      gradient(state.range(2) ? x.size() : 0);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::fmod(0.618 * static_cast<double>(i + 1), 1);
  for (auto _ : state) benchmark::DoNotOptimize(worker->value(x, gradient));
}
BENCHMARK(value)
    ->ArgNames({"n", "q", "gradient"})
    ->ArgsProduct({{50, 200}, {1, 4}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace covary::stat
