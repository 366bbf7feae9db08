// Regressions whose parameters are known by draws.
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {
namespace {

struct Data {
  at::Tensor x, y;
};
Data curve(int64_t n, uint64_t seed = 3) {
  Data d{at::empty({n, 1}, at::kDouble), at::empty({n}, at::kDouble)};
  const Random random(seed);
  for (int64_t i = 0; i < n; ++i) {
    const double t = 4 * random.uniform(static_cast<uint64_t>(i));
    d.x[i][0] = t;
    d.y[i] = std::sin(2 * t) + 0.2 * random.normal(static_cast<uint64_t>(i));
  }
  return d;
}

RegressionOptions few_draws() {
  RegressionOptions o;
  o.kernel = "rbf+white";
  o.restarts = 1;
  o.inference = "nuts";
  o.sampling = {.chains = 2, .warm_up = 60, .draws = 30, .mixed = 20};
  o.seed = 7;
  return o;
}

// One fit for the tests that only look at it.
const Regression& drawn() {
  static const Data d = curve(20);
  static const Regression r(d.x, d.y, few_draws());
  return r;
}

double most_apart(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(RegressionSampled, PredictsByTheMixtureOfItsDraws) {
  const Data d = curve(25);
  const Regression r(d.x, d.y, few_draws());
  ASSERT_NE(r.posterior(), nullptr);
  EXPECT_EQ(r.report().choice.method, "exact");
  EXPECT_EQ(r.posterior()->count(), 60);
  EXPECT_EQ(r.posterior()->options.priors, "gamma");
  const at::Tensor points = at::linspace(-1, 5, 7, at::kDouble).unsqueeze(1);
  const PredictiveMixture m = r.mixture(points, true);
  EXPECT_EQ(m.parts(), 20);
  const auto [mean, variance] = r.predict(points, true);
  EXPECT_LT(most_apart(mean, m.mean.mean(0)), 1e-12);
  EXPECT_LT(most_apart(variance, m.variance.mean(0) + m.mean.var(0, /*unbiased=*/false)), 1e-12);
  const ValuePrediction v = r.predict_values(points, {0.05, 0.95});
  EXPECT_EQ(most_apart(v.quantiles[0], m.quantile(0.05)), 0);
  EXPECT_EQ(most_apart(v.sd, variance.sqrt()), 0);
  const ValuePrediction f = r.predict_values(points, {0.95}, /*noise=*/false);
  EXPECT_EQ(most_apart(f.quantiles[0], r.mixture(points, false).quantile(0.95)), 0);
  EXPECT_EQ(most_apart(r.leave_one_out().first, r.mixture_left_out().moments().first), 0);
}

TEST(RegressionSampled, TheFitIsThatOfThePointWithItsPriors) {
  const Data d = curve(20);
  RegressionOptions o = few_draws();
  const RegressionReport& sampled = drawn().report();
  o.inference = "point";
  const Regression by_default(d.x, d.y, o);
  o.priors = "weak";
  EXPECT_EQ(by_default.report().log_prior, Regression(d.x, d.y, o).report().log_prior);
  EXPECT_NE(by_default.report().log_prior, sampled.log_prior);
  o.priors = "gamma";
  const Regression point(d.x, d.y, o);
  EXPECT_EQ(sampled.log_likelihood, point.report().log_likelihood);
  EXPECT_EQ(sampled.log_prior, point.report().log_prior);
  EXPECT_EQ(point.posterior(), nullptr);
  EXPECT_THROW(point.mixture(d.x, true), Error);
}

TEST(RegressionSampled, SameSeedSameDraws) {
  const Data d = curve(20);
  RegressionOptions o = few_draws();
  EXPECT_EQ(Regression(d.x, d.y, o).posterior()->values, drawn().posterior()->values);
  o.seed = 8;
  EXPECT_NE(Regression(d.x, d.y, o).posterior()->values, drawn().posterior()->values);
}

TEST(RegressionSampled, TheModelKeepsTheDraws) {
  const Regression& r = drawn();
  const Regression again = Regression::of_model(r.model());
  ASSERT_NE(again.posterior(), nullptr);
  EXPECT_EQ(again.posterior()->values, r.posterior()->values);
  EXPECT_EQ(again.posterior()->acceptance, r.posterior()->acceptance);
  const at::Tensor points = at::linspace(-1, 5, 9, at::kDouble).unsqueeze(1);
  EXPECT_LT(most_apart(again.predict(points, true).first, r.predict(points, true).first), 1e-10);
  EXPECT_LT(most_apart(again.sample(points, 5, 1), r.sample(points, 5, 1)), 1e-6);
  EXPECT_EQ(again.report().posterior->to_json(), r.report().posterior->to_json());
}

TEST(RegressionSampled, ReadsNoModelOfDamagedDraws) {
  const data::Model good = drawn().model();
  data::Model bad = good;
  bad.fields["posterior"].erase("mean_acceptance");
  EXPECT_THROW(Regression::of_model(bad), Error);
  bad = good;
  bad.fields["posterior"]["names"] = {"a", "b", "c"};
  EXPECT_THROW(Regression::of_model(bad), Error);
  bad = good;
  bad.arrays.erase("posterior_draws");
  EXPECT_THROW(Regression::of_model(bad), Error);
}

TEST(RegressionSampled, SaysHowTheChainsDid) {
  const Regression& r = drawn();
  const std::string text = r.report().text();
  for (const char* word : {"2 chains of 30 draws after 60", "predictions mix 20 draws", "R-hat",
                           "bulk", "tail", "mean acceptance", "take longer chains"})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in\n" << text;
  const nlohmann::json j = r.report().to_json().at("posterior");
  EXPECT_EQ(j.at("chains"), 2);
  EXPECT_TRUE(j.at("parameters").contains("rbf.lengthscale"));
  EXPECT_GT(j.at("acceptance").get<double>(), 0.3);
}

TEST(RegressionSampled, RowsOfTheirOwnNoiseHaveTheWhiteOfEachDraw) {
  const Regression& r = drawn();
  const at::Tensor points = r.x().narrow(0, 0, 3);
  RowNoise rows;
  rows.weights = at::tensor({1.0, 4.0, 2.0}, at::kDouble);
  rows.variances = at::tensor({0.0, 0.5, 0.0}, at::kDouble);
  const PredictiveMixture f = r.mixture(points, false), value = r.mixture(points, true),
                          own = r.mixture(points, rows);
  const at::Tensor white = value.variance - f.variance;
  EXPECT_LT(most_apart(own.variance, f.variance + white / rows.weights + rows.variances), 1e-12);
  EXPECT_EQ(most_apart(r.predict_rows(points, rows).second, own.moments().second), 0);
}

TEST(RegressionSampled, MoreRowsKeepTheDrawsOrDrawAgain) {
  const Data more = curve(6, 9);
  const Regression& before = drawn();
  Regression r = Regression::of_model(before.model());
  r.update(more.x, more.y, {}, /*refit=*/false);
  EXPECT_EQ(r.report().rows, 26);
  EXPECT_EQ(r.posterior()->values, before.posterior()->values);
  EXPECT_GT(most_apart(r.predict(more.x, false).first, before.predict(more.x, false).first), 1e-3);
  r.update(more.x, more.y, {}, /*refit=*/true);
  EXPECT_EQ(r.report().rows, 32);
  ASSERT_NE(r.posterior(), nullptr);
  EXPECT_EQ(r.posterior()->count(), 60);
  EXPECT_NE(r.posterior()->values, before.posterior()->values);
}

TEST(RegressionSampled, AWatchSeesTheStepsAndMayEndThem) {
  const Data d = curve(20);
  RegressionOptions o = few_draws();
  int64_t looks = 0, last = 0;
  o.sampling.watch = [&](const SampleStep& s) {
    EXPECT_EQ(s.total, 180);
    EXPECT_GE(s.done, last);
    last = s.done;
    ++looks;
    return true;
  };
  const Regression whole(d.x, d.y, o);
  EXPECT_GT(looks, 180);
  EXPECT_GE(last, 178);  // a look comes before a step
  o.sampling.watch = [](const SampleStep& s) { return s.done < 20; };
  const Regression stopped(d.x, d.y, o);
  EXPECT_EQ(stopped.posterior(), nullptr);
  EXPECT_EQ(stopped.report().ending, "stopped");
  EXPECT_NE(stopped.report().choice.why.find("interrupted"), std::string::npos);
  EXPECT_EQ(stopped.report().log_likelihood, whole.report().log_likelihood);
}

TEST(RegressionSampled, RefusesWhatHasNoExactLikelihood) {
  const auto refused = [](const RegressionOptions& o, const char* word) {
    try {
      o.check();
      ADD_FAILURE() << "not refused: " << word;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      EXPECT_NE((e.what() + e.hint()).find(word), std::string::npos) << e.what();
    }
  };
  RegressionOptions o = few_draws();
  o.likelihood = "poisson";
  refused(o, "poisson");
  o = few_draws();
  o.method = "sgpr";
  refused(o, "--method exact");
  o = few_draws();
  o.fit = false;
  refused(o, "--no-fit");
  o = few_draws();
  o.standard_errors = true;
  refused(o, "deviations");
  o = few_draws();
  o.sampling.chains = 0;
  refused(o, "chains");
  o = few_draws();
  o.inference = "nut";
  refused(o, "nuts");
  EXPECT_THROW(choose_method(few_draws(), 15001, 1, false), Error);
  const MethodChoice few = choose_method(few_draws(), 500, 1, false);
  EXPECT_EQ(few.method, "exact");
  o = few_draws();
  o.sampling.draws = 3000;
  EXPECT_GT(choose_method(o, 500, 1, false).seconds, 10 * few.seconds);
  const Data d = curve(20);
  o = few_draws();
  o.priors = "none";
  EXPECT_THROW(Regression(d.x, d.y, o), Error);
}

}  // namespace
}  // namespace covary::stat
