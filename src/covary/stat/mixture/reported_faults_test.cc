// Faults that users of other programs reported, as tests of ours.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/variational_mixture.h"

namespace covary::mixture {
namespace {

void expect_sound(const at::Tensor& x, const GaussianMixtureOptions& o) {
  GaussianMixture m(o);
  m.fit(x);
  EXPECT_TRUE(m.score_samples(x).isfinite().all().item<bool>());
  EXPECT_TRUE(m.means().isfinite().all().item<bool>());
  EXPECT_NEAR(m.predict_proba(x).sum().item<double>(), double(x.size(0)), 1e-8);
}

// scikit-learn 30382: float32 values far apart made a negative variance.
TEST(ReportedFaults, Float32ValuesFarApartHaveAPositiveVariance) {
  const at::Tensor x = at::tensor({9999.0F, 9999.0F, 0.0F, 0.0F}, at::kFloat).view({4, 1});
  for (const int64_t k : {1, 2}) {
    for (const char* type : {"spherical", "diagonal", "tied", "full"})
      expect_sound(x, {.components = k, .covariance = type, .starts = 1});
  }
  GaussianMixture one({.components = 1, .covariance = "full"});
  one.fit(x);
  const double half = 9999.0 / 2;
  EXPECT_NEAR(one.covariances().item<double>(), half * half, 1e-5 * half * half);
}

// mlpack 496: identical points made NaN covariances and an endless loop.
TEST(ReportedFaults, IdenticalPointsAreFitted) {
  const at::Tensor x = at::full({30, 3}, 7.5, at::kDouble);
  for (const char* type : {"spherical", "diagonal", "tied", "full"})
    expect_sound(x, {.components = 3, .covariance = type, .starts = 1});
  VariationalMixture process({.components = 5});
  EXPECT_TRUE(process.fit(x).score_samples(x).isfinite().all().item<bool>());
}

// PyCave 20: a Cholesky factor failed where columns outnumber rows; here 200 of them.
TEST(ReportedFaults, MoreColumnsThanRowsAreFitted) {
  const int64_t n = 60, d = 200;
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(11, 1);
  for (int64_t i = 0; i < n * d; ++i) x.data_ptr<double>()[i] = random.normal(uint64_t(i));
  for (const char* type : {"tied", "full"})
    expect_sound(x, {.components = 2, .covariance = type, .starts = 1, .steps = 3});
}

}  // namespace
}  // namespace covary::mixture
