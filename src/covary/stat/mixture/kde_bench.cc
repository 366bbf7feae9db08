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
void densities(benchmark::State& state, const char* engine, double rtol) {
  const int64_t d = state.range(0);
  const at::Tensor x = normals(100000, d, 1), q = normals(10000, d, 2);
  set_threads(static_cast<int>(state.range(1)));
  const std::clock_t start = std::clock();
  for (auto _ : state) {
    KernelDensity kde({.rtol = rtol, .engine = engine});
    benchmark::DoNotOptimize(kde.fit(x).score_samples(q).data_ptr<double>());
  }
  state.counters["cpu_s"] = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC /
                            static_cast<double>(state.iterations());
  set_threads(0);
  state.counters["pairs"] = benchmark::Counter(static_cast<double>(state.iterations()) * 1e9,
                                               benchmark::Counter::kIsRate);
}
void kde_exact(benchmark::State& state) { densities(state, "exact", 0); }
void kde_tree(benchmark::State& state) { densities(state, "tree", 1e-6); }
void kde_auto(benchmark::State& state) { densities(state, "auto", 1e-6); }

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"d", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int64_t d : {1, 3, 6}) b->Args({d, 1})->Args({d, 2});
}
BENCHMARK(kde_exact)->Apply(shapes);
BENCHMARK(kde_tree)->Apply(shapes);
BENCHMARK(kde_auto)->Apply(shapes);

}  // namespace
}  // namespace covary::mixture
