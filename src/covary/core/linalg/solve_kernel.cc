#include "covary/core/linalg/solve_kernel.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/linalg/solve_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::linalg {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
constexpr hn::ScalableTag<double> kTag;
using V = hn::Vec<hn::ScalableTag<double>>;
constexpr int kMostRows = 8;  // rows of B that share a loaded vector of L

// A group of columns c..c+lanes: c vectors of the columns before, then a vector a column of the group
// itself, over the diagonal and zero up to it.
void pack(int64_t n, const double* l, int64_t stride, PackedTriangle* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kTag));
  const int64_t groups = (n + lanes - 1) / lanes;
  out->n = n;
  out->values.assign(static_cast<size_t>(lanes * lanes * groups * (groups + 1) / 2), 0.0);
  out->reciprocals.assign(static_cast<size_t>(groups * lanes), 0.0);
  double* to = out->values.data();
  for (int64_t i = 0; i < n; ++i) out->reciprocals[static_cast<size_t>(i)] = 1 / l[i * stride + i];
  for (int64_t c = 0; c < n; c += lanes) {
    const int64_t rows = std::min(lanes, n - c);
    for (int64_t r = 0; r < rows; ++r) {
      const double* row = l + (c + r) * stride;
      for (int64_t k = 0; k < c; ++k) to[k * lanes + r] = row[k];
      for (int64_t k = c; k < c + r; ++k) {
        to[k * lanes + r] = row[k] * out->reciprocals[static_cast<size_t>(k)];
      }
    }
    to += (c + lanes) * lanes;
  }
}

template <int kRows>
void solve_rows(const PackedTriangle& l, double* b, int64_t stride) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kTag));
  const double* HWY_RESTRICT from = l.values.data();
  for (int64_t c = 0; c < l.n; c += lanes) {
    const auto inside = hn::FirstN(kTag, static_cast<size_t>(std::min(lanes, l.n - c)));
    V x[kRows];
    for (int r = 0; r < kRows; ++r) x[r] = hn::MaskedLoad(inside, kTag, b + r * stride + c);
    for (int64_t k = 0; k < c; ++k) {
      const V column = hn::LoadU(kTag, from + k * lanes);
      for (int r = 0; r < kRows; ++r) {
        x[r] = hn::NegMulAdd(column, hn::Set(kTag, b[r * stride + k]), x[r]);
      }
    }
    from += c * lanes;
    for (int64_t k = 0; k < lanes; ++k) {
      const V column = hn::LoadU(kTag, from + k * lanes);
      const auto lane = hn::IndicesFromVec(kTag, hn::Set(hn::RebindToSigned<decltype(kTag)>(), k));
      for (int r = 0; r < kRows; ++r) {
        x[r] = hn::NegMulAdd(column, hn::TableLookupLanes(x[r], lane), x[r]);
      }
    }
    from += lanes * lanes;
    const V over = hn::LoadU(kTag, l.reciprocals.data() + c);
    for (int r = 0; r < kRows; ++r) {
      hn::BlendedStore(hn::Mul(x[r], over), inside, kTag, b + r * stride + c);
    }
  }
}

void solve(const PackedTriangle& l, int64_t m, double* b, int64_t stride) {
  int64_t i = 0;
  for (; i + kMostRows <= m; i += kMostRows) solve_rows<kMostRows>(l, b + i * stride, stride);
  for (; i < m; ++i) solve_rows<1>(l, b + i * stride, stride);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::linalg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::linalg {

HWY_EXPORT(pack);
HWY_EXPORT(solve);

void PackedTriangle::pack(int64_t size, const double* l, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(pack)(size, l, stride, this);
}
void solve_packed(const PackedTriangle& l, int64_t m, double* b, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(solve)(l, m, b, stride);
}

}  // namespace covary::linalg
#endif
