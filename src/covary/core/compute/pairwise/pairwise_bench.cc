// Items are pairs in blocks of 32 x 128 that stay in cache; a distance costs 3 d flops, a profile
// one exp and about 6 more.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/compute/pairwise/pairwise.h"

namespace covary::compute {
namespace {

constexpr PairBlock kBlock{0, 32, 0, 128};

std::vector<double> spread(int64_t n) {
  std::vector<double> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i * 37 % 101) / 101;
  return x;
}

void squares(benchmark::State& state) {
  const int64_t d = state.range(0);
  const auto x = spread(d * 128);
  std::vector<double> q(static_cast<size_t>(kBlock.size()));
  for (auto _ : state) {
    pair_squares({x.data(), 128, d}, {x.data(), 128, d}, kBlock, q.data());
    benchmark::DoNotOptimize(q.data());
  }
  state.SetItemsProcessed(state.iterations() * kBlock.size());
}
BENCHMARK(squares)->ArgName("dims")->Arg(2)->Arg(8)->Arg(50);

void profile(benchmark::State& state) {
  const auto q = spread(kBlock.size());
  std::vector<double> f(q.size()), df(q.size());
  for (auto _ : state) {
    radial_profile(static_cast<Profile>(state.range(0)), 2, q.data(), kBlock.size(), f.data(),
                   df.data(), nullptr);
    benchmark::DoNotOptimize(f.data());
  }
  state.SetItemsProcessed(state.iterations() * kBlock.size());
}
BENCHMARK(profile)->ArgName("profile")->DenseRange(0, 4);

void moments(benchmark::State& state) {
  const int64_t d = state.range(0);
  const auto x = spread(d * 128), w = spread(kBlock.size());
  std::vector<double> sums(static_cast<size_t>(d));
  for (auto _ : state) {
    pair_square_moments({x.data(), 128, d}, {x.data(), 128, d}, kBlock, w.data(), sums.data());
    benchmark::DoNotOptimize(sums.data());
  }
  state.SetItemsProcessed(state.iterations() * kBlock.size());
}
BENCHMARK(moments)->ArgName("dims")->Arg(2)->Arg(8)->Arg(50);

}  // namespace
}  // namespace covary::compute
