// Seconds of what a fit repeats. `marginal` is one marginal likelihood with gradient of an ARD
// kernel in 8 dimensions; `potrf_potri` the factorisation and inverse alone, by the BLAS on one
// thread, as the floor: n^3 flops. `build` fills a kernel matrix in 2 dimensions. `markov` is one
// pass over a series of a million points, by the filter of a single Matern; `markov_blocks` one over
// 20,000 by that of any kernel: about 2 s^2 b multiply-adds a point for s states in blocks of b, four
// times that with the gradient, s b on a grid once covariances stand still.
#include <cmath>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/kernel_operator.h"
#include "covary/stat/process/marginal.h"
#include "covary/stat/process/markov_filter.h"
#include "covary/stat/process/state_space.h"

namespace covary::stat {
namespace {

// The arrays of bench/peers/gp.py: multiples of roots of primes, without their whole part.
at::Tensor points(int64_t n, int64_t d) {
  static constexpr double kPrimes[] = {2, 3, 5, 7, 11, 13, 17, 19};
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < d; ++k) {
      double whole;
      x.data_ptr<double>()[i * d + k] =
          std::modf(static_cast<double>(i + 1) * std::sqrt(kPrimes[k]), &whole);
    }
  }
  return x;
}

void marginal(benchmark::State& state, const char* text) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  const at::Tensor x = points(n, 8);
  const at::Tensor y =
      (x.sum(1) * 2).sin() + 0.1 * (37 * at::arange(n, at::TensorOptions(at::kDouble))).cos();
  const GpData data = GpData::from(x, y, {}, Mean::kZero);
  const Kernel kernel = Kernel::parse(text, 8);
  MarginalLikelihood likelihood(data, int64_t{1} << 34);
  std::vector<double> gradient(kernel.parameters().size());
  for (auto _ : state) {
    state.counters["log_likelihood"] = likelihood.evaluate(kernel, gradient).log_likelihood;
  }
  for (size_t p = 0; p < gradient.size(); ++p) {
    state.counters["g" + std::to_string(p)] = gradient[p];
  }
  set_threads(0);
}
BENCHMARK_CAPTURE(marginal, rbf, "const(1)*rbf(ard,lengthscale=1) + white(0.1)")
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{1000, 2000, 5000}, {1, 2}})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(marginal, matern52, "const(1)*matern52(ard,lengthscale=1) + white(0.1)")
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{1000, 2000}, {1, 2}})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void potrf_potri(benchmark::State& state) {
  const int64_t n = state.range(0);
  const at::Tensor x = points(n, 8);
  const Kernel kernel = Kernel::parse("rbf + white(0.1)", 8);
  at::Tensor k = at::empty({n, padded_stride(n)}, at::kDouble), copy = k.clone();
  kernel.matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), padded_stride(n));
  const linalg::OneBlasThread one;
  for (auto _ : state) {
    state.PauseTiming();
    copy.copy_(k);
    state.ResumeTiming();
    linalg::potrf(n, copy.data_ptr<double>(), padded_stride(n));
    linalg::potri(n, copy.data_ptr<double>(), padded_stride(n));
  }
}
BENCHMARK(potrf_potri)
    ->ArgName("n")
    ->Arg(1000)
    ->Arg(2000)
    ->Arg(5000)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void build(benchmark::State& state, const char* text) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  const at::Tensor x = points(n, 2);
  const Kernel kernel = Kernel::parse(text, 2);
  at::Tensor k = at::empty({n, padded_stride(n)}, at::kDouble);
  for (auto _ : state) {
    kernel.matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), padded_stride(n));
  }
  set_threads(0);
}
BENCHMARK_CAPTURE(build, rbf, "rbf(0.3)")
    ->ArgNames({"n", "threads"})
    ->Args({10000, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build, matern52, "matern52(0.3)")
    ->ArgNames({"n", "threads"})
    ->Args({10000, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

constexpr const char* kArdMatern = "const(1)*matern52(ard,lengthscale=1) + white(0.1)";

void product(benchmark::State& state) {
  const int64_t n = state.range(0), count = state.range(1);
  set_threads(1);
  const at::Tensor x = points(n, 8), b = at::ones({count, n}, at::kDouble);
  at::Tensor out = at::empty_like(b);
  const Kernel kernel = Kernel::parse(kArdMatern, 8);
  const KernelOperator k(kernel, x.const_data_ptr<double>(), n, {}, state.range(2));
  for (auto _ : state) {
    k.multiply(b.const_data_ptr<double>(), count, out.data_ptr<double>());
  }
  set_threads(0);
}
BENCHMARK(product)
    ->ArgNames({"n", "count", "kept"})
    ->ArgsProduct({{8192}, {1, 17, 64}, {0, 1 << 30}})
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

void iterative(benchmark::State& state) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  const at::Tensor x = points(n, 8);
  const at::Tensor y =
      (x.sum(1) * 2).sin() + 0.1 * (37 * at::arange(n, at::TensorOptions(at::kDouble))).cos();
  const GpData data = GpData::from(x, y, {}, Mean::kZero);
  const Kernel kernel = Kernel::parse(kArdMatern, 8);
  const IterativeOptions options;
  IterativeLikelihood likelihood(data.groups[0], 0, options);
  std::vector<double> gradient(kernel.parameters().size());
  IterativeValue value;
  for (auto _ : state) {
    likelihood.choose_pivots(kernel);
    value = likelihood.evaluate(kernel, gradient, 1e-3, nullptr);
  }
  state.counters["log_likelihood"] = value.log_likelihood;
  state.counters["error"] = value.error;
  state.counters["products"] = static_cast<double>(value.iterations);
  state.counters["residual"] = value.residual;
  state.counters["solve_residual"] = value.solve_residual;
  set_threads(0);
}
BENCHMARK(iterative)
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{2000, 4000, 8000, 16000}, {1, 2}})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

void markov(benchmark::State& state) {
  const size_t n = 1000000;
  std::vector<double> t(n), y(n), mean(n), variance(n);
  for (size_t i = 0; i < n; ++i) {
    t[i] = (i == 0 ? 0 : t[i - 1]) + 0.02 * Random(2).uniform(i);
    y[i] = std::sin(t[i]) + 0.1 * Random(3).normal(i);
  }
  const MarkovModel model{static_cast<MarkovKind>(state.range(0)), 1, 1, 0.1};
  MarkovGradient g;
  for (auto _ : state) {
    if (state.range(1) == 2) {
      benchmark::DoNotOptimize(markov_smooth(model, t, y, {}, mean, variance));
    } else {
      benchmark::DoNotOptimize(
          markov_log_likelihood(model, t, y, {}, state.range(1) == 1 ? &g : nullptr));
    }
  }
}
BENCHMARK(markov)
    ->ArgNames({"kind", "what"})  // matern 1/2, 3/2, 5/2; value, with gradient, smoother
    ->ArgsProduct({{0, 1, 2}, {0, 1, 2}})
    ->Unit(benchmark::kMillisecond);

void markov_blocks(benchmark::State& state, const char* text) {
  const size_t n = 20000;
  const bool grid = state.range(0) == 3;
  std::vector<double> t(n), y(n), mean(n), variance(n), gradient;
  for (size_t i = 0; i < n; ++i) {
    t[i] = i == 0 ? 0 : t[i - 1] + (grid ? 0.01 : 0.02 * Random(2).uniform(i));
    y[i] = std::sin(t[i]) + 0.1 * Random(3).normal(i);
  }
  const MarkovForm form(Kernel::parse(text, 1));
  for (auto _ : state) {
    if (state.range(0) == 2) {
      benchmark::DoNotOptimize(filter_smooth(form, t, y, {}, mean, variance));
    } else {
      benchmark::DoNotOptimize(
          filter_log_likelihood(form, t, y, {}, state.range(0) == 1 ? &gradient : nullptr));
    }
  }
  state.counters["states"] = static_cast<double>(form.states());
}
BENCHMARK_CAPTURE(markov_blocks, sum, "matern32(2)*cosine(1) + matern12(1) + white(0.1)")
    ->ArgName("what")  // value, with gradient, smoother, value on a grid
    ->DenseRange(0, 3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(markov_blocks, periodic, "matern32(5)*periodic(1,1) + white(0.1)")
    ->ArgName("what")
    ->DenseRange(0, 3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::stat
