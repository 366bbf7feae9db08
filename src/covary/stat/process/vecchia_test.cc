#include "covary/stat/process/vecchia.h"

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

constexpr const char* kText = "const(1.4)*matern52(ard,lengthscale=[1,1.5]) + white(0.05)";

VecchiaOptions known(int64_t neighbours, const char* mean = "const") {
  VecchiaOptions o;
  o.kernel = kText;
  o.mean = mean;
  o.neighbours = neighbours;
  o.fit = false;
  return o;
}

GaussianProcess dense(const at::Tensor& x, const at::Tensor& y, const char* mean) {
  GpOptions g;
  g.kernel = kText;
  g.mean = mean;
  g.fit = false;
  return {x, y, g};
}

TEST(Vecchia, WithAllBeforeItIsTheDenseProcess) {
  const at::Tensor x = normals(1, {90, 2}), xs = normals(3, {20, 2});
  at::Tensor y = 3 + x.sum(1).sin() + 0.2 * normals(2, {90});
  y[5] = NAN;
  for (const char* mean : {"zero", "const"}) {
    const VecchiaProcess gp(x, y, known(89, mean));
    const GaussianProcess exact = dense(x, y, mean);
    EXPECT_NEAR(gp.report().log_likelihood, exact.report().log_likelihood, 1e-8);
    const VecchiaPrediction p = gp.predict(xs, true);
    const Prediction q = exact.predict(xs, {.noise = true});
    EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-9);
    EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-9);
  }
  const VecchiaPrediction p = VecchiaProcess(x, y, known(89, "zero")).leave_one_out();
  const Prediction q = dense(x, y, "zero").leave_one_out();
  EXPECT_LT(at::nan_to_num(p.mean - q.mean).abs().max().item<double>(), 1e-8);
  EXPECT_LT(at::nan_to_num(p.variance - q.variance).abs().max().item<double>(), 1e-8);
  EXPECT_TRUE(p.mean[5].isnan().item<bool>());
}

TEST(Vecchia, ThirtyNeighboursComeCloseAndMoreComeCloser) {
  const at::Tensor x = normals(1, {500, 2}), xs = normals(3, {50, 2}).sin();
  const at::Tensor y = 3 + x.sum(1).sin() + 0.2 * normals(2, {500});
  const GaussianProcess exact = dense(x, y, "const");
  double before = INFINITY;
  for (const int64_t m : {3, 10, 30}) {
    const VecchiaProcess gp(x, y, known(m));
    const double off = std::abs(gp.report().log_likelihood - exact.report().log_likelihood);
    EXPECT_LT(off, before);
    before = off;
  }
  EXPECT_LT(before, 3);
  const VecchiaPrediction p = VecchiaProcess(x, y, known(30)).predict(xs);
  const Prediction q = exact.predict(xs);
  EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 0.05);
}

TEST(Vecchia, GradientAgreesWithDifferences) {
  const at::Tensor x = normals(1, {60, 2}).contiguous(), y = normals(2, {60});
  const std::span<const double> xs(x.const_data_ptr<double>(), 120),
      ys(y.const_data_ptr<double>(), 60);
  const NeighbourLists lists = nearest_before(xs, 2, 7);
  for (const char* text : {kText, "const(0.8)*rbf(1.2) + linear(0.3) + white(0.1)"}) {
    for (const bool constant : {false, true}) {
      Kernel kernel = Kernel::parse(text, 2);
      std::vector<double> g(kernel.parameters().size());
      vecchia_log_likelihood(kernel, xs, ys, lists, constant, g);
      for (size_t p = 0; p < g.size(); ++p) {
        double& value = kernel.parameters()[p].value;
        const double before = value, h = 1e-5;
        value = before * std::exp(h);
        const double up =
            vecchia_log_likelihood(kernel, xs, ys, lists, constant, {}).log_likelihood;
        value = before * std::exp(-h);
        const double down =
            vecchia_log_likelihood(kernel, xs, ys, lists, constant, {}).log_likelihood;
        value = before;
        EXPECT_NEAR(g[p], (up - down) / (2 * h), 1e-6 * (10 + std::abs(g[p])));
      }
    }
  }
}

TEST(Vecchia, ListsHoldTheNearestBefore) {
  const std::vector<double> x{0, 10, 5, 1, 6};
  const NeighbourLists lists = nearest_before(x, 1, 2);
  EXPECT_THAT(lists.begin, testing::ElementsAre(0, 0, 1, 3, 5, 7));
  EXPECT_THAT(lists.of, testing::ElementsAre(0, 0, 1, 0, 2, 2, 1));
  // Middle, ends, then between: each the farthest from those before.
  const std::vector<int64_t> order =
      spread_order(std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8}, 1, 0);
  EXPECT_EQ(order[0], 4);
  EXPECT_THAT((std::vector<int64_t>{order[1], order[2]}), testing::UnorderedElementsAre(0, 8));
  EXPECT_THAT((std::vector<int64_t>{order[3], order[4]}), testing::UnorderedElementsAre(2, 6));
}

TEST(Vecchia, FitComesCloseToTheDenseOne) {
  const at::Tensor x = normals(11, {200, 2}), xs = normals(13, {40, 2}).sin();
  const at::Tensor y = (2 * x).sum(1).sin() + 3 + 0.1 * normals(12, {200});
  VecchiaOptions o;
  o.sample = 100;
  const VecchiaProcess gp(x, y, o);
  const GaussianProcess exact = fit_gp(x, y);
  EXPECT_TRUE(gp.report().fitted);
  EXPECT_LT((gp.predict(xs).mean - exact.predict(xs).mean).abs().max().item<double>(), 0.1);
  GpOptions same;
  same.kernel = gp.report().kernel;
  same.fit = false;
  EXPECT_GT(GaussianProcess(x, y, same).report().log_likelihood, exact.report().log_likelihood - 1);
}

TEST(Vecchia, GivesTheSameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(21, {700, 3}), y = x.sum(1).sin();
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    VecchiaOptions o;
    o.sample = 50;
    o.neighbours = 10;
    o.search.iterations = 2;
    const VecchiaProcess gp(x, y, o);
    results.push_back(at::cat({gp.predict(x).mean, gp.predict(x).variance}));
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(Vecchia, HostileDataGiveAnAnswerOrAnError) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(20, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    if (seed % 3 == 0) y.fill_(2);
    if (seed % 4 == 1 && n > 2) x[1] = x[0];
    VecchiaOptions o;
    o.neighbours = 5;
    o.search.iterations = 5;
    try {
      const VecchiaProcess gp(x, y, o);
      EXPECT_TRUE(gp.predict(x).mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(gp.predict(x).variance.isfinite().all().item<bool>()) << seed;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
}

}  // namespace
}  // namespace covary::stat
