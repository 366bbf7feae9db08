// E-step and sufficient statistics. Operations a point and component, full covariance: d (d + 1) / 2
// multiply-adds of the whitening and as many of the scatter ("fma", lanes a second; the machine's
// ceiling for float is in eval/ceilings.h, half of it for double). Bytes are 8 d a point: bound by
// arithmetic.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/gaussian/gaussian.h"
#include "covary/core/compute/gaussian/gaussian_test_data.h"

namespace covary::compute {
namespace {

void em_step(benchmark::State& state, CovarianceType type, double spread) {
  const int64_t n = state.range(0), d = state.range(1), k = state.range(2);
  const int thread_count = static_cast<int>(state.range(3));
  const RandomMixture mixture(type, k, d, spread);
  const std::vector<double> x = mixture.points(n);
  MixtureSums sums(type, k, d);
  set_threads(thread_count);
  for (auto _ : state) {
    sums.clear();
    accumulate_mixture(mixture.view(), x.data(), nullptr, n, sums);
    benchmark::DoNotOptimize(sums.log_likelihood);
  }
  set_threads(0);
  const double triangle = static_cast<double>(d * (d + 1)) / 2;
  const double fma = type == CovarianceType::kFull   ? 2 * triangle
                     : type == CovarianceType::kTied ? triangle
                                                     : 4 * static_cast<double>(d);
  const double total = static_cast<double>(state.iterations() * n * k) * fma;
  state.counters["fma"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
}
void full_overlapping(benchmark::State& state) { em_step(state, CovarianceType::kFull, 0.3); }
void full_separated(benchmark::State& state) { em_step(state, CovarianceType::kFull, 6); }
void tied(benchmark::State& state) { em_step(state, CovarianceType::kTied, 6); }
void diagonal(benchmark::State& state) { em_step(state, CovarianceType::kDiagonal, 6); }

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "d", "k", "threads"})
      ->Args({200000, 16, 16, 1})
      ->Args({200000, 16, 16, 2})
      ->Args({100000, 32, 16, 2})
      ->Args({10000, 8, 4, 1})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK(full_overlapping)->Apply(shapes);
BENCHMARK(full_separated)->Apply(shapes);
BENCHMARK(tied)->Apply(shapes);
BENCHMARK(diagonal)->Apply(shapes);

}  // namespace
}  // namespace covary::compute
