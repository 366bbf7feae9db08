#include "covary/core/linalg/toeplitz.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::linalg {
namespace {

at::Tensor dense(const std::vector<double>& first) {
  const auto n = static_cast<int64_t>(first.size());
  at::Tensor t = at::empty({n, n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      t.data_ptr<double>()[i * n + j] = first[static_cast<size_t>(std::abs(i - j))];
    }
  }
  return t;
}

std::vector<double> bell(int64_t n, double scale, double noise) {
  std::vector<double> first;
  for (int64_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(i) / scale;
    first.push_back(std::exp(-0.5 * x * x));
  }
  first[0] += noise;
  return first;
}

TEST(Toeplitz, AgreesWithTheDenseMatrix) {
  for (const int64_t n : {1, 2, 3, 17, 200}) {
    for (const double noise : {0.5, 1e-3, 1e-6}) {
      SCOPED_TRACE(std::to_string(n) + " " + std::to_string(noise));
      const std::vector<double> first = bell(n, 8, noise);
      const ToeplitzFactor t(first);
      const at::Tensor k = dense(first), inverse = at::inverse(k);
      EXPECT_NEAR(t.log_determinant(), at::logdet(k).item<double>(),
                  1e-10 * static_cast<double>(n) / noise * 1e-2 + 1e-9);
      const at::Tensor b = (at::arange(n, at::TensorOptions(at::kDouble)) * 0.7).sin();
      at::Tensor x = b.clone();
      t.solve({x.data_ptr<double>(), static_cast<size_t>(n)});
      EXPECT_LT((k.matmul(x) - b).abs().max().item<double>(), 1e-11 / std::sqrt(noise));
      const std::vector<double> sums = t.inverse_lag_sums();
      for (int64_t lag = 0; lag < n; ++lag) {
        const double expected = inverse.diagonal(lag).sum().item<double>();
        EXPECT_NEAR(
            sums[static_cast<size_t>(lag)], expected,
            1e-9 * inverse.abs().max().item<double>() * static_cast<double>(n) / noise * 1e-3 +
                1e-9);
      }
    }
  }
}

TEST(Toeplitz, NamesTheRowThatIsNotPositiveDefinite) {
  const std::vector<double> first{1, 0.9, -0.9};
  try {
    const ToeplitzFactor t(first);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("row 2"));
  }
}

}  // namespace
}  // namespace covary::linalg
