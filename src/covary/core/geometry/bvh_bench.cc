// Rays a second on one thread: coherent camera rays, scattered rays, and shadow rays, on a knot of
// 32 k triangles. A ray reads about 64 bytes a node visited (some tens of nodes) and does a slab
// test of 8 boxes at each.
#include <benchmark/benchmark.h>

#include <vector>

#include "covary/core/geometry/bvh.h"

namespace covary::geometry {
namespace {

struct Setup {
  Bvh bvh;
  std::vector<Eigen::Vector3f> origins, coherent, scattered;
  Setup() {
    bvh.add(make_torus_knot(2, 3, 0.5, 0.2, 0.12, 640, 25));
    Mesh floor = make_plane(3, 3, 20, 20);
    for (Eigen::Vector3f& v : floor.vertices) v.z() -= 0.5f;
    bvh.add(floor);
    bvh.build();
    const Random rng(1);
    for (int i = 0; i < 256 * 256; ++i) {
      const auto z = rng.normal4(static_cast<uint64_t>(i));
      coherent.push_back(
          Eigen::Vector3f((i % 256 - 128) / 400.f, 1, (i / 256 - 200) / 400.f).normalized());
      origins.emplace_back(0.5f * z[3], 0.5f * z[1], 0.4f);
      scattered.push_back(Eigen::Vector3f(z[0], z[1], z[2]).normalized());
    }
  }
};
const Setup& setup() {
  static const Setup s;
  return s;
}

void CameraRays(benchmark::State& state) {
  const Setup& s = setup();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(s.bvh.first_hit({0, -2.5f, 0.5f}, s.coherent[i++ & 0xffff]));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(CameraRays);

void ScatteredRays(benchmark::State& state) {
  const Setup& s = setup();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(s.bvh.first_hit(s.origins[i & 0xffff], s.scattered[i & 0xffff]));
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ScatteredRays);

void ShadowRays(benchmark::State& state) {
  const Setup& s = setup();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(s.bvh.occluded(s.origins[i & 0xffff], s.scattered[i & 0xffff]));
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ShadowRays);

}  // namespace
}  // namespace covary::geometry
