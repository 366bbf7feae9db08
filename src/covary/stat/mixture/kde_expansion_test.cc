#include "covary/stat/mixture/kde_expansion.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

using testing::HasSubstr;

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  return normal_points(n, d, 11, stream);
}

// One Gaussian along the line through both points: nothing is worse than that.
TEST(ClusterExpansions, TheBoundOfASeriesHolds) {
  for (const double b : {0.01, 0.3, 1.0, 2.5}) {
    for (int64_t p = 0; p < 25; ++p) {
      double worst = 0;
      for (double a = 0.04; a < 14; a += 0.04) {
        for (const double t : {a * b, -a * b}) {
          // The series from degree p on, its largest term first.
          double rest = 0, term = 1;
          for (int64_t k = 1; k <= p; ++k) term *= t / static_cast<double>(k);
          for (int64_t k = p; k < p + 150; ++k) {
            rest += term;
            term *= t / static_cast<double>(k + 1);
          }
          worst = std::max(worst, std::abs(rest) * std::exp(-0.5 * (a * a + b * b)));
        }
      }
      EXPECT_LE(worst, taylor_error(p, b) * (1 + 1e-9) + 1e-15) << p << " " << b;
      EXPECT_GE(worst * 2, taylor_error(p, b)) << p << " " << b;  // and is not idle
    }
  }
}

TEST(ClusterExpansions, EveryDensityIsWithinTheBound) {
  for (const int64_t d : {1, 2, 3, 4, 6, 8}) {
    const at::Tensor x = normals(700, d, 1), q = 1.3 * normals(150, d, 2);
    const at::Tensor w = at::arange(700, at::kDouble).remainder(5);
    for (const char* width : {"0.3", "0.9", "3"}) {
      KernelDensity exact({.bandwidth = width, .engine = "exact"});
      const at::Tensor truth = exact.fit(x, w).score_samples(q).exp();
      const double peak = exact.score_samples(x).exp().max().item<double>();
      for (const double relative : {1e-2, 1e-5, 1e-9}) {
        KernelDensity kde({.bandwidth = width, .atol = relative * peak, .engine = "ifgt"});
        try {
          kde.fit(x, w);
        } catch (const Error& e) {
          EXPECT_THAT(e.what(), HasSubstr("too many terms"));
          EXPECT_GE(d, 4);  // few columns always serve
          continue;
        }
        EXPECT_EQ(kde.engine(), "ifgt");
        EXPECT_LE(kde.error_bound(), relative * peak * (1 + 1e-12));
        const double error = (kde.score_samples(q).exp() - truth).abs().max().item<double>();
        EXPECT_LE(error, kde.error_bound()) << d << " " << width << " " << relative;
      }
    }
  }
}

TEST(ClusterExpansions, EveryTargetAndBoundsAndDirections) {
  const at::Tensor x = normals(500, 3, 3).abs(), q = normals(77, 3, 4).abs();
  KernelDensityOptions o;
  o.bandwidth = "0.6", o.bounds = "0=0:,2=0:", o.bandwidth_shape = "full";
  KernelDensity exact(o);
  const at::Tensor truth = exact.fit(x).score_samples(q).exp();
  o.atol = 1e-6, o.engine = "ifgt";
  compute::on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    KernelDensity kde(o);
    kde.fit(x);
    EXPECT_LE((kde.score_samples(q).exp() - truth).abs().max().item<double>(), kde.error_bound());
    EXPECT_LE(kde.error_bound(), 1e-6 * (1 + 1e-12));
  });
  const at::Tensor u = x / x.norm(2, 1, true), v = q / q.norm(2, 1, true);
  KernelDensity sphere({.kernel = "vmf", .bandwidth = "0.4"});
  const at::Tensor on_sphere = sphere.fit(u).score_samples(v).exp();
  KernelDensity fast({.kernel = "vmf", .bandwidth = "0.4", .atol = 1e-6, .engine = "ifgt"});
  EXPECT_LE((fast.fit(u).score_samples(v).exp() - on_sphere).abs().max().item<double>(), 1e-6);
}

TEST(ClusterExpansions, FarQueriesDuplicatesAndStoredModels) {
  const at::Tensor x = at::cat({normals(300, 2, 5), at::full({200, 2}, 40.0, at::kDouble)});
  KernelDensity kde({.bandwidth = "0.5", .atol = 1e-8, .engine = "ifgt"});
  kde.fit(x);
  const at::Tensor q = at::tensor({0.0, 0.0, 40.0, 40.5, 1e6, -3.0}, at::kDouble).view({3, 2});
  KernelDensity exact({.bandwidth = "0.5"});
  const at::Tensor truth = exact.fit(x).score_samples(q), ours = kde.score_samples(q);
  EXPECT_LE((ours.exp() - truth.exp()).abs().max().item<double>(), 1e-8);
  EXPECT_EQ(ours[2].item<double>(), truth[2].item<double>());  // far away: every point is asked
  EXPECT_TRUE(KernelDensity::of_model(kde.model()).score_samples(q).equal(ours));
}

TEST(ClusterExpansions, AutoTakesThemWhereManyPointsShareATerm) {
  const at::Tensor x = normals(2500, 2, 7);
  const auto engine = [&](const char* width, double rtol, double atol) {
    KernelDensity kde({.bandwidth = width, .rtol = rtol, .atol = atol});
    return kde.fit(x).engine();
  };
  EXPECT_EQ(engine("3", 0, 1e-5), "ifgt");
  EXPECT_EQ(engine("3", 1e-3, 0), "tree");
  EXPECT_EQ(engine("0.01", 0, 1e-5), "tree");
}

TEST(ClusterExpansions, WhatItDoesNotServe) {
  const at::Tensor x = normals(50, 9, 6);
  EXPECT_THROW(KernelDensity({.rtol = 1e-3, .engine = "ifgt"}), Error);
  EXPECT_THROW(KernelDensity({.kernel = "tophat", .atol = 1e-3, .engine = "ifgt"}), Error);
  KernelDensity wide({.atol = 1e-3, .engine = "ifgt"});
  EXPECT_THROW(wide.fit(x), Error);
  KernelDensity fine({.atol = 1e-300, .engine = "ifgt"});
  EXPECT_THROW(fine.fit(x.slice(1, 0, 2)), Error);
}

}  // namespace
}  // namespace covary::mixture
