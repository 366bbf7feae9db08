#include "covary/stat/process/variational.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/sparse.h"

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

TEST(Variational, WithoutAFitItIsTheSparseProcess) {
  const at::Tensor x = normals(1, {300, 2}), xs = normals(3, {12, 2});
  at::Tensor y = x.sum(1).sin() + 0.2 * normals(2, {300});
  y = y - y.mean();
  VariationalOptions o;
  o.kernel = "const(1.4)*rbf(ard,lengthscale=[1,1.5])";
  o.likelihood = "gaussian(0.07)";
  o.mean = "zero";
  o.inducing = 30;
  o.fit = false;
  const VariationalProcess ours(x, y, o);
  const SparseProcess sparse(x, y, Kernel::parse(o.kernel, 2), 0.07, ours.inducing());
  EXPECT_NEAR(ours.report().bound, sparse.report().bound, 1e-6);
  const LatentPrediction p = ours.predict(xs);
  const SparsePrediction q = sparse.predict(xs);
  EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-6);
  EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-6);
  EXPECT_LT((ours.covariance(xs) - sparse.covariance(xs)).abs().max().item<double>(), 1e-6);
}

TEST(Variational, FitComesCloseToTheSparseOne) {
  const at::Tensor x = column(600), xs = column(50);
  const at::Tensor y = (2 * x.squeeze(1)).sin() + 3 + 0.1 * normals(12, {600});
  VariationalOptions o;
  o.kernel = "rbf";
  o.inducing = 25;
  o.steps = 1500;
  o.batch = 128;
  o.rate = 0.05;
  const VariationalProcess ours = fit_variational(x, y, o);
  const SparseProcess sparse = fit_sparse(x, y, {.kernel = "rbf", .inducing = 25});
  EXPECT_NEAR(ours.report().bound, sparse.report().bound, 10);
  EXPECT_NEAR(ours.likelihood().parameters()[0].value, 0.01, 0.003);
  EXPECT_LT((ours.predict(xs).mean - sparse.predict(xs).mean).abs().max().item<double>(), 0.03);
  EXPECT_GT(ours.report().trace.back(), ours.report().trace.front());
}

TEST(Variational, LearnsLabelsAndCounts) {
  const at::Tensor x = column(500), f = (2 * x.squeeze(1)).sin();
  VariationalOptions o;
  o.kernel = "rbf";
  o.inducing = 20;
  o.steps = 400;
  o.batch = 100;
  at::Tensor labels = at::empty({500}, at::kDouble), counts = at::empty({500}, at::kDouble);
  const Likelihood bernoulli = Likelihood::parse("bernoulli"),
                   poisson = Likelihood::parse("poisson");
  for (int64_t i = 0; i < 500; ++i) {
    const double at = f.const_data_ptr<double>()[i];
    labels.data_ptr<double>()[i] = bernoulli.sample(3 * at, 1, static_cast<uint64_t>(i));
    counts.data_ptr<double>()[i] = poisson.sample(1 + at, 1, static_cast<uint64_t>(i));
  }
  o.likelihood = "bernoulli";
  const at::Tensor logit = fit_variational(x, labels, o).predict(x).mean;
  EXPECT_LT((logit.sigmoid() - (3 * f).sigmoid()).abs().mean().item<double>(), 0.06);
  o.likelihood = "poisson";
  const at::Tensor log_rate = fit_variational(x, counts, o).predict(x).mean;
  EXPECT_LT((log_rate - 1 - f).abs().mean().item<double>(), 0.12);
}

TEST(Variational, StudentsLikelihoodLeavesOutliersAlone) {
  const at::Tensor x = column(400), f = (2 * x.squeeze(1)).sin();
  at::Tensor y = f + 0.1 * normals(5, {400});
  for (int64_t i = 7; i < 400; i += 20) y.data_ptr<double>()[i] += 8;
  VariationalOptions o;
  o.kernel = "rbf";
  o.inducing = 20;
  o.steps = 500;
  o.batch = 100;
  o.likelihood = "student-t";
  const VariationalProcess gp(x, y, o);
  EXPECT_LT((gp.predict(x).mean - f).abs().max().item<double>(), 0.15);
}

TEST(Variational, WeightsAreRepeats) {
  const at::Tensor x = normals(31, {60, 2}), xs = normals(32, {7, 2});
  const at::Tensor y = (x.sum(1) > 0).to(at::kDouble);
  at::Tensor weights = at::ones({60}, at::kDouble);
  weights[4] = 3;
  std::vector<int64_t> rows{4, 4};
  for (int64_t i = 0; i < 60; ++i) rows.push_back(i);
  const at::Tensor repeated = at::tensor(rows, at::kLong);
  VariationalOptions o;
  o.kernel = "const(1.2)*matern32(0.9)";
  o.likelihood = "bernoulli";
  o.mean = "zero";
  o.fit = false;
  const VariationalProcess ours(x, y, o, weights),
      plain(x.index_select(0, repeated), y.index_select(0, repeated), o);
  EXPECT_NEAR(ours.report().bound, plain.report().bound, 1e-4);
  EXPECT_LT((ours.predict(xs).mean - plain.predict(xs).mean).abs().max().item<double>(), 1e-3);
}

TEST(Variational, GivesTheSameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(21, {1500, 3}), y = (x.sum(1) > 0).to(at::kDouble);
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    VariationalOptions o;
    o.likelihood = "bernoulli";
    o.inducing = 70;
    o.steps = 5;
    const VariationalProcess gp(x, y, o);
    results.push_back(at::cat({gp.predict(x).mean, gp.predict(x).variance,
                               at::full({1}, gp.report().bound, at::kDouble)}));
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(Variational, HostileDataGiveAnAnswerOrAnError) {
  int answers = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(20, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    VariationalOptions o;
    o.likelihood = seed % 4 == 0   ? "bernoulli"
                   : seed % 4 == 1 ? "poisson"
                   : seed % 4 == 2 ? "student-t"
                                   : "gaussian";
    if (seed % 4 == 0) y = (y > 0).to(at::kDouble);
    if (seed % 4 == 1) y = (y * scale).abs().floor();
    if (seed % 3 == 0) y.fill_(1);
    if (seed % 5 == 1 && n > 2) {
      x[1] = x[0];
      y[0] = NAN;
    }
    o.steps = 20;
    o.precision = seed % 2 == 0 ? "float" : "double";
    try {
      const VariationalProcess gp(x, y, o);
      const LatentPrediction p = gp.predict(x);
      EXPECT_TRUE(p.mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(p.variance.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(std::isfinite(gp.report().bound)) << seed;
      ++answers;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  EXPECT_GT(answers, 30);
  EXPECT_THROW(fit_variational(normals(1, {5, 1}), normals(2, {5}), {.kernel = "rbf + white"}),
               Error);
  EXPECT_THROW(fit_variational(normals(1, {5, 1}), normals(2, {5}), {.likelihood = "bernoulli"}),
               Error);
  EXPECT_THROW(fit_variational(normals(1, {5, 1}), normals(2, {5}), {.inducing = 0}), Error);
}

}  // namespace
}  // namespace covary::stat
