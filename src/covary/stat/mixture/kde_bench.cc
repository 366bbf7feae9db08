// Densities of 1e4 queries under 1e5 points, the shapes of bench/peers/kde.py. A pair costs 2 d + 9
// operations (brief exponentials); "pairs" counts all pairs a second, summed or pruned.
#include <ctime>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(1, stream);
  for (int64_t i = 0; i < n * d; ++i) x.data_ptr<double>()[i] = random.normal(uint64_t(i));
  return x;
}

// Points and widths in, densities out: trees and moments are built in the time that is told.
void densities(benchmark::State& state, int64_t n, int64_t m, int64_t d, int threads,
               const KernelDensityOptions& options) {
  const at::Tensor x = normals(n, d, 1), q = normals(m, d, 2);
  set_threads(threads);
  const std::clock_t start = std::clock();
  for (auto _ : state) {
    KernelDensity kde(options);
    benchmark::DoNotOptimize(kde.fit(x).score_samples(q).data_ptr<double>());
  }
  state.counters["cpu_s"] = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC /
                            static_cast<double>(state.iterations());
  set_threads(0);
  state.counters["pairs"] = benchmark::Counter(static_cast<double>(state.iterations() * n * m),
                                               benchmark::Counter::kIsRate);
}
void shaped(benchmark::State& state, const KernelDensityOptions& options) {
  densities(state, 100000, 10000, state.range(0), static_cast<int>(state.range(1)), options);
}
void kde_exact(benchmark::State& state) { shaped(state, {.engine = "exact"}); }
void kde_tree(benchmark::State& state) { shaped(state, {.rtol = 1e-6, .engine = "tree"}); }
void kde_auto(benchmark::State& state) { shaped(state, {.rtol = 1e-6}); }
void kde_line(benchmark::State& state) { shaped(state, {.rtol = 1e-9}); }
void kde_dual(benchmark::State& state) {
  densities(state, 100000, 4096, 2, static_cast<int>(state.range(0)),
            {.bandwidth = "0.05", .rtol = 1e-3});
}
void kde_all_pairs(benchmark::State& state) {
  densities(state, 32768, 4096, 16, static_cast<int>(state.range(0)), {.engine = "exact"});
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"d", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int64_t d : {1, 3, 6}) b->Args({d, 1})->Args({d, 2});
}
BENCHMARK(kde_exact)->Apply(shapes);
BENCHMARK(kde_tree)->Apply(shapes);
BENCHMARK(kde_auto)->Apply(shapes);
BENCHMARK(kde_line)
    ->ArgNames({"d", "threads"})
    ->Args({1, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(kde_dual)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(
    benchmark::kMillisecond);
BENCHMARK(kde_all_pairs)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::mixture
