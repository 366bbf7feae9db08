// Projection and colours of a packed scene: a vector of Gaussians a step, nothing gathered.
#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <type_traits>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/project/packed.h"
#include "covary/core/compute/sh/sh.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/project/packed_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

template <class V>
HWY_INLINE Lanes load_lanes(const float* p) {
  return Lanes::load(p);
}

#include "covary/core/compute/project/project_math.inc"

#include "covary/core/compute/rasterize/footprints.inc"

#include "covary/core/compute/project/project_loop.inc"

#include "covary/core/compute/sh/sh_math.inc"

HWY_INLINE Lanes from_fixed(const uint16_t* p) {
  const hn::Rebind<uint16_t, FloatTag> narrow;
  return Lanes(hn::ConvertTo(kFloats, hn::PromoteTo(IntTag(), hn::LoadU(narrow, p))));
}
HWY_INLINE Lanes from_half(const uint16_t* p) {
  const hn::Rebind<uint16_t, FloatTag> narrow;
  const hn::Rebind<hwy::float16_t, FloatTag> half;
  return Lanes(hn::PromoteTo(kFloats, hn::BitCast(half, hn::LoadU(narrow, p))));
}

// Whether all of a group lies outside of a pinhole's view. The sphere holds the Gaussians in the world;
// what dilation adds on the screen is within the margin.
bool outside(const PackedScene::Group& group, const ProjectionCamera& cam,
             const CameraParameters& view, const ProjectOptions& o) {
  if (cam.kind != 0) return false;
  constexpr double kMargin = 16;  // px
  const CameraPoint<double> p =
      to_camera<double>(cam, group.centre[0], group.centre[1], group.centre[2]);
  const double r = group.radius;
  if (p.z + r < o.near || p.z - r > o.far) return true;
  const auto beyond = [&](double f, double at, double edge) {  // f at + edge z < 0 is outside
    return f * at + edge * p.z < -r * std::hypot(f, edge);
  };
  return beyond(cam.fx, p.x, cam.cx + kMargin) ||
         beyond(-cam.fx, p.x, view.width - cam.cx + kMargin) ||
         beyond(cam.fy, p.y, cam.cy + kMargin) ||
         beyond(-cam.fy, p.y, view.height - cam.cy + kMargin);
}

// The groups [first, last) into `out` from place `at` on; returns the place behind the last.
int64_t project_groups(const PackedScene& scene, const CameraParameters& view,
                       const ProjectOptions& o, int64_t first, int64_t last, int64_t at,
                       PackedView& out) {
  using F = GaussianFootprint;
  constexpr int kGroup = PackedScene::kGroup;
  static_assert(kGroup % kLanes == 0, "a group is whole vectors");
  const ProjectionCamera cam = projection_camera(view);
  const int degree = static_cast<int>(std::lround(std::sqrt(scene.bands))) - 1;
  double eye[3];
  for (int k = 0; k < 3; ++k)
    eye[k] = -(cam.r[k] * cam.t[0] + cam.r[3 + k] * cam.t[1] + cam.r[6 + k] * cam.t[2]);
  constexpr int kFields = ScreenBlock<F, Lanes>::kFields;
  HWY_ALIGN float field[kFields][kLanes], color[3][kLanes];
  for (int64_t g = first; g < last; ++g) {
    const PackedScene::Group& group = scene.groups[static_cast<size_t>(g)];
    if (outside(group, cam, view, o)) continue;
    for (int begin = 0; begin < kGroup; begin += kLanes) {
      const uint16_t* numbers = scene.numbers.data() + g * scene.rows() * kGroup + begin;
      const auto row = [&](int k) HWY_ATTR { return numbers + k * kGroup; };
      Lanes mean[3], shape[7];
      for (int k = 0; k < 3; ++k)
        mean[k] = lane_fma(Lanes(group.step), from_fixed(row(PackedScene::kMean + k)),
                           Lanes(group.origin[k]));
      for (int k = 0; k < 4; ++k) shape[k] = from_half(row(PackedScene::kQuat + k));
      for (int k = 0; k < 3; ++k)
        shape[4 + k] = Lanes(group.scale) * from_half(row(PackedScene::kScale + k));
      const Projected<Lanes> p = project_gaussian<false>(cam, mean, shape);
      const auto s = F::setup<Lanes>(o.shape, p.a, p.b, p.c, mean);
      const Lanes opacity = from_half(row(PackedScene::kOpacity)) * s.opacity_factor;
      const Lanes reach = from_half(row(PackedScene::kReach));
      const Lanes q =
          lane_min(F::extent<Lanes>(s, opacity), Lanes(2.0f) * lane_log(reach * s.opacity_factor));
      const ScreenBlock<F, Lanes> block(p, s, opacity, q);
      const uint64_t shown = block.shown(view, o);
      if (!shown) continue;
      Lanes d[3], basis[kMaxShBands], sum[3] = {Lanes(0.5f), Lanes(0.5f), Lanes(0.5f)};
      for (int k = 0; k < 3; ++k) d[k] = mean[k] - Lanes(eye[k]);
      const Lanes inverse = Lanes(1.0f) / lane_sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
      sh_basis_of(degree, d[0] * inverse, d[1] * inverse, d[2] * inverse, basis);
      for (int k = 0; k < scene.bands; ++k)
        for (int c = 0; c < 3; ++c)
          sum[c] = lane_fma(basis[k], from_half(row(PackedScene::kColor + 3 * k + c)), sum[c]);
      for (int k = 0; k < kFields; ++k) store_set_lanes(block.field[k], shown, field[k]);
      for (int c = 0; c < 3; ++c) store_set_lanes(lane_max(sum[c], Lanes(0.0f)), shown, color[c]);
      for (int l = 0; l < std::popcount(shown); ++l) {
        const auto i = static_cast<size_t>(at++);
        out.centres[2 * i] = field[0][l];
        out.centres[2 * i + 1] = field[1][l];
        out.depths[i] = field[2][l];
        out.opacities[i] = field[3][l];
        out.extents[i] = field[4][l];
        out.halves[2 * i] = field[5][l];
        out.halves[2 * i + 1] = field[6][l];
        for (size_t k = 0; k < F::kParams; ++k) out.params[F::kParams * i + k] = field[7 + k][l];
        for (size_t c = 0; c < 3; ++c) out.colors[3 * i + c] = color[c][l];
      }
    }
  }
  return at;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {
namespace {

HWY_EXPORT(project_groups);

int64_t project_groups_here(const PackedScene& scene, const CameraParameters& camera,
                            const ProjectOptions& options, int64_t first, int64_t last, int64_t at,
                            PackedView& out) {
  return HWY_DYNAMIC_DISPATCH(project_groups)(scene, camera, options, first, last, at, out);
}

// Chunks wrote their parts to [begin, begin + count) of rows of `width`: moves them together.
void close_up(std::vector<float>& values, size_t width, size_t chunk,
              const std::vector<int64_t>& counts) {
  size_t to = 0;
  for (size_t c = 0; c < counts.size(); ++c) {
    const size_t n = width * static_cast<size_t>(counts[c]);
    float* const from = values.data() + width * chunk * c;
    if (values.data() + to != from) std::copy_n(from, n, values.data() + to);
    to += n;
  }
}

}  // namespace

void project_packed(const PackedScene& scene, const CameraParameters& camera,
                    const ProjectOptions& options, PackedView& out) {
  constexpr int64_t kChunk = 32;  // groups a task
  const auto groups = static_cast<int64_t>(scene.groups.size());
  const int64_t chunks = (groups + kChunk - 1) / kChunk;
  const auto places = static_cast<size_t>(groups) * PackedScene::kGroup;
  const struct {
    std::vector<float>& values;
    size_t width;
  } arrays[] = {{out.centres, 2}, {out.depths, 1}, {out.params, 3}, {out.opacities, 1},
                {out.extents, 1}, {out.halves, 2}, {out.colors, 3}};
  for (const auto& a : arrays) a.values.resize(places * a.width);
  std::vector<int64_t> counts(static_cast<size_t>(chunks));
  parallel_tasks(chunks, [&](int64_t c) {
    const int64_t first = c * kChunk, last = std::min(groups, first + kChunk);
    const int64_t begin = first * PackedScene::kGroup;
    counts[static_cast<size_t>(c)] =
        project_groups_here(scene, camera, options, first, last, begin, out) - begin;
  });
  parallel_tasks(static_cast<int64_t>(std::size(arrays)), [&](int64_t k) {
    close_up(arrays[k].values, arrays[k].width, kChunk * PackedScene::kGroup, counts);
  });
  out.count = 0;
  for (const int64_t n : counts) out.count += n;
}

}  // namespace covary::compute
#endif
