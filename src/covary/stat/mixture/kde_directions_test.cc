// Kernel densities of directions: kernel vmf.
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/von_mises_fisher.h"

namespace covary::mixture {
namespace {

at::Tensor directions(int64_t n, int64_t d, double kappa = 12) {
  at::Tensor axis = at::zeros({d}, at::kDouble), other = axis.clone();
  axis[0] = 1;
  other[d - 1] = 1;
  return at::cat({VonMisesFisher{axis, kappa}.sample(n / 2, 1),
                  VonMisesFisher{other, kappa}.sample(n - n / 2, 2)});
}

at::Tensor circle(int64_t n) {
  const at::Tensor a = at::arange(n, at::kDouble) * (2 * M_PI / double(n));
  return at::stack({a.cos(), a.sin()}, 1);
}

TEST(DirectionalDensity, IsTheMeanOfItsKernels) {
  for (const int64_t d : {2, 3, 40}) {
    const at::Tensor x = directions(30, d), q = directions(12, d, 2);
    const at::Tensor w = 1 + at::arange(30, at::kDouble).remainder(3);
    KernelDensity kde({.kernel = "vmf", .bandwidth = "0.25"});
    kde.fit(x, w);
    at::Tensor each = at::empty({30, 12}, at::kDouble);
    for (int64_t i = 0; i < 30; ++i)
      each[i] = VonMisesFisher{x[i], 16}.log_density(q) + std::log(w[i].item<double>());
    const at::Tensor want = at::logsumexp(each, 0) - std::log(w.sum().item<double>());
    EXPECT_TRUE(at::allclose(kde.score_samples(q), want, 1e-11, 1e-11)) << d;
  }
}

TEST(DirectionalDensity, IntegratesToOneOnTheSphere) {
  KernelDensity ring({.kernel = "vmf", .bandwidth = "lcv"});
  ring.fit(directions(60, 2));
  EXPECT_NEAR(ring.score_samples(circle(20000)).exp().mean().item<double>() * 2 * M_PI, 1, 1e-10);
  KernelDensity ball({.kernel = "vmf", .bandwidth = "silverman"});
  ball.fit(directions(60, 3));
  // A spiral of equal areas.
  const int64_t n = 40000;
  const at::Tensor z = 1 - (2 * at::arange(n, at::kDouble) + 1) / double(n);
  const at::Tensor a = at::arange(n, at::kDouble) * (M_PI * (3 - std::sqrt(5.0)));
  const at::Tensor r = (1 - z * z).sqrt();
  const at::Tensor q = at::stack({r * a.cos(), r * a.sin(), z}, 1);
  EXPECT_NEAR(ball.score_samples(q).exp().mean().item<double>() * 4 * M_PI, 1, 1e-4);
}

TEST(DirectionalDensity, TheTreeStaysWithinItsBound) {
  const at::Tensor x = directions(5000, 3), q = directions(300, 3, 4);
  KernelDensity exact({.kernel = "vmf", .bandwidth = "0.1"});
  KernelDensity tree({.kernel = "vmf", .bandwidth = "0.1", .rtol = 1e-3, .engine = "tree"});
  const at::Tensor truth = exact.fit(x).score_samples(q);
  EXPECT_LE((tree.fit(x).score_samples(q) - truth).abs().max().item<double>(), 1.001e-3);
}

TEST(DirectionalDensity, TheGradientIsAlongTheSphere) {
  KernelDensity kde({.kernel = "vmf", .bandwidth = "0.4"});
  kde.fit(directions(50, 3));
  const at::Tensor q = directions(6, 3, 3), slope = kde.gradient(q);
  EXPECT_LT((slope * q).sum(1).abs().max().item<double>(), 1e-12);
  const double h = 1e-5;
  for (const at::Tensor& way : {at::tensor({1., 0., 0.}), at::tensor({0., 1., 2.})}) {
    at::Tensor t = way.to(at::kDouble) - (q * way.to(at::kDouble)).sum(1, true) * q;
    const auto at_step = [&](double s) {
      const at::Tensor y = q + s * t;
      return kde.score_samples(y / y.norm(2, 1, true));
    };
    const at::Tensor want = (at_step(h) - at_step(-h)) / (2 * h);
    EXPECT_LT(((slope * t).sum(1) - want).abs().max().item<double>(), 1e-8);
  }
}

TEST(DirectionalDensity, DrawsAreDirectionsOfTheDensity) {
  for (const int64_t d : {2, 5}) {
    KernelDensity kde({.kernel = "vmf", .bandwidth = "0.3"});
    const at::Tensor x = directions(20, d);
    const at::Tensor draws = kde.fit(x).sample(20000, 3);
    EXPECT_LT((draws.norm(2, 1) - 1).abs().max().item<double>(), 1e-12);
    // E draw = A_d(kappa) mean of the rows, kappa = 1 / 0.09.
    const double length = resultant_length(d, 1 / 0.09);
    EXPECT_LT((draws.mean(0) - length * x.mean(0)).abs().max().item<double>(), 0.02) << d;
  }
}

TEST(DirectionalDensity, LeaveOneOutFindsAWidthThatPredicts) {
  const at::Tensor x = directions(400, 3), held = directions(4000, 3, 12).slice(0, 0, 4000, 7);
  const auto score = [&](const std::string& bandwidth) {
    KernelDensity kde({.kernel = "vmf", .bandwidth = bandwidth});
    return kde.fit(x).score(held);
  };
  const double chosen = score("lcv");
  for (const char* width : {"0.03", "0.07", "0.5", "1"}) EXPECT_GT(chosen, score(width)) << width;
  EXPECT_GT(score("silverman"), chosen - 0.2);
}

TEST(DirectionalDensity, AModelFileKeepsItAndBadInputIsNamed) {
  KernelDensity kde({.kernel = "vmf"});
  const at::Tensor x = directions(30, 3);
  kde.fit(x);
  const data::Model m = kde.model();
  EXPECT_TRUE(at::equal(KernelDensity::of_model(m).score_samples(x), kde.score_samples(x)));
  EXPECT_THROW(KernelDensity({.kernel = "vmf"}).fit(2 * x), Error);
  EXPECT_THROW(KernelDensity({.kernel = "vmf"}).fit(at::ones({3, 1})), Error);
  EXPECT_THROW(kde.score_samples(2 * x), Error);
  EXPECT_THROW(KernelDensity({.kernel = "vmf", .bandwidth = "isj"}), Error);
  EXPECT_THROW(KernelDensity({.kernel = "vmf", .bandwidth_kind = "knn"}), Error);
}

}  // namespace
}  // namespace covary::mixture
