// A tile of 128 x 256 floats in cache, both ways, as a symmetric matrix uses it: 4 * 128 * 256 flops
// a right-hand side; the bound is the machine's rate of fused multiply-adds in floats.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/compute/tile_product/tile_product.h"

namespace covary::compute {
namespace {

void both_ways(benchmark::State& state) {
  constexpr int64_t kRows = 128, kColumns = 256;
  const int64_t width = state.range(0);
  const auto numbers = [](int64_t n) { return std::vector<float>(static_cast<size_t>(n), 0.25F); };
  const auto k = numbers(kRows * kColumns), b = numbers(kColumns * width),
             c = numbers(kRows * width);
  std::vector<double> rows(static_cast<size_t>(kRows * width)),
      columns(static_cast<size_t>(kColumns * width));
  for (auto _ : state) {
    tile_product(k.data(), kRows, kColumns, b.data(), width, rows.data());
    tile_product_transposed(k.data(), kRows, kColumns, c.data(), width, columns.data());
    benchmark::DoNotOptimize(columns.data());
  }
  state.counters["flop/s"] = benchmark::Counter(static_cast<double>(4 * kRows * kColumns * width),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(both_ways)->ArgName("width")->Arg(8)->Arg(16)->Arg(64);

}  // namespace
}  // namespace covary::compute
