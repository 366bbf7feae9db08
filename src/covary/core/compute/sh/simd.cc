// Directions and the basis are lanes over Gaussians; coefficients are not: a row is read as it lies, four floats a
// coefficient (its three channels and a neighbour that is ignored), which spares the transposition that costs more than
// the sum itself.
#include <algorithm>
#include <cmath>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/sh/sh.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/sh/simd.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

#include "covary/core/compute/sh/sh_math.inc"

// Four floats, whatever the width of a target's vectors.
#if HWY_TARGET == HWY_SCALAR  // vectors of one float
struct QuadVec {
  float f[4];
};
HWY_INLINE QuadVec quad_load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
HWY_INLINE QuadVec quad_set(float x) { return {{x, x, x, x}}; }
HWY_INLINE void quad_store(const QuadVec& a, float* p) { std::copy_n(a.f, 4, p); }
HWY_INLINE QuadVec quad_mul(const QuadVec& a, const QuadVec& b) {
  return {{a.f[0] * b.f[0], a.f[1] * b.f[1], a.f[2] * b.f[2], a.f[3] * b.f[3]}};
}
HWY_INLINE QuadVec quad_add(const QuadVec& a, const QuadVec& b) {
  return {{a.f[0] + b.f[0], a.f[1] + b.f[1], a.f[2] + b.f[2], a.f[3] + b.f[3]}};
}
HWY_INLINE QuadVec quad_mul_add(const QuadVec& a, const QuadVec& b, const QuadVec& c) {
  return quad_add(quad_mul(a, b), c);
}
HWY_INLINE QuadVec quad_from_one_before(const float* p) { return {{p[0], p[1], p[2], 0}}; }
HWY_INLINE QuadVec sums_of_three(const QuadVec* p) {
  QuadVec sums;
  for (int k = 0; k < 4; ++k) sums.f[k] = (p[k].f[0] + p[k].f[1]) + p[k].f[2];
  return sums;
}
#else
using Quad = hn::CappedTag<float, 4>;
constexpr Quad kQuad;
using QuadVec = hn::Vec<Quad>;
HWY_INLINE QuadVec quad_load(const float* p) { return hn::LoadU(kQuad, p); }
HWY_INLINE QuadVec quad_set(float x) { return hn::Set(kQuad, x); }
HWY_INLINE void quad_store(QuadVec a, float* p) { hn::StoreU(a, kQuad, p); }
HWY_INLINE QuadVec quad_mul(QuadVec a, QuadVec b) { return hn::Mul(a, b); }
HWY_INLINE QuadVec quad_add(QuadVec a, QuadVec b) { return hn::Add(a, b); }
HWY_INLINE QuadVec quad_mul_add(QuadVec a, QuadVec b, QuadVec c) { return hn::MulAdd(a, b, c); }
HWY_INLINE QuadVec quad_from_one_before(const float* p) {
  return hn::ShiftRightLanes<1>(kQuad, hn::LoadU(kQuad, p - 1));
}
// The sums over the first three lanes of each of four vectors.
HWY_INLINE QuadVec sums_of_three(const QuadVec* p) {
  const auto a = hn::InterleaveLower(kQuad, p[0], p[2]), b = hn::InterleaveLower(kQuad, p[1], p[3]);
  const auto c = hn::InterleaveUpper(kQuad, p[0], p[2]), e = hn::InterleaveUpper(kQuad, p[1], p[3]);
  return hn::Add(hn::Add(hn::InterleaveLower(kQuad, a, b), hn::InterleaveUpper(kQuad, a, b)),
                 hn::InterleaveLower(kQuad, c, e));
}
#endif

// Coefficient j of a row of `count`. Behind the last one the row, and perhaps the array, ends: it is
// read from one float before.
HWY_INLINE QuadVec coefficient(const float* row, int j, int count) {
  return j + 1 < count ? quad_load(row + 3 * j) : quad_from_one_before(row + 3 * j);
}

// kLanes Gaussians from `begin`; the lanes behind n repeat the last one.
struct Block {
  HWY_ALIGN float basis[kMaxShBands * kLanes];
  int64_t row[kLanes];
  Lanes x, y, z, inverse_length;

  HWY_INLINE void evaluate(const ShInput<float>& in, int64_t begin, int n) {
    HWY_ALIGN float direction[3 * kLanes];
    const int64_t width = 3 * (in.bands - 1);
    for (int l = 0; l < kLanes; ++l) {
      const int64_t m = begin + (l < n ? l : n - 1);
      row[l] = in.ids ? in.ids[m] : m;
      for (int k = 0; k < 3; ++k) direction[k * kLanes + l] = in.directions[3 * m + k];
      const float* above = in.shN + row[l] * width;
      for (int64_t k = 0; k < width; k += 16) hwy::Prefetch(above + k);
      hwy::Prefetch(in.sh0 + 3 * row[l]);
    }
    x = Lanes::load(direction);
    y = Lanes::load(direction + kLanes);
    z = Lanes::load(direction + 2 * kLanes);
    inverse_length = Lanes(1.0f) / lane_sqrt(x * x + y * y + z * z);
    x *= inverse_length;
    y *= inverse_length;
    z *= inverse_length;
    Lanes b[kMaxShBands];
    sh_basis_of(in.degree, x, y, z, b);
    const int used = (in.degree + 1) * (in.degree + 1);
    for (int k = 0; k < used; ++k) b[k].store(basis + k * kLanes);
  }

  HWY_INLINE float weight(int k, int l) const { return basis[k * kLanes + l]; }

  // The three channels of lane l of the block at `begin`, before the clamp; color holds 4.
  HWY_INLINE void raw(const ShInput<float>& in, int64_t begin, int l, float* color) const {
    const int above = (in.degree + 1) * (in.degree + 1) - 1, count = in.bands - 1;
    const float* sh0 = in.sh0 + 3 * row[l];
    const float* shN = in.shN + row[l] * 3 * count;
    QuadVec even = quad_set(0), odd = quad_set(0);
    int j = 0;
    for (; j + 2 <= above; j += 2) {
      even = quad_mul_add(quad_set(weight(j + 1, l)), coefficient(shN, j, count), even);
      odd = quad_mul_add(quad_set(weight(j + 2, l)), coefficient(shN, j + 1, count), odd);
    }
    if (j < above) {
      even = quad_mul_add(quad_set(weight(j + 1, l)), coefficient(shN, j, count), even);
    }
    quad_store(quad_add(even, odd), color);
    for (int c = 0; c < 3; ++c) color[c] += 0.5f + weight(0, l) * sh0[c];
    for (int c = 0; in.offsets && c < 3; ++c) color[c] += in.offsets[3 * (begin + l) + c];
  }
};

void sh_color_lanes(const ShInput<float>& in, float* colors, int64_t first, int64_t last) {
  Block block;
  for (int64_t begin = first; begin < last; begin += kLanes) {
    const int n = static_cast<int>(std::min<int64_t>(kLanes, last - begin));
    block.evaluate(in, begin, n);
    for (int l = 0; l < n; ++l) {
      float color[4];
      block.raw(in, begin, l, color);
      for (int c = 0; c < 3; ++c) colors[3 * (begin + l) + c] = std::max(color[c], 0.0f);
    }
  }
}

void sh_color_vjp_lanes(const ShInput<float>& in, const float* v_colors,
                        const ShGradients<float>& out, int64_t first, int64_t last) {
  constexpr int kGroups = (kMaxShBands + 3) / 4;
  const int above = (in.degree + 1) * (in.degree + 1) - 1, count = in.bands - 1;
  Block block;
  // dot[l][j]: coefficient j of lane l times the colour's gradient.
  HWY_ALIGN float dot[kLanes][4 * kGroups];
  for (int64_t begin = first; begin < last; begin += kLanes) {
    const int n = static_cast<int>(std::min<int64_t>(kLanes, last - begin));
    block.evaluate(in, begin, n);
    for (int l = 0; l < n; ++l) {
      float v[4], color[4];
      block.raw(in, begin, l, color);
      for (int c = 0; c < 3; ++c) v[c] = color[c] > 0 ? v_colors[3 * (begin + l) + c] : 0.0f;
      v[3] = 0;
      if (out.offsets) std::copy_n(v, 3, out.offsets + 3 * (begin + l));
      const int64_t row = out.compact ? begin + l : block.row[l];
      for (int c = 0; out.sh0 && c < 3; ++c) out.sh0[3 * row + c] = block.weight(0, l) * v[c];
      const QuadVec v4 = quad_load(v);
      if (out.shN && above > 0) {
        float* to = out.shN + row * 3 * count;
        // The fourth lane falls on the next coefficient, which is written after; the last has none.
        for (int j = 0; j + 1 < above; ++j) {
          quad_store(quad_mul(v4, quad_set(block.weight(j + 1, l))), to + 3 * j);
        }
        for (int c = 0; c < 3; ++c) to[3 * (above - 1) + c] = block.weight(above, l) * v[c];
      }
      if (!out.directions) continue;
      const float* shN = in.shN + block.row[l] * 3 * count;
      for (int j = 0; j < above; j += 4) {
        QuadVec p[4];
        for (int k = 0; k < 4; ++k) {
          p[k] = j + k < above ? quad_mul(v4, coefficient(shN, j + k, count)) : quad_set(0);
        }
        quad_store(sums_of_three(p), dot[l] + j);
      }
    }
    if (!out.directions) continue;
    Lanes w[kMaxShBands], g[3];
    for (int k = 1; k <= above; ++k) {
      HWY_ALIGN float lane[kLanes] = {};
      for (int l = 0; l < n; ++l) lane[l] = dot[l][k - 1];
      w[k] = Lanes::load(lane);
    }
    sh_basis_gradient(in.degree, block.x, block.y, block.z, w, g[0], g[1], g[2]);
    const Lanes along = g[0] * block.x + g[1] * block.y + g[2] * block.z;
    const Lanes unit[3] = {block.x, block.y, block.z};
    for (int k = 0; k < 3; ++k) {
      HWY_ALIGN float lane[kLanes];
      ((g[k] - along * unit[k]) * block.inverse_length).store(lane);
      for (int l = 0; l < n; ++l) out.directions[3 * (begin + l) + k] = lane[l];
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(sh_color_lanes);
HWY_EXPORT(sh_color_vjp_lanes);

void sh_color(const ShInput<float>& in, float* colors) {
  parallel_for(in.count, 1024, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(sh_color_lanes)(in, colors, begin, end);
  });
}

void sh_color_vjp(const ShInput<float>& in, const float* v_colors, const ShGradients<float>& out) {
  parallel_for(in.count, 1024, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(sh_color_vjp_lanes)(in, v_colors, out, begin, end);
  });
}

}  // namespace covary::compute
#endif
