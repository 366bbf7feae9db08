#include "covary/stat/mixture/von_mises_fisher_mixture.h"

#include <cmath>
#include <set>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {
namespace {

VonMisesFisherMixture two_on_the_circle() {
  return {{0.5, 0.5},
          {{at::tensor({-0.251, -0.968}, at::kDouble) / std::hypot(0.251, 0.968), 8},
           {at::tensor({0.399, 0.917}, at::kDouble) / std::hypot(0.399, 0.917), 2}}};
}

// Directions about `k` random centres in `d` dimensions.
VonMisesFisherMixture scattered(int k, int64_t d, double kappa) {
  VonMisesFisherMixture m;
  const at::Tensor centres = VonMisesFisher{at::eye(d, at::kDouble)[0], 0}.sample(k, 99);
  for (int i = 0; i < k; ++i) {
    m.weights.push_back(1.0 / k);
    m.parts.push_back({centres[i].clone(), kappa});
  }
  return m;
}

void expect_monotone(const VonMisesFisherMixtureFit& fit) {
  const std::set<int> restarted(fit.restarted.begin(), fit.restarted.end());
  for (size_t i = 1; i < fit.objective.size(); ++i) {
    if (restarted.count(static_cast<int>(i))) continue;
    EXPECT_GE(fit.objective[i], fit.objective[i - 1] - 1e-12 * std::fabs(fit.objective[i])) << i;
  }
}

TEST(VonMisesFisherMixture, ObjectiveNeverFalls) {
  for (const bool hard : {false, true}) {
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const at::Tensor rows = scattered(3, 2 + static_cast<int64_t>(seed % 9), 4).sample(150, seed);
      const auto fit = fit_von_mises_fisher_mixture(
          rows, {.components = 4, .hard = hard, .max_iterations = 60, .seed = seed});
      expect_monotone(fit);
    }
  }
}

TEST(VonMisesFisherMixture, OneComponentIsTheSingleFit) {
  const at::Tensor rows = VonMisesFisher{at::eye(6, at::kDouble)[2], 5}.sample(300, 4);
  const auto one = fit_von_mises_fisher(rows);
  const auto fit = fit_von_mises_fisher_mixture(rows, {.components = 1});
  EXPECT_NEAR(fit.model.parts[0].kappa, one.model.kappa, 1e-12 * one.model.kappa);
  EXPECT_NEAR(fit.objective.back() * 300, one.log_likelihood,
              1e-10 * std::fabs(one.log_likelihood));
  EXPECT_TRUE(fit.converged);
}

TEST(VonMisesFisherMixture, FindsClustersInHighDimensions) {
  const auto truth = scattered(5, 2000, 1500);
  const at::Tensor rows = truth.sample(400, 8);
  const auto fit = fit_von_mises_fisher_mixture(rows, {.components = 5, .seed = 3});
  EXPECT_TRUE(fit.converged);
  // Every true mean has a fitted one near it.
  for (const auto& part : truth.parts) {
    double best = -1;
    for (const auto& found : fit.model.parts) {
      best = std::max(best, found.mean.dot(part.mean).item<double>());
    }
    EXPECT_GT(best, 0.9);
  }
}

TEST(VonMisesFisherMixture, SeparatesUnequalSpreadsBetterThanOneSpreadForAll) {
  const auto truth = two_on_the_circle();
  int wrong_mixture = 0, wrong_cosine = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const at::Tensor rows =
        at::cat({truth.parts[0].sample(100, 2 * seed), truth.parts[1].sample(100, 2 * seed + 1)});
    const at::Tensor label = at::cat({at::zeros({100}, at::kLong), at::ones({100}, at::kLong)});
    const auto errors = [&](const at::Tensor& found) {
      const int64_t differ = found.ne(label).sum().item<int64_t>();
      return static_cast<int>(std::min(differ, 200 - differ));
    };
    const auto fit = fit_von_mises_fisher_mixture(rows, {.components = 2, .seed = seed});
    wrong_mixture += errors(fit.model.log_responsibilities(rows).argmax(1));
    // Spherical k-means: directions alone.
    const auto seeds = cosine_seeds(rows, at::ones({200}, at::kDouble), 2, seed);
    at::Tensor centres = at::stack({rows[seeds[0]], rows[seeds[1]]}), nearest;
    for (int i = 0; i < 50; ++i) {
      nearest = rows.matmul(centres.t()).argmax(1);
      for (int64_t k = 0; k < 2; ++k) {
        const at::Tensor sum = (rows * nearest.eq(k).unsqueeze(1)).sum(0);
        centres[k].copy_(sum / sum.norm());
      }
    }
    wrong_cosine += errors(nearest);
  }
  EXPECT_LT(wrong_mixture, wrong_cosine);
}

TEST(VonMisesFisherMixture, ComponentsThatLoseTheirRowsAreStartedAgain) {
  // Two directions alone: a third component finds no row of its own under hard assignment.
  const at::Tensor e = at::eye(3, at::kDouble);
  const at::Tensor rows = at::cat({e[0].expand({20, 3}), e[1].expand({20, 3})});
  const auto fit = fit_von_mises_fisher_mixture(
      rows, {.components = 3, .hard = true, .max_iterations = 30, .max_kappa = 1e4, .restarts = 3});
  EXPECT_FALSE(fit.restarted.empty());
  EXPECT_LE(fit.restarted.size(), 3u);
  for (const auto& part : fit.model.parts) {
    EXPECT_TRUE(part.mean.isfinite().all().item<bool>());
    EXPECT_LE(part.kappa, 1e4);
  }
  EXPECT_TRUE(std::isfinite(fit.objective.back()));
}

TEST(VonMisesFisherMixture, WeightsCountAsRepetitions) {
  const at::Tensor rows = scattered(2, 4, 10).sample(60, 2);
  const at::Tensor twice = at::cat({rows, rows});
  const auto a =
      fit_von_mises_fisher_mixture(rows, {.components = 2}, 2 * at::ones({60}, at::kDouble));
  const auto b = fit_von_mises_fisher_mixture(twice, {.components = 2});
  EXPECT_NEAR(a.objective.back(), b.objective.back(), 1e-6);
  at::Tensor none = at::ones({60}, at::kDouble);
  none[7] = 0;
  at::Tensor moved = rows.clone();
  moved[7] = -rows[7];
  EXPECT_EQ(fit_von_mises_fisher_mixture(rows, {.components = 2}, none).objective.back(),
            fit_von_mises_fisher_mixture(moved, {.components = 2}, none).objective.back());
}

TEST(VonMisesFisherMixture, SameSeedSameBitsAtAnyNumberOfThreads) {
  const at::Tensor rows = scattered(3, 40, 30).sample(500, 6);
  set_threads(1);
  const auto one = fit_von_mises_fisher_mixture(rows, {.components = 3});
  set_threads(2);
  const auto two = fit_von_mises_fisher_mixture(rows, {.components = 3});
  set_threads(0);
  EXPECT_EQ(one.objective, two.objective);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_TRUE(at::equal(one.model.parts[k].mean, two.model.parts[k].mean));
  }
}

TEST(VonMisesFisherMixture, RefusesOptionsAndDataThatCannotWork) {
  const at::Tensor rows = scattered(2, 4, 10).sample(3, 2);
  EXPECT_THROW(fit_von_mises_fisher_mixture(rows, {.components = 0}), Error);
  EXPECT_THROW(fit_von_mises_fisher_mixture(rows, {.components = 4}), Error);
  EXPECT_THROW(fit_von_mises_fisher_mixture(rows, {.max_iterations = 0}), Error);
  EXPECT_THROW(fit_von_mises_fisher_mixture(rows, {.max_kappa = -1}), Error);
}

}  // namespace
}  // namespace covary::mixture
