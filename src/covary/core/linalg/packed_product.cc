#include "covary/core/linalg/packed_product.h"

#include <algorithm>
#include <cstddef>
#include <new>

#include "covary/core/base/huge_pages.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/linalg/packed_product.cc"
#include <hwy/foreach_target.h>
// The target comes first.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::linalg {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <class Real>
using Tag = hn::ScalableTag<Real>;
constexpr int kVectors = 2;
constexpr int64_t kLine = 64;  // bytes
// Rows of a tile: all of its sums, two vectors of the right operand and an entry of the left one
// have registers.
constexpr int kHigh = HWY_MAX_BYTES >= 64 ? 12 : 6;
template <class Real>
constexpr int kWide = kVectors * static_cast<int>(hn::MaxLanes(Tag<Real>()));
constexpr int64_t kBlockBytes = 320 << 10;  // of right groups: most of a second cache of 512 KiB

// The sums of one tile over `depth`; c = alpha * sums, plus c with `add`. A line of `ahead` every
// four depths is called into the cache.
template <class Real>
HWY_INLINE void tile(int64_t depth, const Real* HWY_RESTRICT left, const Real* HWY_RESTRICT right,
                     const Real* ahead, Real alpha, bool add, Real* HWY_RESTRICT c,
                     int64_t stride) {
  constexpr Tag<Real> d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag<Real>()));
  using V = hn::Vec<Tag<Real>>;
  V sum[kHigh][kVectors];
  for (auto& row : sum) {
    for (V& s : row) s = hn::Zero(d);
  }
  for (int r = 0; r < kHigh; ++r) {
    hwy::Prefetch(c + r * stride);
    hwy::Prefetch(c + r * stride + kWide<Real> - 1);
  }
  const auto step = [&]() HWY_ATTR {
    const V b0 = hn::Load(d, right), b1 = hn::Load(d, right + kLanes);
    for (int r = 0; r < kHigh; ++r) {
      const V a = hn::Set(d, left[r]);
      sum[r][0] = hn::MulAdd(a, b0, sum[r][0]);
      sum[r][1] = hn::MulAdd(a, b1, sum[r][1]);
    }
    left += kHigh;
    right += kWide<Real>;
  };
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4, ahead += kLine / sizeof(Real)) {
    hwy::Prefetch(ahead);
    step();
    step();
    step();
    step();
  }
  for (; k < depth; ++k) step();
  const V factor = hn::Set(d, alpha);
  for (int r = 0; r < kHigh; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      Real* to = c + r * stride + v * kLanes;
      hn::StoreU(add ? hn::MulAdd(factor, sum[r][v], hn::LoadU(d, to)) : hn::Mul(factor, sum[r][v]),
                 d, to);
    }
  }
}

// A tile of which some entries are not wanted: beyond the edges, or above the diagonal, which column
// `diagonal` of its first row is on.
template <class Real>
HWY_NOINLINE void partial_tile(int64_t depth, const Real* left, const Real* right, Real alpha,
                               bool add, Real* c, int64_t stride, int64_t rows, int64_t columns,
                               int64_t diagonal) {
  HWY_ALIGN Real whole[kHigh * kWide<Real>];
  tile<Real>(depth, left, right, left, alpha, false, whole, kWide<Real>);
  for (int64_t r = 0; r < rows; ++r) {
    const Real* from = whole + r * kWide<Real>;
    Real* to = c + r * stride;
    const int64_t count = std::min(columns, diagonal + r + 1);
    for (int64_t j = 0; j < count; ++j) to[j] = add ? to[j] + from[j] : from[j];
  }
}

template <class Real>
void product(const PackedOperand<Real>& left, const PackedOperand<Real>& right,
             const ProductPart& part, const ProductOptions<Real>& options, Real* c, int64_t ldc) {
  constexpr int64_t high = kHigh, wide = kWide<Real>, lines = kLine / sizeof(Real);
  const int64_t depth = left.depth(), first = std::max<int64_t>(options.begin, 0),
                last = options.end < 0 ? depth : std::min(options.end, depth);
  const int64_t row_end = part.row + part.rows, column_end = part.column + part.columns;
  for (int64_t chunk = first / kProductDepth * kProductDepth; chunk < last;
       chunk += kProductDepth) {
    const int64_t length = std::min(kProductDepth, depth - chunk);
    const Real* a = left.data() + chunk * left.padded();
    const Real* b = right.data() + chunk * right.padded();
    const int64_t block =
        std::max<int64_t>(1, kBlockBytes / static_cast<int64_t>(sizeof(Real)) / (length * wide)) *
        wide;
    for (int64_t block_begin = part.column; block_begin < column_end; block_begin += block) {
      const int64_t block_end = std::min(block_begin + block, column_end);
      for (int64_t i = part.row; i < row_end; i += high) {
        int64_t begin = first, end = last;
        if (options.depths == Depths::kUpToRow) end = std::min(end, i + high);
        if (options.depths == Depths::kFromRow) begin = std::max(begin, i);
        const int64_t from = std::max(begin, chunk) - chunk,
                      count = std::min(end, chunk + length) - chunk - from;
        if (count <= 0) continue;
        const bool add = options.add || chunk > begin;
        const int64_t rows = std::min(high, row_end - i);
        const int64_t stop =
            options.lower ? std::min(block_end, i + rows) : block_end;  // columns that are wanted
        const Real* group = a + i * length + from * high;
        for (int64_t j = block_begin; j < stop; j += wide) {
          // The rows after these come from the third cache, a share with every tile.
          const Real* next =
              group + std::min(high * length, (j - block_begin) / wide * (length / 4) * lines) +
              high * length;
          const Real* other = b + j * length + from * wide;
          Real* to = c + i * ldc + j;
          const int64_t columns = std::min(wide, column_end - j);
          if (rows == high && columns == wide && (!options.lower || j + wide <= i + 1)) {
            tile<Real>(count, group, other, next, options.alpha, add, to, ldc);
          } else {
            partial_tile<Real>(count, group, other, options.alpha, add, to, ldc, rows, columns,
                               options.lower ? i - j : wide);
          }
        }
      }
    }
  }
}

// A group of kGroup rows, `count` of them there, depth by depth.
template <int kGroup, class Real>
HWY_INLINE void pack_group(int64_t count, int64_t depth, const Real* HWY_RESTRICT source,
                           int64_t by_row, int64_t by_depth, Real* HWY_RESTRICT out) {
  if (count < kGroup) {
    for (int64_t k = 0; k < depth; ++k, out += kGroup) {
      for (int64_t r = 0; r < kGroup; ++r)
        out[r] = r < count ? source[r * by_row + k * by_depth] : Real(0);
    }
  } else if (by_row == 1) {
    for (int64_t k = 0; k < depth; ++k, out += kGroup) {
      for (int r = 0; r < kGroup; ++r) out[r] = source[k * by_depth + r];
    }
  } else {
    for (int64_t k = 0; k < depth; ++k, out += kGroup) {
      for (int r = 0; r < kGroup; ++r) out[r] = source[r * by_row + k * by_depth];
    }
  }
}

// Rows of an operand into `out`, the place of the first of them at depth `begin` of its chunk, which
// is `length` deep.
template <int kGroup, class Real>
void pack_rows(int64_t count, int64_t depth, int64_t length, const Real* source, int64_t by_row,
               int64_t by_depth, Real* out) {
  for (int64_t i = 0; i < count; i += kGroup, out += kGroup * length) {
    pack_group<kGroup>(std::min<int64_t>(kGroup, count - i), depth, source + i * by_row, by_row,
                       by_depth, out);
  }
}

int64_t group_of(Side side, size_t bytes) {
  if (side == Side::kLeft) return kHigh;
  return bytes == sizeof(float) ? kWide<float> : kWide<double>;
}

void product_double(const PackedOperand<double>& left, const PackedOperand<double>& right,
                    const ProductPart& part, const ProductOptions<double>& options, double* c,
                    int64_t ldc) {
  product(left, right, part, options, c, ldc);
}
void product_float(const PackedOperand<float>& left, const PackedOperand<float>& right,
                   const ProductPart& part, const ProductOptions<float>& options, float* c,
                   int64_t ldc) {
  product(left, right, part, options, c, ldc);
}
void pack_double(Side side, int64_t count, int64_t depth, int64_t length, const double* source,
                 int64_t by_row, int64_t by_depth, double* out) {
  if (side == Side::kLeft) {
    pack_rows<kHigh>(count, depth, length, source, by_row, by_depth, out);
  } else {
    pack_rows<kWide<double>>(count, depth, length, source, by_row, by_depth, out);
  }
}
void pack_float(Side side, int64_t count, int64_t depth, int64_t length, const float* source,
                int64_t by_row, int64_t by_depth, float* out) {
  if (side == Side::kLeft) {
    pack_rows<kHigh>(count, depth, length, source, by_row, by_depth, out);
  } else {
    pack_rows<kWide<float>>(count, depth, length, source, by_row, by_depth, out);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::linalg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::linalg {
namespace {

HWY_EXPORT(group_of);
HWY_EXPORT(product_double);
HWY_EXPORT(product_float);
HWY_EXPORT(pack_double);
HWY_EXPORT(pack_float);

int64_t group_rows(Side side, size_t bytes) { return HWY_DYNAMIC_DISPATCH(group_of)(side, bytes); }

}  // namespace

template <class Real>
void PackedOperand<Real>::resize(int64_t count, int64_t depth) {
  const int64_t group = group_rows(side_, sizeof(Real));
  count_ = count;
  depth_ = depth;
  padded_ = (count + group - 1) / group * group;
  if (padded_ * depth <= room_) return;
  room_ = padded_ * depth;
  memory_ = hwy::AllocateAligned<Real>(static_cast<size_t>(room_));
  if (!memory_) throw std::bad_alloc();
  use_huge_pages(memory_.get(), static_cast<size_t>(room_) * sizeof(Real));
}

template <class Real>
void PackedOperand<Real>::pack(int64_t first, int64_t count, int64_t begin, int64_t depth,
                               const Real* source, int64_t by_row, int64_t by_depth) {
  const int64_t group = group_rows(side_, sizeof(Real));
  for (int64_t k = begin; k < begin + depth;) {
    const int64_t chunk = k / kProductDepth * kProductDepth,
                  length = std::min(kProductDepth, depth_ - chunk),
                  some = std::min(begin + depth, chunk + length) - k;
    Real* out = memory_.get() + chunk * padded_ + first * length + (k - chunk) * group;
    const Real* from = source + (k - begin) * by_depth;
    if constexpr (sizeof(Real) == sizeof(double)) {
      HWY_DYNAMIC_DISPATCH(pack_double)(side_, count, some, length, from, by_row, by_depth, out);
    } else {
      HWY_DYNAMIC_DISPATCH(pack_float)(side_, count, some, length, from, by_row, by_depth, out);
    }
    k += some;
  }
}

template <>
void multiply(const PackedOperand<double>& left, const PackedOperand<double>& right,
              const ProductPart& part, const ProductOptions<double>& options, double* c,
              int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(product_double)(left, right, part, options, c, ldc);
}
template <>
void multiply(const PackedOperand<float>& left, const PackedOperand<float>& right,
              const ProductPart& part, const ProductOptions<float>& options, float* c,
              int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(product_float)(left, right, part, options, c, ldc);
}

template class PackedOperand<double>;
template class PackedOperand<float>;

}  // namespace covary::linalg
#endif
