#include "covary/stat/filter/components.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/data/table.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/fit_components.h"
#include "covary/stat/filter/gradient.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/simulate.h"
#include "covary/stat/filter/structural.h"

namespace covary::filter {
namespace {

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

std::string error_of(const std::string& text, int64_t columns = 1) {
  try {
    Components::parse(text, columns).model();
  } catch (const Error& e) {
    return e.where() + ": " + e.message() + " (" + e.hint() + ")";
  }
  return "";
}

at::Tensor column_of(const std::string& file, const std::string& name) {
  const char* root = std::getenv("COVARY_DATA");
  const auto path = std::filesystem::path(root ? root : "/nowhere") / "classic" / file;
  if (!std::filesystem::exists(path)) return {};
  const data::Table t = data::read_table(path);
  at::Tensor y = at::empty({t.rows, 1}, at::kDouble);
  for (int64_t i = 0; i < t.rows; ++i) y[i][0] = t.at(i, t.column(name));
  return y;
}

TEST(Components, ATextIsTheStructuralModel) {
  const LinearModel m = Components::parse("trend(0.3, 0.1)+seasonal(4, 0.2)+noise(2)", 1).model();
  const LinearModel same =
      structural_model({.observation = 2, .level = 0.3, .slope = 0.1, .period = 4, .season = 0.2});
  for (const auto& [a, b] :
       {std::pair{&m.f, &same.f}, std::pair{&m.q, &same.q}, std::pair{&m.h, &same.h},
        std::pair{&m.r, &same.r}, std::pair{&m.diffuse, &same.diffuse}})
    EXPECT_TRUE(at::equal(*a, *b));
  EXPECT_EQ(Components::parse("level(1)", 1).parameters().back().name, "noise");
  EXPECT_EQ(Components::parse("ar(1, 1, 0.5)", 1).parameters().size(), 2u);  // no noise
}

TEST(Components, EveryColumnHasItsOwnAndNamesTellWhich) {
  Components c = Components::parse("level+velocity(dt=0.5)", 2);
  set_parameter(c.parameters(), "level", 3, "");
  set_parameter(c.parameters(), "noise.2", 7, "");
  set_parameter(c.parameters(), "noise.1", 5, "");
  set_parameter(c.parameters(), "velocity", 2, "");
  const LinearModel m = c.model();
  EXPECT_EQ(m.states(), 6);
  EXPECT_TRUE(at::equal(m.r, at::diag(at::tensor({5.0, 7.0}, at::kDouble))));
  EXPECT_EQ(m.q[3][3].item<double>(), 3);
  EXPECT_EQ(c.state_names({"a", "b"})[3], "b.level");
  EXPECT_EQ(Components::parse("velocity", 2).positions(), (std::vector<int64_t>{0, 2}));
  m.check();
}

// Two half steps are one whole step: the discretisation is exact.
TEST(Components, MotionIsExactInTime) {
  for (const std::string kind : {"velocity", "acceleration"}) {
    const LinearModel one = Components::parse(kind + "(2, 0.6)+noise(1)", 1).model(),
                      half = Components::parse(kind + "(2, 0.3)+noise(1)", 1).model();
    EXPECT_LT(largest(one.f - at::matmul(half.f, half.f)), 1e-14);
    EXPECT_LT(largest(one.q - at::matmul(at::matmul(half.f, half.q), half.f.t()) - half.q), 1e-14);
  }
}

TEST(Components, CyclesAndAutoregressionsStartInTheirStationaryLaw) {
  for (const std::string text :
       {"cycle(7, 0.8, 0.3)+noise(1)", "ar(3, 0.4, 0.5, -0.3, 0.2)", "ar(1, 2, -0.9)"}) {
    SCOPED_TRACE(text);
    const LinearModel m = Components::parse(text, 1).model();
    EXPECT_FALSE(m.diffuse.defined());
    EXPECT_LT(largest(at::matmul(at::matmul(m.f, m.cov0), m.f.t()) + m.q - m.cov0), 1e-12);
  }
  EXPECT_NEAR(Components::parse("ar(1, 2, 0.5)", 1).model().cov0.item<double>(), 2 / 0.75, 1e-12);
}

TEST(Components, PartialsAndCoefficientsAreInverse) {
  const std::vector<double> partials{0.5, -0.7, 0.2, 0.9};
  const std::vector<double> back = partials_of_coefficients(coefficients_of_partials(partials));
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(back[i], partials[i], 1e-13);
  // AR(2) with phi = (1.0, -0.5) has first autocorrelation phi1 / (1 - phi2).
  EXPECT_NEAR(partials_of_coefficients({1.0, -0.5})[0], 1 / 1.5, 1e-14);
}

TEST(Components, WhatIsWrongIsNamed) {
  EXPECT_NE(error_of("levl").find("did you mean level"), std::string::npos);
  EXPECT_NE(error_of("level(1").find("at 8"), std::string::npos);
  EXPECT_NE(error_of("level(-1)").find("negative"), std::string::npos);
  EXPECT_NE(error_of("level(1, 2)").find("too many"), std::string::npos);
  EXPECT_NE(error_of("seasonal").find("period"), std::string::npos);
  EXPECT_NE(error_of("seasonal(2.5)").find("whole number"), std::string::npos);
  EXPECT_NE(error_of("trend(levle=2)").find("did you mean level"), std::string::npos);
  EXPECT_NE(error_of("level+noise(1)").find("level: has no value"), std::string::npos);
  EXPECT_NE(error_of("ar(2, 1, 1.2, 0.3)").find("stationary"), std::string::npos);
  EXPECT_NE(error_of("level(1)+").find("expected the name"), std::string::npos);
  EXPECT_NE(error_of("noise(1)").find("no component"), std::string::npos);
  EXPECT_NE(error_of("level(1) noise").find("expected +"), std::string::npos);
  EXPECT_NE(error_of("seasonal(400)", 1000).find("states"), std::string::npos);
  EXPECT_NE(error_of("level(nan)").find("expected ="), std::string::npos);
}

TEST(FitComponents, NileHasItsKnownVariances) {
  const at::Tensor y = column_of("Nile.csv", "value");
  if (!y.defined()) GTEST_SKIP() << "no data/classic/Nile.csv here: set COVARY_DATA";
  Components c = Components::parse("level", 1);
  const ComponentFit fit = fit_components(c, y);
  EXPECT_TRUE(fit.converged);
  EXPECT_NEAR(value_of(c.parameters(), "noise"), 15098.52, 0.05);
  EXPECT_NEAR(value_of(c.parameters(), "level"), 1469.18, 0.05);
  EXPECT_NEAR(fit.log_likelihood, -632.545625, 1e-5);
}

// At the end no parameter can be moved to a higher likelihood: by differences, not by the fit's
// own gradient.
TEST(FitComponents, EndsAtAMaximumForEveryKindOfParameter) {
  for (const std::string text :
       {"level+ar(2)", "cycle(~9)+constant", "trend+noise(0.3)", "velocity(dt=0.5)"}) {
    SCOPED_TRACE(text);
    LinearModel truth = Components::parse("cycle(8, 0.95, 0.3)+level(0.02)+noise(0.4)", 1).model();
    truth.diffuse = at::Tensor();
    const at::Tensor y = simulate(truth, 150, 5).y;
    Components c = Components::parse(text, 1);
    const ComponentFit fit = fit_components(c, y);
    EXPECT_NEAR(kalman_log_likelihood(c.model(), y), fit.log_likelihood, 1e-7);
    for (Parameter& p : c.parameters()) {
      if (!p.free || p.value == 0) continue;
      const double best = p.value;
      for (const double factor : {0.97, 1.03}) {
        p.value = p.name == "cycle.damping" ? std::min(best * factor, 0.9999) : best * factor;
        try {
          EXPECT_LE(kalman_log_likelihood(c.model(), y), fit.log_likelihood + 1e-6) << p.name;
        } catch (const Error&) {  // no longer stationary
        }
      }
      p.value = best;
    }
  }
}

TEST(FitComponents, FixedValuesStayAndVariancesThatAreNotThereAreZero) {
  // A level that never moves, and noise.
  at::Tensor y = 5 + normal_tensor({200, 1}, 7);
  y[17][0] = std::nan("");
  Components c = Components::parse("trend(slope=0)", 1);
  const ComponentFit fit = fit_components(c, y);
  EXPECT_EQ(value_of(c.parameters(), "trend.slope"), 0);
  EXPECT_EQ(fit.free, 2);
  EXPECT_EQ(fit.observed, 199);
  EXPECT_NEAR(value_of(c.parameters(), "noise"), 1, 0.2);
  // Scales do not matter.
  Components tiny = Components::parse("trend(slope=0)", 1);
  fit_components(tiny, 1e-6 * y);
  EXPECT_NEAR(value_of(tiny.parameters(), "noise") * 1e12, value_of(c.parameters(), "noise"), 1e-3);
}

TEST(FitComponents, WhatCannotBeFittedIsNamed) {
  Components c = Components::parse("level", 1);
  EXPECT_THROW(fit_components(c, at::ones({50, 1}, at::kDouble)), Error);
  EXPECT_THROW(fit_components(c, normal_tensor({2, 1}, 3)), Error);
  EXPECT_THROW(fit_components(c, normal_tensor({20, 2}, 3)), Error);
  at::Tensor wrong = normal_tensor({20, 1}, 3);
  wrong[4][0] = INFINITY;
  try {
    fit_components(c, wrong);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "data, row 5");
  }
  // A column without numbers, and columns of scales far apart.
  Components two = Components::parse("level", 2);
  at::Tensor pair = at::cat({normal_tensor({60, 1}, 3), 1e9 * normal_tensor({60, 1}, 4)}, 1);
  EXPECT_TRUE(fit_components(two, pair).converged);
  EXPECT_NEAR(value_of(two.parameters(), "noise.1"), 1, 0.4);
  EXPECT_NEAR(value_of(two.parameters(), "noise.2") / 1e18, 1, 0.4);
  pair.select(1, 1).fill_(std::nan(""));
  EXPECT_THROW(fit_components(two, pair), Error);
  Components half = Components::parse("ar(2, phi1=0.5)+constant", 1);
  EXPECT_THROW(fit_components(half, normal_tensor({50, 1}, 3)), Error);
}

}  // namespace
}  // namespace covary::filter
