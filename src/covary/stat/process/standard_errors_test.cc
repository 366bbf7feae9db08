#include "covary/stat/process/standard_errors.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t seed) {
  at::Tensor t = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    t.data_ptr<double>()[i] = Random(seed).normal(static_cast<uint64_t>(i));
  }
  return t;
}

// The variance of independent values: their log is told to sqrt(2 / n).
TEST(StandardErrors, OfAVarianceAlone) {
  const at::Tensor x = normals(200, 1, 1), y = 3 * normals(200, 1, 2).squeeze(1);
  const GaussianProcess gp(x, y, {.kernel = "white", .mean = "zero"});
  const std::vector<ParameterError> e = standard_errors(gp);
  ASSERT_EQ(e.size(), 1u);
  EXPECT_EQ(e[0].none, "");
  EXPECT_NEAR(e[0].size, std::sqrt(2.0 / 200), 1e-6);
  const double value = gp.kernel().parameters()[0].value;
  EXPECT_NEAR(e[0].in_units(value), value * e[0].size, 1e-12);
  EXPECT_NEAR(e[0].interval(value).first * e[0].interval(value).second, value * value, 1e-9);
  EXPECT_NEAR(std::log(e[0].interval(value).second / value), 1.96 * e[0].size, 1e-4 * e[0].size);
}

// Two parameters: against the inverse of a Hessian by differences of the likelihood itself.
TEST(StandardErrors, AreTheCurvatureOfTheLikelihood) {
  const at::Tensor x = normals(60, 1, 3),
                   y = (2 * x.squeeze(1)).sin() + 0.2 * normals(60, 1, 4).squeeze(1);
  GpOptions o;
  o.kernel = "const(1,fixed)*rbf + white";
  o.mean = "zero";
  o.priors = "none";
  const GaussianProcess gp(x, y, o);
  const std::vector<ParameterError> e = standard_errors(gp);
  EXPECT_EQ(e[0].none, "fixed");
  Kernel kernel = gp.kernel();
  MarginalLikelihood likelihood(gp.data(), 1 << 30);
  const std::vector<double> at = kernel.pack();
  const auto value = [&](double a, double b) {
    kernel.unpack(std::vector<double>{at[0] + a, at[1] + b});
    return likelihood.evaluate(kernel, {}).log_likelihood;
  };
  const double h = 1e-3, here = value(0, 0);
  const double aa = (value(h, 0) + value(-h, 0) - 2 * here) / (h * h);
  const double bb = (value(0, h) + value(0, -h) - 2 * here) / (h * h);
  const double ab = (value(h, h) + value(-h, -h) - value(h, -h) - value(-h, h)) / (4 * h * h);
  const double determinant = aa * bb - ab * ab;
  EXPECT_NEAR(e[1].size, std::sqrt(-bb / determinant), 1e-4 * e[1].size);
  EXPECT_NEAR(e[2].size, std::sqrt(-aa / determinant), 1e-4 * e[2].size);
}

TEST(StandardErrors, SayNothingAwayFromAnOptimum) {
  const at::Tensor x = normals(20, 1, 3), y = x.squeeze(1).sin();
  GpOptions o;
  o.kernel = "const(100)*rbf(0.01) + white(50)";
  o.mean = "zero";
  o.fit = false;
  for (const ParameterError& e : standard_errors(GaussianProcess(x, y, o))) {
    EXPECT_NE(e.none, "");
    EXPECT_EQ(e.size, 0);
  }
}

// The quadratic mean takes a parabola whole.
TEST(QuadraticMean, LeavesNothingOfAParabola) {
  const at::Tensor x = normals(40, 2, 5), xs = normals(6, 2, 6);
  const auto parabola = [](const at::Tensor& p) {
    const at::Tensor a = p.select(1, 0), b = p.select(1, 1);
    return 3 + a - 2 * b + 0.5 * a * a - a * b + 2 * b * b;
  };
  GpOptions o;
  o.kernel = "const(1)*matern52(0.5) + white(0.01)";
  o.mean = "quadratic";
  o.fit = false;
  const GaussianProcess gp(x, parabola(x), o);
  EXPECT_LT((gp.predict(xs).mean - parabola(xs)).abs().max().item<double>(), 1e-9);
  const at::Tensor a = xs.select(1, 0), b = xs.select(1, 1);
  const at::Tensor slopes = at::stack({1 + a - b, -2 - a + 4 * b}, 1);
  EXPECT_LT((gp.mean_gradient(xs) - slopes).abs().max().item<double>(), 1e-8);
}

// On a grid they are those of the dense process of the same kernel, whatever solves it.
TEST(StandardErrors, OfAGridAreThoseOfTheDenseProcess) {
  for (const char* method : {"kron", "toeplitz", "holes"}) {
    SCOPED_TRACE(method);
    const bool line = method == std::string("toeplitz"), holes = method == std::string("holes");
    const int64_t a = line ? 1 : 8, b = line ? 60 : 9;
    at::Tensor x = at::empty({a * b, line ? 1 : 2}, at::kDouble);
    for (int64_t i = 0; i < a * b; ++i) {
      x[i][0] = 0.2 * static_cast<double>(i % b);
      if (!line) x[i][1] = 0.3 * static_cast<double>(i / b);
    }
    at::Tensor y = (2 * x.sum(1)).sin() + 0.2 * normals(a * b, 1, 8).squeeze(1);
    if (holes) y[5] = y[40] = NAN;
    RegressionOptions o;
    o.kernel = "rbf";
    o.method = holes ? "kron" : method;
    o.standard_errors = true;
    const Regression r(x, y, o);
    const GaussianProcess dense(x, y, {.kernel = r.report().kernel, .fit = false});
    const std::vector<ParameterError> e = standard_errors(dense);
    ASSERT_EQ(r.report().parameters.size(), e.size());
    for (size_t i = 0; i < e.size(); ++i) {
      const FittedParameter& p = r.report().parameters[i];
      ASSERT_TRUE(p.error.has_value()) << p.name;
      EXPECT_EQ(p.error->none, "") << p.name;
      EXPECT_EQ(e[i].none, "") << p.name;
      EXPECT_NEAR(p.error->size, e[i].size, 1e-3 * e[i].size) << p.name;
    }
  }
}

}  // namespace
}  // namespace covary::stat
