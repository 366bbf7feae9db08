#include "covary/stat/process/acquisition.h"

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/process_test_data.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

GaussianProcess process(int which, double noise = 1e-3) {
  const at::Tensor x = uniforms(20, 3, 1);
  const at::Tensor y = which == 0   ? (x.sum(1) * 3).sin() + x.select(1, 0)
                       : which == 1 ? x.select(1, 1) * 2 - x.select(1, 2)
                                    : x.square().sum(1);
  char white[40];
  std::snprintf(white, sizeof white, "white(%g)", noise);
  return fit_gp(
      x, y,
      {.kernel = std::string("const(1.3)*matern52(ard,lengthscale=[0.3,0.7,0.5]) + ") + white,
       .fit = false});
}

double value(const Acquisition& a, const at::Tensor& x) {
  return a.worker(x.size(0))->value(flat(x), {});
}

// Largest difference of gradient and central differences, over 1 + the size of these.
double gradient_error(const Acquisition& a, const at::Tensor& x, double h = 1e-6) {
  const auto worker = a.worker(x.size(0));
  std::vector<double> p = flat(x), g(p.size());
  worker->value(p, g);
  double worst = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double at = p[i];
    p[i] = at + h;
    const double up = worker->value(p, {});
    p[i] = at - h;
    const double down = worker->value(p, {});
    p[i] = at;
    const double slope = (up - down) / (2 * h);
    worst = std::max(worst, std::abs(g[i] - slope) / (1 + std::abs(slope)));
  }
  return worst;
}

TEST(Acquisition, ClosedFormsAreIntegralsOfTheNormal) {
  const GaussianProcess gp = process(0);
  const at::Tensor x = uniforms(1, 3, 7);
  const Prediction p = gp.predict(x);
  const double mean = p.mean[0].item<double>(), sd = p.variance[0].sqrt().item<double>();
  // 40 standard deviations away the integrand is only there in logarithms.
  for (const double away : {-2.0, 0.3, 3.0, 40.0}) {
    const double best = mean + away * sd;
    // Simpson over the tail above the incumbent, scaled by the density there.
    const int steps = 200000;
    const double reach = 40 / std::max(1.0, away) + (away < 0 ? 10 : 0);
    double sum = 0;
    for (int i = 0; i <= steps; ++i) {
      const double t = reach * i / steps, z = away + t;
      const double weight = i == 0 || i == steps ? 1 : i % 2 ? 4 : 2;
      sum += weight * t * std::exp(-0.5 * (z * z - away * away));
    }
    const double log_ei = std::log(sd) + std::log(sum * reach / steps / 3) - 0.5 * away * away -
                          0.5 * std::log(2 * M_PI);
    const auto at = [&](const char* kind) {
      return value(*make_acquisition({.acquisition = kind}, {.objective = &gp, .best = best}), x);
    };
    EXPECT_NEAR(at("logei"), log_ei, 1e-9 * std::max(1.0, std::abs(log_ei))) << away;
    EXPECT_NEAR(at("ei"), std::exp(log_ei), 1e-9 * std::exp(log_ei));
    EXPECT_NEAR(at("pi"), numeric::log_normal_cdf(-away), 1e-8 * std::max(1.0, away * away));
    EXPECT_NEAR(at("ucb"), mean + 2 * sd, 1e-9);
  }
}

TEST(Acquisition, GradientsAreDerivatives) {
  const GaussianProcess gp = process(0), constraint = process(1), cost = process(2);
  for (const char* kind : {"logei", "ei", "pi", "ucb", "noisy-ei"}) {
    const bool limits = std::string(kind) != "ucb";
    for (const int64_t q : {1, 3}) {
      if (q > 1 && std::string(kind) == "pi") continue;
      for (const int form : {0, 1, 2}) {
        AcquisitionModel model{.objective = &gp, .best = 0.8};
        if (form == 1 && std::string(kind) != "pi") model.pending = flat(uniforms(2, 3, 11));
        if (form == 2 && limits) model.constraints = {{&constraint, 0.6}};
        if (form == 2) model.log_cost = &cost;
        // Soft enough for differences: with a bend of 1e-6 a step of 1e-6 is none.
        const AcquisitionOptions options{.acquisition = kind,
                                         .draws = 64,
                                         .improvement_softness = 0.05,
                                         .constraint_softness = 0.1};
        const auto a = make_acquisition(options, model);
        for (uint64_t s = 20; s < 23; ++s) {
          EXPECT_LT(gradient_error(*a, uniforms(q, 3, s)), 1e-6)
              << kind << " of " << q << ", form " << form;
        }
      }
    }
  }
  for (const char* kind : {"kg", "mes", "thompson"}) {
    const auto a = make_acquisition({.acquisition = kind, .support = 24}, {.objective = &gp});
    for (uint64_t s = 20; s < 24; ++s) {
      EXPECT_LT(gradient_error(*a, uniforms(1, 3, s)), 1e-6) << kind;
    }
  }
  const auto several = make_acquisition({.acquisition = "thompson"}, {.objective = &gp});
  EXPECT_LT(gradient_error(*several, uniforms(3, 3, 5)), 1e-6);
  // Nothing feasible is known.
  const auto lost = make_acquisition({}, {.objective = &gp, .constraints = {{&constraint, -0.5}}});
  EXPECT_LT(gradient_error(*lost, uniforms(1, 3, 3)), 1e-6);
  const auto batch = make_acquisition({.constraint_softness = 0.1},
                                      {.objective = &gp, .constraints = {{&constraint, -0.5}}});
  EXPECT_LT(gradient_error(*batch, uniforms(3, 3, 3)), 1e-6);
}

TEST(Acquisition, ByDrawsOfOnePointIsTheClosedForm) {
  const GaussianProcess gp = process(0);
  const at::Tensor x = uniforms(1, 3, 9);
  // A pending point where nothing can be gained makes the batch of one go by draws.
  const Prediction at_data = gp.predict(gp.data().x);
  const at::Tensor worst = gp.data().x[at_data.mean.argmin().item<int64_t>()].clone();
  for (const char* kind : {"logei", "ei"}) {
    const AcquisitionOptions options{.acquisition = kind, .draws = 8192};
    const double one = value(*make_acquisition(options, {.objective = &gp, .best = 0.8}), x);
    const double draws = value(
        *make_acquisition(options, {.objective = &gp, .best = 0.8, .pending = flat(worst)}), x);
    EXPECT_NEAR(draws, one, 5e-3 * std::max(std::abs(one), 1e-3)) << kind;
  }
  // E max over one point of mean + sqrt(beta pi / 2) |sd z| = mean + sqrt(beta) sd.
  const AcquisitionOptions options{.acquisition = "ucb", .draws = 8192};
  const double one = value(*make_acquisition(options, {.objective = &gp}), x);
  const double draws =
      value(*make_acquisition(options, {.objective = &gp, .pending = flat(worst)}), x);
  EXPECT_NEAR(draws, one, 3e-3 * std::abs(one));
}

TEST(Acquisition, BatchesGainByEveryPointAndNotByCopies) {
  const GaussianProcess gp = process(0);
  const at::Tensor x = uniforms(3, 3, 12);
  const auto a = make_acquisition({.draws = 512}, {.objective = &gp, .best = 0.8});
  const double three = value(*a, x), two = value(*a, x.slice(0, 0, 2));
  EXPECT_GT(three, two);
  const double copies = value(*a, at::cat({x.slice(0, 0, 2), x.slice(0, 1, 2)}));
  EXPECT_NEAR(copies, two, 0.05);
  // Pending points stand for those of the batch.
  const auto waiting =
      make_acquisition({.draws = 512}, {.objective = &gp, .best = 0.8, .pending = flat(x[2])});
  EXPECT_NEAR(value(*waiting, x.slice(0, 0, 2)), three, 1e-12 * std::abs(three));
}

TEST(Acquisition, ImprovementOfABatchAgainstItsDraws) {
  const GaussianProcess gp = process(0);
  const at::Tensor x = uniforms(3, 3, 12), draws = gp.sample(x, 200000, 5);
  const double best = 0.8;
  const double plain = (std::get<0>(draws.max(1)) - best).clamp_min(0).mean().item<double>();
  const auto ei =
      make_acquisition({.acquisition = "ei", .draws = 4096}, {.objective = &gp, .best = best});
  EXPECT_NEAR(value(*ei, x), plain, 0.02 * plain);
  const auto log_ei = make_acquisition({.draws = 4096}, {.objective = &gp, .best = best});
  EXPECT_NEAR(value(*log_ei, x), std::log(plain), 0.03);
}

TEST(Acquisition, ConstraintsAndCosts) {
  const GaussianProcess gp = process(0), limit = process(1), cost = process(2);
  const at::Tensor x = uniforms(1, 3, 13);
  const Prediction c = limit.predict(x);
  const double hold =
      numeric::normal_cdf((0.4 - c.mean[0].item<double>()) / c.variance[0].sqrt().item<double>());
  const AcquisitionOptions ei{.acquisition = "ei"};
  const double plain = value(*make_acquisition(ei, {.objective = &gp, .best = 0.5}), x);
  EXPECT_NEAR(
      value(*make_acquisition(ei, {.objective = &gp, .best = 0.5, .constraints = {{&limit, 0.4}}}),
            x),
      plain * hold, 1e-12);
  EXPECT_NEAR(value(*make_acquisition(ei, {.objective = &gp, .best = 0.5, .log_cost = &cost}), x),
              plain * std::exp(-cost.predict(x).mean[0].item<double>()), 1e-9);
  EXPECT_NEAR(value(*make_acquisition({}, {.objective = &gp, .constraints = {{&limit, 0.4}}}), x),
              std::log(hold), 1e-10);
}

TEST(Acquisition, NoisyImprovementWithoutNoiseIsTheImprovement) {
  const GaussianProcess gp = process(0, 1e-7);
  const at::Tensor x = uniforms(1, 3, 14);
  const double best = gp.data().y.max().item<double>();
  const double noisy = value(*make_acquisition({.acquisition = "noisy-ei"}, {.objective = &gp}), x);
  EXPECT_NEAR(noisy, value(*make_acquisition({}, {.objective = &gp, .best = best}), x), 0.02);
}

TEST(Acquisition, KnowledgeGradientIsTheExpectedRise) {
  // Every mean of the support moves along a line in the standardised value at x: the largest, integrated.
  const GaussianProcess gp = process(0, 0.05);
  const int64_t support = 30;
  const at::Tensor sobol = at::empty({support, 3}, at::kDouble);
  const std::vector<double> points = numeric::Sobol(3, 3).points(support);
  std::copy(points.begin(), points.end(), sobol.data_ptr<double>());
  for (uint64_t s = 15; s < 18; ++s) {
    const at::Tensor x = uniforms(1, 3, s), all = at::cat({x, sobol, gp.data().x});
    const double kg = value(
        *make_acquisition({.acquisition = "kg", .support = support}, {.objective = &gp, .seed = 3}),
        x);
    const Prediction p = gp.predict(all, {.covariance = true});
    const double sd = std::sqrt(p.variance[0].item<double>() + 0.05);
    const at::Tensor slope = p.covariance[0] / sd;
    double then = 0;
    const int steps = 4000;
    for (int k = 0; k < steps; ++k) {
      const double z = -8 + 16 * (k + 0.5) / steps;
      then += (p.mean + z * slope).max().item<double>() * numeric::normal_density(z) * 16 / steps;
    }
    EXPECT_NEAR(kg, then - p.mean.slice(0, 1).max().item<double>(), 1e-6);
  }
}

TEST(Acquisition, EntropyIsLargeWhereTheMaximumMayBe) {
  const GaussianProcess gp = process(0);
  const auto mes = make_acquisition({.acquisition = "mes"}, {.objective = &gp});
  const Prediction p = gp.predict(gp.data().x);
  const at::Tensor worst = gp.data().x[p.mean.argmin().item<int64_t>()].unsqueeze(0);
  EXPECT_GE(value(*mes, worst), 0);
  double most = 0;
  for (uint64_t s = 0; s < 30; ++s) most = std::max(most, value(*mes, uniforms(1, 3, 40 + s)));
  EXPECT_GT(most, 5 * value(*mes, worst));
}

TEST(Acquisition, StaysFiniteAtHostilePoints) {
  const GaussianProcess gp = process(0, 1e-9);
  const at::Tensor at_data = gp.data().x.slice(0, 0, 4).clone();
  for (const char* kind : {"logei", "ei", "ucb", "noisy-ei", "thompson"}) {
    for (const double best : {-1e6, 0.0, 1e6}) {
      const auto a = make_acquisition({.acquisition = kind}, {.objective = &gp, .best = best});
      for (const at::Tensor& x :
           {at_data.slice(0, 0, 1), at_data, at_data[0].expand({4, 3}).clone(), at_data * 1e6}) {
        std::vector<double> g(static_cast<size_t>(x.numel()));
        const double v = a->worker(x.size(0))->value(flat(x), g);
        EXPECT_TRUE(std::isfinite(v)) << kind << best;
        for (const double e : g) EXPECT_TRUE(std::isfinite(e)) << kind << best;
      }
    }
  }
}

TEST(Acquisition, RefusesWhatItCannotDo) {
  const GaussianProcess gp = process(0);
  EXPECT_THROW(make_acquisition({.acquisition = "logie"}, {.objective = &gp, .best = 0}), Error);
  EXPECT_THROW(make_acquisition({}, {}), Error);
  EXPECT_THROW(make_acquisition({}, {.objective = &gp}), Error);  // no incumbent
  EXPECT_THROW(make_acquisition({}, {.objective = &gp, .best = NAN}), Error);
  EXPECT_THROW(make_acquisition({}, {.objective = &gp, .best = 0, .pending = {0.1, 0.2}}), Error);
  EXPECT_THROW(
      make_acquisition({.acquisition = "ucb"}, {.objective = &gp, .constraints = {{&gp, 0}}}),
      Error);
  EXPECT_THROW(make_acquisition({.acquisition = "pi"}, {.objective = &gp, .best = 0})->worker(2),
               Error);
  EXPECT_THROW(make_acquisition({.draws = 0}, {.objective = &gp, .best = kInfinity}), Error);
}

}  // namespace
}  // namespace covary::stat
