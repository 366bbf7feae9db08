#include "covary/stat/mixture/von_mises_fisher_mixture.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {
namespace {

VonMisesFisherMixture mixture_of(at::ArrayRef<double> weights, const at::Tensor& means,
                                 at::ArrayRef<double> kappas) {
  VonMisesFisherMixture m;
  m.set_parameters(at::tensor(weights, at::kDouble), means, at::tensor(kappas, at::kDouble));
  return m;
}

VonMisesFisherMixture two_on_the_circle() {
  return mixture_of({0.5, 0.5},
                    at::tensor({-0.251, -0.968, 0.399, 0.917}, at::kDouble).view({2, 2}), {8, 2});
}

// Directions about `k` random centres in `d` dimensions.
VonMisesFisherMixture scattered(int64_t k, int64_t d, double kappa) {
  VonMisesFisherMixture m;
  const at::Tensor centres = VonMisesFisher{at::eye(d, at::kDouble)[0], 0}.sample(k, 99);
  m.set_parameters(at::ones({k}, at::kDouble), centres, at::full({k}, kappa, at::kDouble));
  return m;
}

VonMisesFisherMixture fitted(const at::Tensor& rows, const VonMisesFisherMixtureOptions& options,
                             const at::Tensor& weights = {}) {
  VonMisesFisherMixture m(options);
  m.fit(rows, weights);
  return m;
}

void expect_monotone(const VonMisesFisherReport& fit) {
  const std::set<int64_t> restarted(fit.restarted.begin(), fit.restarted.end());
  for (size_t i = 1; i < fit.objective.size(); ++i) {
    if (restarted.count(static_cast<int64_t>(i))) continue;
    EXPECT_GE(fit.objective[i], fit.objective[i - 1] - 1e-12 * std::fabs(fit.objective[i])) << i;
  }
}

TEST(VonMisesFisherMixture, ObjectiveNeverFalls) {
  for (const char* assignment : {"soft", "hard", "cosine"}) {
    for (int64_t seed = 0; seed < 30; ++seed) {
      const at::Tensor rows = scattered(3, 2 + seed % 9, 4).sample(150, seed);
      const auto fit =
          fitted(rows, {.components = 4, .assignment = assignment, .steps = 60, .seed = seed});
      expect_monotone(fit.report());
    }
  }
}

TEST(VonMisesFisherMixture, OneComponentIsTheSingleFit) {
  const at::Tensor rows = VonMisesFisher{at::eye(6, at::kDouble)[2], 5}.sample(300, 4);
  const auto one = fit_von_mises_fisher(rows);
  const auto fit = fitted(rows, {.components = 1});
  EXPECT_NEAR(fit.parts()[0].kappa, one.model.kappa, 1e-12 * one.model.kappa);
  EXPECT_NEAR(fit.report().objective.back() * 300, one.log_likelihood,
              1e-10 * std::fabs(one.log_likelihood));
  EXPECT_TRUE(fit.report().converged);
}

TEST(VonMisesFisherMixture, FindsClustersInHighDimensions) {
  const auto truth = scattered(5, 2000, 1500);
  const at::Tensor rows = truth.sample(400, 8);
  const auto fit = fitted(rows, {.components = 5, .seed = 3});
  EXPECT_TRUE(fit.report().converged);
  // Every true mean has a fitted one near it.
  for (const auto& part : truth.parts()) {
    double best = -1;
    for (const auto& found : fit.parts()) {
      best = std::max(best, found.mean.dot(part.mean).item<double>());
    }
    EXPECT_GT(best, 0.9);
  }
}

TEST(VonMisesFisherMixture, SeparatesUnequalSpreadsBetterThanOneSpreadForAll) {
  const auto truth = two_on_the_circle();
  int wrong_mixture = 0, wrong_cosine = 0;
  for (int64_t seed = 0; seed < 50; ++seed) {
    const auto key = static_cast<uint64_t>(seed);
    const at::Tensor rows =
        at::cat({truth.parts()[0].sample(100, 2 * key), truth.parts()[1].sample(100, 2 * key + 1)});
    const at::Tensor label = at::cat({at::zeros({100}, at::kLong), at::ones({100}, at::kLong)});
    const auto errors = [&](const at::Tensor& found) {
      const int64_t differ = found.ne(label).sum().item<int64_t>();
      return static_cast<int>(std::min(differ, 200 - differ));
    };
    const auto fit = fitted(rows, {.components = 2, .seed = seed});
    wrong_mixture += errors(fit.predict(rows));
    const auto cosine = fitted(rows, {.components = 2, .assignment = "cosine", .seed = seed});
    wrong_cosine += errors(cosine.predict(rows));
  }
  EXPECT_LT(wrong_mixture, wrong_cosine);
}

TEST(VonMisesFisherMixture, ComponentsThatLoseTheirRowsAreStartedAgain) {
  // Two directions alone: a third component finds no row of its own under hard assignment.
  const at::Tensor e = at::eye(3, at::kDouble);
  const at::Tensor rows = at::cat({e[0].expand({20, 3}), e[1].expand({20, 3})});
  const auto fit = fitted(
      rows, {.components = 3, .assignment = "hard", .steps = 30, .max_kappa = 1e4, .restarts = 3});
  EXPECT_FALSE(fit.report().restarted.empty());
  EXPECT_LE(fit.report().restarted.size(), 3u);
  for (const auto& part : fit.parts()) {
    EXPECT_TRUE(part.mean.isfinite().all().item<bool>());
    EXPECT_LE(part.kappa, 1e4);
  }
  EXPECT_TRUE(std::isfinite(fit.report().objective.back()));
}

TEST(VonMisesFisherMixture, WeightsCountAsRepetitions) {
  const at::Tensor rows = scattered(2, 4, 10).sample(60, 2);
  const at::Tensor twice = at::cat({rows, rows});
  const auto a = fitted(rows, {.components = 2}, 2 * at::ones({60}, at::kDouble));
  const auto b = fitted(twice, {.components = 2});
  EXPECT_NEAR(a.report().objective.back(), b.report().objective.back(), 1e-6);
  at::Tensor none = at::ones({60}, at::kDouble);
  none[7] = 0;
  at::Tensor moved = rows.clone();
  moved[7] = -rows[7];
  EXPECT_EQ(fitted(rows, {.components = 2}, none).report().objective.back(),
            fitted(moved, {.components = 2}, none).report().objective.back());
}

TEST(VonMisesFisherMixture, SameSeedSameBitsAtAnyNumberOfThreads) {
  const at::Tensor wide = scattered(3, 40, 30).sample(1500, 6),
                   tall = scattered(3, 4, 30).sample(40000, 6);
  for (const at::Tensor& rows : {wide, tall}) {
    const VonMisesFisherMixtureOptions options{.components = 3, .steps = 8};
    set_threads(1);
    const auto one = fitted(rows, options);
    set_threads(2);
    const auto two = fitted(rows, options);
    set_threads(0);
    EXPECT_EQ(one.report().objective, two.report().objective);
    EXPECT_EQ(one.report().log_likelihood, two.report().log_likelihood);
    EXPECT_EQ(one.report().entropy, two.report().entropy);
    EXPECT_TRUE(at::equal(one.means(), two.means()));
    EXPECT_TRUE(at::equal(one.kappas(), two.kappas()));
    EXPECT_TRUE(at::equal(one.score_samples(rows), two.score_samples(rows)));
  }
}

TEST(VonMisesFisherMixture, CosineAssignmentIsSphericalKMeans) {
  const at::Tensor rows = scattered(4, 5, 20).sample(300, 12);
  const auto fit = fitted(rows, {.components = 4, .assignment = "cosine"});
  // A fixed point: rows are at their nearest mean, means are the sums of their rows.
  const at::Tensor nearest = rows.matmul(fit.means().t()).argmax(1);
  EXPECT_TRUE(at::equal(nearest, fit.predict(rows)));
  for (int64_t k = 0; k < 4; ++k) {
    const at::Tensor sum = (rows * nearest.eq(k).unsqueeze(1)).sum(0);
    EXPECT_TRUE(at::allclose(sum / sum.norm(), fit.means()[k], 1e-12, 1e-12));
    EXPECT_EQ(fit.weights()[k].item<double>(), 0.25);
    EXPECT_EQ(fit.parts()[static_cast<size_t>(k)].kappa, fit.parts()[0].kappa);
  }
}

TEST(VonMisesFisherMixture, ReportHoldsTheLikelihoodOfItsRows) {
  const at::Tensor rows = scattered(3, 6, 9).sample(200, 3);
  const at::Tensor w = at::arange(200, at::kDouble);
  for (const char* assignment : {"soft", "hard", "cosine"}) {
    const auto m = fitted(rows, {.components = 3, .assignment = assignment}, w);
    const VonMisesFisherReport& r = m.report();
    EXPECT_NEAR(r.log_likelihood, (w * m.score_samples(rows)).sum().item<double>(), 1e-7);
    EXPECT_NEAR(m.score(rows, w) * r.weight, r.log_likelihood, 1e-7);
    const at::Tensor p = m.predict_proba(rows);
    EXPECT_NEAR(r.entropy, -(w.unsqueeze(1) * p * p.clamp_min(1e-300).log()).sum().item<double>(),
                1e-7);
    EXPECT_TRUE(at::allclose(p.sum(1), at::ones({200}, at::kDouble)));
    EXPECT_EQ(r.parameters, assignment == std::string("cosine") ? 3 * 5 + 1 : 3 * 6 + 2);
  }
}

TEST(VonMisesFisherMixture, DensityIntegratesToOneOnTheCircle) {
  constexpr int64_t n = 720;
  const at::Tensor angle = at::arange(n, at::kDouble) * (2 * M_PI / n);
  const at::Tensor rows = at::stack({angle.cos(), angle.sin()}, 1);
  const double mean = two_on_the_circle().score_samples(rows).exp().mean().item<double>();
  EXPECT_NEAR(mean * 2 * M_PI, 1, 1e-13);
}

TEST(VonMisesFisherMixture, ModelFilesGiveTheSameBits) {
  const at::Tensor rows = scattered(3, 6, 9).sample(200, 3);
  const auto m = fitted(3 * rows, {.components = 3, .normalise = true});
  const auto back = VonMisesFisherMixture::of_model(m.model());
  EXPECT_TRUE(at::equal(m.score_samples(7 * rows), back.score_samples(7 * rows)));
  EXPECT_TRUE(at::equal(m.sample(50, 1), back.sample(50, 1)));
  const auto broken = [&](const char* name, size_t at, double value) {
    data::Model file = m.model();
    file.arrays[name].values[at] = value;
    EXPECT_THROW(VonMisesFisherMixture::of_model(file), Error) << name;
  };
  broken("means", 3, 0.5);
  broken("means", 3, NAN);
  broken("kappas", 1, -1);
  broken("kappas", 1, INFINITY);
  broken("log_weights", 0, 0);
  data::Model gaussian = m.model();
  gaussian.fields["family"] = "gaussian";
  EXPECT_THROW(VonMisesFisherMixture::of_model(gaussian), Error);
}

TEST(VonMisesFisherMixture, SamplesAreOfTheComponentsThatTheirLabelsName) {
  const auto truth = mixture_of({0.2, 0.8}, at::eye(3, at::kDouble).slice(0, 0, 2), {500, 500});
  at::Tensor labels;
  const at::Tensor rows = truth.sample(2000, 4, labels);
  EXPECT_TRUE(at::equal(labels, truth.predict(rows)));
  EXPECT_NEAR(labels.to(at::kDouble).mean().item<double>(), 0.8, 0.03);
  EXPECT_TRUE(at::equal(rows.slice(0, 0, 10), truth.sample(10, 4)));
}

TEST(VonMisesFisherMixture, NumberOfComponentsIsChosenByBic) {
  const auto s = select_von_mises_fisher(scattered(3, 8, 60).sample(400, 5), {1, 2, 3, 4, 5}, "bic",
                                         {.starts = 3});
  EXPECT_EQ(s.model.components(), 3);
  EXPECT_EQ(s.rows[s.best].components, 3);
  EXPECT_EQ(s.rows.size(), 5u);
}

TEST(VonMisesFisherMixture, MoreStartsAreNeverWorse) {
  const at::Tensor rows = scattered(6, 3, 15).sample(300, 5);
  const auto one = fitted(rows, {.components = 6}),
             many = fitted(rows, {.components = 6, .starts = 5});
  EXPECT_GE(many.report().objective.back(), one.report().objective.back());
}

TEST(VonMisesFisherMixture, DegenerateComponentsAreNoted) {
  const at::Tensor e = at::eye(3, at::kDouble);
  const auto equal = fitted(e[0].expand({5, 3}), {.components = 1, .max_kappa = 1e6});
  EXPECT_EQ(equal.parts()[0].kappa, 1e6);
  ASSERT_EQ(equal.report().notes.size(), 1u);
  EXPECT_NE(equal.report().notes[0].find("cap"), std::string::npos);
  const auto cancel = fitted(at::stack({e[0], -e[0]}), {.components = 1});
  EXPECT_EQ(cancel.parts()[0].kappa, 0);
  ASSERT_EQ(cancel.report().notes.size(), 1u);
  EXPECT_NE(cancel.report().notes[0].find("uniform"), std::string::npos);
  EXPECT_TRUE(std::isfinite(cancel.report().log_likelihood));
}

TEST(VonMisesFisherMixture, RowsOfAnySizeAreNormalised) {
  const at::Tensor rows = scattered(2, 4, 10).sample(40, 2);
  const auto expected = fitted(rows, {.components = 2});
  for (const double scale : {1e-200, 1e-12, 1e12, 1e200}) {
    const auto m = fitted(scale * rows, {.components = 2, .normalise = true});
    EXPECT_TRUE(at::allclose(m.kappas(), expected.kappas(), 1e-9, 0)) << scale;
  }
}

TEST(VonMisesFisherMixture, BadRowsAreNamed) {
  const auto message = [](const at::Tensor& rows) {
    try {
      fitted(rows, {});
    } catch (const Error& e) {
      return e.message();
    }
    return std::string();
  };
  at::Tensor rows = scattered(2, 4, 10).sample(30, 2);
  rows[7] *= 1.5;
  rows[9] *= 2;
  EXPECT_NE(message(rows).find("row 7"), std::string::npos);
  EXPECT_NE(message(rows).find("1.5"), std::string::npos);
  EXPECT_NE(message(rows).find("1 rows more"), std::string::npos);
  rows[3].zero_();
  EXPECT_NE(message(rows).find("row 3 is zero"), std::string::npos);
  rows[5][2] = NAN;
  EXPECT_NE(message(rows).find("row 5 is not finite"), std::string::npos);
}

TEST(VonMisesFisherMixture, RefusesOptionsAndDataThatCannotWork) {
  const at::Tensor rows = scattered(2, 4, 10).sample(3, 2);
  EXPECT_THROW(fitted(rows, {.components = 0}), Error);
  EXPECT_THROW(fitted(rows, {.components = 4}), Error);
  EXPECT_THROW(fitted(rows, {.steps = 0}), Error);
  EXPECT_THROW(fitted(rows, {.max_kappa = -1}), Error);
  EXPECT_THROW(fitted(rows, {.assignment = "none"}), Error);
  EXPECT_THROW(VonMisesFisherMixture().predict(rows), Error) << "not fitted";
  EXPECT_THROW(fitted(rows, {}).predict(at::eye(5, at::kDouble)), Error);
}

}  // namespace
}  // namespace covary::mixture
