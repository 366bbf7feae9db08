#include "covary/stat/mixture/kde_uses.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) { return normal_points(n, d, 3, stream); }

TEST(KernelDensityUses, MeanShiftFindsTheClumps) {
  const at::Tensor clump = at::arange(300, at::kLong).remainder(3);
  const at::Tensor x = normals(300, 2, 1) + 8 * at::stack({clump, clump.eq(1)}, 1);
  KernelDensity kde({.bandwidth = "1.2"});
  kde.fit(x);
  const Modes m = modes_of(kde, x);
  ASSERT_EQ(m.points.size(0), 3);
  EXPECT_LT(kde.gradient(m.points).abs().max().item<double>(), 1e-5);
  EXPECT_TRUE((m.density.slice(0, 1) <= m.density.slice(0, 0, 2)).all().item<bool>());
  // Labels are the clumps', in some order.
  for (int64_t c = 0; c < 3; ++c) {
    const at::Tensor own = m.labels.index({clump == c});
    EXPECT_TRUE((own == own[0]).all().item<bool>());
  }
  EXPECT_THROW(modes_of(KernelDensity({.kernel = "tophat"}).fit(x), x), Error);
}

TEST(KernelDensityUses, RegressionIsTheWeightedMean) {
  const at::Tensor x = normals(400, 2, 2), y = x.select(1, 0).sin() - 3, q = normals(30, 2, 3);
  const at::Tensor w = at::arange(400, at::kDouble).remainder(3);
  KernelRegression r({.bandwidth = "0.4"});
  r.fit(x, y, w);
  const at::Tensor k = w * (-0.5 * ((q.unsqueeze(1) - x) / 0.4).square().sum(2)).exp();
  const at::Tensor want = (k * y).sum(1) / k.sum(1);
  EXPECT_LT((r.predict(q) - want).abs().max().item<double>(), 1e-11);
  // Constant values stay; far from all kernels the nearest row answers.
  EXPECT_LT((KernelRegression().fit(x, at::full({400}, 5., at::kDouble)).predict(q) - 5)
                .abs()
                .max()
                .item<double>(),
            1e-12);
  KernelRegression near({.kernel = "epanechnikov", .bandwidth = "0.1"});
  near.fit(at::tensor({0., 1.}, at::kDouble), at::tensor({7., 9.}, at::kDouble));
  EXPECT_NEAR(near.predict(at::tensor({5.}, at::kDouble)).item<double>(), 9, 1e-12);
}

TEST(KernelDensityUses, AConditionalIntegratesToOne) {
  const at::Tensor x = normals(200, 1, 4), y = 0.8 * x + 0.5 * normals(200, 1, 5);
  ConditionalDensity p({.bandwidth = "silverman"});
  p.fit(x, y);
  const at::Tensor grid = at::linspace(-8, 8, 4001, at::kDouble).view({-1, 1});
  for (const double at : {-1.0, 0.0, 2.0}) {
    const at::Tensor density = p.log_density(at::full({4001, 1}, at, at::kDouble), grid).exp();
    EXPECT_NEAR(density.sum().item<double>() * 16 / 4000, 1, 1e-6);
  }
}

// Against the standard normal: the bias of p at the top is h^2 / 2 p'' to leading order.
TEST(KernelDensityUses, SharpeningTakesTheLeadingBiasOff) {
  KernelDensity kde({.bandwidth = "0.5"});
  // Quantiles instead of draws: no variance, only bias.
  const int64_t n = 4000;
  const at::Tensor u = (at::arange(n, at::kDouble) + 0.5) / n;
  kde.fit(std::sqrt(2.0) * at::special_erfinv(2 * u - 1));
  const at::Tensor q = at::linspace(-1.5, 1.5, 31, at::kDouble);
  const at::Tensor truth = (-0.5 * q.square()).exp() / std::sqrt(2 * M_PI);
  const double plain = (kde.score_samples(q).exp() - truth).abs().max().item<double>();
  const double sharp = (sharpened(kde).score_samples(q).exp() - truth).abs().max().item<double>();
  EXPECT_GT(plain, 0.03);
  EXPECT_LT(sharp, 0.3 * plain);
}

TEST(KernelDensityUses, LeastSquaresWidthsAreTheLeastOfTheDefinition) {
  const at::Tensor x = at::cat({normals(150, 1, 6), 5 + 0.3 * normals(150, 1, 7)});
  const double n = 300;
  const auto criterion = [&](double h) {
    const at::Tensor s = (x - x.t()).square();
    const auto gaussian = [&](double v) {
      return (-0.5 * s / (v * v)).exp() / (v * std::sqrt(2 * M_PI));
    };
    const double left_out = gaussian(h).sum().item<double>() - n / (h * std::sqrt(2 * M_PI));
    return gaussian(h * std::sqrt(2.0)).sum().item<double>() / (n * n) -
           2 * left_out / (n * (n - 1));
  };
  KernelDensity kde({.bandwidth = "lscv"});
  const double h = kde.fit(x).widths().item<double>();
  for (const double factor : {0.5, 0.8, 0.97, 1.03, 1.25, 2.0})
    EXPECT_LT(criterion(h), criterion(factor * h)) << factor;
  EXPECT_THROW(KernelDensity({.kernel = "tophat", .bandwidth = "lscv"}), Error);
}

}  // namespace
}  // namespace covary::mixture
