#include "covary/stat/filter/particle.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/simulate.h"

namespace covary::filter {
namespace {

const std::vector<std::string> kResamplings{"systematic", "stratified", "residual", "multinomial"};

TEST(Resample, CopiesAreProportionalToWeights) {
  const std::vector<double> weights{0.05, 0.4, 0.0, 0.3, 0.25};
  for (const std::string& method : kResamplings) {
    SCOPED_TRACE(method);
    std::vector<double> copies(5, 0.0);
    const int rounds = 4000, draws = 10;
    for (int k = 0; k < rounds; ++k) {
      const Random random(3, uint64_t(k));
      std::vector<double> u(draws);
      for (size_t i = 0; i < u.size(); ++i) u[i] = random.uniform(i);
      const std::vector<int64_t> ancestors = resample(method, weights, u);
      ASSERT_EQ(ancestors.size(), u.size());
      std::vector<int> here(5, 0);
      for (const int64_t a : ancestors) ++here[size_t(a)];
      for (size_t i = 0; i < 5; ++i) copies[i] += here[i];
      if (method == "systematic" || method == "residual") {
        for (size_t i = 0; i < 5; ++i) ASSERT_GE(here[i], int(weights[i] * draws - 1e-9));
      }
    }
    EXPECT_EQ(copies[2], 0);
    for (size_t i = 0; i < 5; ++i) {
      // Multinomial has the largest variance, draws w (1 - w).
      const double sigma = std::sqrt(draws * weights[i] * (1 - weights[i]) / rounds);
      EXPECT_NEAR(copies[i] / rounds, draws * weights[i], 4 * sigma + 1e-12) << i;
    }
  }
}

// A linear model whose likelihood is known.
struct Known {
  // Noise of observations wide enough for the auxiliary filter's second weights to have a small
  // variance.
  Known() : linear(random_model(2, 1, 0, 0, 141)) {
    linear.r = at::full({1, 1}, 4.0, at::kDouble);
    y = simulate(linear, 12, 9).y;
    y[4][0] = std::nan("");
    model.model = nonlinear_of(linear);
  }
  LinearModel linear;
  at::Tensor y;
  ParticleModel model;
};

TEST(ParticleFilter, LikelihoodIsUnbiased) {
  const Known k;
  const double exact = kalman_log_likelihood(k.linear, k.y);
  for (const std::string method : {"bootstrap", "auxiliary", "guided"}) {
    for (const std::string& resampling : kResamplings) {
      SCOPED_TRACE(method + ", " + resampling);
      const int runs = 200;
      double sum = 0, squares = 0;
      for (int i = 0; i < runs; ++i) {
        const ParticleOptions options{.particles = 64,
                                      .method = method,
                                      .resampling = resampling,
                                      .threshold = 0.5,
                                      .seed = i};
        const double ratio =
            std::exp(particle_filter(k.model, k.y, options, false).log_likelihood - exact);
        sum += ratio;
        squares += ratio * ratio;
      }
      const double mean = sum / runs;
      const double error = std::sqrt((squares / runs - mean * mean) / runs);
      EXPECT_NEAR(mean, 1, 3 * error);
      EXPECT_LT(error, 0.2);
    }
  }
}

TEST(ParticleFilter, MomentsApproachTheKalmanFilterAndPathsTheSmoother) {
  const Known k;
  const Filtered exact = kalman_filter(k.linear, k.y);
  const Smoothed smooth = rts_smoother(k.linear, exact);
  const ParticleFiltered f = particle_filter(k.model, k.y, {.particles = 4000});
  // Four standard errors of 4,000 draws, of which a fifth counts at the worst step.
  const double worst_effective = f.effective.min().item<double>();
  for (int64_t t = 0; t < 12; ++t) {
    for (int64_t i = 0; i < 2; ++i) {
      const double sigma = std::sqrt(exact.cov[t][i][i].item<double>() / worst_effective);
      EXPECT_NEAR(f.mean[t][i].item<double>(), exact.mean[t][i].item<double>(), 4 * sigma);
    }
  }
  const int64_t paths = 1000;
  const at::Tensor drawn = particle_paths(k.model, f, paths, 3).mean(0);
  for (int64_t t = 0; t < 12; ++t) {
    for (int64_t i = 0; i < 2; ++i) {
      const double variance = smooth.cov[t][i][i].item<double>();
      const double sigma = std::sqrt(variance / double(paths) + variance / worst_effective);
      EXPECT_NEAR(drawn[t][i].item<double>(), smooth.mean[t][i].item<double>(), 4 * sigma);
    }
  }
}

// With a linear h and Gaussian noise the guided weights do not depend on the draw: what is left is
// the spread of where particles come from.
TEST(ParticleFilter, GuidanceHelpsWherePreciseObservationsWouldKillParticles) {
  Known k;
  k.linear.r.fill_(1e-4);
  k.model.model = nonlinear_of(k.linear);
  const ParticleFiltered blind = particle_filter(k.model, k.y, {.particles = 500}),
                         guided =
                             particle_filter(k.model, k.y, {.particles = 500, .method = "guided"});
  EXPECT_GT(guided.effective.min().item<double>(), 10 * blind.effective.min().item<double>());
  // The first step's weights are all equal: its proposal is exact.
  EXPECT_NEAR(guided.effective[0].item<double>(), 500, 1e-6);
  EXPECT_NEAR(guided.log_likelihoods[0].item<double>(),
              kalman_filter(k.linear, k.y).log_likelihoods[0].item<double>(), 1e-9);
  k.model.log_density = [](auto, auto, auto) { return 0.0; };
  EXPECT_THROW(particle_filter(k.model, k.y, {.particles = 5, .method = "guided"}), Error);
}

TEST(ParticleFilter, InnovationsApproachTheKalmanFilter) {
  const Known k;
  const Filtered exact = kalman_filter(k.linear, k.y);
  for (const std::string method : {"bootstrap", "auxiliary", "guided"}) {
    SCOPED_TRACE(method);
    const ParticleFiltered f = particle_filter(k.model, k.y, {.particles = 4000, .method = method});
    const double few = f.effective.min().item<double>() / 4;
    for (int64_t t = 0; t < 12; ++t) {
      const double s = exact.innovation_cov[t][0][0].item<double>();
      EXPECT_NEAR(f.innovation_cov[t][0][0].item<double>(), s, 5 * s * std::sqrt(2 / few));
      if (t == 4) {
        EXPECT_TRUE(std::isnan(f.innovation[t][0].item<double>()));
        continue;
      }
      EXPECT_NEAR(f.innovation[t][0].item<double>(), exact.innovation[t][0].item<double>(),
                  5 * std::sqrt(s / few));
    }
    EXPECT_NEAR(f.log_likelihoods.sum().item<double>(), f.log_likelihood, 1e-12);
  }
}

TEST(ParticleFilter, AStreamGivesTheSameBits) {
  const Known k;
  for (const std::string method : {"bootstrap", "auxiliary", "guided"}) {
    const ParticleOptions o{.particles = 100, .method = method};
    const ParticleFiltered whole = particle_filter(k.model, k.y, o);
    ParticleStream stream(k.model, o);
    for (int64_t t = 0; t < 12; ++t) {
      const ParticleFiltered one = stream.step(k.y[t]);
      EXPECT_TRUE(at::equal(one.mean[0], whole.mean[t]));
      EXPECT_TRUE(at::equal(one.cov[0], whole.cov[t]));
      EXPECT_EQ(one.log_likelihood, whole.log_likelihoods[t].item<double>());
    }
  }
}

TEST(ParticleFilter, TheSameSeedGivesTheSameBitsAtAnyNumberOfThreads) {
  const Known k;
  set_threads(1);
  const ParticleFiltered a = particle_filter(k.model, k.y);
  const at::Tensor a_paths = particle_paths(k.model, a, 5, 1);
  set_threads(3);
  const ParticleFiltered b = particle_filter(k.model, k.y);
  const at::Tensor b_paths = particle_paths(k.model, b, 5, 1);
  set_threads(0);
  EXPECT_EQ(a.log_likelihood, b.log_likelihood);
  EXPECT_TRUE(at::equal(a.particles, b.particles));
  EXPECT_TRUE(at::equal(a_paths, b_paths));
}

TEST(ParticleFilter, WhatCannotBeExplainedIsSaid) {
  Known k;
  k.model.log_density = [](std::span<const double>, std::span<const double>, int64_t t) {
    return t == 6 ? -std::numeric_limits<double>::infinity() : 0.0;
  };
  try {
    particle_filter(k.model, k.y);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "step 6");
  }
  EXPECT_THROW(particle_filter(k.model, k.y, {.particles = 0}), Error);
  k.model.log_density = {};
  EXPECT_THROW(particle_paths(k.model, particle_filter(k.model, k.y, {}, false), 1, 1), Error);
  k.model.model.r.zero_();
  EXPECT_THROW(particle_filter(k.model, k.y), Error);
}

}  // namespace
}  // namespace covary::filter
