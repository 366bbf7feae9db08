#include "covary/stat/process/structured.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/process_test_data.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {
namespace {

// A grid of a x b points as shuffled rows of a table.
struct Table {
  at::Tensor x, y;
};
Table table(int64_t a, int64_t b, uint64_t seed) {
  std::vector<at::Tensor> rows;
  for (const int64_t cell : Random(seed, 1).permutation(a * b)) {
    rows.push_back(at::tensor(
        {0.3 * static_cast<double>(cell / b), std::pow(0.1 * static_cast<double>(cell % b), 1.2)},
        at::kDouble));
  }
  const at::Tensor x = at::stack(rows);
  return {x, 2 + x.sum(1).sin() + 0.1 * normals(seed, {a * b})};
}

void expect_dense(const Regression& r, const at::Tensor& x, const at::Tensor& y,
                  const at::Tensor& xs, double tolerance) {
  GpOptions g;
  g.kernel = r.report().kernel;
  g.fit = false;
  const GaussianProcess exact(x, y, g);
  EXPECT_NEAR(r.report().log_likelihood, exact.report().log_likelihood, tolerance);
  const auto [mean, variance] = r.predict(xs, true);
  const Prediction p = exact.predict(xs, {.noise = true});
  EXPECT_LT((mean - p.mean).abs().max().item<double>(), tolerance);
  EXPECT_LT((variance - p.variance).abs().max().item<double>(), tolerance);
  const auto [left, spread] = r.leave_one_out();
  const Prediction out = exact.leave_one_out();
  EXPECT_LT((left - out.mean).abs().max().item<double>(), tolerance);
  EXPECT_LT((spread - out.variance).abs().max().item<double>(), tolerance);
}

TEST(Structured, GridOfATableIsTheDenseProcessOfItsKernel) {
  const Table t = table(9, 12, 3);
  const at::Tensor xs = normals(4, {15, 2}).abs();
  for (const char* kernel : {"matern52", "rbf(ard)+white(0.02)", "matern32*rq + white"}) {
    SCOPED_TRACE(kernel);
    const Regression r(t.x, t.y, {.kernel = kernel, .method = "kron"});
    EXPECT_EQ(r.report().choice.method, "kron");
    EXPECT_TRUE(r.report().fitted);
    expect_dense(r, t.x, t.y, xs, 1e-7);
    const Regression again = Regression::of_model(r.model());
    EXPECT_NEAR(again.report().log_likelihood, r.report().log_likelihood, 1e-9);
    EXPECT_LT(
        (again.predict(xs, true).second - r.predict(xs, true).second).abs().max().item<double>(),
        1e-12);
  }
}

TEST(Structured, EqualStepsAreTheDenseProcess) {
  const at::Tensor x = at::arange(60, at::TensorOptions(at::kDouble)).unsqueeze(1) * 0.1;
  const at::Tensor y = 5 + x.squeeze(1).sin() + 0.1 * normals(3, {60});
  const Regression r(x, y, {.kernel = "rbf", .method = "toeplitz"});
  expect_dense(r, x, y, normals(4, {15, 1}), 1e-7);
  EXPECT_NE(r.report().structure.find("equal steps"), std::string::npos);
}

TEST(Structured, ModelsOfApproximationsComeBack) {
  const at::Tensor x = normals(1, {150, 2}).sin(), xs = normals(2, {20, 2}).sin() * 0.9;
  const at::Tensor y = (3 * x).sum(1).sin() + 0.1 * normals(3, {150});
  for (const char* method : {"hsgp", "vecchia"}) {
    RegressionOptions o;
    o.kernel = "rbf";
    o.method = method;
    o.steps = 4;
    o.restarts = 1;
    const Regression r(x, y, o);
    EXPECT_FALSE(r.report().structure.empty());
    const Regression again = Regression::of_model(r.model());
    EXPECT_NEAR(again.report().log_likelihood, r.report().log_likelihood, 1e-9);
    EXPECT_LT(
        (again.predict(xs, true).first - r.predict(xs, true).first).abs().max().item<double>(),
        1e-9);
    EXPECT_EQ(again.report().evaluations, r.report().evaluations);
  }
}

// Cells without a row, and rows without a value, are holes.
TEST(Structured, GridWithHolesIsTheDenseProcessOfItsRows) {
  Table t = table(12, 10, 3);
  t.y[5] = NAN;
  t.y[50] = NAN;
  t = {t.x.slice(0, 0, 98).contiguous(), t.y.slice(0, 0, 98).contiguous()};
  const at::Tensor xs = normals(4, {15, 2}).abs();
  EXPECT_EQ(grid_table(t.x, t.y).holes, 24);
  const Regression r(t.x, t.y, {.kernel = "matern52", .method = "kron"});
  EXPECT_NE(r.report().structure.find("24 cells without value"), std::string::npos)
      << r.report().structure;
  GpOptions g;
  g.kernel = r.report().kernel;
  g.fit = false;
  const GaussianProcess exact(t.x, t.y, g);
  EXPECT_NEAR(r.report().log_likelihood, exact.report().log_likelihood, 1e-6);
  const auto [mean, variance] = r.predict(xs, true);
  const Prediction p = exact.predict(xs, {.noise = true});
  EXPECT_LT((mean - p.mean).abs().max().item<double>(), 1e-6);
  EXPECT_LT((variance - p.variance).abs().max().item<double>(), 1e-6);
  const auto left = r.leave_one_out();
  EXPECT_EQ(left.first.numel(), 98);
  EXPECT_EQ(left.first.isnan().sum().item<int64_t>(), 2);
  const Regression again = Regression::of_model(r.model());
  EXPECT_NEAR(again.report().log_likelihood, r.report().log_likelihood, 1e-9);
}

TEST(Structured, NoiseOfTheRowsIsTakenOnAGrid) {
  const Table t = table(8, 9, 3);
  const at::Tensor noise = 0.01 + 0.05 * normals(6, {72}).square(), xs = normals(4, {9, 2}).abs();
  RegressionOptions o;
  o.kernel = "const(1)*rbf(1)";
  o.method = "kron";
  o.fit = false;
  const Regression r(t.x, t.y, o, noise);
  GpOptions g;
  g.kernel = "const(1)*rbf(1,dims=0)*const(1)*rbf(1,dims=1)";
  g.fit = false;
  const GaussianProcess exact(t.x, t.y, g, noise);
  const auto [mean, variance] = r.predict(xs, false);
  const Prediction p = exact.predict(xs, {});
  EXPECT_LT((mean - p.mean).abs().max().item<double>(), 1e-7);
  EXPECT_LT((variance - p.variance).abs().max().item<double>(), 1e-7);
  EXPECT_NE(r.report().structure.find("standard error"), std::string::npos);
}

TEST(Structured, AutoSeesAGridWhereTheKernelIsAProduct) {
  const Table t = table(30, 20, 5);
  const RegressionOptions product{.kernel = "rbf(ard)"}, other{.kernel = "matern52(ard)"};
  const at::Tensor holed = t.x.slice(0, 0, 550).contiguous();
  const MethodChoice whole = choose_method(product, 600, 2, false, false, t.x),
                     some = choose_method(product, 550, 2, false, false, holed);
  EXPECT_EQ(whole.method, "kron");
  EXPECT_NE(whole.why.find("grid of 30 x 20"), std::string::npos) << whole.why;
  EXPECT_EQ(some.method, "kron");
  EXPECT_NE(some.why.find("50 of them without a row"), std::string::npos) << some.why;
  EXPECT_EQ(choose_method(other, 600, 2, false, false, t.x).method, "exact");
  EXPECT_EQ(choose_method(product, 600, 2, false).method, "exact");
  EXPECT_EQ(choose_method(product, 600, 2, false, false, normals(1, {600, 2})).method, "exact");
  RegressionOptions o = product;
  o.steps = 3;
  const Regression r(t.x, t.y, o);
  EXPECT_EQ(r.report().choice.method, "kron");
  EXPECT_TRUE(grid_shape(at::zeros({600, 2}, at::kDouble)).empty());
}

TEST(Structured, WhatIsNoGridIsSaid) {
  const Table t = table(4, 5, 1);
  EXPECT_THROW(grid_table(normals(1, {40, 2}), t.y), Error);
  at::Tensor twice = t.x.clone();
  twice[0] = twice[1];
  EXPECT_THROW(grid_table(twice, t.y), Error);
  const at::Tensor line = at::arange(20, at::TensorOptions(at::kDouble)).unsqueeze(1);
  at::Tensor hole = line.squeeze(1).clone();
  hole[3] = NAN;
  EXPECT_THROW(Regression(line, hole, {.kernel = "rbf", .method = "toeplitz"}), Error);
  EXPECT_THROW(Regression(t.x, t.y, {.method = "toeplitz"}), Error);
  EXPECT_THROW(Regression(t.x.select(1, 1).contiguous().unsqueeze(1), t.y, {.method = "toeplitz"}),
               Error);
  EXPECT_THROW(Regression(t.x, t.y, {.mean = "linear", .method = "kron"}), Error);
  EXPECT_THROW(Regression(t.x, t.y, {.kernel = "linear", .method = "hsgp"}), Error);
}

}  // namespace
}  // namespace covary::stat
