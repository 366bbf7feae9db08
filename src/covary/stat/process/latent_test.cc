#include "covary/stat/process/latent.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/gp.h"

namespace covary::stat {
namespace {

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 8).normal(static_cast<uint64_t>(i));
  }
  return t;
}

at::Tensor column(int64_t n) { return at::linspace(-3, 3, n, at::kDouble).unsqueeze(1); }

at::Tensor draws_of(const char* likelihood, const at::Tensor& f) {
  const Likelihood l = Likelihood::parse(likelihood);
  at::Tensor y = at::empty_like(f);
  for (int64_t i = 0; i < f.numel(); ++i) {
    y.data_ptr<double>()[i] = l.sample(f.const_data_ptr<double>()[i], 2, static_cast<uint64_t>(i));
  }
  return y;
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// With a Gaussian likelihood every method is the exact process, leaving one out and all.
TEST(Latent, GaussianIsTheExactProcess) {
  const at::Tensor x = normals(1, {50, 2}), xs = normals(2, {9, 2});
  at::Tensor y = x.sum(1).sin() + 0.3 * normals(3, {50});
  y[7] = std::nan("");
  GpOptions g;
  g.kernel = "const(1.2)*matern32(0.9) + white(0.1)";
  g.mean = "zero";
  g.fit = false;
  const GaussianProcess exact(x, y, g);
  for (const char* method : {"laplace", "ep", "vi"}) {
    SCOPED_TRACE(method);
    LatentOptions o;
    o.kernel = "const(1.2)*matern32(0.9)";
    o.likelihood = "gaussian(0.1)";
    o.mean = "zero";
    o.method = method;
    o.fit = false;
    const LatentProcess ours(x, y, o);
    EXPECT_NEAR(ours.report().log_likelihood, exact.report().log_likelihood, 1e-8);
    EXPECT_LT(worst(ours.predict(xs).mean, exact.predict(xs).mean), 1e-8);
    EXPECT_LT(worst(ours.predict(xs).variance, exact.predict(xs).variance), 1e-8);
    EXPECT_LT(worst(ours.covariance(xs), exact.predict(xs, {.covariance = true}).covariance), 1e-8);
    const LatentPrediction held = ours.leave_one_out();
    const Prediction theirs = exact.leave_one_out();
    EXPECT_TRUE(std::isnan(held.mean[7].item<double>()));
    EXPECT_LT((held.mean - theirs.mean).abs().nan_to_num(0).max().item<double>(), 1e-8);
    EXPECT_LT((held.variance + 0.1 - theirs.variance).abs().nan_to_num(0).max().item<double>(),
              1e-8);
  }
}

TEST(Latent, FitsFindTheFunction) {
  const at::Tensor x = column(80), f = 2 * (1.5 * x.squeeze(1)).sin();
  for (const char* method : {"laplace", "ep", "vi"}) {
    SCOPED_TRACE(method);
    LatentOptions o;
    o.kernel = "rbf";
    o.method = method;
    o.starts = 1;
    o.likelihood = "poisson";
    const LatentProcess counts(x, draws_of("poisson", f), o);
    EXPECT_TRUE(counts.report().fitted);
    EXPECT_TRUE(counts.report().converged);
    EXPECT_NE(counts.report().ending, numeric::Ending::kIterations);
    EXPECT_LT((counts.predict(x).mean - f).abs().mean().item<double>(), 0.35);
    o.likelihood = "bernoulli-probit";
    const LatentProcess labels(x, draws_of("bernoulli-probit", 2 * f), o);
    EXPECT_GT(((labels.predict(x).mean > 0) == (f > 0)).to(at::kDouble).mean().item<double>(), 0.9);
  }
}

TEST(Latent, StudentsTailsAreFittedToo) {
  const at::Tensor x = column(60), f = 2 * (1.5 * x.squeeze(1)).sin();
  at::Tensor y = f + 0.1 * normals(4, {60});
  for (int64_t i = 5; i < 60; i += 10) y.data_ptr<double>()[i] += i % 2 == 0 ? 6 : -9;
  for (const char* method : {"laplace", "vi"}) {
    LatentOptions o;
    o.kernel = "rbf";
    o.method = method;
    o.starts = 1;
    o.likelihood = "student-t";
    const LatentProcess gp(x, y, o);
    EXPECT_LT(worst(gp.predict(x).mean, f), 0.25) << method;
    EXPECT_LT(gp.likelihood().parameters()[0].value, 10) << method;
  }
}

// A row of weight 3 is three rows, one of weight 0 none: by the bound of all rows, where rows are
// factors of the likelihood, and by what is predicted.
TEST(Latent, WeightsAreRepeats) {
  const at::Tensor x = normals(41, {30, 2}), xs = normals(42, {7, 2});
  const at::Tensor y = draws_of("poisson", x.sum(1).sin());
  at::Tensor weights = at::ones({30}, at::kDouble);
  weights[4] = 3;
  weights[9] = 0;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < 30; ++i) {
    for (int64_t k = 0; k < weights[i].item<int64_t>(); ++k) rows.push_back(i);
  }
  const at::Tensor repeated = at::tensor(rows, at::kLong);
  for (const char* method : {"laplace", "vi"}) {
    SCOPED_TRACE(method);
    LatentOptions o;
    o.kernel = "const(1.2)*matern32(0.9)";
    o.likelihood = "poisson";
    o.mean = "zero";
    o.method = method;
    o.fit = false;
    const LatentProcess ours(x, y, o, weights),
        plain(x.index_select(0, repeated), y.index_select(0, repeated), o);
    EXPECT_NEAR(ours.report().log_likelihood, plain.report().log_likelihood, 1e-7);
    EXPECT_LT(worst(ours.predict(xs).mean, plain.predict(xs).mean), 1e-6);
    EXPECT_LT(worst(ours.predict(xs).variance, plain.predict(xs).variance), 1e-6);
    o.fit = true;
    o.starts = 1;
    EXPECT_TRUE(LatentProcess(x, y, o, weights).report().fitted);
  }
  LatentOptions ep;
  ep.likelihood = "poisson";
  ep.method = "ep";
  EXPECT_THROW(LatentProcess(x, y, ep, weights), Error);
  EXPECT_THROW(LatentProcess(x, y, {}, -weights), Error);
}

TEST(Latent, GivesTheSameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(21, {210, 3}), y = (x.sum(1) > 0).to(at::kDouble);
  for (const char* method : {"laplace", "ep", "vi"}) {
    std::vector<at::Tensor> results;
    for (const int count : {1, 3}) {
      set_threads(count);
      LatentOptions o;
      o.method = method;
      o.likelihood = "bernoulli-probit";
      o.starts = 1;
      o.search.iterations = 1;
      o.fit = o.method == "laplace";
      const LatentProcess gp(x, y, o);
      results.push_back(at::cat({gp.predict(x).mean, gp.predict(x).variance,
                                 at::full({1}, gp.report().log_likelihood, at::kDouble)}));
    }
    set_threads(0);
    EXPECT_TRUE(at::equal(results[0], results[1])) << method;
  }
}

TEST(Latent, HostileDataGiveAnAnswerOrAnError) {
  static constexpr const char* kFamilies[] = {"bernoulli", "poisson",      "student-t",
                                              "gaussian",  "neg-binomial", "bernoulli-probit"};
  static constexpr const char* kMethods[] = {"laplace", "ep", "vi"};
  int answers = 0;
  for (uint64_t seed = 0; seed < 54; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(12, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    LatentOptions o;
    o.likelihood = kFamilies[seed % 6];
    o.method = kMethods[seed / 6 % 3];
    if (o.likelihood.starts_with("bern")) y = (y > 0).to(at::kDouble);
    if (o.likelihood == "poisson" || o.likelihood == "neg-binomial")
      y = (normals(seed + 200, {n}).exp() * std::min(scale, 1e4)).floor();
    if (seed % 5 == 0) y.fill_(1);
    if (seed % 4 == 1 && n > 2) {
      x[1] = x[0];
      y[0] = NAN;
    }
    o.starts = 2;
    o.search.iterations = 10;
    SCOPED_TRACE(o.likelihood + " " + o.method + " " + std::to_string(seed));
    try {
      const LatentProcess gp(x, y, o);
      const LatentPrediction p = gp.predict(x);
      EXPECT_TRUE(p.mean.isfinite().all().item<bool>());
      EXPECT_TRUE(p.variance.isfinite().all().item<bool>());
      EXPECT_TRUE(std::isfinite(gp.report().log_likelihood));
      ++answers;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  EXPECT_GT(answers, 45);
  LatentOptions o;
  o.method = "ep";
  o.likelihood = "student-t";
  EXPECT_THROW(fit_latent(normals(1, {5, 1}), normals(2, {5}), o), Error);
  o.likelihood = "gaussian";
  o.kernel = "rbf + white";
  EXPECT_THROW(fit_latent(normals(1, {5, 1}), normals(2, {5}), o), Error);
}

}  // namespace
}  // namespace covary::stat
