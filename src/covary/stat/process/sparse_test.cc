#include "covary/stat/process/sparse.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/process_test_data.h"

namespace covary::stat {
namespace {

constexpr const char* kText = "const(1.4)*matern52(ard,lengthscale=[1,1.5])";

GaussianProcess exact_at(const at::Tensor& x, const at::Tensor& y, const std::string& kernel) {
  GpOptions o;
  o.kernel = kernel;
  o.mean = "zero";
  o.fit = false;
  return {x, y, o};
}

// With every point an inducing point the bound is the likelihood, and so is the upper bound.
TEST(Sparse, WithAllPointsItIsTheExactProcess) {
  const at::Tensor x = normals(1, {80, 2}), xs = normals(3, {12, 2});
  at::Tensor y = x.sum(1).sin() + 0.2 * normals(2, {80});
  y = y - y.mean();
  SparseOptions o;
  o.kernel = kText;
  o.inducing = 80;
  o.noise = 0.07;
  o.fit = false;
  const SparseProcess sparse(x, y, o);
  const GaussianProcess exact = exact_at(x, y, std::string(kText) + " + white(0.07)");
  EXPECT_NEAR(sparse.report().bound, exact.report().log_likelihood, 1e-6);
  EXPECT_NEAR(sparse.report().upper, exact.report().log_likelihood, 1e-6);
  const SparsePrediction p = sparse.predict(xs);
  const Prediction q = exact.predict(xs);
  EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-6);
  EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-6);
}

TEST(Sparse, BoundsLieAroundTheLikelihoodAndCloseIn) {
  const at::Tensor x = normals(1, {150, 2});
  at::Tensor y = x.sum(1).sin() + 0.2 * normals(2, {150});
  y = y - y.mean();
  const double exact =
      exact_at(x, y, std::string(kText) + " + white(0.07)").report().log_likelihood;
  double gap = INFINITY;
  for (const int64_t m : {5, 20, 60}) {
    SparseOptions o;
    o.kernel = kText;
    o.inducing = m;
    o.noise = 0.07;
    o.fit = false;
    const SparseReport r = SparseProcess(x, y, o).report();
    EXPECT_LE(r.bound, exact + 1e-9);
    EXPECT_GE(r.upper, exact - 1e-9);
    EXPECT_LT(r.gap(), gap);
    gap = r.gap();
  }
}

TEST(Sparse, GradientAgreesWithDifferences) {
  for (const char* text :
       {kText, "const(0.8)*rbf(1.2) + linear(0.3)", "const(1)*periodic(2.5)*rq(1.4,alpha=0.7)",
        "const(1)*matern32(1.1)*polynomial(0.2,offset=1)"}) {
    SCOPED_TRACE(text);
    const auto x = flat(normals(1, {200, 2})), y = flat(normals(2, {200}));
    auto z = flat(normals(4, {9, 2}));
    Kernel kernel = Kernel::parse(text, 2);
    double noise = 0.15;
    SparseGradient g;
    const double value = sparse_bound(kernel, noise, x, y, z, &g).value;
    EXPECT_EQ(sparse_bound(kernel, noise, x, y, z, nullptr).value, value);
    const auto difference = [&](double* at, bool logarithm) {
      const double before = *at, h = 1e-5;
      *at = logarithm ? before * std::exp(h) : before + h;
      const double up = sparse_bound(kernel, noise, x, y, z, nullptr).value;
      *at = logarithm ? before * std::exp(-h) : before - h;
      const double down = sparse_bound(kernel, noise, x, y, z, nullptr).value;
      *at = before;
      return (up - down) / (2 * h);
    };
    for (size_t p = 0; p < g.kernel.size(); ++p) {
      const double d = difference(&kernel.parameters()[p].value, true);
      EXPECT_NEAR(g.kernel[p], d, 1e-6 * (10 + std::abs(d))) << kernel.parameters()[p].name;
    }
    EXPECT_NEAR(g.noise, difference(&noise, true), 1e-5);
    for (size_t i = 0; i < z.size(); ++i) {
      const double d = difference(&z[i], false);
      EXPECT_NEAR(g.inducing[i], d, 1e-6 * (10 + std::abs(d))) << i;
    }
  }
}

TEST(Sparse, FitComesCloseToTheExactOne) {
  const at::Tensor x = normals(11, {400, 1}),
                   xs = at::linspace(-2, 2, 40, at::kDouble).unsqueeze(1);
  const at::Tensor y = (2 * x.squeeze(1)).sin() + 3 + 0.1 * normals(12, {400});
  const SparseProcess sparse = fit_sparse(x, y, {.kernel = "rbf", .inducing = 25});
  const GaussianProcess exact = fit_gp(x, y, {.kernel = "rbf"});
  const SparseReport& r = sparse.report();
  EXPECT_TRUE(r.fitted);
  EXPECT_NE(r.ending, numeric::Ending::kIterations);
  EXPECT_LT(r.gap(), 1);
  EXPECT_NEAR(r.noise, 0.01, 0.003);
  EXPECT_LT((sparse.predict(xs).mean - exact.predict(xs).mean).abs().max().item<double>(), 0.02);
  EXPECT_LT((sparse.predict(xs, true).variance - sparse.predict(xs).variance - r.noise)
                .abs()
                .max()
                .item<double>(),
            1e-14);
}

TEST(Sparse, GivesTheSameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(21, {3000, 3}), y = x.sum(1).sin();
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    SparseOptions o;
    o.inducing = 70;
    o.search.iterations = 3;
    const SparseProcess gp(x, y, o);
    results.push_back(at::cat({gp.predict(x).mean, gp.predict(x).variance,
                               at::full({1}, gp.report().bound, at::kDouble)}));
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(Sparse, GreedyChoiceSkipsCopies) {
  const Kernel kernel = Kernel::parse("rbf", 1);
  const std::vector<double> x{0, 0, 0, 5, 5, 1};
  EXPECT_THAT(greedy_inducing(kernel, x, 6), testing::ElementsAre(0, 3, 5));
}

TEST(Sparse, HostileDataGiveAnAnswerOrAnError) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(20, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    if (seed % 3 == 0) y.fill_(2);
    if (seed % 4 == 1 && n > 2) x[1] = x[0];
    SparseOptions o;
    o.search.iterations = 20;
    try {
      const SparseProcess gp(x, y, o);
      EXPECT_TRUE(gp.predict(x).mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(gp.predict(x).variance.isfinite().all().item<bool>()) << seed;
      EXPECT_GE(gp.report().gap(), 0) << seed;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  EXPECT_THROW(fit_sparse(normals(1, {5, 1}), normals(2, {5}), {.kernel = "rbf + white"}), Error);
  EXPECT_THROW(fit_sparse(normals(1, {5, 1}), normals(2, {5}), {.inducing = 0}), Error);
}

}  // namespace
}  // namespace covary::stat
