// One training step's loss and gradient. Items are pixels x channels; bytes are x and y read and
// the gradient written once (12 a float pair, 9 with 8-bit truth); operations are 124 multiply-adds
// and 70 additions an item, counted in "flops" as 318.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/ssim/ssim.h"

namespace covary::compute {
namespace {

struct Data {
  explicit Data(int64_t n) : x(n), y(n), gradient(n), bytes(n) {
    for (int64_t i = 0; i < n; ++i) {
      x[i] = static_cast<float>(i * 7919 % 1000) * 1e-3f;
      bytes[i] = static_cast<uint8_t>(i * 104729 % 256);
      y[i] = static_cast<float>(bytes[i]) / 255.0f;
    }
  }
  std::vector<float> x, y, gradient;
  std::vector<uint8_t> bytes;
};

void report(benchmark::State& state, int64_t items, int64_t bytes) {
  state.SetItemsProcessed(state.iterations() * items);
  state.SetBytesProcessed(state.iterations() * items * bytes);
  state.counters["flops"] = benchmark::Counter(
      static_cast<double>(state.iterations() * items) * 318, benchmark::Counter::kIsRate);
}

void photometric_simd(benchmark::State& state) {
  const int64_t h = state.range(0), w = state.range(1);
  set_threads(static_cast<int>(state.range(2)));
  Data d(h * w * 3);
  const bool bytes = state.range(3) != 0;
  const ImagePair<float> pair{
      d.x.data(), bytes ? nullptr : d.y.data(), bytes ? d.bytes.data() : nullptr, nullptr, h, w, 3};
  for (auto _ : state) {
    benchmark::DoNotOptimize(photometric(pair, {}, d.gradient.data()));
  }
  set_threads(0);
  report(state, h * w * 3, bytes ? 9 : 12);
}
BENCHMARK(photometric_simd)
    ->ArgNames({"h", "w", "threads", "bytes"})
    ->Args({270, 480, 1, 0})
    ->Args({270, 480, 1, 1})
    ->Args({270, 480, 2, 1})
    ->Args({480, 270, 1, 1})
    ->Args({960, 540, 1, 1})
    ->Args({540, 960, 1, 1})
    ->Args({1080, 1920, 1, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void photometric_value_simd(benchmark::State& state) {
  set_threads(1);
  Data d(270 * 480 * 3);
  const ImagePair<float> pair{d.x.data(), d.y.data(), nullptr, nullptr, 270, 480, 3};
  for (auto _ : state) benchmark::DoNotOptimize(photometric(pair, {}, nullptr));
  set_threads(0);
  state.SetItemsProcessed(state.iterations() * 270 * 480 * 3);
}
BENCHMARK(photometric_value_simd)->Unit(benchmark::kMillisecond)->UseRealTime();

void photometric_scalar(benchmark::State& state) {
  Data d(270 * 480 * 3);
  const ImagePair<float> pair{d.x.data(), d.y.data(), nullptr, nullptr, 270, 480, 3};
  for (auto _ : state) {
    benchmark::DoNotOptimize(photometric_reference<float>(pair, {}, d.gradient.data()));
  }
  report(state, 270 * 480 * 3, 12);
}
BENCHMARK(photometric_scalar)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace covary::compute
