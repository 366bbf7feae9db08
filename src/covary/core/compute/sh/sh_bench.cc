// Colours of M visible Gaussians of 3 M, in place by row id. Items are Gaussians; bytes are the 3 K coefficients read
// (and, backward, as many written), 24 for direction and colour, 8 for the id. Operations: 6 K multiply-adds for the
// colours and about 60 for the basis of degree 3; backward twice that.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/sh/sh.h"

namespace covary::compute {
namespace {

struct Data {
  Data(int64_t m, int degree_) : degree(degree_), count(m), bands((degree + 1) * (degree + 1)) {
    const auto n = static_cast<size_t>(3 * m);
    sh0.assign(n * 3, 0.3f);
    shN.assign(n * 3 * static_cast<size_t>(bands - 1), 0.01f);
    v0 = sh0;
    vN = shN;
    directions.resize(n);
    v_directions.resize(n);
    colors.assign(n, 1.0f);
    for (int64_t i = 0; i < m; ++i) {
      ids.push_back(3 * i + i % 3);
      for (int64_t k = 0; k < 3; ++k) {
        directions[static_cast<size_t>(3 * i + k)] = static_cast<float>((i * 7 + k * 5) % 11 - 4);
      }
    }
  }
  ShInput<float> input() const {
    return {count, degree, bands, ids.data(), sh0.data(), shN.data(), directions.data()};
  }
  int degree;
  int64_t count;
  int bands;
  std::vector<int64_t> ids;
  std::vector<float> sh0, shN, v0, vN, directions, v_directions, colors;
};

void report(benchmark::State& state, const Data& d, int passes) {
  state.SetItemsProcessed(state.iterations() * d.count);
  state.SetBytesProcessed(state.iterations() * d.count * (passes * 12 * d.bands + 32));
}

void sh_color_simd(benchmark::State& state) {
  set_threads(1);
  Data d(state.range(0), static_cast<int>(state.range(1)));
  for (auto _ : state) sh_color(d.input(), d.colors.data());
  set_threads(0);
  report(state, d, 1);
}
BENCHMARK(sh_color_simd)
    ->ArgNames({"m", "degree"})
    ->Args({1 << 16, 1})
    ->Args({1 << 16, 3})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void sh_color_scalar(benchmark::State& state) {
  set_threads(1);
  Data d(state.range(0), static_cast<int>(state.range(1)));
  for (auto _ : state) sh_color_reference(d.input(), d.colors.data());
  set_threads(0);
  report(state, d, 1);
}
BENCHMARK(sh_color_scalar)
    ->ArgNames({"m", "degree"})
    ->Args({1 << 16, 3})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void sh_color_vjp_simd(benchmark::State& state) {
  set_threads(1);
  Data d(state.range(0), static_cast<int>(state.range(1)));
  const ShGradients<float> out{d.v0.data(), d.vN.data(), d.v_directions.data()};
  for (auto _ : state) sh_color_vjp(d.input(), d.colors.data(), out);
  set_threads(0);
  report(state, d, 2);
}
BENCHMARK(sh_color_vjp_simd)
    ->ArgNames({"m", "degree"})
    ->Args({1 << 16, 1})
    ->Args({1 << 16, 3})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void sh_color_vjp_scalar(benchmark::State& state) {
  set_threads(1);
  Data d(state.range(0), static_cast<int>(state.range(1)));
  const ShGradients<float> out{d.v0.data(), d.vN.data(), d.v_directions.data()};
  for (auto _ : state) sh_color_vjp_reference(d.input(), d.colors.data(), out);
  set_threads(0);
  report(state, d, 2);
}
BENCHMARK(sh_color_vjp_scalar)
    ->ArgNames({"m", "degree"})
    ->Args({1 << 16, 3})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace covary::compute
