// Items are elements; bytes are those that must move: p, g, m, v read, p, m, v written (28 an
// element).
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/adam/adam.h"

namespace covary::compute {
namespace {

struct Data {
  explicit Data(int64_t n) : p(n, 1.0f), g(n, 1e-3f), m(n, 1e-3f), v(n, 1e-6f) {
    for (size_t i = 0; i < g.size(); ++i) g[i] *= 1.0f + static_cast<float>(i % 7);
  }
  std::vector<float> p, g, m, v;
};

void report(benchmark::State& state, int64_t elements) {
  state.SetItemsProcessed(state.iterations() * elements);
  state.SetBytesProcessed(state.iterations() * elements * 28);
}

void adam_dense_simd(benchmark::State& state) {
  const int64_t n = state.range(0);
  set_threads(static_cast<int>(state.range(1)));
  Data d(n);
  int64_t t = 1;
  for (auto _ : state) {
    adam({.update = t++}, AdamRows<float>{d.p.data(), d.m.data(), d.v.data(), nullptr, n, 1},
         {.values = d.g.data()}, UnseenRows::kDecay);
  }
  set_threads(0);
  report(state, n);
}
BENCHMARK(adam_dense_simd)
    ->ArgNames({"elements", "threads"})
    ->Args({1 << 16, 1})
    ->Args({1 << 22, 1})
    ->Args({1 << 22, 2})
    ->UseRealTime();

void adam_dense_scalar(benchmark::State& state) {
  const int64_t n = state.range(0);
  Data d(n);
  int64_t t = 1;
  for (auto _ : state) {
    adam_reference({.update = t++},
                   AdamRows<float>{d.p.data(), d.m.data(), d.v.data(), nullptr, n, 1},
                   {.values = d.g.data()}, UnseenRows::kDecay);
  }
  report(state, n);
}
BENCHMARK(adam_dense_scalar)->ArgNames({"elements"})->Arg(1 << 16)->Arg(1 << 22)->UseRealTime();

// A third of the rows is seen, scattered; the gradient is compact.
void adam_selective_simd(benchmark::State& state) {
  const int64_t rows = 1 << 18, width = state.range(0);
  set_threads(1);
  Data d(rows * width);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows; ++i) {
    if ((i * 2654435761u >> 7) % 3 == 0) ids.push_back(i);
  }
  const int64_t count = static_cast<int64_t>(ids.size());
  int64_t t = 1;
  for (auto _ : state) {
    adam({.update = t++}, AdamRows<float>{d.p.data(), d.m.data(), d.v.data(), nullptr, rows, width},
         {d.g.data(), ids.data(), count, true}, UnseenRows::kKeep);
  }
  set_threads(0);
  report(state, count * width);
}
BENCHMARK(adam_selective_simd)->ArgNames({"width"})->Arg(1)->Arg(3)->Arg(4)->Arg(45)->UseRealTime();

}  // namespace
}  // namespace covary::compute
