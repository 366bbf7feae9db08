#include "covary/stat/process/variational_step.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/sparse.h"

namespace covary::stat {
namespace {

std::vector<double> normals(int64_t count, uint64_t stream) {
  std::vector<double> x(static_cast<size_t>(count));
  for (size_t i = 0; i < x.size(); ++i) x[i] = Random(4, stream).normal(i);
  return x;
}

LatentModel model_of(const char* kernel, const char* likelihood, double mean = 0) {
  return {Kernel::parse(kernel, 2), Likelihood::parse(likelihood), mean};
}

constexpr const char* kText = "const(1.4)*matern52(ard,lengthscale=[1,1.5])";

std::vector<double> values_of(const std::vector<double>& x) {
  std::vector<double> y;
  const auto noise = normals(static_cast<int64_t>(x.size()), 9);
  for (size_t i = 0; i < x.size() / 2; ++i)
    y.push_back(std::sin(x[2 * i] + x[2 * i + 1]) + 0.2 * noise[i]);
  return y;
}

// A Gaussian likelihood is conjugate: one natural step of the whole data is the optimum of q, whose
// bound is Titsias's, and whose predictions are those of the sparse process.
TEST(VariationalStep, OneStepOnAllRowsIsTheCollapsedBound) {
  const auto x = normals(2 * 150, 1), z = normals(2 * 20, 2), y = values_of(x), xs = normals(20, 3);
  const LatentModel model = model_of(kText, "gaussian(0.07)");
  VariationalStep<double> step(20);
  VariationalGradient g;
  step.evaluate(model, z, x, y, 1, &g);
  ASSERT_TRUE(step.follow(1));
  const BoundParts b = step.evaluate(model, z, x, y, 1, &g);
  SparseGradient collapsed;
  const SparseBound expected = sparse_bound(model.kernel, 0.07, x, y, z, &collapsed);
  EXPECT_NEAR(b.expected - b.divergence, expected.value, 1e-8 * std::abs(expected.value));
  // There q's own derivative is nothing, and the others are those of the collapsed bound.
  for (size_t p = 0; p < g.kernel.size(); ++p)
    EXPECT_NEAR(g.kernel[p], collapsed.kernel[p], 1e-6 * (1 + std::abs(collapsed.kernel[p])));
  EXPECT_NEAR(g.likelihood[0], collapsed.noise, 1e-6 * (1 + std::abs(collapsed.noise)));
  for (size_t i = 0; i < g.inducing.size(); ++i)
    EXPECT_NEAR(g.inducing[i], collapsed.inducing[i], 1e-6 * (1 + std::abs(collapsed.inducing[i])));
  double mean[10], variance[10];
  step.predict(model, z, xs.data(), 10, mean, variance);
  for (int i = 0; i < 10; ++i) {
    double m = 0, v[1];
    model.kernel.diagonal(xs.data() + 2 * i, 1, false, v);
    std::vector<double> k(20), u;
    model.kernel.cross(xs.data() + 2 * i, 1, z.data(), 20, k.data(), 20);
    linalg::forward({const_cast<double*>(expected.factor.data()), 20, 20}, k.data(), 1);
    u = k;
    linalg::forward({const_cast<double*>(expected.inner.data()), 20, 20}, u.data(), 1);
    for (size_t j = 0; j < 20; ++j) {
      m += k[j] * expected.weights[j] / 0.07;
      v[0] += u[j] * u[j] - k[j] * k[j];
    }
    EXPECT_NEAR(mean[i], m, 1e-8);
    EXPECT_NEAR(variance[i], v[0], 1e-8);
  }
}

TEST(VariationalStep, WithAllPointsItIsTheExactLikelihood) {
  const auto x = normals(2 * 60, 1), y = values_of(x);
  const LatentModel model = model_of(kText, "gaussian(0.07)");
  VariationalStep<double> step(60);
  VariationalGradient g;
  step.evaluate(model, x, x, y, 1, &g);
  ASSERT_TRUE(step.follow(1));
  const BoundParts b = step.evaluate(model, x, x, y, 1, nullptr);
  GpOptions o;
  o.kernel = std::string(kText) + " + white(0.07)";
  o.mean = "zero";
  o.fit = false;
  const GaussianProcess exact(at::tensor(x, at::kDouble).view({60, 2}), at::tensor(y, at::kDouble),
                              o);
  EXPECT_NEAR(b.expected - b.divergence, exact.report().log_likelihood, 1e-6);
}

// Away from the optimum of q, for every kind of likelihood and with rows scaled up.
TEST(VariationalStep, GradientAgreesWithDifferences) {
  const auto x = normals(2 * 90, 1), base = values_of(x);
  for (const char* likelihood : {"gaussian(0.2)", "student-t(3,0.4)", "bernoulli",
                                 "bernoulli-probit", "poisson", "neg-binomial(1.5)"}) {
    for (const char* kernel : {kText, "const(0.8)*rbf(1.2) + linear(0.3)"}) {
      SCOPED_TRACE(std::string(likelihood) + " " + kernel);
      LatentModel model = model_of(kernel, likelihood, 0.3);
      std::vector<double> y = base, z = normals(2 * 11, 2);
      for (double& v : y) {
        if (model.likelihood.binary()) v = v > 0;
        if (model.likelihood.counts()) v = std::floor(3 + 2 * v);
      }
      VariationalStep<double> step(11);
      VariationalGradient g;
      const double scale = 3;
      step.evaluate(model, z, x, y, scale, &g);
      ASSERT_TRUE(step.follow(0.3));
      step.evaluate(model, z, x, y, scale, &g);
      ASSERT_TRUE(step.follow(0.2));
      const BoundParts now = step.evaluate(model, z, x, y, scale, &g);
      const auto value = [&] {
        const BoundParts b = step.evaluate(model, z, x, y, scale, nullptr);
        return scale * b.expected - b.divergence;
      };
      EXPECT_EQ(value(), scale * now.expected - now.divergence);
      const auto check = [&](double ours, double* at, bool logarithm, const std::string& name) {
        const double before = *at, h = 1e-5;
        *at = logarithm ? before * std::exp(h) : before + h;
        const double up = value();
        *at = logarithm ? before * std::exp(-h) : before - h;
        const double down = value();
        *at = before;
        const double d = (up - down) / (2 * h);
        EXPECT_NEAR(ours, d, 1e-6 * (10 + std::abs(d))) << name;
      };
      for (size_t p = 0; p < g.kernel.size(); ++p) {
        KernelParameter& q = model.kernel.parameters()[p];
        check(g.kernel[p], &q.value, true, q.name);
      }
      for (size_t p = 0; p < g.likelihood.size(); ++p) {
        LikelihoodParameter& q = model.likelihood.parameters()[p];
        check(g.likelihood[p], &q.value, true, q.name);
      }
      check(g.mean, &model.mean, false, "mean");
      for (size_t i = 0; i < z.size(); ++i)
        check(g.inducing[i], &z[i], false, "z" + std::to_string(i));
    }
  }
}

TEST(VariationalStep, FloatsFollowDoubles) {
  const auto x = normals(2 * 400, 1), z = normals(2 * 40, 2), y = values_of(x);
  const LatentModel model = model_of(kText, "gaussian(0.2)");
  VariationalStep<double> exact(40, 1e-5);
  VariationalStep<float> fast(40, 1e-5);
  VariationalGradient g, f;
  for (int turn = 0; turn < 3; ++turn) {
    const BoundParts a = exact.evaluate(model, z, x, y, 2, &g),
                     b = fast.evaluate(model, z, x, y, 2, &f);
    EXPECT_NEAR(a.expected, b.expected, 1e-4 * std::abs(a.expected));
    EXPECT_NEAR(a.divergence, b.divergence, 1e-4 * (1 + std::abs(a.divergence)));
    for (size_t p = 0; p < g.kernel.size(); ++p)
      EXPECT_NEAR(g.kernel[p], f.kernel[p], 1e-3 * (1 + std::abs(g.kernel[p])));
    ASSERT_TRUE(exact.follow(0.5));
    ASSERT_TRUE(fast.follow(0.5));
  }
}

}  // namespace
}  // namespace covary::stat
