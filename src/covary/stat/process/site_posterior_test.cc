// Laplace's approximation, expectation propagation and variational inference: against each other,
// against quadrature over two and three rows, and their gradients against differences.
#include "covary/stat/process/site_posterior.h"

#include <cmath>
#include <functional>
#include <numbers>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/expectation_propagation.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/variational_sites.h"

namespace covary::stat {
namespace {

using Inference = SiteResult (*)(const LatentModel&, const LatentData&, SiteState*,
                                 LatentGradient*);

std::vector<double> normals(int64_t count, uint64_t stream) {
  std::vector<double> x(static_cast<size_t>(count));
  for (size_t i = 0; i < x.size(); ++i) x[i] = Random(6, stream).normal(i);
  return x;
}

constexpr const char* kText = "const(1.4)*matern52(ard,lengthscale=[1,1.5])";

LatentModel model_of(const char* kernel, const char* likelihood, double mean = 0) {
  return {Kernel::parse(kernel, 2), Likelihood::parse(likelihood), mean};
}

std::vector<double> values_for(const Likelihood& l, const std::vector<double>& x) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size() / 2; ++i)
    y.push_back(l.sample(std::sin(x[2 * i] + x[2 * i + 1]) + 0.3, 3, i));
  return y;
}

SiteResult infer(Inference inference, const LatentModel& model, const std::vector<double>& x,
                 const std::vector<double>& y, LatentGradient* g = nullptr) {
  SiteState state;
  return inference(model, {x, y}, &state, g);
}

// A Gaussian likelihood leaves nothing to approximate.
TEST(SitePosterior, EveryInferenceIsExactForAGaussian) {
  const auto x = normals(2 * 60, 1);
  const LatentModel model = model_of(kText, "gaussian(0.1)", 0.2);
  const auto y = values_for(model.likelihood, x);
  GpOptions o;
  o.kernel = std::string(kText) + " + white(0.1)";
  o.mean = "zero";
  o.fit = false;
  const GaussianProcess exact(at::tensor(x, at::kDouble).view({60, 2}),
                              at::tensor(y, at::kDouble) - 0.2, o);
  const Prediction p = exact.predict(at::tensor(x, at::kDouble).view({60, 2}));
  for (const Inference inference : {&laplace, &expectation_propagation, &variational_sites}) {
    SiteResult r = infer(inference, model, x, y);
    EXPECT_TRUE(r.converged);
    EXPECT_NEAR(r.value, exact.report().log_likelihood, 1e-8);
    r.posterior.invert();
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_NEAR(r.posterior.mean()[i], p.mean[static_cast<int64_t>(i)].item<double>(), 1e-8);
      EXPECT_NEAR(r.posterior.variance()[i], p.variance[static_cast<int64_t>(i)].item<double>(),
                  1e-8);
    }
  }
}

// log p(y) of two rows by a fine grid over both values of the function.
struct Truth {
  double log_likelihood, mean[2];
};
Truth by_grid(const LatentModel& model, const std::vector<double>& x,
              const std::vector<double>& y) {
  double k[4];
  model.kernel.matrix(x.data(), 2, k, 2);
  const double l00 = std::sqrt(k[0]), l10 = k[2] / l00, l11 = std::sqrt(k[3] - l10 * l10);
  constexpr int kHalf = 400;
  const double h = 9.0 / kHalf;
  double sum = 0, first[2] = {};
  for (int a = -kHalf; a <= kHalf; ++a) {
    for (int b = -kHalf; b <= kHalf; ++b) {
      const double f0 = model.mean + l00 * a * h, f1 = model.mean + l10 * a * h + l11 * b * h;
      const double p =
          std::exp(-0.5 * (a * a + b * b) * h * h + model.likelihood.log_density(y[0], f0).value +
                   model.likelihood.log_density(y[1], f1).value);
      sum += p;
      first[0] += p * f0;
      first[1] += p * f1;
    }
  }
  return {std::log(sum * h * h / (2 * std::numbers::pi)), {first[0] / sum, first[1] / sum}};
}

TEST(SitePosterior, TwoRowsComeCloseToQuadrature) {
  const std::vector<double> x{0, 0, 0.7, 0.4};
  struct Case {
    const char* likelihood;
    std::vector<double> y;
  };
  for (const Case& c : {Case{"bernoulli", {1, 1}}, Case{"bernoulli", {1, 0}},
                        Case{"bernoulli-probit", {1, 0}}, Case{"poisson", {2, 5}},
                        Case{"neg-binomial(2)", {0, 3}}, Case{"student-t(4,0.5)", {0.3, 1.1}}}) {
    SCOPED_TRACE(std::string(c.likelihood) + " " + std::to_string(c.y[1]));
    const LatentModel model = model_of("const(1.5)*rbf(1)", c.likelihood, 0.3);
    const Truth truth = by_grid(model, x, c.y);
    const SiteResult l = infer(laplace, model, x, c.y), v = infer(variational_sites, model, x, c.y);
    // Two moderate outliers are the worst of Student's likelihood for a Gaussian at the mode.
    EXPECT_NEAR(l.value, truth.log_likelihood, model.likelihood.log_concave() ? 0.15 : 0.3);
    EXPECT_LE(v.value, truth.log_likelihood + 1e-4);  // a bound, to the quadrature of 20 nodes
    EXPECT_GE(v.value, truth.log_likelihood - 0.12);
    for (size_t i = 0; i < 2; ++i)
      EXPECT_NEAR(model.mean + v.posterior.mean()[i], truth.mean[i], 0.06);
    if (!model.likelihood.log_concave()) continue;
    const SiteResult e = infer(expectation_propagation, model, x, c.y);
    EXPECT_TRUE(e.converged);
    EXPECT_NEAR(e.value, truth.log_likelihood, 5e-3);
    for (size_t i = 0; i < 2; ++i)
      EXPECT_NEAR(model.mean + e.posterior.mean()[i], truth.mean[i], 5e-3);
  }
}

// One row: the tilted mass is the evidence, and expectation propagation is exact.
TEST(SitePosterior, OneRowIsExactByExpectationPropagation) {
  const std::vector<double> x{0.4, -1}, y{3};
  const LatentModel model = model_of("const(1.5)*rbf(1)", "poisson", 0.3);
  const SiteResult e = infer(expectation_propagation, model, x, y);
  const TiltedMoments t = model.likelihood.tilted(3, 0.3, 1.5, {});
  EXPECT_NEAR(e.value, t.log_z, 1e-10);
  EXPECT_NEAR(0.3 + e.posterior.mean()[0], t.mean, 1e-8);
  EXPECT_NEAR(e.posterior.variance()[0], t.variance, 1e-8);
}

TEST(SitePosterior, GradientsAgreeWithDifferences) {
  const auto x = normals(2 * 40, 2);
  struct Case {
    const char* name;
    Inference inference;
  };
  for (const Case& c : {Case{"laplace", laplace}, Case{"ep", expectation_propagation},
                        Case{"vi", variational_sites}}) {
    for (const char* likelihood : {"gaussian(0.2)", "student-t(3,0.4)", "bernoulli",
                                   "bernoulli-probit", "poisson", "neg-binomial(1.5)"}) {
      SCOPED_TRACE(std::string(c.name) + " " + likelihood);
      LatentModel model = model_of(kText, likelihood, 0.3);
      auto y = values_for(model.likelihood, x);
      if (!model.likelihood.log_concave()) {
        if (c.inference == &expectation_propagation) {
          EXPECT_THROW(infer(c.inference, model, x, y), Error);
          continue;
        }
        y[3] += 9;  // outliers, whose precisions are negative
        y[17] -= 7;
      }
      LatentGradient g;
      const SiteResult r = infer(c.inference, model, x, y, &g);
      EXPECT_TRUE(r.converged);
      const auto check = [&](double ours, double* at, bool logarithm, const std::string& name) {
        const double before = *at, h = 1e-4;
        double f[4];
        for (int k = 0; k < 4; ++k) {
          const double move = h * (k < 2 ? k - 2 : k - 1);
          *at = logarithm ? before * std::exp(move) : before + move;
          f[k] = infer(c.inference, model, x, y).value;
        }
        *at = before;
        const double d = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
        EXPECT_NEAR(ours, d, 1e-6 * (1 + std::abs(d))) << name;
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
    }
  }
}

// A warm start changes the way, not the end.
TEST(SitePosterior, StartsDoNotMatter) {
  const auto x = normals(2 * 50, 4);
  for (const Inference inference : {&laplace, &expectation_propagation, &variational_sites}) {
    LatentModel model = model_of(kText, "bernoulli", 0.1);
    const auto y = values_for(model.likelihood, x);
    SiteState state;
    inference(model, {x, y}, &state, nullptr);
    model.kernel.parameters()[0].value = 3;
    const SiteResult warm = inference(model, {x, y}, &state, nullptr),
                     cold = infer(inference, model, x, y);
    EXPECT_NEAR(warm.value, cold.value, 1e-8);
    EXPECT_LE(warm.iterations, cold.iterations + 1);
  }
}

}  // namespace
}  // namespace covary::stat
