#include "covary/stat/filter/filter_run.h"

#include <cmath>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/model.h"
#include "covary/stat/filter/filter_page.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

RunOptions by(const std::string& method) {
  RunOptions o;
  o.method = method;
  o.particle.particles = 200;
  return o;
}

TEST(FilterRun, EveryExactMethodSaysTheSame) {
  const FilterModel m = FilterModel::of_matrices(random_model(3, 2, 1, 15, 401), {"a", "b"});
  const at::Tensor y = series_with_holes(15, 2, 402), u = normal_tensor({15, 1}, 403);
  const FilterRun exact = run_filter(m, y, u, by("auto")),
                  smooth = run_smoother(m, y, u, by("kalman"));
  EXPECT_EQ(exact.method, "kalman");
  for (const std::string method : {"ekf", "ukf", "ckf", "ghf"}) {
    SCOPED_TRACE(method);
    const FilterRun f = run_filter(m, y, u, by(method));
    EXPECT_LT(largest(f.mean - exact.mean), 1e-10);
    EXPECT_LT(largest(f.predicted - exact.predicted), 1e-10);
    EXPECT_LT(largest(f.predicted_sd - exact.predicted_sd), 1e-10);
    EXPECT_LT(largest((f.standardised - exact.standardised).nan_to_num(0)), 1e-10);
    EXPECT_LT(largest((f.nis - exact.nis).nan_to_num(0)), 1e-9);
    EXPECT_TRUE(at::equal(at::isnan(f.nis), at::isnan(exact.nis)));
    EXPECT_LT(largest(run_smoother(m, y, u, by(method)).cov - smooth.cov), 1e-10);
  }
}

TEST(FilterRun, AStreamIsTheRunRowByRow) {
  struct Case {
    FilterModel model;
    std::string method;
  };
  const LinearModel varying = random_model(2, 1, 1, 12, 404);
  std::vector<Case> cases{{FilterModel::of_matrices(varying, {}), "kalman"},
                          {FilterModel::of_text("trend(1, 0.1)+noise(2)", {"y"}), "kalman"},
                          {FilterModel::of_text("growth", {}), "ekf"},
                          {FilterModel::of_text("growth", {}), "ukf"},
                          {FilterModel::of_text("growth", {}), "particle"},
                          {FilterModel::of_text("volatility(mu=0)", {}), "particle"},
                          {FilterModel::of_text("volatility(mu=0)", {}), "ukf"}};
  const at::Tensor y = series_with_holes(12, 1, 405), u = normal_tensor({12, 1}, 406);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.model.text() + " " + c.method);
    const at::Tensor controls = c.model.matrices ? u : at::Tensor();
    const FilterRun whole = run_filter(c.model, y, controls, by(c.method));
    FilterStream stream(c.model, by(c.method));
    for (int64_t t = 0; t < 12; ++t) {
      const FilterRun one = stream.step(y[t], controls.defined() ? controls[t] : controls);
      EXPECT_LT(largest(one.mean[0] - whole.mean[t]), 1e-9);
      if (std::isinf(largest(whole.sd[t]))) {
        EXPECT_TRUE(at::equal(at::isinf(one.sd[0]), at::isinf(whole.sd[t])));
      } else {
        EXPECT_LT(largest(one.sd[0] - whole.sd[t]), 1e-9);
      }
      EXPECT_NEAR(one.log_likelihood, whole.log_likelihoods[t].item<double>(), 1e-9);
    }
  }
}

TEST(FilterRun, ForecastsAreMissingRowsAndDiffuseStatesAreUnknown) {
  const FilterModel m = FilterModel::of_text("trend(1, 0.5)+noise(2)", {"y"});
  at::Tensor y = normal_tensor({10, 1}, 407);
  y.slice(0, 7).fill_(std::nan(""));
  const FilterRun f = run_filter(m, y, {}, {});
  EXPECT_TRUE(std::isinf(f.sd[0][1].item<double>()));
  EXPECT_FALSE(std::isinf(f.sd[0][0].item<double>()));
  EXPECT_TRUE(std::isinf(f.predicted_sd[1][0].item<double>()));
  EXPECT_FALSE(std::isinf(f.predicted_sd[2][0].item<double>()));
  EXPECT_TRUE(std::isnan(f.nis[8].item<double>()));
  // A forecast goes on along the slope, ever wider.
  const double last = f.mean[6][0].item<double>(), slope = f.mean[6][1].item<double>();
  EXPECT_NEAR(f.predicted[9][0].item<double>(), last + 3 * slope, 1e-10);
  EXPECT_GT(f.predicted_sd[9][0].item<double>(), f.predicted_sd[8][0].item<double>());
}

// Draws given a series have the smoother's moments: within four standard errors everywhere.
TEST(FilterRun, DrawsOfStatesHaveTheSmoothersMoments) {
  for (const std::string text : {"trend(1, 0.5)+noise(2)", "cycle(6, 0.9, 1)+level(1)+noise(1)"}) {
    const FilterModel m = FilterModel::of_text(text, {"y"});
    const at::Tensor y = series_with_holes(20, 1, 408);
    const FilterRun s = run_smoother(m, y, {}, {});
    const int64_t draws = 1500;
    const at::Tensor x = sample_states(m, y, {}, draws, {});
    const at::Tensor mean = x.mean(0), variance = x.var(0, true);
    EXPECT_LT(largest((mean - s.mean) / s.sd), 4.5 / std::sqrt(double(draws)));
    EXPECT_LT(largest(variance / s.sd.square() - 1), 4.5 * std::sqrt(2.0 / double(draws)));
  }
}

TEST(FilterRun, ParticlesSmoothToo) {
  FilterModel m = FilterModel::of_matrices(random_model(1, 1, 0, 0, 409), {});
  const at::Tensor y = series_with_holes(10, 1, 410);
  RunOptions o = by("particle");
  o.particle.particles = 1000;
  o.paths = 600;
  const FilterRun s = run_smoother(m, y, {}, o), exact = run_smoother(m, y, {}, {});
  EXPECT_LT(largest((s.mean - exact.mean) / exact.sd), 0.35);
}

TEST(FilterRun, WhatDoesNotFitIsNamed) {
  const at::Tensor y = at::zeros({3, 1}, at::kDouble);
  EXPECT_THROW(run_filter(FilterModel::of_text("pendulum", {}), y, {}, by("kalman")), Error);
  EXPECT_THROW(run_filter(FilterModel::of_text("level(1)", {"y"}), y, {}, by("ukf")), Error);
  EXPECT_THROW(run_filter(FilterModel::of_text("level", {"y"}), y, {}, {}), Error);  // no value
}

TEST(FilterRun, APageShowsSeriesPlaneAndInnovations) {
  const FilterModel m = FilterModel::of_text("turn", {});
  const Simulated s = m.named->simulate(60, 3);
  const FilterRun f = run_filter(m, s.y, {}, by("ukf"));
  const std::string page = filter_page({.title = "a <turn>", .model = m, .run = f, .y = s.y});
  for (const char* words : {"Way through the plane", "Standardised innovations", "Autocorrelation",
                            "Normalised innovations squared", "a &lt;turn&gt;", "</html>"})
    EXPECT_NE(page.find(words), std::string::npos) << words;
  EXPECT_EQ(page.find("nan,"), std::string::npos);
}

class FilterModelFile : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    const auto path = folder_.path() / "m.json";
    write_file(path, text);
    return path.string();
  }
  std::string error_of(const std::string& text) {
    try {
      FilterModel::read(write(text)).linear();
    } catch (const Error& e) {
      return e.where() + ": " + e.message() + " (" + e.hint() + ")";
    }
    return "";
  }
  TemporaryFolder folder_{"filter-model"};
};

TEST_F(FilterModelFile, HandWrittenFormsAreRead) {
  const FilterModel m = FilterModel::read(write(
      R"({"F": [[1, 1], [0, 1]], "Q": [[0.1, 0], [0, 0.1]], "H": [[1, 0]], "R": 2,
          "diffuse": true, "states": ["level", "slope"], "columns": ["sales"]})"));
  EXPECT_EQ(m.linear().diffuse.size(1), 2);
  EXPECT_EQ(m.state_names()[1], "slope");
  const FilterModel c = FilterModel::read(
      write(R"({"model": "level+noise", "parameters": {"level": 3, "noise": 2}})"));
  EXPECT_EQ(c.linear().q.item<double>(), 3);
  const FilterModel n = FilterModel::read(
      write(R"({"model": "pendulum", "parameters": {"dt": 0.5}, "mean0": [1, 2]})"));
  EXPECT_EQ(n.named->gaussian().mean0[1].item<double>(), 2);
  EXPECT_EQ(value_of(n.named->parameters(), "dt"), 0.5);
  const FilterModel by_step = FilterModel::read(
      write(R"({"F": [[[1]], [[2]]], "Q": 1, "H": 1, "R": 1, "mean0": [0], "cov0": 1})"));
  EXPECT_EQ(by_step.linear().f.size(0), 2);
}

TEST_F(FilterModelFile, EveryFormatGivesTheSameBits) {
  std::vector<FilterModel> models{
      FilterModel::of_matrices(random_model(3, 2, 1, 5, 411), {"a", "b"}),
      FilterModel::of_text("trend(1, 0.1)+seasonal(4, 0.3)+noise(0.7)", {"y"}),
      FilterModel::of_text("range-bearing(dt=0.3)", {})};
  models[0].controls = {"u"};
  models[0].fit = {{"log_likelihood", -1.5}};
  for (const FilterModel& m : models) {
    for (const char* name : {"m.json", "m.cov"}) {
      SCOPED_TRACE(m.text() + name);
      m.write(folder_.path() / name);
      EXPECT_TRUE(data::is_model(folder_.path() / name));
      const FilterModel back = FilterModel::read(folder_.path() / name);
      EXPECT_EQ(back.to_json(), m.to_json());
    }
  }
}

TEST_F(FilterModelFile, WhatIsWrongIsNamed) {
  const auto says = [&](const std::string& text, const std::string& words) {
    EXPECT_NE(error_of(text).find(words), std::string::npos) << error_of(text);
  };
  const std::string rest = R"("H": [[1, 0]], "R": 1, "mean0": [0, 0], "cov0": [[1, 0], [0, 1]]})";
  says(R"({"F": [[1, 0], [0, 1]], "Q": [[1, 2], [2, 1]], )" + rest,
       "Q: is not positive semi-definite: its smallest eigenvalue is -1 (1 of 2 negative");
  says(R"({"F": [[1, 0], [0, 1]], "Q": [[1, 2], [0, 1]], )" + rest,
       "Q: is not symmetric at (1, 0)");
  says(R"({"F": [[1, 0], [0]], "Q": [[1, 0], [0, 1]], )" + rest, "F: has rows of different");
  says(R"({"F": [[1, "x"], [0, 1]], "Q": [[1, 0], [0, 1]], )" + rest, "F: ");
  says(R"({"F": [[1, 0], [0, 1]], )" + rest, "Q: is missing");
  says(R"({"G": 1})", "G: is no part");
  says(R"({"model": "levl"})", "did you mean level");
  says(R"({"model": "level", "parameters": {"nois": 1}})", "did you mean noise");
  says(R"({"model": "level", "parameters": {"noise": -1}})", "parameters: noise: is a variance");
  says(R"({"model": "level", "parameters": {"noise": "a"}})", "parameters.noise: is no number");
  says(R"({"model": "level", "F": 1})", "F: is no part");
  says(R"({"model": "pendulum", "cov0": [[1, 2], [2, 1]]})", "cov0: is not positive");
  says(R"({"model": "pendulum", "mean0": [1]})", "m.json");
  says(R"({"model": "level", "columns": ["a", "a"]})", "twice");
  says(R"({"F": 1, "Q": 1, "H": 1, "R": 1, "mean0": [0], "cov0": 1, "states": ["a", "b"]})",
       "2 names for 1 states");
  says(R"({"schema": "covary.mixture", "version": 1})", "schema");
  says("[1]", "no JSON object");
  says("{", "neither JSON");
}

}  // namespace
}  // namespace covary::filter
