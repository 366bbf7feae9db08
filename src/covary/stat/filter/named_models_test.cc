#include "covary/stat/filter/named_models.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

TEST(NamedModels, JacobiansAreTheDifferences) {
  for (const std::string& name : NamedModel::names()) {
    SCOPED_TRACE(name);
    const NonlinearModel m = NamedModel::parse(name).gaussian();
    const size_t n = size_t(m.states), p = size_t(m.observations);
    std::vector<double> x(n);
    for (size_t i = 0; i < n; ++i) x[i] = 0.7 + 0.4 * double(i);
    const auto check = [&](const StepFunction& f, const StepFunction& jacobian, size_t size) {
      std::vector<double> j(size * n), up(size), down(size);
      jacobian(x, 3, j);
      for (size_t k = 0; k < n; ++k) {
        std::vector<double> moved = x;
        moved[k] = x[k] + 1e-6;
        f(moved, 3, up);
        moved[k] = x[k] - 1e-6;
        f(moved, 3, down);
        for (size_t i = 0; i < size; ++i)
          EXPECT_NEAR(j[i * n + k], (up[i] - down[i]) / 2e-6, 1e-6 * (1 + std::abs(j[i * n + k])));
      }
    };
    check(m.f, m.f_jacobian, n);
    check(m.h, m.h_jacobian, p);
  }
}

// A turn of a right angle, and the limit of no turn.
TEST(NamedModels, ATurnTurns) {
  const NonlinearModel m = NamedModel::parse("turn(dt=2)").gaussian();
  std::vector<double> out(5);
  m.f(std::vector<double>{0, 0, 1, 0, M_PI / 4}, 0, out);
  EXPECT_NEAR(out[0], 4 / M_PI, 1e-14);
  EXPECT_NEAR(out[1], 4 / M_PI, 1e-14);
  EXPECT_NEAR(out[3], 1, 1e-14);
  for (const double w : {0.0, 1e-9, 4.99e-4, 5.01e-4}) {
    m.f(std::vector<double>{0, 0, 1, 0, w}, 0, out);
    EXPECT_NEAR(out[0], w == 0 ? 2 : std::sin(2 * w) / w, 1e-13);
    EXPECT_NEAR(out[1], w == 0 ? 0 : 2 * std::sin(w) * std::sin(w) / w, 1e-13);
  }
}

// The mean over series of (x - mean)' P^-1 (x - mean) is chi-squared: for models that are nearly
// linear over their uncertainty, every method is calibrated.
TEST(NamedModels, FiltersAreCalibratedOnTheirOwnSeries) {
  for (const std::string text :
       {"pendulum(dt=0.05, q=0.05, r=0.01)", "turn(q=0.01, q_rate=1e-5, r=0.5)",
        "range-bearing(q=0.01, r_bearing=1e-5, r_range=0.1)"}) {
    NamedModel m = NamedModel::parse(text);
    const NonlinearModel g = m.gaussian();
    m.cov0 = 0.01 * g.cov0;  // a start that is known well enough
    if (text.starts_with("turn")) m.mean0 = at::tensor({0.0, 0.0, 5.0, 0.0, 0.05}, at::kDouble);
    const int64_t n = g.states;
    for (const std::string method : {"ekf", "ukf", "ckf"}) {
      SCOPED_TRACE(text + " " + method);
      double nees = 0;
      int64_t count = 0;
      for (int64_t seed = 0; seed < 150; ++seed) {
        const Simulated s = m.simulate(40, seed);
        const NonlinearFiltered f = nonlinear_filter(m.gaussian(), s.y, {.method = method});
        const int64_t t = 39;
        const VectorXd off = vector_at(s.states, t) - vector_at(f.mean, t);
        nees += off.dot(matrix_at(f.cov, t).ldlt().solve(off));
        ++count;
      }
      // Three deviations, and a little for what is not linear.
      EXPECT_NEAR(nees / double(count) / double(n), 1, 0.03 + 3 * std::sqrt(2 / double(count * n)));
    }
  }
}

TEST(NamedModels, BearingsAreWrapped) {
  const NamedModel m = NamedModel::parse("bearings(sensors=1)");
  NonlinearModel g = m.gaussian();
  g.mean0 = at::tensor({-50.0, -1.0, 0.0, 0.5}, at::kDouble);  // the angle leaps from -pi to pi
  g.cov0 = at::diag(at::tensor({1.0, 1.0, 1e-4, 1e-4}, at::kDouble));
  at::Tensor y = at::empty({10, 1}, at::kDouble);
  for (int64_t t = 0; t < 10; ++t) y[t][0] = std::atan2(-1 + 0.5 * double(t), -50.0);
  for (const char* method : {"ekf", "ukf", "ckf", "ghf"}) {
    const NonlinearFiltered f = nonlinear_filter(g, y, {.method = method});
    EXPECT_LT(f.innovation.abs().max().item<double>(), 0.05) << method;
    EXPECT_NEAR(f.mean[9][1].item<double>(), 3.5, 0.3) << method;
  }
}

TEST(NamedModels, VolatilityByParticlesAndByItsLogSquares) {
  const NamedModel m = NamedModel::parse("volatility(mu=-1, phi=0.95, sigma=0.3)");
  const Simulated s = m.simulate(200, 11);
  const ParticleFiltered p = particle_filter(m.particle(), s.y, {.particles = 250}, false);
  const NonlinearFiltered g = nonlinear_filter(m.gaussian(), m.prepare(s.y));
  const auto error = [&](const at::Tensor& mean) {
    return (mean - s.states).square().mean().item<double>();
  };
  const double stationary = 0.09 / (1 - 0.95 * 0.95);
  EXPECT_LT(error(p.mean), error(g.mean));  // the exact density knows more
  EXPECT_LT(error(g.mean), 0.8 * stationary);
  EXPECT_FALSE(p.innovation.defined());
}

TEST(NamedModels, WhatIsWrongIsNamed) {
  const auto error_of = [](const std::string& text) -> std::string {
    try {
      NamedModel::parse(text);
    } catch (const Error& e) {
      return e.where() + ": " + e.message() + " (" + e.hint() + ")";
    }
    return "";
  };
  EXPECT_NE(error_of("pendulm").find("did you mean pendulum"), std::string::npos);
  EXPECT_NE(error_of("pendulum(dq=1)").find("dq"), std::string::npos);
  EXPECT_NE(error_of("pendulum(q=-1)").find("negative"), std::string::npos);
  EXPECT_NE(error_of("pendulum(0.1)").find("names"), std::string::npos);
  EXPECT_NE(error_of("volatility(phi=1.5)").find("between 0 and 1"), std::string::npos);
  EXPECT_NE(error_of("bearings(sensors=3)").find("1 or 2"), std::string::npos);
  EXPECT_NE(error_of("turn+noise(1)").find("sum"), std::string::npos);
}

}  // namespace
}  // namespace covary::filter
