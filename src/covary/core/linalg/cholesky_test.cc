#include "covary/core/linalg/cholesky.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::linalg {
namespace {

using Vector = std::vector<double>;

// B B' + shift I with B [n, inner] of standard normals / sqrt(inner), rows of `stride`.
Vector positive(int64_t n, int64_t stride, double shift, uint64_t seed = 1) {
  const Random random(seed);
  const int64_t inner = 12;
  Vector b(static_cast<size_t>(n * inner)), a(static_cast<size_t>(n * stride), -7);
  for (size_t i = 0; i < b.size(); ++i) b[i] = random.normal(i) / std::sqrt(12.0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double s = i == j ? shift : 0;
      for (int64_t k = 0; k < inner; ++k) {
        s += b[static_cast<size_t>(i * inner + k)] * b[static_cast<size_t>(j * inner + k)];
      }
      a[static_cast<size_t>(i * stride + j)] = s;
    }
  }
  return a;
}

// |L L' - K| where K still is the upper half; the diagonal is compared with `diagonal`.
double residual(const Matrix& l, const Vector& original) {
  double worst = 0;
  for (int64_t i = 0; i < l.n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double s = 0;
      for (int64_t k = 0; k <= j; ++k) s += l.row(i)[k] * l.row(j)[k];
      worst = std::max(worst, std::abs(s - original[static_cast<size_t>(i * l.stride + j)]));
    }
  }
  return worst;
}

class CholeskySizes : public testing::TestWithParam<int64_t> {};

TEST_P(CholeskySizes, FactorsInvertsAndSolves) {
  const int64_t n = GetParam(), stride = n + 3;
  const Vector original = positive(n, stride, 0.5);
  Vector a = original;
  const Matrix m{a.data(), n, stride};
  const CholeskyReport report = cholesky(m);
  ASSERT_TRUE(report.done);
  EXPECT_EQ(report.jitter, 0);
  EXPECT_LT(residual(m, original), 1e-13 * static_cast<double>(n + 10));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i + 1; j < n; ++j) ASSERT_EQ(m.row(i)[j], original[i * stride + j]);
    for (int64_t j = n; j < stride; ++j) ASSERT_EQ(m.row(i)[j], -7) << "padding";
  }

  const Random random(3);
  for (const int64_t count : {1, 2, 5, 130, 1700}) {
    if (count > 1000 && n != 385) continue;
    Vector x(static_cast<size_t>(count * n));
    for (size_t i = 0; i < x.size(); ++i) x[i] = random.normal(i);
    Vector b = x;
    forward(m, b.data(), count);
    backward(m, b.data(), count);
    double worst = 0;
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t i = 0; i < n; i += 7) {
        double s = 0;
        for (int64_t j = 0; j < n; ++j) s += original[i * stride + j] * b[c * n + j];
        worst = std::max(worst, std::abs(s - x[c * n + i]));
      }
    }
    EXPECT_LT(worst, 1e-11) << count;
  }

  inverse(m);
  double worst = 0;
  for (int64_t i = 0; i < n; i += 5) {
    for (int64_t j = 0; j < n; j += 3) {
      double s = i == j ? -1 : 0;
      for (int64_t k = 0; k < n; ++k) {
        s += original[i * stride + k] * (k >= j ? m.row(k)[j] : m.row(j)[k]);
      }
      worst = std::max(worst, std::abs(s));
    }
  }
  EXPECT_LT(worst, 1e-11);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CholeskySizes,
                         testing::Values(1, 2, 17, 191, 192, 193, 383, 385, 700));

TEST(Cholesky, GivesTheSameBitsAtAnyNumberOfThreads) {
  const int64_t n = 900;
  std::vector<Vector> results;
  for (const int count : {1, 2, 3, 4}) {
    set_threads(count);
    Vector a = positive(n, n, 0.1);
    const Matrix m{a.data(), n, n};
    cholesky(m).check("test");
    Vector b(static_cast<size_t>(n * 100), 1.0);
    forward(m, b.data(), 100);
    backward(m, b.data(), 90);
    inverse(m);
    a.insert(a.end(), b.begin(), b.end());
    results.push_back(a);
  }
  set_threads(0);
  for (const Vector& r : results) {
    EXPECT_EQ(std::memcmp(r.data(), results[0].data(), r.size() * sizeof(double)), 0);
  }
}

TEST(Cholesky, LogDeterminantOfAProduct) {
  // Tridiagonal (2, -1): determinant n + 1.
  const int64_t n = 300;
  Vector a(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    a[i * n + i] = 2;
    if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
  }
  const Matrix m{a.data(), n, n};
  cholesky(m).check("test");
  EXPECT_NEAR(log_determinant(m), std::log(301.0), 1e-11);
}

// Duplicate rows without noise: the first step of the ladder that is above rounding mends it, and
// the report names the pair.
TEST(Cholesky, ClimbsTheLadderAndNamesThePair) {
  const int64_t n = 300;
  Vector a = positive(n, n, 1);
  for (int64_t j = 0; j < n; ++j) a[280 * n + j] = a[20 * n + j];
  for (int64_t i = 0; i < n; ++i) a[i * n + 280] = a[i * n + 20];
  a[280 * n + 280] = a[20 * n + 20] - 1e-12;
  const Vector original = a;
  const Matrix m{a.data(), n, n};
  const CholeskyReport report = cholesky(m);
  EXPECT_TRUE(report.done);
  EXPECT_EQ(report.relative_jitter, 1e-10);
  EXPECT_EQ(report.failed_row, 280);
  EXPECT_EQ(report.partner, 20);
  EXPECT_LT(report.pivot, 1e-11);
  Vector shifted = original;
  for (int64_t i = 0; i < n; ++i) shifted[i * n + i] += report.jitter;
  EXPECT_LT(residual(m, shifted), 1e-12);
}

TEST(Cholesky, NamesTheRowOfAnIndefiniteMatrixAndLeavesItAsItWas) {
  const int64_t n = 600;
  Vector a = positive(n, n, 1);
  a[410 * n + 410] = -5;
  const Vector original = a;
  const Matrix m{a.data(), n, n};
  const CholeskyReport report = cholesky(m);
  EXPECT_FALSE(report.done);
  EXPECT_EQ(report.failed_row, 410);
  EXPECT_LT(report.pivot, -5);
  EXPECT_EQ(a, original);
  try {
    report.check("kernel matrix");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("row 410"));
    EXPECT_THAT(e.what(), testing::HasSubstr("kernel matrix"));
  }
}

TEST(Cholesky, RefusesNonFiniteEntries) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const int64_t row : {0, 5, 299}) {
      const int64_t n = 300;
      Vector a = positive(n, n, 1);
      a[row * n + row] = bad;
      EXPECT_FALSE(cholesky({a.data(), n, n}).done);
      a = positive(n, n, 1);
      if (row == 0) continue;
      a[row * n] = a[row] = bad;
      const CholeskyReport report = cholesky({a.data(), n, n});
      EXPECT_FALSE(report.done);
      EXPECT_EQ(report.failed_row, row);
    }
  }
}

TEST(Cholesky, EstimatesTheConditionOfAKnownMatrix) {
  const int64_t n = 50;
  Vector a(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) a[i * n + i] = std::pow(10.0, -8.0 * i / (n - 1));
  const Matrix m{a.data(), n, n};
  const CholeskyReport report = cholesky(m);
  EXPECT_NEAR(condition_estimate(m, report.norm1) / 1e8, 1, 1e-6);
}

TEST(Cholesky, RankOneChangesAgreeWithAFreshFactor) {
  const int64_t n = 40;
  const Vector original = positive(n, n, 0.3);
  const Random random(5);
  Vector x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = random.normal(i);
  Vector plus = original;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) plus[i * n + j] += x[i] * x[j];
  }
  Vector a = original;
  const Matrix m{a.data(), n, n};
  cholesky(m).check("test");
  Vector scratch = x;
  rank_one_update(m, scratch.data());
  EXPECT_LT(residual(m, plus), 1e-13);
  scratch = x;
  EXPECT_EQ(rank_one_downdate(m, scratch.data()), -1);
  EXPECT_LT(residual(m, original), 1e-13);
  for (double& v : scratch) v = 10;
  EXPECT_GE(rank_one_downdate(m, scratch.data()), 0);
}

TEST(Cholesky, RowsComeAndGo) {
  const int64_t n = 33, stride = 40;
  const Vector original = positive(n, stride, 0.3);
  Vector a = original;
  cholesky({a.data(), n - 1, stride}).check("test");
  const Matrix shorter{a.data(), n - 1, stride};
  const double* last = original.data() + (n - 1) * stride;
  EXPECT_GT(append_row(shorter, last, last[n - 1]), 0);
  const Matrix whole{a.data(), n, stride};
  EXPECT_LT(residual(whole, original), 1e-13);
  EXPECT_LE(append_row({a.data(), n, stride}, last, last[n - 1] - 1), 0);

  for (const int64_t row : {32, 0, 10}) {
    Vector b = a;
    delete_row({b.data(), n, stride}, row);
    Vector without = original;
    for (int64_t i = 0; i + 1 < n; ++i) {
      for (int64_t j = 0; j + 1 < n; ++j) {
        without[i * stride + j] = original[(i + (i >= row)) * stride + j + (j >= row)];
      }
    }
    EXPECT_LT(residual({b.data(), n - 1, stride}, without), 1e-13) << row;
  }
}

}  // namespace
}  // namespace covary::linalg
