#include "covary/stat/process/likelihood.h"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/quadrature.h"

namespace covary::stat {
namespace {

struct Case {
  const char* text;
  std::vector<double> y;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{{"gaussian(0.3)", {-1.2, 0, 2.5}},
                                        {"student-t(df=4,scale=0.5)", {-3, 0.1, 6}},
                                        {"student-t(1.5,2)", {-40, 0.5}},
                                        {"bernoulli", {0, 1}},
                                        {"bernoulli-probit", {0, 1}},
                                        {"poisson", {0, 1, 7, 400}},
                                        {"neg-binomial(dispersion=2.5)", {0, 1, 7, 400}}};
  return kCases;
}

constexpr std::array kPlaces{-4.0, -0.7, 0.0, 0.3, 1.9, 5.0};

// Simpson's rule on so many points that it needs no cunning.
template <class F>
double integral(double low, double high, F&& f) {
  constexpr int kParts = 200000;
  const double h = (high - low) / kParts;
  double sum = f(low) + f(high);
  for (int i = 1; i < kParts; ++i) sum += (i % 2 == 1 ? 4 : 2) * f(low + i * h);
  return sum * h / 3;
}

// Over the whole line, where both ends are nothing: the trapezoidal rule knows every digit as soon
// as a step is shorter than what changes.
template <class F>
double line_integral(double low, double high, F&& f) {
  constexpr int kParts = 12000;
  const double h = (high - low) / kParts;
  double sum = 0;
  for (int i = 0; i <= kParts; ++i) sum += f(low + i * h);
  return sum * h;
}

double log_normal(double f, double mean, double variance) {
  return -0.5 * ((f - mean) * (f - mean) / variance + std::log(2 * std::numbers::pi * variance));
}

TEST(Quadrature, IsExactForPolynomials) {
  double sixth = 0, all = 0, high = 0;
  for (const auto& [x, w] : hermite20()) {
    all += w;
    sixth += w * std::pow(x, 6);
    high += w * std::pow(x, 20) / 654729075;  // 19!!
  }
  EXPECT_NEAR(all, 1, 1e-14);
  EXPECT_NEAR(sixth, 15, 1e-12);
  EXPECT_NEAR(high, 1, 1e-12);
  double fourth = 0, length = 0;
  for (const auto& [x, w] : legendre8()) {
    length += w;
    fourth += w * std::pow(x, 14);
  }
  EXPECT_NEAR(length, 2, 1e-14);
  EXPECT_NEAR(fourth, 2.0 / 15, 1e-14);
}

TEST(Likelihood, DensitiesAddUpToOne) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    const Likelihood l = Likelihood::parse(c.text);
    for (const double f : {-0.7, 1.2}) {
      double sum = 0;
      if (l.binary() || l.counts()) {
        for (int y = 0; y < (l.binary() ? 2 : 400); ++y) sum += std::exp(l.log_density(y, f).value);
      } else {
        // y = f + tan(a): the tails of Student's distribution are in reach.
        sum = integral(-1.5707963, 1.5707963, [&](double a) {
          const double c = std::cos(a);
          return std::exp(l.log_density(f + std::tan(a), f).value) / (c * c);
        });
      }
      EXPECT_NEAR(sum, 1, 1e-6);
    }
  }
}

TEST(Likelihood, DerivativesAgreeWithDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    Likelihood l = Likelihood::parse(c.text);
    for (const double y : c.y) {
      for (const double f : kPlaces) {
        const double h = 1e-5;
        const LogDensity p = l.log_density(y, f), up = l.log_density(y, f + h),
                         down = l.log_density(y, f - h);
        const auto near = [&](double ours, double high, double low, double size) {
          EXPECT_NEAR(ours, (high - low) / (2 * h), 2e-8 * (1 + std::abs(size))) << y << " " << f;
        };
        near(p.d1, up.value, down.value, std::abs(p.value) / 10 + p.d2 + p.d3);
        near(p.d2, up.d1, down.d1, std::abs(p.d1) + p.d3);
        near(p.d3, up.d2, down.d2, std::abs(p.d2) + p.d1);
        const Curvature w = l.curvature(y, f);
        EXPECT_GE(w.value, 0);
        near(w.slope, l.curvature(y, f + h).value, l.curvature(y, f - h).value, w.value);
        std::array<ParameterSlope, 2> slopes;
        l.parameter_slopes(y, f, slopes.data());
        for (size_t k = 0; k < l.parameters().size(); ++k) {
          double& value = l.parameters()[k].value;
          const double before = value;
          value = before * std::exp(h);
          const LogDensity above = l.log_density(y, f);
          const double w_above = l.curvature(y, f).value;
          value = before * std::exp(-h);
          const LogDensity below = l.log_density(y, f);
          const double w_below = l.curvature(y, f).value;
          value = before;
          near(slopes[k].value, above.value, below.value, std::abs(p.value));
          near(slopes[k].d1, above.d1, below.d1, std::abs(p.d1));
          near(slopes[k].curvature, w_above, w_below, w.value);
        }
      }
    }
  }
}

// The sum of 20 nodes is the exact derivative of itself, and close to the integral.
TEST(Likelihood, ExpectationsAgreeWithIntegralsAndTheirDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    Likelihood l = Likelihood::parse(c.text);
    for (const double y : c.y) {
      for (const double m : {-1.5, 0.4, 2.0}) {
        for (const double v : {0.01, 0.5}) {
          std::array<double, 2> by{};
          const std::span<double> parameters(by.data(), l.parameters().size());
          const ExpectedDensity e = l.expected(y, m, v, parameters);
          const double exact = line_integral(
              m - 10 * std::sqrt(v), m + 10 * std::sqrt(v),
              [&](double f) { return std::exp(log_normal(f, m, v)) * l.log_density(y, f).value; });
          EXPECT_NEAR(e.value, exact, 1e-4 * (1 + std::abs(exact))) << y << " " << m << " " << v;
          const double h = 1e-5;
          const auto near = [&](double ours, double up, double down) {
            EXPECT_NEAR(ours, (up - down) / (2 * h), 1e-7 * (1 + std::abs(e.value)));
          };
          near(e.by_mean, l.expected(y, m + h, v, {}).value, l.expected(y, m - h, v, {}).value);
          near(v * e.by_variance, l.expected(y, m, v * std::exp(h), {}).value,
               l.expected(y, m, v * std::exp(-h), {}).value);
          for (size_t k = 0; k < parameters.size(); ++k) {
            double& value = l.parameters()[k].value;
            const double before = value;
            value = before * std::exp(h);
            const double up = l.expected(y, m, v, {}).value;
            value = before * std::exp(-h);
            const double down = l.expected(y, m, v, {}).value;
            value = before;
            near(parameters[k], up, down);
          }
        }
      }
    }
  }
}

TEST(Likelihood, TiltedMomentsAgreeWithIntegrals) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    Likelihood l = Likelihood::parse(c.text);
    for (const double y : c.y) {
      for (const double m : {-2.5, 0.4, 4.0}) {
        for (const double v : {1e-3, 0.6, 40.0}) {
          std::array<double, 2> by{};
          const std::span<double> parameters(by.data(), l.parameters().size());
          const TiltedMoments t = l.tilted(y, m, v, parameters);
          const double reach = 12 * std::sqrt(v) + std::abs(std::min(y, 10.0) - m), low = m - reach,
                       high = m + reach, peak = t.log_z;
          const auto mean_of = [&](const auto& what) {
            return line_integral(low, high, [&](double f) {
              return std::exp(log_normal(f, m, v) + l.log_density(y, f).value - peak) * what(f);
            });
          };
          SCOPED_TRACE(testing::Message() << "y " << y << " m " << m << " v " << v);
          EXPECT_NEAR(mean_of([](double) { return 1; }), 1, 1e-8);
          EXPECT_NEAR(mean_of([&](double f) { return f - t.mean; }), 0, 1e-8 * (1 + std::sqrt(v)));
          EXPECT_NEAR(mean_of([&](double f) { return (f - t.mean) * (f - t.mean); }) / t.variance,
                      1, 1e-7);
          for (size_t k = 0; k < parameters.size(); ++k) {
            double& value = l.parameters()[k].value;
            const double before = value, h = 1e-5;
            value = before * std::exp(h);
            const double up = l.tilted(y, m, v, {}).log_z;
            value = before * std::exp(-h);
            const double down = l.tilted(y, m, v, {}).log_z;
            value = before;
            EXPECT_NEAR(parameters[k], (up - down) / (2 * h), 1e-6 * (1 + std::abs(t.log_z)));
          }
        }
      }
    }
  }
}

TEST(Likelihood, PredictsWhatItDraws) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    const Likelihood l = Likelihood::parse(c.text);
    if (!std::isfinite(l.predict(0, 1).second)) continue;
    const double f = 0.8;
    const auto [mean, variance] = l.predict(f, 1e-12);
    EXPECT_NEAR(mean, l.mean_at(f), 1e-9);
    double sum = 0, squares = 0;
    constexpr int n = 40000;
    for (int i = 0; i < n; ++i) {
      const double y = l.sample(f, 5, static_cast<uint64_t>(i));
      sum += y;
      squares += (y - mean) * (y - mean);
    }
    EXPECT_NEAR(sum / n, mean, 5 * std::sqrt(variance / n));
    EXPECT_NEAR(squares / n / variance, 1, 0.15);
    EXPECT_EQ(l.sample(f, 5, 3), l.sample(f, 5, 3));
    const double low = l.quantile(0.05, f, 0.2), high = l.quantile(0.95, f, 0.2);
    EXPECT_LT(low, l.mean_at(f));
    EXPECT_GT(high, l.mean_at(f));
  }
}

TEST(Likelihood, QuantilesOfStudentAreThoseOfItsDistribution) {
  // t with 4 degrees of freedom: 95 % at 2.131846786.
  EXPECT_NEAR(Likelihood::parse("student-t(4,0.5)").quantile(0.95, 1, 0), 1 + 0.5 * 2.131846786,
              1e-8);
  // Cauchy, by its closed form; and nearly a normal.
  EXPECT_NEAR(Likelihood::parse("student-t(1,1)").quantile(0.9, 0, 0),
              std::tan(0.4 * std::numbers::pi), 1e-7);
  EXPECT_NEAR(Likelihood::parse("student-t(1e6,1)").quantile(0.975, 0, 3), 2 * 1.959963985, 1e-5);
}

TEST(Likelihood, TextComesBack) {
  for (const Case& c : cases()) {
    const Likelihood l = Likelihood::parse(c.text);
    EXPECT_EQ(Likelihood::parse(l.text()).text(), l.text());
  }
  EXPECT_TRUE(Likelihood::parse("student-t(df=4,fixed)").pack().empty());
  for (const char* bad :
       {"normal", "poisson(3)", "gaussian(-1)", "student-t(df=", "student-t(nu=3)", "gaussian(0.1"})
    EXPECT_THROW(Likelihood::parse(bad), Error) << bad;
}

TEST(Likelihood, RefusesForeignValuesAndStaysFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Likelihood::parse("bernoulli").check(std::vector<double>{0, 1, 2}), Error);
  EXPECT_THROW(Likelihood::parse("poisson").check(std::vector<double>{0, -1}), Error);
  EXPECT_THROW(Likelihood::parse("neg-binomial").check(std::vector<double>{0.5}), Error);
  Likelihood::parse("poisson").check(std::vector<double>{3, nan});
  for (const Case& c : cases()) {
    Likelihood l = Likelihood::parse(c.text);
    for (const double f : {-1e8, -800.0, -40.0, 40.0, 300.0}) {
      const LogDensity p = l.log_density(c.y[0], f);
      EXPECT_FALSE(std::isnan(p.value) || std::isnan(p.d1) || std::isnan(p.d2) || std::isnan(p.d3))
          << c.text << " " << f;
      const TiltedMoments t = l.tilted(c.y[0], f, 2, {});
      EXPECT_FALSE(std::isnan(t.log_z) || std::isnan(t.mean)) << c.text << " " << f;
    }
    l.start_by_data(std::vector<double>{c.y[0]});
    EXPECT_TRUE(std::isfinite(l.start_mean(c.y)));
    EXPECT_GT(l.start_variance(c.y), 0);
  }
}

}  // namespace
}  // namespace covary::stat
