#include "covary/core/linalg/triangle.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/linalg/test_normals.h"

namespace covary::linalg {
namespace {

template <class Real>
class Triangle : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(Triangle, Reals);

template <class Real>
std::vector<Real> normals(int64_t count, uint64_t stream) {
  return test_normals<Real>(count, 3, stream);
}

// Against plain sums in double, at sizes that leave ragged blocks.
TYPED_TEST(Triangle, AgreesWithPlainSums) {
  using Real = TypeParam;
  const double room = sizeof(Real) == 4 ? 2e-5 : 1e-12;
  for (const int64_t n : {1, 7, 33, 130, 300}) {
    const int64_t m = 2 * n + 5;
    auto l = normals<Real>(n * n, 1);
    for (int64_t i = 0; i < n; ++i) {
      l[static_cast<size_t>(i * n + i)] = 2 + std::abs(l[static_cast<size_t>(i * n + i)]);
      for (int64_t j = 0; j < i; ++j) l[static_cast<size_t>(i * n + j)] /= static_cast<Real>(n);
      for (int64_t j = i + 1; j < n; ++j) l[static_cast<size_t>(i * n + j)] = 0;
    }
    const auto x = normals<Real>(n * m, 2);
    std::vector<Real> y(static_cast<size_t>(n * m)), c(static_cast<size_t>(n * n)),
        inverse(c.size(), Real(7)), factor(c.size());
    const auto at = [](const std::vector<Real>& a, int64_t ld, int64_t i, int64_t j) {
      return static_cast<double>(a[static_cast<size_t>(i * ld + j)]);
    };
    for (const bool transpose : {false, true}) {
      lower_times(transpose, n, m, l.data(), n, x.data(), m, y.data(), m);
      for (int64_t i = 0; i < n; i += 3) {
        for (int64_t j = 0; j < m; j += 5) {
          double sum = 0;
          for (int64_t k = 0; k < n; ++k)
            sum += (transpose ? at(l, n, k, i) : at(l, n, i, k)) * at(x, m, k, j);
          ASSERT_NEAR(at(y, m, i, j), sum, room * 10) << n << " " << i << " " << j;
        }
      }
    }
    // The factor of L L' is L; L^-1 (L X) = X.
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (int64_t k = 0; k <= j; ++k) sum += at(l, n, i, k) * at(l, n, j, k);
        factor[static_cast<size_t>(i * n + j)] = static_cast<Real>(sum);
        factor[static_cast<size_t>(j * n + i)] = static_cast<Real>(i == j ? sum : 99);  // not read
      }
    }
    ASSERT_TRUE(factor_and_invert(n, factor.data(), n, inverse.data(), n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j)
        ASSERT_NEAR(at(factor, n, i, j), at(l, n, i, j), room * 10) << n << " " << i << " " << j;
    }
    lower_times(false, n, m, l.data(), n, x.data(), m, y.data(), m);
    std::vector<Real> back(y.size());
    lower_times(false, n, m, inverse.data(), n, y.data(), m, back.data(), m);
    for (size_t i = 0; i < back.size(); ++i) ASSERT_NEAR(back[i], x[i], room * 20) << n;

    symmetric_product(n, m, x.data(), m, x.data(), m, c.data(), n);
    std::vector<Real> square(c.size());
    lower_square(n, l.data(), n, square.data(), n);
    std::vector<Real> around(c.size()), work(c.size());
    lower_congruence(n, l.data(), n, square.data(), n, work.data(), around.data(), n);
    full_times(n, m, square.data(), n, x.data(), m, y.data(), m);
    std::vector<double> right(c.size());  // (L' L) L
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        for (int64_t k = j; k < n; ++k)
          right[static_cast<size_t>(i * n + j)] += at(square, n, i, k) * at(l, n, k, j);
      }
    }
    for (int64_t i = 0; i < n; i += 3) {
      for (int64_t j = 0; j < n; j += 4) {
        double sum = 0, of_l = 0, product = 0, congruent = 0;
        for (int64_t k = i; k < n; ++k)
          congruent += at(l, n, k, i) * right[static_cast<size_t>(k * n + j)];
        ASSERT_NEAR(at(around, n, i, j), congruent, room * 100);
        for (int64_t k = 0; k < m; ++k) sum += at(x, m, i, k) * at(x, m, j, k);
        for (int64_t k = 0; k < n; ++k) of_l += at(l, n, k, i) * at(l, n, k, j);
        for (int64_t k = 0; k < n; ++k) product += at(square, n, i, k) * at(x, m, k, j);
        ASSERT_NEAR(at(c, n, i, j), sum, room * static_cast<double>(m));
        ASSERT_NEAR(at(square, n, i, j), of_l, room * 20);
        ASSERT_NEAR(at(y, m, i, j), product, room * 200);
      }
    }
  }
}

TYPED_TEST(Triangle, TellsWhatHasNoFactor) {
  using Real = TypeParam;
  for (const int64_t bad : {0, 5, 60, 99}) {
    std::vector<Real> a(100 * 100), t(a.size());
    for (int64_t i = 0; i < 100; ++i) a[static_cast<size_t>(i * 101)] = i == bad ? -1 : 2;
    EXPECT_FALSE(factor_and_invert(100, a.data(), 100, t.data(), 100));
    for (int64_t i = 0; i < 100; ++i) a[static_cast<size_t>(i * 101)] = i == bad ? NAN : 2;
    EXPECT_FALSE(factor_and_invert(100, a.data(), 100, t.data(), 100));
  }
}

}  // namespace
}  // namespace covary::linalg
