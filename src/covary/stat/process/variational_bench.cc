// CPU seconds of one step of a stochastic variational process: 8 columns, ARD kernel, Gaussian
// likelihood, all gradients and the natural step. The bound: with m points and n rows a step holds
// 2 n m^2 (1 + 3 * 5/8) + 2 m^3 * 5/8 * 3 flops of products in blocks of 128 rows and about m^3 of
// factors; `products` measures what the former take at the rate of one large one.
#include <algorithm>
#include <cmath>
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/variational_step.h"

namespace covary::stat {
namespace {

// The arrays of bench/peers/svgp.py.
std::vector<double> points(int64_t n, int64_t d) {
  static constexpr double kPrimes[] = {2, 3, 5, 7, 11, 13, 17, 19};
  std::vector<double> x(static_cast<size_t>(n * d));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < d; ++k) {
      double whole;
      x[static_cast<size_t>(i * d + k)] =
          std::modf(static_cast<double>(i + 1) * std::sqrt(kPrimes[k]), &whole);
    }
  }
  return x;
}

template <class Real>
void step(benchmark::State& state, const char* kernel) {
  const int64_t n = 100000, d = 8, m = state.range(0), batch = state.range(1);
  set_threads(static_cast<int>(state.range(2)));
  const std::vector<double> x = points(n, d);
  std::vector<double> y(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < d; ++k) sum += x[static_cast<size_t>(i * d + k)];
    y[static_cast<size_t>(i)] = std::sin(2 * sum) + 0.1 * std::cos(37.0 * static_cast<double>(i));
  }
  const LatentModel model{Kernel::parse(kernel, d), Likelihood::parse("gaussian(0.1)"), 0};
  const std::vector<double> z(x.end() - m * d, x.end());
  VariationalStep<Real> one(m);
  VariationalGradient gradient;
  int64_t at = 0;
  for (auto _ : state) {
    const auto first = static_cast<size_t>(at++ % (n / batch) * batch);
    const BoundParts b =
        one.evaluate(model, z, std::span(x).subspan(first * d, static_cast<size_t>(batch * d)),
                     std::span(y).subspan(first, static_cast<size_t>(batch)),
                     static_cast<double>(n) / static_cast<double>(batch), &gradient);
    one.follow(0.1);
    if (at == 1)
      state.counters["first_bound"] =
          static_cast<double>(n) / static_cast<double>(batch) * b.expected - b.divergence;
  }
  set_threads(0);
}
void in_float(benchmark::State& state, const char* kernel) { step<float>(state, kernel); }
void in_double(benchmark::State& state, const char* kernel) { step<double>(state, kernel); }

constexpr const char* kRbf = "const(1)*rbf(ard,lengthscale=1)";
constexpr const char* kMatern = "const(1)*matern52(ard,lengthscale=1)";

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "batch", "threads"})
      ->MeasureProcessCPUTime()
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(in_float, rbf, kRbf)->Args({512, 1024, 1})->Args({512, 1024, 2})->Apply(sizes);
BENCHMARK_CAPTURE(in_float, matern52, kMatern)->Args({512, 1024, 1})->Apply(sizes);
BENCHMARK_CAPTURE(in_double, rbf, kRbf)->Args({512, 1024, 1})->Apply(sizes);

// One large product of floats; the counter is the flops of a step's products over its rate.
void products(benchmark::State& state) {
  const int64_t m = 512, n = 1024;
  std::vector<float> a(static_cast<size_t>(m * m), 1e-3f), b(static_cast<size_t>(m * n), 1e-3f),
      c(b.size());
  const linalg::OneBlasThread one;
  double best = INFINITY;
  for (auto _ : state) {
    const double begin = cpu_seconds();
    linalg::gemm(false, false, m, n, m, 1.0f, a.data(), m, b.data(), n, 0.0f, c.data(), n);
    best = std::min(best, cpu_seconds() - begin);
  }
  const double mm = m, nn = n, flops = 2 * nn * mm * mm * (1 + 3 * 0.625) + 3.75 * mm * mm * mm;
  state.counters["step_floor_ms"] = 1e3 * best * flops / (2 * nn * mm * mm);
  state.counters["flops"] = flops;
}
BENCHMARK(products)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::stat
