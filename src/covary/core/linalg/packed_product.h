// Dense matrix products on operands that are packed once and read many times: what the Cholesky
// factor, its inverse and products with triangles are made of. Single and double precision, SIMD by
// run-time dispatch.
//
//   PackedOperand<double> a(Side::kLeft), b(Side::kRight);
//   a.resize(m, k);  a.pack(0, m, 0, k, x, ldx, 1);     // rows of A [m, k] as they lie in memory
//   b.resize(n, k);  b.pack(0, n, 0, k, y, ldy, 1);     // rows of B [n, k], the columns of B'
//   multiply(a, b, {0, m, 0, n}, {.alpha = -1, .add = true}, c, ldc);      // C [m, n] -= A B'
//
// A transposed operand differs in its strides alone: entry (i, k) is read at
// source[i * by_row + k * by_depth]. Rows are cut into groups (6 and two vectors with 16 registers,
// 12 and two vectors with 32), stored depth by depth, so that a tile of the product stays in
// registers while its two groups stream by; a chunk of kDepth deep, the left group in the first and
// a block of right groups in the second cache. Where the operands lie in memory and how a product is
// cut into parts does not change a bit of any entry.
// Bound: 2 m n k flops at the rate of fused multiply-adds, reached to 75 to 90 % in double, 76 to 98 % in
// single precision (linalg_bench, AVX2). No allocation but in resize; operands of no rows or no depth are
// not multiplied. Source: the scheme of Goto and van de Geijn 2008, with the loops of Van Zee and van de
// Geijn 2015 (BLIS). Within linalg and the processes only.
#pragma once

#include <cstdint>

#include <hwy/aligned_allocator.h>

namespace covary::linalg {

enum class Side { kLeft, kRight };

constexpr int64_t kProductDepth = 256;  // of a chunk
// Parts begin at multiples of these: of the group that any instruction set has.
constexpr int64_t kLeftStep = 12, kRightStep = 32;

template <class Real>
class PackedOperand {
 public:
  explicit PackedOperand(Side side) : side_(side) {}
  // Room for `count` rows of `depth` entries; what was packed is lost. Takes memory only to grow.
  void resize(int64_t count, int64_t depth);
  // Rows [first, first + count) at depths [begin, begin + depth). `first` is a multiple of the step of
  // this side; count too, unless these are the last rows.
  void pack(int64_t first, int64_t count, int64_t begin, int64_t depth, const Real* source,
            int64_t by_row, int64_t by_depth);

  int64_t count() const { return count_; }
  int64_t depth() const { return depth_; }
  const Real* data() const { return memory_.get(); }
  int64_t padded() const { return padded_; }

 private:
  Side side_;
  int64_t count_ = 0, depth_ = 0;
  int64_t padded_ = 0;  // rows in whole groups
  int64_t room_ = 0;
  hwy::AlignedFreeUniquePtr<Real[]> memory_;
};

// Rows [row, row + rows) of the left operand by rows [column, column + columns) of the right one;
// row and column are multiples of the steps.
struct ProductPart {
  int64_t row = 0, rows = 0, column = 0, columns = 0;
};

// Depths of a row of the left operand that are not zero: a triangle is multiplied by half.
enum class Depths { kAll, kUpToRow, kFromRow };

template <class Real>
struct ProductOptions {
  Real alpha = 1;
  bool add = false;    // to what C holds; else C is overwritten, whatever it held
  bool lower = false;  // entries with row >= column alone
  Depths depths = Depths::kAll;
  int64_t begin = 0, end = -1;  // of the depths; -1: all
};

// Entry (i, j) of the product, numbered as in the operands, goes to c[i * ldc + j].
template <class Real>
void multiply(const PackedOperand<Real>& left, const PackedOperand<Real>& right,
              const ProductPart& part, const ProductOptions<Real>& options, Real* c, int64_t ldc);

}  // namespace covary::linalg
