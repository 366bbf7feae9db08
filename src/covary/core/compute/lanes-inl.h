// Lanes: a full SIMD vector of floats with operators, for the current Highway target. Included once
// a target by simd.cc files, after <hwy/highway.h>; see lanes.h for the vocabulary. Scalable
// targets (SVE, RVV) are not covered: their vectors cannot be members of a struct.
#if defined(COVARY_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_LANES_INL_H_
#undef COVARY_LANES_INL_H_
#else
#define COVARY_LANES_INL_H_
#endif

#include <bit>
#include <cstdint>
#include <cstring>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes.h"

#undef COVARY_ATTR
#define COVARY_ATTR HWY_ATTR

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
constexpr FloatTag kFloats;
constexpr int kLanes = HWY_LANES(float);

struct Lanes {
  hn::Vec<FloatTag> v;
  Lanes() = default;  // trivial, so that structs of Lanes need no constructor of their own
  HWY_INLINE Lanes(float x)
      : v(hn::Set(kFloats, x)) {}  // NOLINT(google-explicit-constructor): constants in formulas
  HWY_INLINE explicit Lanes(double x) : v(hn::Set(kFloats, static_cast<float>(x))) {}
  HWY_INLINE explicit Lanes(int x) : v(hn::Set(kFloats, static_cast<float>(x))) {}
  HWY_INLINE explicit Lanes(hn::Vec<FloatTag> x) : v(x) {}
  static HWY_INLINE Lanes load(const float* p) { return Lanes(hn::LoadU(kFloats, p)); }
  HWY_INLINE void store(float* p) const { hn::StoreU(v, kFloats, p); }
  HWY_INLINE Lanes& operator+=(Lanes o) {
    v = hn::Add(v, o.v);
    return *this;
  }
  HWY_INLINE Lanes& operator-=(Lanes o) {
    v = hn::Sub(v, o.v);
    return *this;
  }
  HWY_INLINE Lanes& operator*=(Lanes o) {
    v = hn::Mul(v, o.v);
    return *this;
  }
};
struct LaneMask {
  hn::Mask<FloatTag> m;
};

HWY_INLINE Lanes operator+(Lanes a, Lanes b) { return Lanes(hn::Add(a.v, b.v)); }
HWY_INLINE Lanes operator-(Lanes a, Lanes b) { return Lanes(hn::Sub(a.v, b.v)); }
HWY_INLINE Lanes operator*(Lanes a, Lanes b) { return Lanes(hn::Mul(a.v, b.v)); }
HWY_INLINE Lanes operator/(Lanes a, Lanes b) { return Lanes(hn::Div(a.v, b.v)); }
HWY_INLINE Lanes operator-(Lanes a) { return Lanes(hn::Neg(a.v)); }
HWY_INLINE LaneMask operator<(Lanes a, Lanes b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE LaneMask operator>(Lanes a, Lanes b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE LaneMask operator<=(Lanes a, Lanes b) { return {hn::Le(a.v, b.v)}; }
HWY_INLINE LaneMask operator>=(Lanes a, Lanes b) { return {hn::Ge(a.v, b.v)}; }
HWY_INLINE LaneMask operator&(LaneMask a, LaneMask b) { return {hn::And(a.m, b.m)}; }
HWY_INLINE LaneMask operator|(LaneMask a, LaneMask b) { return {hn::Or(a.m, b.m)}; }
HWY_INLINE LaneMask and_not(LaneMask a, LaneMask b) { return {hn::AndNot(a.m, b.m)}; }  // !a && b

HWY_INLINE bool none(LaneMask m) { return hn::AllFalse(kFloats, m.m); }
// Bit k of the result: lane k.
HWY_INLINE uint64_t lane_bits(LaneMask m) {
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(kFloats, m.m, bytes);
  uint64_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits & ((uint64_t{1} << kLanes) - 1);
}
// The kCount numbers of each of kLanes rows that lie one after the other.
template <int kCount>
HWY_INLINE void load_interleaved(const float* p, Lanes* x) {
  if constexpr (kCount == 1) {
    x[0] = Lanes::load(p);
  } else if constexpr (kCount == 2) {
    hn::LoadInterleaved2(kFloats, p, x[0].v, x[1].v);
  } else if constexpr (kCount == 3) {
    hn::LoadInterleaved3(kFloats, p, x[0].v, x[1].v, x[2].v);
  } else if constexpr (kCount == 4) {
    hn::LoadInterleaved4(kFloats, p, x[0].v, x[1].v, x[2].v, x[3].v);
  } else {
    const auto at = hn::Mul(hn::Iota(IntTag(), 0), hn::Set(IntTag(), kCount));
    for (int k = 0; k < kCount; ++k) x[k] = Lanes(hn::GatherIndex(kFloats, p + k, at));
  }
}
// kLanes pixels of three numbers each.
HWY_INLINE void store_pixels(const Lanes* x, float* p) {
  hn::StoreInterleaved3(x[0].v, x[1].v, x[2].v, kFloats, p);
}
// Writes first + k for every set bit k < kLanes of `bits`, in order; how many. Up to kLanes numbers are written over.
HWY_INLINE size_t store_set_bits(uint64_t bits, int first, uint32_t* out) {
  uint8_t bytes[8];
  bits &= (uint64_t{1} << kLanes) - 1;
  std::memcpy(bytes, &bits, sizeof bits);
  const hn::RebindToUnsigned<FloatTag> d;
  const auto set = hn::LoadMaskBits(d, bytes);
  const auto numbers = hn::Add(hn::Iota(d, 0), hn::Set(d, static_cast<uint32_t>(first)));
  hn::StoreU(hn::Compress(numbers, set), d, out);
  return static_cast<size_t>(std::popcount(bits));
}
// Writes the lanes of x whose bits are set, in order. Up to kLanes numbers are written over.
HWY_INLINE void store_set_lanes(Lanes x, uint64_t bits, float* out) {
  uint8_t bytes[8];
  std::memcpy(bytes, &bits, sizeof bits);
  hn::StoreU(hn::Compress(x.v, hn::LoadMaskBits(kFloats, bytes)), kFloats, out);
}
HWY_INLINE float sum(Lanes x) { return hn::GetLane(hn::SumOfLanes(kFloats, x.v)); }
#if HWY_TARGET != HWY_SCALAR
// Adds the 128-bit blocks of x to one of four floats.
template <class V>
HWY_INLINE void store_block_sum(V x, float* out) {
  const hn::DFromV<V> d;
  if constexpr (hn::MaxLanes(d) <= 4) {
    hn::StoreU(x, d, out);
  } else {
    const hn::Half<decltype(d)> half;
    store_block_sum(hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)), out);
  }
}
#endif
// out[k] = sum of the lanes of x[k]. Four at a time: 11 instructions where one alone takes 6 (8 lanes).
template <int kCount>
HWY_INLINE void sum_each(const Lanes* x, float* out) {
  int k = 0;
#if HWY_TARGET != HWY_SCALAR  // which has no blocks
  if constexpr (kLanes >= 4) {
    const hn::Repartition<double, FloatTag> pairs;
    const auto halves = [](Lanes a, Lanes b)
                            HWY_ATTR {  // of 128 bits: a0 + a2, b0 + b2, a1 + a3, b1 + b3
                              return hn::Add(hn::InterleaveLower(kFloats, a.v, b.v),
                                             hn::InterleaveUpper(kFloats, a.v, b.v));
                            };
    for (; k + 4 <= kCount; k += 4) {
      const auto low = hn::BitCast(pairs, halves(x[k], x[k + 1]));
      const auto high = hn::BitCast(pairs, halves(x[k + 2], x[k + 3]));
      const auto sums = hn::Add(hn::BitCast(kFloats, hn::InterleaveLower(pairs, low, high)),
                                hn::BitCast(kFloats, hn::InterleaveUpper(pairs, low, high)));
      store_block_sum(sums, out + k);
    }
  }
#endif
  for (; k < kCount; ++k) out[k] = sum(x[k]);
}

HWY_INLINE Lanes lane_sqrt(Lanes x) { return Lanes(hn::Sqrt(x.v)); }
HWY_INLINE Lanes lane_log(Lanes x) { return Lanes(hn::Log(kFloats, x.v)); }
HWY_INLINE Lanes lane_exp_negative(Lanes x) { return Lanes(hn::Exp(kFloats, x.v)); }
HWY_INLINE Lanes lane_atan(Lanes x) { return Lanes(hn::Atan(kFloats, x.v)); }
HWY_INLINE Lanes lane_abs(Lanes x) { return Lanes(hn::Abs(x.v)); }
HWY_INLINE Lanes lane_min(Lanes a, Lanes b) { return Lanes(hn::Min(a.v, b.v)); }
HWY_INLINE Lanes lane_max(Lanes a, Lanes b) { return Lanes(hn::Max(a.v, b.v)); }
HWY_INLINE Lanes lane_select(LaneMask c, Lanes a, Lanes b) {
  return Lanes(hn::IfThenElse(c.m, a.v, b.v));
}
HWY_INLINE Lanes lane_or_zero(LaneMask c, Lanes a) { return Lanes(hn::IfThenElseZero(c.m, a.v)); }
HWY_INLINE Lanes lane_fma(Lanes a, Lanes b, Lanes c) { return Lanes(hn::MulAdd(a.v, b.v, c.v)); }

// 2^x for |x| <= 126; beyond, anything, NaN included: for masked lanes. 2^n * p(f) with x = n + f,
// |f| <= 1/2, and p the polynomial of degree 5 that is nearest there (relative error under 3e-7,
// exactly 1 at 0). Adding 1.5 * 2^23 rounds x and leaves n in the low bits.
// In place and kCount at a time, in step: a coefficient is read once, and the ways of the elements overlap.
template <int kCount>
HWY_INLINE void lane_exp2(Lanes* x) {
  constexpr float kPolynomial[] = {9.67151277e-03f, 5.55073375e-02f, 2.40222421e-01f,
                                   6.93146978e-01f, 1.0f};
  const auto magic = hn::Set(kFloats, 12582912.0f);
  hn::Vec<FloatTag> shifted[kCount], f[kCount], p[kCount];
  for (int k = 0; k < kCount; ++k) {
    shifted[k] = hn::Add(x[k].v, magic);
    f[k] = hn::Sub(x[k].v, hn::Sub(shifted[k], magic));
    p[k] = hn::Set(kFloats, 1.32647254e-03f);
  }
  for (const float coefficient : kPolynomial) {
    const auto c = hn::Set(kFloats, coefficient);
    for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], f[k], c);
  }
  for (int k = 0; k < kCount; ++k) {
    const auto exponent = hn::ShiftLeft<23>(hn::BitCast(IntTag(), shifted[k]));
    x[k] = Lanes(hn::BitCast(kFloats, hn::Add(hn::BitCast(IntTag(), p[k]), exponent)));
  }
}

// log2 of positive, normal numbers, within 1e-7 of the result or absolutely: x = 2^n (1 + f) with 1 + f in
// [1/sqrt 2, sqrt 2), and log2(1 + f) / f the polynomial of degree 7 that is nearest there.
HWY_INLINE Lanes lane_log2(Lanes x) {
  constexpr float kPolynomial[] = {0.234209851f, -0.248821806f, 0.287075611f, -0.360241986f,
                                   0.480924039f, -0.721352759f, 1.44269496f};
  constexpr int kRootHalf = 0x3f3504f3;  // bits of 1 / sqrt 2
  const auto bits = hn::BitCast(IntTag(), x.v);
  const auto n = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(IntTag(), kRootHalf)));
  const auto f =
      hn::Sub(hn::BitCast(kFloats, hn::Sub(bits, hn::ShiftLeft<23>(n))), hn::Set(kFloats, 1.0f));
  auto p = hn::Set(kFloats, -0.146203534f);
  for (const float coefficient : kPolynomial) p = hn::MulAdd(p, f, hn::Set(kFloats, coefficient));
  return Lanes(hn::MulAdd(p, f, hn::ConvertTo(kFloats, n)));
}

}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
