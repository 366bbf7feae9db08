#include "covary/core/compute/tile_product/tile_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/tile_product/simd.cc"
#include <hwy/foreach_target.h>
// The target comes first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A tile as rows of sums: entry (r, l) is at k[r * row + l * inner].
struct View {
  const float* k;
  int64_t row, inner;
  int64_t rows, length;
};

// kRows sums of kVectors vectors each stay in registers while the inner index runs.
template <class D, int kVectors, int kRows>
HWY_INLINE void sums(D d, const View& v, int64_t first, const float* right, int64_t width,
                     double* out) {
  constexpr size_t kWide = hn::MaxLanes(D());
  hn::Vec<D> sum[kRows][kVectors];
  for (auto& row : sum) {
    for (auto& s : row) s = hn::Zero(d);
  }
  const float* k = v.k + first * v.row;
  for (int64_t l = 0; l < v.length; ++l) {
    hn::Vec<D> b[kVectors];
    for (int c = 0; c < kVectors; ++c) b[c] = hn::LoadU(d, right + l * width + c * kWide);
    for (int r = 0; r < kRows; ++r) {
      const hn::Vec<D> entry = hn::Set(d, k[r * v.row + l * v.inner]);
      for (int c = 0; c < kVectors; ++c) sum[r][c] = hn::MulAdd(entry, b[c], sum[r][c]);
    }
  }
  HWY_ALIGN float part[kVectors * kWide];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) hn::Store(sum[r][c], d, part + c * kWide);
    double* to = out + (first + r) * width;
    for (size_t c = 0; c < kVectors * kWide; ++c) to[c] += static_cast<double>(part[c]);
  }
}

template <class D, int kVectors>
HWY_INLINE void panel(D d, const View& v, const float* right, int64_t width, double* out) {
  constexpr int kRows = kVectors == 1 ? 12 : kVectors == 2 ? 6 : 3;
  int64_t r = 0;
  for (; r + kRows <= v.rows; r += kRows) sums<D, kVectors, kRows>(d, v, r, right, width, out);
  for (; r < v.rows; ++r) sums<D, kVectors, 1>(d, v, r, right, width, out);
}

void product(const View& v, const float* right, int64_t width, double* out) {
  const hn::CappedTag<float, kPanel> wide;
  const hn::CappedTag<float, kLanes> narrow;
  int64_t c = 0;
  for (; c + kPanel <= width; c += kPanel) {
    panel<decltype(wide), kPanel / hn::MaxLanes(wide)>(wide, v, right + c, width, out + c);
  }
  for (; c < width; c += kLanes) {
    panel<decltype(narrow), kLanes / hn::MaxLanes(narrow)>(narrow, v, right + c, width, out + c);
  }
}

void direct(const float* k, int64_t rows, int64_t columns, const float* right, int64_t width,
            double* out) {
  product({k, columns, 1, rows, columns}, right, width, out);
}

void transposed(const float* k, int64_t rows, int64_t columns, const float* right, int64_t width,
                double* out) {
  product({k, 1, columns, columns, rows}, right, width, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(direct);
HWY_EXPORT(transposed);

void tile_product(const float* k, int64_t rows, int64_t columns, const float* right, int64_t width,
                  double* out) {
  HWY_DYNAMIC_DISPATCH(direct)(k, rows, columns, right, width, out);
}

void tile_product_transposed(const float* k, int64_t rows, int64_t columns, const float* right,
                             int64_t width, double* out) {
  HWY_DYNAMIC_DISPATCH(transposed)(k, rows, columns, right, width, out);
}

}  // namespace covary::compute
#endif
