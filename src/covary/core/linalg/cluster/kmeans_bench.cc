// Ten Lloyd sweeps of n points in d dimensions, k centres, float. Without bounds n k d multiply-adds
// a sweep ("fma"; the ceiling is eval/ceilings.h's); x is read twice a sweep, 8 d bytes a point.
#include <ctime>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/cluster/kmeans.h"

namespace covary::linalg {
namespace {

void lloyd(benchmark::State& state, const char* bounds) {
  const int64_t n = state.range(0), d = 16, k = 256;
  const int thread_count = static_cast<int>(state.range(1));
  std::vector<float> x(static_cast<size_t>(n * d));
  const Random random(1), places(2);
  for (int64_t i = 0; i < n * d; ++i) {
    const auto place = static_cast<uint64_t>(i / d % k * d + i % d);
    x[static_cast<size_t>(i)] = static_cast<float>(state.range(2) * places.normal(place) +
                                                   random.normal(static_cast<uint64_t>(i)));
  }
  set_threads(thread_count);
  const std::clock_t begin = std::clock();
  for (auto _ : state) {
    // The start of bench/peers/mixture.py: the first rows, with a spread one of each clump.
    const auto r =
        kmeans<float>(x.data(), nullptr, n, d,
                      {.clusters = k, .sweeps = 10, .tolerance = 0, .bounds = bounds}, x.data());
    benchmark::DoNotOptimize(r.cost);
  }
  state.counters["cpu_s"] = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC /
                            static_cast<double>(state.iterations());
  set_threads(0);
  // The labels that are returned take an eleventh search.
  const double fma = static_cast<double>(state.iterations() * n * k * d * 11);
  state.counters["fma"] = benchmark::Counter(fma, benchmark::Counter::kIsRate);
}
void lloyd_plain(benchmark::State& state) { lloyd(state, "none"); }
void lloyd_bounds(benchmark::State& state) { lloyd(state, "auto"); }
void lloyd_hamerly(benchmark::State& state) { lloyd(state, "hamerly"); }
void lloyd_elkan(benchmark::State& state) { lloyd(state, "elkan"); }

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "threads", "spread"})
      ->Args({1000000, 1, 0})
      ->Args({1000000, 2, 0})
      ->Args({1000000, 1, 1})
      ->Args({1000000, 1, 3})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK(lloyd_plain)->Apply(shapes);
BENCHMARK(lloyd_bounds)->Apply(shapes);
BENCHMARK(lloyd_hamerly)->Apply(shapes);
BENCHMARK(lloyd_elkan)->Apply(shapes);

}  // namespace
}  // namespace covary::linalg
