// Flops a second of the factorisation (n^3 / 3), the inverse after it (2 n^3 / 3), substitutions of
// many rows (n^2 a row) and, as the rate to compare with, a product (2 n^3) by the same BLAS on one
// thread; all double. `ours` is blocked here, `blas` is one call of dpotrf, dpotri or dtrsm on one
// BLAS thread.
#include <algorithm>
#include <functional>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"

namespace covary::linalg {
namespace {

std::vector<double> diagonally_dominant(int64_t n) {
  std::vector<double> a(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      a[static_cast<size_t>(i * n + j)] =
          i == j ? static_cast<double>(n) : 1.0 / static_cast<double>(1 + (i + j) % 13);
    }
  }
  return a;
}

void report(benchmark::State& state, double flops) {
  set_threads(0);
  state.counters["GF/s"] =
      benchmark::Counter(flops * 1e-9 * state.iterations(), benchmark::Counter::kIsRate);
}

void product(benchmark::State& state) {
  const int64_t n = state.range(0);
  const auto a = diagonally_dominant(n);
  std::vector<double> c(a.size());
  const OneBlasThread one;
  for (auto _ : state) {
    gemm(false, true, n, n, n, 1, a.data(), n, a.data(), n, 0, c.data(), n);
  }
  report(state, 2.0 * n * n * n);
}
BENCHMARK(product)->ArgName("n")->Arg(1000)->Arg(2000)->UseRealTime();

void factor_ours(benchmark::State& state) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  const auto original = diagonally_dominant(n);
  auto a = original;
  for (auto _ : state) {
    state.PauseTiming();
    a = original;
    state.ResumeTiming();
    cholesky({a.data(), n, n}).check("bench");
  }
  report(state, n * n * n / 3.0);
}
BENCHMARK(factor_ours)
    ->ArgNames({"n", "threads"})
    ->Args({1000, 1})
    ->Args({2000, 1})
    ->Args({2000, 2})
    ->Args({5000, 1})
    ->Args({5000, 2})
    ->UseRealTime();

void factor_blas(benchmark::State& state) {
  const int64_t n = state.range(0);
  const auto original = diagonally_dominant(n);
  auto a = original;
  const OneBlasThread one;
  for (auto _ : state) {
    state.PauseTiming();
    a = original;
    state.ResumeTiming();
    benchmark::DoNotOptimize(potrf(n, a.data(), n));
  }
  report(state, n * n * n / 3.0);
}
BENCHMARK(factor_blas)->ArgName("n")->Arg(1000)->Arg(2000)->Arg(5000)->UseRealTime();

void inverse_ours(benchmark::State& state) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  auto factor = diagonally_dominant(n);
  cholesky({factor.data(), n, n}).check("bench");
  auto a = factor;
  for (auto _ : state) {
    state.PauseTiming();
    a = factor;
    state.ResumeTiming();
    inverse({a.data(), n, n});
  }
  report(state, 2 * n * n * n / 3.0);
}
BENCHMARK(inverse_ours)
    ->ArgNames({"n", "threads"})
    ->Args({1000, 1})
    ->Args({2000, 1})
    ->Args({2000, 2})
    ->Args({5000, 1})
    ->Args({5000, 2})
    ->UseRealTime();

void inverse_blas(benchmark::State& state) {
  const int64_t n = state.range(0);
  auto factor = diagonally_dominant(n);
  cholesky({factor.data(), n, n}).check("bench");
  auto a = factor;
  const OneBlasThread one;
  for (auto _ : state) {
    state.PauseTiming();
    a = factor;
    state.ResumeTiming();
    potri(n, a.data(), n);
  }
  report(state, 2 * n * n * n / 3.0);
}
BENCHMARK(inverse_blas)->ArgName("n")->Arg(1000)->Arg(2000)->Arg(5000)->UseRealTime();

void substitute(benchmark::State& state,
                const std::function<void(const Matrix&, double*, int64_t)>& solve) {
  const int64_t n = state.range(0), count = state.range(1);
  auto factor = diagonally_dominant(n);
  const Matrix matrix{factor.data(), n, n};
  cholesky(matrix).check("bench");
  std::vector<double> rows(static_cast<size_t>(n * count));
  set_threads(1);
  for (auto _ : state) {
    state.PauseTiming();
    std::fill(rows.begin(), rows.end(), 1.0);
    state.ResumeTiming();
    solve(matrix, rows.data(), count);
  }
  report(state, static_cast<double>(n * n * count));
}
void forward_ours(benchmark::State& state) { substitute(state, forward); }
void backward_ours(benchmark::State& state) { substitute(state, backward); }
void forward_blas(benchmark::State& state) {
  substitute(state, [](const Matrix& l, double* rows, int64_t count) {
    const OneBlasThread one;
    trsm_right(true, count, l.n, l.data, l.stride, rows, l.n);
  });
}
BENCHMARK(forward_ours)
    ->ArgNames({"n", "rows"})
    ->Args({512, 4096})
    ->Args({2000, 64})
    ->Args({2000, 1024});
BENCHMARK(backward_ours)
    ->ArgNames({"n", "rows"})
    ->Args({512, 4096})
    ->Args({2000, 64})
    ->Args({2000, 1024});
BENCHMARK(forward_blas)
    ->ArgNames({"n", "rows"})
    ->Args({512, 4096})
    ->Args({2000, 64})
    ->Args({2000, 1024});

}  // namespace
}  // namespace covary::linalg
