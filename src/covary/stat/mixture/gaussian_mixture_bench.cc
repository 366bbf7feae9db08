// Ten EM steps from given parameters, the shapes of bench/peers/mixture.py. Multiply-adds a point
// and component are those of compute/gaussian's bench.
#include <ctime>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/gaussian_mixture.h"

namespace covary::mixture {
namespace {

double process_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void em_steps(benchmark::State& state, const char* type) {
  const int64_t n = state.range(0), d = state.range(1), k = state.range(2);
  at::Tensor x = at::empty({n, d}, at::kDouble), places = at::empty({k, d}, at::kDouble);
  const Random random(1), where(2);
  for (int64_t i = 0; i < k * d; ++i) places.data_ptr<double>()[i] = where.normal(uint64_t(i));
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] =
        places.data_ptr<double>()[i / d % k * d + i % d] + random.normal(uint64_t(i));
  }
  const std::string covariance(type);
  const at::Tensor one = at::eye(d, at::kDouble);
  const at::Tensor covariances = covariance == "full"       ? one.expand({k, d, d}).contiguous()
                                 : covariance == "tied"     ? one
                                 : covariance == "diagonal" ? at::ones({k, d}, at::kDouble)
                                                            : at::ones({k}, at::kDouble);
  set_threads(static_cast<int>(state.range(3)));
  const double start = process_seconds();
  for (auto _ : state) {
    GaussianMixture m({.covariance = covariance, .init = "given", .steps = 10, .tolerance = 0});
    m.set_parameters(at::ones({k}, at::kDouble), places, covariances);
    benchmark::DoNotOptimize(m.fit(x).report().log_likelihood);
  }
  state.counters["cpu_s"] = (process_seconds() - start) / static_cast<double>(state.iterations());
  set_threads(0);
}
void em_steps_full(benchmark::State& state) { em_steps(state, "full"); }
void em_steps_diagonal(benchmark::State& state) { em_steps(state, "diagonal"); }
void em_steps_tied(benchmark::State& state) { em_steps(state, "tied"); }
void em_steps_spherical(benchmark::State& state) { em_steps(state, "spherical"); }

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "d", "k", "threads"})
      ->Args({200000, 16, 16, 1})
      ->Args({200000, 16, 16, 2})
      ->Args({100000, 32, 16, 1})
      ->Args({100000, 32, 16, 2})
      ->Args({10000, 8, 4, 1})
      ->Args({10000, 8, 4, 2})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK(em_steps_full)->Apply(shapes);
BENCHMARK(em_steps_diagonal)->Apply(shapes);
BENCHMARK(em_steps_tied)->Apply(shapes);
BENCHMARK(em_steps_spherical)->Apply(shapes);

}  // namespace
}  // namespace covary::mixture
