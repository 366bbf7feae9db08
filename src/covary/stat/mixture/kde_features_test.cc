#include "covary/stat/mixture/kde_features.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  return normal_points(n, d, 13, stream);
}

KernelDensityOptions options_of(const std::string& kernel, const std::string& engine) {
  KernelDensityOptions o;
  o.kernel = kernel, o.bandwidth = "0.8", o.engine = engine;
  return o;
}

// Errors in units of their standard errors have a mean square of 1, over seeds and queries.
TEST(RandomFeatures, StandardErrorsAreThoseOfTheErrors) {
  const at::Tensor x = normals(200, 3, 1), q = normals(40, 3, 2);
  const at::Tensor w = 1 + at::arange(200, at::kDouble).remainder(3);
  for (const char* kernel : {"gaussian", "exponential", "laplacian"}) {
    const at::Tensor truth =
        KernelDensity(options_of(kernel, "exact")).fit(x, w).score_samples(q).exp();
    double squares = 0;
    constexpr int64_t kSeeds = 60;
    for (int64_t seed = 0; seed < kSeeds; ++seed) {
      KernelDensityOptions o = options_of(kernel, "rff");
      o.features = 500, o.engine_seed = seed;
      KernelDensity kde(o);
      kde.fit(x, w);
      ASSERT_TRUE(kde.approximate());
      const at::Tensor error = kde.standard_error(q), p = kde.score_samples(q).exp();
      // Values that cannot be told from 0 were raised to their error.
      EXPECT_GE((p / error).min().item<double>(), 1 - 1e-12);
      const at::Tensor told = truth > 4 * error;
      squares += (((p - truth) / error).square() * told).sum().item<double>() /
                 told.sum().item<double>() / kSeeds;
    }
    EXPECT_GT(squares, 0.75) << kernel;
    EXPECT_LT(squares, 1.25) << kernel;
  }
}

TEST(RandomFeatures, TheSeedDecidesAndEveryTargetAgrees) {
  const at::Tensor x = 1e3 + normals(300, 2, 3), q = 1e3 + normals(20, 2, 4);
  KernelDensityOptions o = options_of("gaussian", "rff");
  o.features = 333;
  KernelDensity a(o), b(o);
  o.engine_seed = 1;
  KernelDensity c(o);
  const at::Tensor p = a.fit(x).score_samples(q);
  EXPECT_TRUE(p.equal(b.fit(x).score_samples(q)));
  EXPECT_FALSE(p.equal(c.fit(x).score_samples(q)));
  EXPECT_TRUE(KernelDensity::of_model(c.model()).score_samples(q).equal(c.score_samples(q)));
  compute::on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    KernelDensity again(a.options());
    EXPECT_TRUE(at::allclose(again.fit(x).score_samples(q), p, 1e-9, 1e-9));
  });
}

TEST(Landmarks, AllRowsAreExactAndFewAreMeasured) {
  const at::Tensor x = normals(600, 2, 5), q = normals(300, 2, 6);
  for (const char* kernel : {"gaussian", "exponential", "laplacian"}) {
    const at::Tensor truth =
        KernelDensity(options_of(kernel, "exact")).fit(x).score_samples(q).exp();
    double before = 1;
    for (const int64_t landmarks : {5, 30, 600}) {
      KernelDensityOptions o = options_of(kernel, "nystrom");
      o.landmarks = landmarks;
      KernelDensity kde(o);
      kde.fit(x);
      const at::Tensor p = kde.score_samples(q).exp(), error = kde.standard_error(q);
      const double rms = (p - truth).square().mean().sqrt().item<double>();
      const double told = error[0].item<double>();
      EXPECT_TRUE(error.eq(told).all().item<bool>());
      EXPECT_LT(rms, 0.7 * before) << kernel << landmarks;
      if (landmarks < 600) {
        EXPECT_NEAR(std::log(rms / told), 0, std::log(2.0)) << kernel;
      }
      before = rms;
    }
    EXPECT_LT(before, 1e-6 * truth.max().item<double>()) << kernel;
  }
}

TEST(Landmarks, DuplicatesAndStoredModels) {
  const at::Tensor x = at::cat({normals(20, 2, 7), at::zeros({80, 2}, at::kDouble)});
  KernelDensity kde(options_of("gaussian", "nystrom"));
  kde.fit(x);
  EXPECT_TRUE(kde.score_samples(x).isfinite().all().item<bool>());
  EXPECT_TRUE(KernelDensity::of_model(kde.model()).score_samples(x).equal(kde.score_samples(x)));
}

TEST(RandomFeatures, AModelFileIsNotTrusted) {
  KernelDensity kde(options_of("gaussian", "rff"));
  const data::Model sound = kde.fit(normals(30, 2, 10)).model();
  EXPECT_EQ(KernelDensity::of_model(sound).engine(), "rff");
  for (const auto& [field, value] :
       std::vector<std::pair<std::string, nlohmann::json>>{{"features", -1},
                                                           {"features", 1e300},
                                                           {"landmarks", "many"},
                                                           {"engine_seed", 1e17},
                                                           {"tree", "oak"},
                                                           {"product", "yes"},
                                                           {"engine", "guess"}}) {
    data::Model model = sound;
    model.fields[field] = value;
    EXPECT_THROW(KernelDensity::of_model(model), Error) << field;
  }
}

TEST(RandomFeatures, WhatEstimatesDoNotServe) {
  for (const char* engine : {"rff", "nystrom"}) {
    EXPECT_THROW(KernelDensity(options_of("tophat", engine)), Error);
    KernelDensityOptions o = options_of("gaussian", engine);
    o.bounds = "0=0:";
    EXPECT_THROW(KernelDensity{o}, Error);
    o = options_of("gaussian", engine);
    o.bandwidth_kind = "adaptive";
    EXPECT_THROW(KernelDensity{o}, Error);
  }
  KernelDensity exact;
  EXPECT_THROW(exact.fit(normals(9, 1, 8)).standard_error(normals(2, 1, 9)), Error);
}

}  // namespace
}  // namespace covary::mixture
