// A million values at orders and arguments drawn evenly from a square. Items are values; bytes are the 16 read and 8 written;
// "flops" counts operations on doubles (a fused multiply-add is two; a division, root, comparison or choice one): at a value
// 281 with 9 terms, 381 with 13, 467 with 16, about 600 below h = 25 (of I; 430 of K). The square [0, 100]^2 has 68, 24, 3
// and 5 % of these: 327 on average. A core's ceiling is two flops for each fused multiply-add of doubles, half its rate of floats in
// eval/ceilings.h.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/bessel/bessel.h"

namespace covary::compute {
namespace {

struct Data {
  Data(int64_t n, double low, double high)
      : v(n), x(n), value(n), dv(n), dx(n), dvv(n), dvx(n), dxx(n) {
    const Random rng(1, 0);
    for (int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<uint64_t>(2 * i);
      v[i] = low + (high - low) * rng.uniform(k);
      x[i] = low + (high - low) * rng.uniform(k + 1);
    }
  }
  BesselInput<double> input() const { return {static_cast<int64_t>(v.size()), v.data(), x.data()}; }
  BesselOutput<double> output(int64_t order) {
    BesselOutput<double> out{.value = value.data()};
    if (order >= 1) out.dv = dv.data(), out.dx = dx.data();
    if (order >= 2) out.dvv = dvv.data(), out.dvx = dvx.data(), out.dxx = dxx.data();
    return out;
  }
  std::vector<double> v, x, value, dv, dx, dvv, dvx, dxx;
};

void report(benchmark::State& state, const Data& d) {
  const auto n = static_cast<int64_t>(d.v.size());
  state.SetItemsProcessed(state.iterations() * n);
  state.SetBytesProcessed(state.iterations() * n * 24);
}

void log_bessel_simd(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(2)));
  Data d(1 << 20, 0, static_cast<double>(state.range(1)));
  const BesselOptions options{state.range(0) ? BesselKind::kK : BesselKind::kI, true};
  for (auto _ : state) log_bessel(options, d.input(), d.output(state.range(3)));
  set_threads(0);
  report(state, d);
  if (state.range(1) == 100 && state.range(3) == 0) {
    state.counters["flops"] = benchmark::Counter(
        327.0 * static_cast<double>(state.iterations() * (1 << 20)), benchmark::Counter::kIsRate);
  }
}
BENCHMARK(log_bessel_simd)
    ->ArgNames({"k", "side", "threads", "derivatives"})
    ->Args({0, 100, 1, 0})
    ->Args({1, 100, 1, 0})
    ->Args({0, 100, 2, 0})
    ->Args({0, 20, 1, 0})
    ->Args({1, 20, 1, 0})
    ->Args({0, 10000, 1, 0})
    ->Args({0, 100, 1, 1})
    ->Args({0, 100, 1, 2})
    ->Unit(benchmark::kMillisecond);

void bessel_ratio_simd(benchmark::State& state) {
  set_threads(1);
  Data d(1 << 20, 0, 100);
  const BesselKind kind = state.range(0) ? BesselKind::kK : BesselKind::kI;
  for (auto _ : state) bessel_ratio(kind, d.input(), d.value.data());
  set_threads(0);
  report(state, d);
}
BENCHMARK(bessel_ratio_simd)->ArgName("k")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void log_bessel_scalar(benchmark::State& state) {
  Data d(1 << 16, 0, 100);
  const BesselOptions options{state.range(0) ? BesselKind::kK : BesselKind::kI, true};
  for (auto _ : state) log_bessel_reference(options, d.input(), d.output(0));
  report(state, d);
}
BENCHMARK(log_bessel_scalar)->ArgName("k")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::compute
