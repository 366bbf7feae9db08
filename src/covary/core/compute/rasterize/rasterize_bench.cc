// Forward and backward of the whole rasteriser (projection, tile lists, compositing) at a fixed
// scene: 138,766 Gaussians, an image of 648x420, three channels. SIMD against the scalar float loop
// of the same algorithm.
//
// Counted a run: blends (a primitive at a pixel with alpha >= 1/255 before the pixel is opaque). A
// blend takes an exponential and 2 multiply-adds for its exponent; forward 2 + C more, backward
// 8 + 2 C. Bytes: a record, a cache line with three channels, a pair, and (kSums + 1 + C) floats a pair
// written and read once.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/project/project.h"
#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::compute {
namespace {

constexpr int64_t kCount = 138766;
constexpr int kWidth = 648, kHeight = 420;

// Points on a ground plane and on a round body before the camera, each about as large as the gap to
// its neighbours.
struct Scene {
  std::vector<float> means, quats, scales, opacities, colors, shapes;
  CameraParameters camera{};
  Scene() {
    const Random rng(1, 0);
    for (int64_t i = 0; i < kCount; ++i) {
      const auto u = [&](int k) {
        return static_cast<float>(rng.uniform(static_cast<uint64_t>(16 * i + k)));
      };
      float x, y, z;
      if (i % 3 != 0) {
        x = 12 * (u(0) - 0.5f);
        z = 2 + 12 * u(1);
        y = 1.5f + 0.3f * u(2);
      } else {
        const float a = 6.2831853f * u(0), h = 2 * u(1) - 1, r = std::sqrt(1 - h * h);
        x = 1.4f * r * std::cos(a);
        y = 1.4f * h;
        z = 5 + 1.4f * r * std::sin(a);
      }
      means.insert(means.end(), {x, y, z});
      quats.insert(quats.end(), {u(3) - 0.5f, u(4) - 0.5f, u(5) - 0.5f, u(6) - 0.5f});
      const float size = i % 3 != 0 ? 0.035f : 0.018f;
      scales.insert(scales.end(),
                    {size * (0.5f + u(7)), size * (0.5f + u(8)), size * (0.5f + u(9))});
      opacities.push_back(0.05f + 0.9f * u(10));
      colors.insert(colors.end(), {u(11), u(12), u(13)});
      shapes.push_back(1.5f + 2 * u(14));
    }
    for (int i = 0; i < 4; ++i) camera.cam_from_world[5 * i] = 1;
    camera.fx = camera.fy = 480;
    camera.cx = kWidth / 2.0;
    camera.cy = kHeight / 2.0;
    camera.width = kWidth;
    camera.height = kHeight;
  }
  ProjectInput<float> input() const {
    return {.count = kCount,
            .means = means.data(),
            .quats = quats.data(),
            .scales = scales.data(),
            .opacities = opacities.data(),
            .extras = shapes.data()};
  }
};

struct Step {
  ProjectOptions options;
  Projection<float> projection;
  TileLists lists;
  std::vector<float> features;
  std::vector<float> image = std::vector<float>(static_cast<size_t>(kWidth) * kHeight * 3),
                     transmittance = std::vector<float>(static_cast<size_t>(kWidth) * kHeight);
  std::vector<float> v_image = std::vector<float>(image.size(), 1e-3f);
};

template <bool kSimd>
void project_step(const Scene& s, Step& step) {
  step.projection = kSimd ? project(s.camera, s.input(), step.options)
                          : project_reference(s.camera, s.input(), step.options);
}
void list_step(const Scene& s, Step& step) {
  const auto& p = step.projection;
  step.lists = build_tile_lists(TileGrid{.width = kWidth, .height = kHeight},
                                TileSplats<float>{.count = p.count(),
                                                  .footprint = step.options.footprint,
                                                  .centres = p.centres.data(),
                                                  .depths = p.depths.data(),
                                                  .params = p.params.data(),
                                                  .extents = p.extents.data(),
                                                  .halves = p.halves.data()},
                                true);
  step.features.resize(p.ids.size() * 3);
  for (size_t i = 0; i < p.ids.size(); ++i)
    std::copy_n(s.colors.data() + 3 * p.ids[i], 3, step.features.data() + 3 * i);
}
RasterInput<float> raster_input(const Step& step) {
  const auto& p = step.projection;
  return {.count = p.count(),
          .footprint = step.options.footprint,
          .channels = 3,
          .grid = {.width = kWidth, .height = kHeight},
          .lists = &step.lists,
          .centres = p.centres.data(),
          .params = p.params.data(),
          .opacities = p.opacities.data(),
          .extents = p.extents.data(),
          .features = step.features.data()};
}
template <bool kSimd>
void forward_step(Step& step) {
  const RasterOutput<float> out{step.image.data(), step.transmittance.data()};
  if (kSimd) {
    rasterize(raster_input(step), out);
  } else {
    rasterize_reference(raster_input(step), out);
  }
}
template <bool kSimd>
void backward_step(const Scene& s, Step& step) {
  const auto m = step.projection.ids.size();
  std::vector<float> centres(2 * m),
      params(static_cast<size_t>(footprint_params(step.options.footprint)) * m), opacities(m),
      features(3 * m);
  const RasterOutput<float> result{step.image.data(), step.transmittance.data()};
  const RasterGradients<float> v{step.v_image.data(), nullptr};
  const RasterInputGradients<float> out{centres.data(),  params.data(), opacities.data(),
                                        features.data(), nullptr,       nullptr};
  if (kSimd) {
    rasterize_vjp(raster_input(step), result, v, out);
  } else {
    rasterize_vjp_reference(raster_input(step), result, v, out);
  }
  std::vector<float> means(3 * kCount), quats(4 * kCount), scales(3 * kCount), alphas(kCount),
      extras(kCount);
  ProjectInputGradients<float> to{.means = means.data(),
                                  .quats = quats.data(),
                                  .scales = scales.data(),
                                  .opacities = alphas.data(),
                                  .extras = extras.data()};
  const ProjectGradients<float> from{centres.data(), nullptr, params.data(), opacities.data()};
  if (kSimd) {
    project_vjp(s.camera, s.input(), step.options, step.projection, from, to);
  } else {
    project_vjp_reference(s.camera, s.input(), step.options, step.projection, from, to);
  }
  benchmark::DoNotOptimize(means.data());
}

const Scene& scene() {
  static const Scene s;
  return s;
}

void count(benchmark::State& state, const Step& step) {
  state.counters["visible"] = static_cast<double>(step.projection.count());
  state.counters["pairs"] = static_cast<double>(step.lists.pairs());
  std::vector<int64_t> hits(step.projection.ids.size());
  InspectOutput<float> out;
  out.hits = hits.data();
  inspect(raster_input(step), out);
  double blends = 0;
  for (const int64_t h : hits) blends += static_cast<double>(h);
  state.counters["blends"] = blends;
}

template <bool kSimd, int kFootprint>  // a number in COVARY_FOOTPRINTS
void whole(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(0)));
  Step step;
  step.options.footprint = kFootprint;
  for (auto _ : state) {
    project_step<kSimd>(scene(), step);
    list_step(scene(), step);
    forward_step<kSimd>(step);
    backward_step<kSimd>(scene(), step);
  }
  count(state, step);
  set_threads(0);
}
void projection(benchmark::State& state) {
  set_threads(1);
  Step step;
  for (auto _ : state) project_step<true>(scene(), step);
  set_threads(0);
}
void tile_lists(benchmark::State& state) {
  set_threads(1);
  Step step;
  project_step<true>(scene(), step);
  for (auto _ : state) list_step(scene(), step);
  set_threads(0);
}
template <bool kSimd>
void forward(benchmark::State& state) {
  set_threads(1);
  Step step;
  project_step<true>(scene(), step);
  list_step(scene(), step);
  for (auto _ : state) forward_step<kSimd>(step);
  count(state, step);
  set_threads(0);
}
template <bool kSimd>
void backward(benchmark::State& state) {
  set_threads(1);
  Step step;
  project_step<true>(scene(), step);
  list_step(scene(), step);
  forward_step<kSimd>(step);
  for (auto _ : state) backward_step<kSimd>(scene(), step);
  set_threads(0);
}

BENCHMARK(whole<true, 0>)
    ->Name("rasterize/simd/threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(whole<true, 1>)
    ->Name("rasterize/simd/analytic/threads")
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(whole<true, 2>)
    ->Name("rasterize/simd/generalized/threads")
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(whole<false, 0>)
    ->Name("rasterize/scalar/threads")
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(projection)->Name("rasterize/projection")->Unit(benchmark::kMillisecond);
BENCHMARK(tile_lists)->Name("rasterize/tile_lists")->Unit(benchmark::kMillisecond);
BENCHMARK(forward<true>)->Name("rasterize/forward/simd")->Unit(benchmark::kMillisecond);
BENCHMARK(forward<false>)->Name("rasterize/forward/scalar")->Unit(benchmark::kMillisecond);
BENCHMARK(backward<true>)->Name("rasterize/backward/simd")->Unit(benchmark::kMillisecond);
BENCHMARK(backward<false>)->Name("rasterize/backward/scalar")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covary::compute
