#include "covary/stat/process/iterative.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_operator.h"
#include "covary/stat/process/kernel_operator_single.h"
#include "covary/stat/process/process_test_data.h"

namespace covary::stat {
namespace {

constexpr const char* kText = "const(1.4)*matern52(ard,lengthscale=[1,1.5]) + white(0.05)";

struct Table {
  at::Tensor x, y;
};
Table table(int64_t n, uint64_t seed = 1) {
  const at::Tensor x = normals(seed, {n, 2});
  return {x, 3 + (2 * x).sum(1).sin() + 0.2 * normals(seed + 1, {n})};
}

GaussianProcess dense(const Table& t, const char* text, const char* mean = "const",
                      const at::Tensor& noise = {}) {
  GpOptions o;
  o.kernel = text;
  o.mean = mean;
  o.fit = false;
  return {t.x, t.y, o, noise};
}

IterativeOptions known(const char* text, const char* mean = "const") {
  IterativeOptions o;
  o.kernel = text;
  o.mean = mean;
  o.fit = false;
  return o;
}

TEST(Iterative, ProductsWithTheKernelAreThoseOfItsMatrix) {
  const Table t = table(333);
  const Kernel kernel = Kernel::parse(kText, 2);
  std::vector<double> noise(333);
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = 0.01 * static_cast<double>(i % 7);
  const double* x = t.x.const_data_ptr<double>();
  const KernelOperator k(kernel, x, 333, noise, 0), kept(kernel, x, 333, noise, 1 << 20);
  at::Tensor whole = at::empty({333, 333}, at::kDouble);
  kernel.matrix(x, 333, whole.data_ptr<double>(), 333);
  for (int64_t i = 0; i < 333; ++i) whole[i][i] += noise[static_cast<size_t>(i)];
  const at::Tensor b = normals(5, {3, 333});
  at::Tensor product = at::empty_like(b), diagonal = at::empty({333}, at::kDouble);
  k.multiply(b.const_data_ptr<double>(), 3, product.data_ptr<double>());
  k.diagonal(diagonal.data_ptr<double>());
  EXPECT_LT((product - b.matmul(whole)).abs().max().item<double>(), 1e-11);
  at::Tensor same = at::empty_like(b);
  kept.multiply(b.const_data_ptr<double>(), 3, same.data_ptr<double>());
  EXPECT_TRUE(at::equal(same, product));
  EXPECT_LT((diagonal - whole.diagonal()).abs().max().item<double>(), 1e-14);
}

TEST(Iterative, ProductsInFloatsAreThoseOfTheMatrixToTheirDigits) {
  const Table t = table(333);
  const Kernel kernel = Kernel::parse(kText, 2);
  std::vector<double> noise(333);
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = 0.01 * static_cast<double>(i % 7);
  const double* x = t.x.const_data_ptr<double>();
  const KernelOperator exact(kernel, x, 333, noise, 0);
  const SingleKernelOperator k(kernel, x, 333, noise, 0), kept(kernel, x, 333, noise, 1 << 20);
  EXPECT_FALSE(k.kept());
  EXPECT_TRUE(kept.kept());
  for (const int64_t count : {1, 9, 17}) {
    const at::Tensor b = normals(5, {count, 333});
    at::Tensor sum = at::empty_like(b), single = at::empty_like(b), same = at::empty_like(b);
    exact.multiply(b.const_data_ptr<double>(), count, sum.data_ptr<double>());
    k.multiply(b.const_data_ptr<double>(), count, single.data_ptr<double>());
    kept.multiply(b.const_data_ptr<double>(), count, same.data_ptr<double>());
    // 1e-7 times the magnitudes of a tile's sum: 256 entries up to 1.4.
    EXPECT_LT((single - sum).abs().max().item<double>(), 3e-5);
    EXPECT_TRUE(at::equal(same, single));
  }
  at::Tensor diagonal = at::empty({333}, at::kDouble), expected = at::empty_like(diagonal);
  exact.diagonal(expected.data_ptr<double>());
  kept.diagonal(diagonal.data_ptr<double>());
  EXPECT_TRUE(at::equal(diagonal, expected));
}

TEST(Iterative, TracesOfThePreconditionedMatrixAreExact) {
  const Table t = table(150);
  const Kernel kernel = Kernel::parse(kText, 2);
  const std::vector<double> noise(150, 0.02);
  const double* x = t.x.const_data_ptr<double>();
  const KernelOperator k(kernel, x, 150, noise, 0);
  const std::vector<int64_t> pivots = kernel_pivots(kernel, x, 150, 25);
  const KernelPreconditioner p = kernel_preconditioner(kernel, x, 150, noise, pivots);
  const linalg::SpectrumTraces traces = spectrum_traces(k, p.matrix);
  at::Tensor whole = at::eye(150, at::kDouble);
  k.multiply(at::eye(150, at::kDouble).const_data_ptr<double>(), 150, whole.data_ptr<double>());
  p.matrix.solve(whole.data_ptr<double>(), 150);  // rows of (P^-1 K)'
  EXPECT_NEAR(traces.first, whole.trace().item<double>(), 1e-8);
  EXPECT_NEAR(traces.second, whole.matmul(whole).trace().item<double>(), 1e-7);
}

TEST(Iterative, LikelihoodIsWithinItsStatedErrorOfTheDenseOne) {
  for (const int64_t n : {500, 900}) {
    double before = INFINITY;
    const Table t = table(n);
    const double exact = dense(t, kText).report().log_likelihood;
    for (const int64_t rank : {20, 150}) {
      IterativeOptions o = known(kText);
      o.rank = rank;
      o.single = n == 500 ? 0 : 3000;  // in floats, and in doubles
      const IterativeReport r = IterativeProcess(t.x, t.y, o).report();
      EXPECT_NEAR(r.log_likelihood, exact, 3 * r.value.error + r.value.solve_error) << n;
      EXPECT_LT(r.value.error, before);
      before = r.value.error;
      EXPECT_LT(r.value.solve_error, 1e-7);
    }
  }
}

TEST(Iterative, PredictionsAgreeWithTheDenseProcess) {
  const Table t = table(600);
  const at::Tensor xs = normals(9, {40, 2}), noise = normals(8, {600}).square() * 0.1;
  for (const char* mean : {"zero", "const", "linear"}) {
    for (const bool noisy : {false, true}) {
      const at::Tensor own = noisy ? noise : at::Tensor();
      IterativeOptions o = known(kText, mean);
      o.single = noisy ? 0 : 3000;  // in floats, and in doubles
      const IterativeProcess gp(t.x, t.y, o, own);
      const IterativePrediction p = gp.predict(xs, true);
      const Prediction q = dense(t, kText, mean, own).predict(xs, {.noise = true});
      EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-4 * std::sqrt(1.4)) << mean;
      EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1.5e-4) << mean;
      // Conjugate gradients approach from above.
      EXPECT_GT((p.variance - q.variance).min().item<double>(), -1e-8) << mean;
      EXPECT_LE(gp.report().prediction, 1.1e-4);
    }
  }
}

TEST(Iterative, NearVariancesComeFromAboveAndSayByHowMuch) {
  const Table t = table(500);
  const at::Tensor xs = normals(9, {40, 2}), noise = normals(8, {500}).square() * 0.1;
  for (const bool noisy : {false, true}) {
    const at::Tensor own = noisy ? noise : at::Tensor();
    const Prediction q = dense(t, kText, "const", own).predict(xs, {.noise = true});
    IterativeOptions o = known(kText);
    o.variances = "near";
    for (const int64_t near : {20, 150, 500}) {
      o.near = near;
      const IterativePrediction p = IterativeProcess(t.x, t.y, o, own).predict(xs, true);
      EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-4 * std::sqrt(1.4));
      const at::Tensor above = (p.variance - q.variance) / 1.4;
      EXPECT_GT(above.min().item<double>(), -1e-7) << near;
      EXPECT_EQ(p.checked, 16);
      // Sixteen of forty, spread over all.
      EXPECT_LE(p.excess, above.max().item<double>() + 1e-8);
      EXPECT_GE(p.excess, 0.1 * above.max().item<double>() - 1e-4);  // the solved are above too
      if (near == 20) {
        EXPECT_GT(p.excess, 1e-4);
      } else if (near == 500) {
        EXPECT_LT(above.max().item<double>(), 1e-8);
      }
    }
  }
}

TEST(Iterative, LeavingOneOutAgreesWithTheDenseProcess) {
  Table t = table(300);
  t.y[7] = NAN;
  const IterativePrediction p = IterativeProcess(t.x, t.y, known(kText)).leave_one_out(50, 3);
  const Prediction q = dense(t, kText).leave_one_out();
  int64_t rows = 0;
  for (int64_t i = 0; i < 300; ++i) {
    if (std::isnan(p.mean[i].item<double>())) continue;
    ++rows;
    EXPECT_NEAR(p.mean[i].item<double>(), q.mean[i].item<double>(), 1e-3);
    EXPECT_NEAR(p.variance[i].item<double>(), q.variance[i].item<double>(), 1e-4);
  }
  EXPECT_EQ(rows, 50);
}

// With enough probes the gradient is that of the dense likelihood; with few it is that of what
// evaluate says, up to the probes' disagreement on the part that the preconditioner leaves.
TEST(Iterative, GradientIsThatOfTheLikelihood) {
  const Table t = table(250);
  for (const char* text : {kText, "const(0.8)*rbf(1.2) + linear(0.3) + white(0.1)",
                           "const(1)*rq(1.4,alpha=0.7) + white(0.05)"}) {
    SCOPED_TRACE(text);
    IterativeOptions o = known(text);
    o.probes = 40;
    o.probe_tolerance = 1e-8;
    o.rank = 120;
    const GpData data = GpData::from(t.x, t.y, {}, Mean::kConst);
    Kernel kernel = Kernel::parse(text, 2);
    IterativeLikelihood likelihood(data.groups[0], 1, o);
    likelihood.choose_pivots(kernel);
    std::vector<double> gradient(kernel.parameters().size()), exact(gradient);
    const IterativeValue v = likelihood.evaluate(kernel, gradient, 1e-14, nullptr);
    EXPECT_TRUE(v.reached);
    MarginalLikelihood reference(data, 1 << 30);
    reference.evaluate(kernel, exact);
    for (size_t p = 0; p < gradient.size(); ++p) {
      EXPECT_NEAR(gradient[p], exact[p], 0.4) << kernel.parameters()[p].name;
      double& value = kernel.parameters()[p].value;
      const double before = value, h = 1e-4;
      value = before * std::exp(h);
      const double up = likelihood.evaluate(kernel, {}, 1e-14, nullptr).log_likelihood;
      value = before * std::exp(-h);
      const double down = likelihood.evaluate(kernel, {}, 1e-14, nullptr).log_likelihood;
      value = before;
      EXPECT_NEAR(gradient[p], (up - down) / (2 * h), 0.4) << kernel.parameters()[p].name;
    }
  }
}

// Without a rest there is nothing to estimate: the preconditioner is the matrix, its gradient exact.
TEST(Iterative, AtFullRankLikelihoodAndGradientAreExact) {
  const Table t = table(90);
  for (const char* text : {kText, "const(0.8)*periodic(2.1)*matern32(1.5) + white(0.1)"}) {
    IterativeOptions o = known(text);
    o.rank = 90;
    o.probe_tolerance = 1e-10;
    const at::Tensor noise = normals(8, {90}).square() * 0.1;
    const GpData data = GpData::from(t.x, t.y, noise, Mean::kLinear);
    const Kernel kernel = Kernel::parse(text, 2);
    IterativeLikelihood likelihood(data.groups[0], 3, o);
    likelihood.choose_pivots(kernel);
    std::vector<double> gradient(kernel.parameters().size()), exact(gradient);
    const double value = likelihood.evaluate(kernel, gradient, 1e-18, nullptr).log_likelihood;
    MarginalLikelihood reference(data, 1 << 30);
    EXPECT_NEAR(value, reference.evaluate(kernel, exact).log_likelihood, 1e-6);
    EXPECT_THAT(gradient, testing::Pointwise(testing::DoubleNear(1e-6), exact));
  }
}

TEST(Iterative, FitComesToTheDenseOne) {
  const Table t = table(400, 3);
  IterativeOptions o;
  o.sample = 150;
  const IterativeProcess gp(t.x, t.y, o);
  const GaussianProcess exact = fit_gp(t.x, t.y);
  EXPECT_TRUE(gp.report().fitted);
  EXPECT_EQ(gp.report().short_solves, 0);
  GpOptions same;
  same.kernel = gp.report().kernel;
  same.fit = false;
  const double there = GaussianProcess(t.x, t.y, same).report().log_likelihood;
  EXPECT_GT(there, exact.report().log_likelihood - 0.05);
}

TEST(Iterative, GivesTheSameBitsAtAnyNumberOfThreads) {
  const Table t = table(800);
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    IterativeOptions o = known(kText);
    o.single = 0;
    o.fit = true;
    o.search.iterations = 2;
    const IterativeProcess gp(t.x, t.y, o);
    const IterativePrediction p = gp.predict(t.x.slice(0, 0, 50));
    results.push_back(
        at::cat({p.mean, p.variance, at::full({1}, gp.report().log_likelihood, at::kDouble)}));
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(Iterative, WhatDoesNotConvergeIsAnError) {
  const Table t = table(500);
  IterativeOptions o = known("const(1)*matern12(3) + white(1e-9)");
  o.rank = 10;
  o.iterations = 20;
  EXPECT_THROW(IterativeProcess(t.x, t.y, o), Error);
  EXPECT_THROW(IterativeProcess(t.x, at::stack({t.y, t.y}, 1), known(kText)), Error);
  o.probes = 0;
  EXPECT_THROW(IterativeProcess(t.x, t.y, o), Error);
  o = known(kText);
  o.variances = "far";
  EXPECT_THROW(IterativeProcess(t.x, t.y, o), Error);
}

TEST(Iterative, HostileDataGiveAnAnswerOrAnError) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(20, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    if (seed % 3 == 0) y.fill_(2);
    if (seed % 4 == 1 && n > 2) x[1] = x[0];
    IterativeOptions o;
    o.search.iterations = 10;
    o.starts = 1;
    try {
      const IterativeProcess gp(x, y, o);
      EXPECT_TRUE(gp.predict(x).mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(gp.predict(x).variance.isfinite().all().item<bool>()) << seed;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
}

}  // namespace
}  // namespace covary::stat
