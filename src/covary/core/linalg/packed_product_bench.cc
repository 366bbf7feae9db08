// Flops a second of products of packed operands: `packed` multiplies alone, `whole` packs both
// operands too, `blas` is one call of the BLAS on one thread. The bound is the machine's rate of
// fused multiply-adds, `peak`: 2 * lanes flops each.
#include <algorithm>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/packed_product.h"

namespace covary::linalg {
namespace {

template <class Real>
struct Sides {
  explicit Sides(benchmark::State& state)
      : n(state.range(0)),
        k(state.range(1)),
        a(static_cast<size_t>(n * k), Real(1) / 3),
        b(a.size(), Real(1) / 7),
        c(static_cast<size_t>(n * n)) {}
  void pack() {
    left.resize(n, k);
    right.resize(n, k);
    left.pack(0, n, 0, k, a.data(), k, 1);
    right.pack(0, n, 0, k, b.data(), k, 1);
  }
  void report(benchmark::State& state) const {
    state.counters["flop/s"] = benchmark::Counter(static_cast<double>(2 * n * n * k),
                                                  benchmark::Counter::kIsIterationInvariantRate);
  }
  int64_t n, k;
  std::vector<Real> a, b, c;
  PackedOperand<Real> left{Side::kLeft}, right{Side::kRight};
};

template <class Real>
void packed(benchmark::State& state) {
  Sides<Real> s(state);
  s.pack();
  for (auto _ : state) {
    multiply(s.left, s.right, {0, s.n, 0, s.n}, {.alpha = Real(-1), .add = true}, s.c.data(), s.n);
  }
  s.report(state);
}

template <class Real>
void whole(benchmark::State& state) {
  Sides<Real> s(state);
  for (auto _ : state) {
    s.pack();
    multiply(s.left, s.right, {0, s.n, 0, s.n}, {.alpha = Real(-1), .add = true}, s.c.data(), s.n);
  }
  s.report(state);
}

template <class Real>
void blas(benchmark::State& state) {
  Sides<Real> s(state);
  const OneBlasThread one;
  for (auto _ : state) {
    gemm(false, true, s.n, s.n, s.k, Real(-1), s.a.data(), s.k, s.b.data(), s.k, Real(1),
         s.c.data(), s.n);
  }
  s.report(state);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "depth"})->Args({96, 96})->Args({256, 256})->Args({512, 512});
  b->Args({2000, 256})->Args({2000, 2000})->Unit(benchmark::kMillisecond);
}
BENCHMARK_TEMPLATE(packed, double)->Apply(sizes);
BENCHMARK_TEMPLATE(whole, double)->Apply(sizes);
BENCHMARK_TEMPLATE(blas, double)->Apply(sizes);
BENCHMARK_TEMPLATE(packed, float)->Apply(sizes);
BENCHMARK_TEMPLATE(whole, float)->Apply(sizes);
BENCHMARK_TEMPLATE(blas, float)->Apply(sizes);

}  // namespace
}  // namespace covary::linalg
