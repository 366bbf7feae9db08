#include "covary/core/linalg/packed_product.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/compute/every_target.h"
#include "covary/core/linalg/test_normals.h"

namespace covary::linalg {
namespace {

template <class Real>
class PackedProduct : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(PackedProduct, Reals);

template <class Real>
std::vector<Real> normals(int64_t count, uint64_t stream) {
  return test_normals<Real>(count, 5, stream);
}

// A [m,k] and B [n,k] with rows `stride` apart, or transposed.
template <class Real>
struct Operands {
  Operands(int64_t m, int64_t n, int64_t k, bool transposed)
      : by_row(transposed ? 1 : k + 3),
        by_depth(transposed ? std::max(m, n) + 5 : 1),
        a(normals<Real>((m + 1) * by_row + k * by_depth, 1)),
        b(normals<Real>((n + 1) * by_row + k * by_depth, 2)) {
    left.resize(m, k);
    left.pack(0, m, 0, k, a.data(), by_row, by_depth);
    right.resize(n, k);
    right.pack(0, n, 0, k, b.data(), by_row, by_depth);
  }
  double sum(int64_t i, int64_t j, int64_t begin, int64_t end) const {
    double s = 0;
    for (int64_t l = begin; l < end; ++l)
      s += static_cast<double>(a[static_cast<size_t>(i * by_row + l * by_depth)]) *
           static_cast<double>(b[static_cast<size_t>(j * by_row + l * by_depth)]);
    return s;
  }
  int64_t by_row, by_depth;
  std::vector<Real> a, b;
  PackedOperand<Real> left{Side::kLeft}, right{Side::kRight};
};

TYPED_TEST(PackedProduct, AgreesWithPlainSumsAtEveryEdge) {
  using Real = TypeParam;
  const double room = sizeof(Real) == 4 ? 1e-6 : 1e-15;
  compute::on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const auto& [m, n, k] : {std::tuple{1, 1, 1},
                                  {5, 7, 3},
                                  {6, 8, 4},
                                  {13, 33, 5},
                                  {24, 64, 256},
                                  {31, 70, 257},
                                  {49, 17, 600}}) {
      for (const bool transposed : {false, true}) {
        const Operands<Real> o(m, n, k, transposed);
        const int64_t ldc = n + 2;
        for (int variant = 0; variant < 12; ++variant) {
          ProductOptions<Real> options;
          options.add = variant % 2 == 1;
          options.lower = variant % 4 >= 2;
          options.alpha = Real(variant % 3) - Real(1.5);
          options.depths = static_cast<Depths>(variant % 3);
          if (variant >= 8) {
            options.begin = k / 3;
            options.end = k - k / 4;
          }
          // What is overwritten may hold anything.
          std::vector<Real> c(static_cast<size_t>(m * ldc),
                              options.add ? Real(3) : std::numeric_limits<Real>::quiet_NaN());
          const std::vector<Real> before = c;
          // Entries outside of a triangle are zero in the caller's matrix: here they are not, and a
          // group may take some of them in.
          multiply(o.left, o.right, {0, m, 0, n}, options, c.data(), ldc);
          for (int64_t i = 0; i < m; ++i) {
            for (int64_t j = 0; j < ldc; ++j) {
              const auto at = static_cast<size_t>(i * ldc + j);
              if (j >= n || (options.lower && j > i)) {
                ASSERT_TRUE(c[at] == before[at] || std::isnan(before[at]));
                if (std::isnan(before[at])) {
                  ASSERT_TRUE(std::isnan(c[at]));
                }
                continue;
              }
              if (options.depths != Depths::kAll) continue;
              const double exact =
                  static_cast<double>(options.alpha) *
                      o.sum(i, j, options.begin, options.end < 0 ? k : options.end) +
                  (options.add ? 3 : 0);
              ASSERT_NEAR(c[at], exact, room * (10 + 10 * k)) << i << " " << j << " " << variant;
            }
          }
        }
      }
    }
  });
}

TYPED_TEST(PackedProduct, OfATriangleReadsItsHalf) {
  using Real = TypeParam;
  const int64_t m = 300, n = 40;
  compute::on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const bool upper : {false, true}) {
      std::vector<Real> t = normals<Real>(m * m, 3);
      const std::vector<Real> b = normals<Real>(n * m, 4);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < m; ++j)
          if (upper ? j < i : j > i) t[static_cast<size_t>(i * m + j)] = 0;
      }
      PackedOperand<Real> left(Side::kLeft), right(Side::kRight);
      left.resize(m, m);
      left.pack(0, m, 0, m, t.data(), m, 1);
      right.resize(n, m);
      right.pack(0, n, 0, m, b.data(), m, 1);
      std::vector<Real> all(static_cast<size_t>(m * n), Real(9)), half = all;
      multiply(left, right, {0, m, 0, n}, {}, all.data(), n);
      multiply(left, right, {0, m, 0, n}, {.depths = upper ? Depths::kFromRow : Depths::kUpToRow},
               half.data(), n);
      for (size_t i = 0; i < all.size(); ++i)
        ASSERT_NEAR(all[i], half[i], sizeof(Real) == 4 ? 1e-4 : 1e-12);
      // What is not read may be anything.
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < m; ++j)
          if (upper ? j + 12 <= i : j >= i + 12) t[static_cast<size_t>(i * m + j)] = Real(NAN);
      }
      left.pack(0, m, 0, m, t.data(), m, 1);
      std::vector<Real> again(all.size());
      multiply(left, right, {0, m, 0, n}, {.depths = upper ? Depths::kFromRow : Depths::kUpToRow},
               again.data(), n);
      EXPECT_EQ(again, half);
    }
  });
}

// The bits do not depend on how a product is cut, nor on where its operands begin.
TYPED_TEST(PackedProduct, IsTheSameInParts) {
  using Real = TypeParam;
  const int64_t m = 100, n = 150, k = 300;
  const Operands<Real> o(m, n, k, false);
  std::vector<Real> whole(static_cast<size_t>(m * n)), parts(whole.size());
  multiply(o.left, o.right, {0, m, 0, n}, {}, whole.data(), n);
  for (int64_t i = 0; i < m; i += 36) {
    for (int64_t j = 0; j < n; j += 64) {
      multiply(o.left, o.right, {i, std::min<int64_t>(36, m - i), j, std::min<int64_t>(64, n - j)},
               {}, parts.data(), n);
    }
  }
  EXPECT_EQ(whole, parts);
  // Packed in pieces, as a factorisation does.
  PackedOperand<Real> left(Side::kLeft);
  left.resize(m, k);
  for (int64_t i = 0; i < m; i += 48) {
    for (int64_t l = 0; l < k; l += 70) {
      left.pack(i, std::min<int64_t>(48, m - i), l, std::min<int64_t>(70, k - l),
                o.a.data() + i * o.by_row + l, o.by_row, 1);
    }
  }
  std::fill(parts.begin(), parts.end(), Real(0));
  multiply(left, o.right, {0, m, 0, n}, {}, parts.data(), n);
  EXPECT_EQ(whole, parts);
}

// A row that is not finite spoils its own row of the product alone.
TYPED_TEST(PackedProduct, KeepsRowsThatAreNotFiniteApart) {
  using Real = TypeParam;
  const int64_t m = 17, n = 21, k = 30;
  Operands<Real> o(m, n, k, false);
  o.a[static_cast<size_t>(4 * o.by_row + 3)] = Real(NAN);
  o.a[static_cast<size_t>(16 * o.by_row)] = std::numeric_limits<Real>::infinity();
  o.left.pack(0, m, 0, k, o.a.data(), o.by_row, 1);
  std::vector<Real> c(static_cast<size_t>(m * n));
  multiply(o.left, o.right, {0, m, 0, n}, {}, c.data(), n);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j)
      EXPECT_EQ(std::isfinite(c[static_cast<size_t>(i * n + j)]), i != 4 && i != 16);
  }
}

}  // namespace
}  // namespace covary::linalg
