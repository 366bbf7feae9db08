// Three nearest neighbours of 138,766 points: build O(n log n), a query visits about 30 points (3 subtractions and
// multiply-adds each) and is bound by the latency of the tree's cache misses.
#include <benchmark/benchmark.h>

#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/compute/knn/knn.h"

namespace covary::compute {
namespace {

void knn_of_points(benchmark::State& state) {
  const int64_t n = state.range(0);
  std::vector<float> p(static_cast<size_t>(3 * n));
  const Random rng(1, 0);
  for (size_t i = 0; i < p.size(); ++i) p[i] = static_cast<float>(rng.normal(i));
  std::vector<int64_t> ids(static_cast<size_t>(3 * n));
  for (auto _ : state) knn(p.data(), n, 3, ids.data(), nullptr);
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(knn_of_points)->Name("knn")->Arg(138766)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::compute
