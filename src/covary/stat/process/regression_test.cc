#include "covary/stat/process/regression.h"

#include <cmath>
#include <filesystem>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/process_page.h"
#include "covary/stat/process/scores.h"

namespace covary::stat {
namespace {

using ::testing::HasSubstr;

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 8).normal(static_cast<uint64_t>(i));
  }
  return t;
}

at::Tensor values_at(const at::Tensor& x, uint64_t seed) {
  return 3 + (x.sum(1) * 1.3).sin() + 0.2 * normals(seed, {x.size(0)});
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().nan_to_num(0).max().item<double>();
}

TEST(Regression, AutoTakesWhatServesTheDataAndSaysWhy) {
  const auto choice = [](const std::string& kernel, int64_t n, int64_t d,
                         const char* mean = "const", bool noise = false) {
    return choose_method({.kernel = kernel, .mean = mean}, n, d, noise).method;
  };
  EXPECT_EQ(choice("matern32", 1000000, 1), "state-space");
  EXPECT_EQ(choice("const*matern52(ard) + white", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32 + white(0.1)", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32", 10, 2), "exact");
  EXPECT_EQ(choice("matern32 + rbf", 10, 1), "exact");
  EXPECT_EQ(choice("2*matern32", 10, 1), "state-space");
  EXPECT_EQ(choice("const + matern32", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32(fixed,0.5)", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32*(const + white)", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32*cosine(2) + sho^2", 10, 1), "state-space");
  EXPECT_EQ(choice("matern32*periodic(2)", 10, 1), "exact");
  EXPECT_EQ(choice("matern32*periodic(2)", 100000, 1), "state-space");
  EXPECT_EQ(choice("matern32", 10, 1, "linear"), "exact");
  EXPECT_EQ(choice("matern32", 10, 1, "const", true), "exact");
  EXPECT_EQ(choice("matern32 + white", 10, 1, "const", true), "state-space");
  EXPECT_EQ(choice("rbf", 15000, 1), "exact");
  EXPECT_EQ(choice("rbf", 15001, 1), "cg");
  EXPECT_EQ(choice("rbf", 15001, 5, "linear", true), "cg");
  EXPECT_EQ(choice("rbf", 300001, 2), "hsgp");
  EXPECT_EQ(choice("rbf + linear", 300001, 2), "sgpr");
  EXPECT_EQ(choice("rbf", 300001, 4), "sgpr");
  EXPECT_EQ(choose_method({.method = "vecchia"}, 10, 2, true, true).method, "vecchia");
  EXPECT_EQ(choose_method({.method = "sgpr"}, 10, 2, true, true).method, "sgpr");
  EXPECT_EQ(choose_method({.kernel = "matern32"}, 10, 1, true, true).method, "state-space");
  EXPECT_EQ(choose_method({.method = "hsgp"}, 10, 2, false, true).method, "hsgp");
  EXPECT_THAT(refusal([] { choose_method({.method = "hsgp"}, 10, 2, true); }),
              HasSubstr("variances"));
  for (const char* method : {"kron", "toeplitz"}) {
    EXPECT_THAT(refusal([&] { choose_method({.method = method}, 10, 1, false, true); }),
                HasSubstr("one noise for all cells"));
  }
  EXPECT_THAT(choose_method({}, 20000, 3, false).why, HasSubstr("conjugate gradients"));
  EXPECT_THAT(refusal([] { choose_method({.method = "state-space"}, 10, 2, false); }),
              HasSubstr("2 columns"));
  EXPECT_THAT(refusal([] { choose_method({.method = "svgp"}, 10, 2, true); }),
              HasSubstr("variances"));
  EXPECT_THAT(
      refusal([] { choose_method({.likelihood = "poisson", .method = "ep"}, 10, 2, false, true); }),
      HasSubstr("weights"));
  EXPECT_THAT(refusal([] { RegressionOptions{.method = "tucker"}.check(); }),
              HasSubstr("not in this version"));
  const auto behind = [](const char* likelihood, int64_t n, const char* method = "auto") {
    RegressionOptions o{.likelihood = likelihood, .method = method};
    o.check();
    return choose_method(o, n, 2, false).method;
  };
  EXPECT_EQ(behind("bernoulli", 5000), "laplace");
  EXPECT_EQ(behind("poisson", 5001), "svgp");
  EXPECT_EQ(behind("gaussian", 10, "svgp"), "svgp");
  EXPECT_EQ(behind("student-t(df=3)", 10), "laplace");
  EXPECT_THAT(refusal([&] { behind("student-t", 10, "ep"); }), HasSubstr("log-concave"));
  EXPECT_THAT(refusal([&] { behind("poisson", 10, "exact"); }), HasSubstr("normal values"));
  EXPECT_THAT(refusal([&] { behind("poison", 10); }), HasSubstr("no such choice"));
  EXPECT_THAT(refusal([&] { behind("softmax", 10); }), HasSubstr("several functions"));
  EXPECT_THAT(refusal([] { choose_method({.likelihood = "poisson"}, 10, 2, true); }),
              HasSubstr("variances"));
}

// Behind a Gaussian likelihood everything is what the exact process says.
TEST(Regression, LatentMethodsWithGaussianValuesAgreeWithTheExactOne) {
  const at::Tensor x = normals(31, {60, 2}), y = values_at(x, 32), xs = normals(33, {9, 2});
  RegressionOptions o{.kernel = "const(1.2)*matern32(0.9) + white(0.1)",
                      .mean = "zero",
                      .method = "exact",
                      .fit = false};
  const Regression exact(x, y, o);
  o.inducing = 60;
  for (const char* method : {"laplace", "ep", "vi", "svgp"}) {
    SCOPED_TRACE(method);
    o.method = method;
    if (o.method != "svgp") o.inducing = 0;
    if (o.method == "svgp") o.inducing = 60;
    const Regression ours(x, y, o);
    EXPECT_EQ(ours.likelihood(), nullptr);
    EXPECT_NEAR(ours.report().log_likelihood, exact.report().log_likelihood, 1e-6);
    for (const bool noise : {false, true}) {
      EXPECT_LT(worst(ours.predict(xs, noise).first, exact.predict(xs, noise).first), 1e-6);
      EXPECT_LT(worst(ours.predict(xs, noise).second, exact.predict(xs, noise).second), 1e-6);
    }
    EXPECT_LT(worst(ours.leave_one_out().first, exact.leave_one_out().first), 1e-5);
    EXPECT_LT(worst(ours.leave_one_out().second, exact.leave_one_out().second), 1e-5);
  }
}

TEST(Regression, LatentModelsReadBackAndGrow) {
  const at::Tensor x = normals(34, {50, 1}), xs = normals(35, {8, 1}), more = normals(36, {5, 1});
  const auto counts = [](const at::Tensor& at) {
    return (2 * (2 * at.squeeze(1)).sin().exp()).floor();
  };
  for (const char* method : {"laplace", "ep", "vi", "svgp"}) {
    for (const char* name : {"covary_latent_test.cov", "covary_latent_test.json"}) {
      SCOPED_TRACE(std::string(method) + " " + name);
      RegressionOptions o{
          .kernel = "rbf", .likelihood = "poisson", .method = method, .restarts = 1};
      o.steps = 12;
      const Regression r(x, counts(x), o);
      ASSERT_NE(r.likelihood(), nullptr);
      const auto path = std::filesystem::temp_directory_path() / name;
      data::write_model(path, r.model());
      Regression again = Regression::of_model(data::read_model(path, "covary.process", 1));
      std::filesystem::remove(path);
      EXPECT_LT(worst(again.predict(xs, true).first, r.predict(xs, true).first), 1e-6);
      EXPECT_LT(worst(again.predict(xs, false).second, r.predict(xs, false).second), 1e-6);
      EXPECT_NEAR(again.report().log_likelihood, r.report().log_likelihood, 1e-6);
      EXPECT_EQ(again.report().ending, r.report().ending);
      EXPECT_EQ(again.report().likelihood, r.report().likelihood);
      again.update(more, counts(more), {}, false);
      EXPECT_EQ(again.report().rows, 55);
      for (size_t i = 0; i < r.report().parameters.size(); ++i)
        EXPECT_EQ(again.report().parameters[i].value, r.report().parameters[i].value);
      again.update(more + 0.01, counts(more), {}, true);
      EXPECT_EQ(again.report().rows, 60);
      const ValuePrediction v = again.predict_values(xs, {0.05, 0.95});
      EXPECT_TRUE((v.quantiles[0] < v.mean).all().item<bool>());
      EXPECT_TRUE((v.quantiles[1] > v.mean).all().item<bool>());
      EXPECT_TRUE((v.sd > 0).all().item<bool>());
    }
  }
}

// State space and the dense process: the same parameters give the same answer, mean and all.
TEST(Regression, MethodsAgreeAtTheSameParameters) {
  const at::Tensor x = normals(1, {70, 1}) * 2, xs = normals(2, {15, 1}) * 3;
  at::Tensor y = values_at(x, 3);
  y[5] = std::nan("");
  for (const bool noisy : {false, true}) {
    const at::Tensor noise = noisy ? normals(4, {70}).square() * 0.1 : at::Tensor();
    for (const char* mean : {"zero", "const"}) {
      RegressionOptions o{.kernel = "const(1.3)*matern32(0.8) + white(0.05)",
                          .mean = mean,
                          .method = "exact",
                          .fit = false};
      const Regression dense(x, y, o, noise);
      o.method = "state-space";
      const Regression fast(x, y, o, noise);
      EXPECT_NEAR(fast.report().log_likelihood, dense.report().log_likelihood, 1e-8);
      for (const bool of_value : {false, true}) {
        EXPECT_LT(worst(fast.predict(xs, of_value).first, dense.predict(xs, of_value).first), 1e-8);
        EXPECT_LT(worst(fast.predict(xs, of_value).second, dense.predict(xs, of_value).second),
                  1e-8);
      }
      EXPECT_LT(worst(fast.leave_one_out().first, dense.leave_one_out().first), 1e-8);
      EXPECT_LT(worst(fast.leave_one_out().second, dense.leave_one_out().second), 1e-8);
      EXPECT_TRUE(std::isnan(fast.leave_one_out().first[5].item<double>()));
    }
  }
}

TEST(Regression, FitsOfTheMethodsMeet) {
  const at::Tensor x = normals(5, {90, 1}) * 2, y = values_at(x, 6);
  const Regression fast(x, y, {.kernel = "matern52"});
  const Regression dense(x, y, {.kernel = "matern52 + white", .method = "exact"});
  EXPECT_EQ(fast.report().choice.method, "state-space");
  EXPECT_NEAR(fast.report().log_likelihood, dense.report().log_likelihood, 1e-5);
  EXPECT_NEAR(fast.report().parameters[2].value, dense.report().parameters[2].value, 1e-3);
}

// With every row inducing, leaving one out is what the dense process does.
TEST(Regression, SparseLeavesOutAsTheDenseProcessDoes) {
  const at::Tensor x = normals(7, {60, 2}), y = values_at(x, 8);
  RegressionOptions o{.kernel = "const(1.2)*matern32(0.9) + white(0.1)",
                      .method = "sgpr",
                      .fit = false,
                      .inducing = 60};
  const Regression sparse(x, y, o);
  SCOPED_TRACE(sparse.report().text());
  // The sparse process subtracts the plain mean of y.
  RegressionOptions e{.kernel = o.kernel, .mean = "zero", .method = "exact", .fit = false};
  const Regression dense(x, y - y.mean(), e);
  EXPECT_LT(worst(sparse.leave_one_out().first, dense.leave_one_out().first + y.mean()), 1e-6);
  EXPECT_LT(worst(sparse.leave_one_out().second, dense.leave_one_out().second), 1e-6);
  EXPECT_LT(worst(sparse.sample(x, 2, 3), dense.sample(x, 2, 3) + y.mean()), 1e-4);
}

TEST(Regression, ModelsOfEveryMethodReadBackAndGrow) {
  const at::Tensor xs = normals(9, {8, 1});
  const at::Tensor x = normals(10, {40, 1}), y = values_at(x, 11);
  const at::Tensor more = normals(12, {5, 1}), of_more = values_at(more, 13);
  for (const char* method : {"exact", "sgpr", "state-space"}) {
    for (const char* name : {"covary_regression_test.cov", "covary_regression_test.json"}) {
      SCOPED_TRACE(std::string(method) + " " + name);
      Regression r(x, y, {.kernel = "matern32 + white", .method = method, .restarts = 1});
      const auto path = std::filesystem::temp_directory_path() / name;
      data::write_model(path, r.model());
      Regression again = Regression::of_model(data::read_model(path, "covary.process", 1));
      std::filesystem::remove(path);
      EXPECT_LT(worst(again.predict(xs, true).first, r.predict(xs, true).first), 1e-9);
      EXPECT_LT(worst(again.predict(xs, true).second, r.predict(xs, true).second), 1e-9);
      EXPECT_EQ(again.report().text(), r.report().text());
      again.update(more, of_more, {}, false);
      EXPECT_EQ(again.report().rows, 45);
      EXPECT_EQ(again.report().ending, r.report().ending);
      for (size_t i = 0; i < r.report().parameters.size(); ++i) {
        EXPECT_EQ(again.report().parameters[i].value, r.report().parameters[i].value);
      }
      const double likelihood = again.report().log_likelihood;
      again.update(more.slice(0, 0, 1) + 0.01, of_more.slice(0, 0, 1), {}, true);
      EXPECT_EQ(again.report().rows, 46);
      EXPECT_GT(again.report().log_likelihood, likelihood - 20);
      EXPECT_TRUE(again.predict(xs, true).first.isfinite().all().item<bool>());
    }
  }
}

TEST(Regression, NearVariancesStayAChoiceOfTheModel) {
  const at::Tensor x = normals(7, {150, 2}), y = values_at(x, 8), xs = normals(9, {20, 2});
  RegressionOptions o{.kernel = "const(1.2)*matern32(0.9) + white(0.1)",
                      .method = "cg",
                      .fit = false,
                      .variances = "near"};
  const Regression near(x, y, o);
  o.variances = "solve";
  const Regression solved(x, y, o);
  Regression again = Regression::of_model(near.model());
  // All rows are near: both are the exact ones, but the one does not solve.
  EXPECT_LT(worst(near.predict(xs, true).second, solved.predict(xs, true).second), 2e-4);
  EXPECT_GT(worst(near.predict(xs, true).second, solved.predict(xs, true).second), 1e-12);
  EXPECT_LT(worst(again.predict(xs, true).second, near.predict(xs, true).second), 1e-12);
  again.update(xs.slice(0, 0, 2), values_at(xs.slice(0, 0, 2), 3), {}, false);
  EXPECT_EQ(again.model().fields["cg"]["variances"], "near");
}

TEST(Regression, ManyNewRowsAreAsGoodAsOneByOne) {
  const at::Tensor x = normals(14, {30, 2}), y = values_at(x, 15);
  const at::Tensor more = normals(16, {30, 2}), of_more = values_at(more, 17);
  Regression at_once(x, y), singly(x, y);
  at_once.update(more, of_more, {}, false);
  for (int64_t i = 0; i < 30; ++i) {
    singly.update(more.slice(0, i, i + 1), of_more.slice(0, i, i + 1), {}, false);
  }
  EXPECT_LT(worst(at_once.predict(more, false).first, singly.predict(more, false).first), 1e-8);
  EXPECT_NEAR(at_once.report().log_likelihood, singly.report().log_likelihood, 1e-7);
}

TEST(Regression, WhiteStaysOutsideTheScale) {
  EXPECT_EQ(part_from_white("matern52(ard)+white").smooth, "matern52(ard)");
  EXPECT_EQ(part_from_white("white(0.1) + rbf*(linear + white)").smooth, "rbf*(linear + white)");
  EXPECT_EQ(part_from_white("white(0.1) + rbf*(linear + white)").white, "white(0.1)");
  EXPECT_EQ(part_from_white("1e+3*rbf + white*const").smooth, "1e+3*rbf + white*const");
  EXPECT_EQ(part_from_white("white").smooth, "");
  const at::Tensor x = normals(18, {20, 2}), y = values_at(x, 19);
  const Regression r(x, y, {.kernel = "rbf + white(0.3)", .fit = false});
  EXPECT_NEAR(worst(r.predict(x, true).second - r.predict(x, false).second, at::zeros({20})), 0.3,
              1e-12);
}

TEST(Scores, AreThoseOfTheirDefinitions) {
  const int64_t n = 20000;
  const at::Tensor z = normals(20, {n});
  const PredictiveScores s =
      predictive_scores(at::zeros({n}, at::kDouble), 4 * at::ones({n}, at::kDouble), 2 * z);
  EXPECT_NEAR(s.rmse, 2, 0.03);
  EXPECT_NEAR(s.nlpd, 0.5 * std::log(2 * M_PI * 4) + 0.5, 0.02);
  EXPECT_NEAR(s.crps, 2 / std::sqrt(M_PI), 0.02);  // of a calibrated normal
  EXPECT_NEAR(s.coverage[0], 0.5, 0.015);
  EXPECT_NEAR(s.coverage[1], 0.8, 0.015);
  EXPECT_NEAR(s.coverage[2], 0.95, 0.01);
  for (const int64_t count : s.pit) EXPECT_NEAR(static_cast<double>(count), 2000, 200);
  EXPECT_NEAR(numeric::normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(numeric::normal_quantile(1e-12), -7.034483825301131, 1e-9);
  EXPECT_THAT(refusal([] {
                predictive_scores(at::zeros({1}, at::kDouble), at::zeros({1}, at::kDouble),
                                  at::zeros({1}, at::kDouble));
              }),
              HasSubstr("variance is 0"));
}

TEST(Regression, StandardErrorsAreThoseOfTheCurvatureInEveryInferenceThatHasThem) {
  const at::Tensor x = normals(51, {40, 1}), y = values_at(x, 52);
  RegressionOptions o;
  o.kernel = "const(1)*matern32(1) + white(0.05)";
  o.restarts = 1;
  o.mean = "const";
  o.standard_errors = true;
  std::vector<double> exact;
  for (const char* method : {"exact", "state-space", "sgpr", "hsgp", "vecchia", "laplace", "vi"}) {
    SCOPED_TRACE(method);
    o.method = method;
    const Regression r(x, y, o);
    const std::vector<FittedParameter>& p = r.report().parameters;
    std::vector<double> sizes;
    for (const FittedParameter& one : p) {
      ASSERT_TRUE(one.error.has_value());
      EXPECT_EQ(one.error->none, "") << one.name;
      EXPECT_GT(one.error->size, 0) << one.name;
      sizes.push_back(one.error->size);
    }
    if (o.method == "exact") exact = sizes;
    // One likelihood, or nearly: the same errors.
    // sgpr takes the mean off before, hsgp and vecchia are no more than near.
    const double off = o.method == "state-space"                     ? 1e-3
                       : o.method == "sgpr"                          ? 0.05
                       : o.method == "hsgp" || o.method == "vecchia" ? 0.3
                                                                     : 0;
    for (size_t i = 0; off > 0 && i < 3; ++i)
      EXPECT_NEAR(sizes[i], exact[i], off * exact[i]) << p[i].name;
    EXPECT_THAT(r.report().text(), HasSubstr(", 95 % "));
    const nlohmann::json j = r.report().to_json()["parameters"][p[0].name];
    EXPECT_NEAR(j["standard_error"].get<double>(), p[0].value * sizes[0], 1e-12);
    EXPECT_LT(j["interval"][0].get<double>(), p[0].value);
    // Kept in the model; gone with new rows; told anew with a new fit.
    Regression again = Regression::of_model(r.model());
    ASSERT_TRUE(again.report().parameters[0].error.has_value());
    EXPECT_EQ(again.report().parameters[0].error->size, sizes[0]);
    const at::Tensor more = normals(53, {4, 1}) * 0.5;
    Regression kept = again;
    kept.update(more, values_at(more, 54), {}, false);
    EXPECT_FALSE(kept.report().parameters[0].error.has_value());
    again.update(more, values_at(more, 54), {}, true);
    EXPECT_TRUE(again.report().parameters[0].error.has_value());
  }
  for (const char* method : {"cg", "svgp"}) {
    o.method = method;
    EXPECT_THAT(refusal([&] { o.check(); }), HasSubstr("--standard-errors"));
  }
  o.method = "exact";
  o.fit = false;
  EXPECT_THAT(refusal([&] { o.check(); }), HasSubstr("needs a fit"));
}

TEST(Regression, AParameterWithoutAStandardErrorSaysWhy) {
  const at::Tensor x = normals(55, {40, 1}), y = 2 * x.squeeze(1) + 0.1 * normals(56, {40});
  RegressionOptions o;
  o.kernel = "const(1,fixed)*rbf(1) + linear + white";
  o.mean = "zero";
  o.method = "exact";
  o.priors = "none";
  o.standard_errors = true;
  const Regression r(x, y, o);
  for (const FittedParameter& p : r.report().parameters) {
    ASSERT_TRUE(p.error.has_value());
    EXPECT_TRUE(std::isfinite(p.error->size));
    EXPECT_EQ(p.error->none == "fixed", p.fixed);
    EXPECT_EQ(p.error->none == "at bound", p.at_bound);
    const nlohmann::json j = r.report().to_json()["parameters"][p.name];
    EXPECT_EQ(j["standard_error"].is_null(), !p.error->none.empty());
    EXPECT_EQ(j.contains("no_standard_error"), !p.error->none.empty());
  }
}

// What Ctrl-C does: the search ends with its next step, and what it found is a model that says so.
TEST(Regression, AFitThatIsStoppedKeepsTheParametersSoFar) {
  const at::Tensor x = normals(57, {60, 1}), y = values_at(x, 58);
  for (const char* method :
       {"exact", "cg", "sgpr", "state-space", "hsgp", "vecchia", "laplace", "svgp"}) {
    SCOPED_TRACE(method);
    RegressionOptions o;
    o.kernel = "matern32";
    o.method = method;
    o.standard_errors = false;
    int64_t steps = 0;
    o.watch = [&](const numeric::SearchStep& s) {
      EXPECT_TRUE(std::isfinite(s.value));
      return ++steps < 4;
    };
    const Regression r(x, y, o);
    EXPECT_EQ(r.report().ending, "stopped");
    EXPECT_THAT(r.report().text(), HasSubstr("fit             stopped"));
    const Regression again = Regression::of_model(r.model());
    EXPECT_EQ(again.report().ending, "stopped");
    EXPECT_TRUE(again.predict(x, true).second.gt(0).all().item<bool>());
  }
}

TEST(RegressionPage, ShowsWhatThereIs) {
  const at::Tensor x = normals(21, {50, 1}), y = values_at(x, 22);
  const Regression line(x, y);
  const std::string one = regression_page({.title = "a < b", .process = line, .names = {"t"}});
  EXPECT_THAT(one, HasSubstr("a &lt; b"));
  EXPECT_THAT(one, HasSubstr("<polygon"));  // the band
  EXPECT_THAT(one, HasSubstr("draw 3"));
  const at::Tensor wide = normals(23, {50, 3});
  const Regression plane(wide, values_at(wide, 24));
  const std::string many = regression_page({.title = "m", .process = plane, .target = "y"});
  EXPECT_THAT(many, HasSubstr("Predicted against observed"));
  EXPECT_THAT(many, HasSubstr("Length scales"));
  const Regression labels(x, (y > 3).to(at::kDouble), {.likelihood = "bernoulli", .restarts = 1});
  const std::string chances = regression_page({.title = "l", .process = labels});
  EXPECT_THAT(chances, HasSubstr("probability, and its 95 % band"));
  EXPECT_THAT(chances, HasSubstr("labels met"));
  // A single row leaves nothing to learn from: the page does without.
  const Regression lone(x.slice(0, 0, 1), y.slice(0, 0, 1));
  EXPECT_THAT(regression_page({.title = "1", .process = lone}), HasSubstr("<polygon"));
}

}  // namespace
}  // namespace covary::stat
