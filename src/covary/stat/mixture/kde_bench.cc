// Densities of 1e4 queries under 1e5 points, the shapes of bench/peers/kde.py. A pair costs 2 d + 9
// operations (brief exponentials); "pairs" counts all pairs a second, summed or pruned.
#include <cmath>
#include <ctime>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) { return normal_points(n, d, 1, stream); }

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

// Points on a curved sheet of three hidden dimensions in d columns, and queries near it.
at::Tensor sheet(int64_t n, int64_t d, uint64_t stream) {
  const at::Tensor hidden = normals(n, 3, stream), turn = normals(6, d, 77);
  return at::cat({hidden, hidden.sin()}, 1).mm(turn) / std::sqrt(static_cast<double>(d)) +
         0.01 * normals(n, d, stream + 10);
}

// CPU seconds of densities at 1e4 queries under 5e4 points: what a cost model must tell apart.
void answers(benchmark::State& state, const at::Tensor& x, const at::Tensor& q,
             const KernelDensityOptions& options) {
  set_threads(1);
  const std::clock_t start = std::clock();
  for (auto _ : state) {
    KernelDensity kde(options);
    benchmark::DoNotOptimize(kde.fit(x).score_samples(q).data_ptr<double>());
  }
  state.counters["cpu_s"] = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC /
                            static_cast<double>(state.iterations());
  set_threads(0);
}

// engine 0 tree, 1 ifgt; width in hundredths of the standard deviation; atol 10^-digits of the peak.
void kde_absolute(benchmark::State& state) {
  const int64_t d = state.range(1);
  KernelDensityOptions o;
  o.bandwidth = std::to_string(static_cast<double>(state.range(2)) / 100);
  o.atol = std::pow(10.0, -static_cast<double>(state.range(3))) *
           std::pow(2 * M_PI * (1 + std::pow(static_cast<double>(state.range(2)) / 100, 2)),
                    -0.5 * static_cast<double>(d));
  o.engine = state.range(0) == 0 ? "tree" : "ifgt";
  if (state.range(0) == 1) {
    // What auto decides by.
    const double width = static_cast<double>(state.range(2)) / 100;
    const at::Tensor x = normals(50000, d, 1) / width;
    const std::vector<double> points(x.data_ptr<double>(), x.data_ptr<double>() + x.numel());
    state.counters["gain"] =
        ClusterExpansions(points, std::vector<double>(50000, 1.0), 50000, d,
                          o.atol * 50000 * std::pow(std::sqrt(2 * M_PI) * width, d), 1e300)
            .gain();
  }
  answers(state, normals(50000, d, 1), normals(10000, d, 2), o);
}

// tree 0 kd, 1 ball, 2 cover; shape 0 normal, 1 sheet; digits of the relative error.
void kde_kinds(benchmark::State& state) {
  const int64_t d = state.range(2);
  KernelDensityOptions o;
  o.tree = std::vector<std::string>{"kd", "ball", "cover"}[static_cast<size_t>(state.range(0))];
  o.engine = "tree";
  o.bandwidth = state.range(1) == 0 ? "scott" : "0.1";
  o.rtol = std::pow(10.0, -static_cast<double>(state.range(3)));
  if (state.range(1) == 0)
    answers(state, normals(50000, d, 1), normals(10000, d, 2), o);
  else
    answers(state, sheet(50000, d, 1), sheet(10000, d, 2), o);
}

// The choice of a width by leaving rows out, n rows of d columns.
void kde_left_out(benchmark::State& state) {
  const at::Tensor x = normals(state.range(0), state.range(1), 1), q = x.slice(0, 0, 1);
  answers(state, x, q, {.bandwidth = "lcv"});
}

// Estimates at 1e4 queries under 5e4 points of six columns.
void kde_estimate(benchmark::State& state) {
  KernelDensityOptions o;
  o.engine = state.range(0) == 0 ? "rff" : "nystrom";
  o.features = o.landmarks = state.range(1);
  answers(state, normals(50000, 6, 1), normals(10000, 6, 2), o);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"d", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int64_t d : {1, 3, 6}) b->Args({d, 1})->Args({d, 2});
}
void absolutes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"engine", "d", "width", "digits"})->Unit(benchmark::kMillisecond)->Iterations(1);
  for (const int64_t d : {2, 3, 4, 5, 6, 8}) {
    for (const int64_t width : {10, 30, 100}) {
      for (const int64_t digits : {3, 6, 9})
        for (const int64_t engine : {0, 1}) b->Args({engine, d, width, digits});
    }
  }
}
void kinds(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tree", "sheet", "d", "digits"})->Unit(benchmark::kMillisecond)->Iterations(1);
  for (const int64_t shape : {0, 1}) {
    for (const int64_t d : {2, 3, 6, 12, 30}) {
      for (const int64_t digits : {1, 3})
        for (const int64_t tree : {0, 1, 2}) b->Args({tree, shape, d, digits});
    }
  }
}
BENCHMARK(kde_absolute)->Apply(absolutes);
BENCHMARK(kde_kinds)->Apply(kinds);
BENCHMARK(kde_left_out)
    ->ArgNames({"n", "d"})
    ->Args({5000, 1})
    ->Args({5000, 16})
    ->Args({50000, 1})
    ->Args({50000, 3})
    ->Args({50000, 16})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(kde_estimate)
    ->ArgNames({"nystrom", "count"})
    ->Args({0, 500})
    ->Args({0, 4000})
    ->Args({1, 500})
    ->Args({1, 2000})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
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
