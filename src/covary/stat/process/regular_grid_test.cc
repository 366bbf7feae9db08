#include "covary/stat/process/regular_grid.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {
namespace {

struct Field {
  GridAxes axes;
  at::Tensor x, y;  // rows of cells, and [n_1, n_2]
};
Field field(int64_t a, int64_t b, double noise, uint64_t seed) {
  Field f{{{}, {}}, at::empty({a * b, 2}, at::kDouble), at::empty({a, b}, at::kDouble)};
  for (int64_t i = 0; i < a; ++i) f.axes[0].push_back(3 + 0.4 * static_cast<double>(i));
  for (int64_t j = 0; j < b; ++j) f.axes[1].push_back(-1 + 0.25 * static_cast<double>(j));
  const Random random(seed);
  for (int64_t c = 0; c < a * b; ++c) {
    const double s = f.axes[0][static_cast<size_t>(c / b)],
                 t = f.axes[1][static_cast<size_t>(c % b)];
    f.x[c][0] = s;
    f.x[c][1] = t;
    f.y.data_ptr<double>()[c] = 2 + std::sin(s + t) + 0.5 * std::cos(2 * t) +
                                noise * random.normal(static_cast<uint64_t>(c));
  }
  return f;
}

// Neither a product over the columns nor of one length scale.
constexpr const char* kKernel =
    "const(1.2)*matern32(ard,lengthscale=[1.1,0.8]) + const(0.3)*rq(1.5,0.7) + white(0.05)";

GaussianProcess dense_of(const Field& f, const std::string& kernel, const std::string& mean) {
  return GaussianProcess(f.x, f.y.reshape({-1}), {.kernel = kernel, .mean = mean, .fit = false});
}

TEST(RegularGrid, IsTheDenseProcess) {
  const Field f = field(8, 9, 0.2, 1);
  const at::Tensor points =
      at::tensor({3.1, 0.2, 5.0, 1.1, 9.0, -3.0}, at::kDouble).reshape({3, 2});
  for (const char* mean : {"zero", "const"}) {
    const RegularGridProcess grid(f.axes, f.y,
                                  {.kernel = kKernel, .mean = mean, .fit = false, .probes = 64});
    const GaussianProcess dense = dense_of(f, kKernel, mean);
    const RegularGridReport& r = grid.report();
    // The square is that of the dense process; the determinant within a few of its errors.
    EXPECT_NEAR(r.log_likelihood, dense.report().log_likelihood, 4 * r.error + 1e-6);
    EXPECT_LT(r.error, 1);
    EXPECT_LT(r.residual, 1e-4);
    for (const bool noise : {false, true}) {
      const RegularGridPrediction p = grid.predict(points, noise);
      const Prediction q = dense.predict(points, {.noise = noise});
      EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-7);
      EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-7);
    }
    const RegularGridPrediction left = grid.leave_one_out();
    const Prediction out = dense.leave_one_out();
    EXPECT_LT((left.mean - out.mean).abs().max().item<double>(), 1e-6);
    EXPECT_LT((left.variance - out.variance).abs().max().item<double>(), 1e-6);
  }
}

// With as many probes the determinant's error falls, and its value tends to the dense one.
TEST(RegularGrid, MoreProbesTellMore) {
  const Field f = field(7, 8, 0.2, 2);
  const GaussianProcess dense = dense_of(f, kKernel, "const");
  const RegularGridProcess few(f.axes, f.y, {.kernel = kKernel, .fit = false, .probes = 16}),
      many(f.axes, f.y, {.kernel = kKernel, .fit = false, .probes = 200});
  EXPECT_LT(many.report().error, few.report().error);
  EXPECT_NEAR(many.report().log_likelihood, dense.report().log_likelihood,
              4 * many.report().error + 1e-6);
}

// The probes are fixed: the gradient of the square is exact, that of the determinant is the mean over
// the probes, whose number makes it that of the dense likelihood.
TEST(RegularGrid, TheGradientMeetsThatOfTheDenseLikelihood) {
  const Field f = field(6, 7, 0.2, 3);
  const RegularGridProcess grid(f.axes, f.y,
                                {.kernel = kKernel,
                                 .fit = false,
                                 .probes = 800,
                                 .tolerance = 1e-12,
                                 .probe_tolerance = 1e-10});
  Kernel kernel = grid.kernel();
  std::vector<double> gradient(kernel.parameters().size());
  grid.log_likelihood(kernel, &gradient);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double value = kernel.parameters()[p].value, h = 1e-4;
    double difference = 0;
    for (const double sign : {-1.0, 1.0}) {
      kernel.parameters()[p].value = value * std::exp(sign * h);
      difference += sign * dense_of(f, kernel.text(), "const").report().log_likelihood / (2 * h);
    }
    kernel.parameters()[p].value = value;
    EXPECT_NEAR(gradient[p], difference, 0.05 * (1 + std::abs(difference)))
        << kernel.parameters()[p].name;
  }
}

// Where the search by probes ends, the dense likelihood is about as large as at its own optimum.
TEST(RegularGrid, AFitFindsTheDenseOptimum) {
  const Field f = field(9, 8, 0.3, 4);
  const RegularGridProcess grid(f.axes, f.y, {.kernel = "matern32(ard)"});
  EXPECT_TRUE(grid.report().fitted);
  const GaussianProcess dense(f.x, f.y.reshape({-1}),
                              {.kernel = "matern32(ard)", .priors = "none"});
  const double reached = dense_of(f, grid.report().kernel, "const").report().log_likelihood;
  EXPECT_GT(reached, dense.report().log_likelihood - 0.5);
  EXPECT_NEAR(grid.report().log_likelihood, reached, 4 * grid.report().error + 1e-6);
  const RegularGridProcess again(f.axes, f.y, {.kernel = "matern32(ard)"});
  EXPECT_EQ(again.report().kernel, grid.report().kernel);
}

TEST(RegularGrid, ServesTablesByTheMethodToeplitz) {
  const Field f = field(7, 6, 0.1, 5);
  const std::vector<int64_t> shuffled = Random(6, 1).permutation(42);
  const at::Tensor order = at::tensor(shuffled, at::kLong);
  const at::Tensor x = f.x.index_select(0, order),
                   y = f.y.reshape({-1}).index_select(0, order).contiguous();
  const Regression r(x, y,
                     {.kernel = "matern32(ard)", .method = "toeplitz", .restarts = 1, .steps = 8});
  EXPECT_EQ(r.report().choice.method, "toeplitz");
  EXPECT_NE(r.report().structure.find("7 x 6 with equal steps"), std::string::npos);
  EXPECT_FALSE(r.length_scales().empty());
  const Regression again = Regression::of_model(r.model());
  EXPECT_NEAR(again.report().log_likelihood, r.report().log_likelihood, 1e-6);
  EXPECT_LT((again.predict(x, true).first - r.predict(x, true).first).abs().max().item<double>(),
            1e-7);
  const auto [left, variance] = r.leave_one_out();
  EXPECT_LT((left - y).square().mean().sqrt().item<double>(), 0.25);
  EXPECT_EQ(r.sample(x.narrow(0, 0, 3), 4, 1).size(0), 4);
}

TEST(RegularGrid, WhatItCannotServeIsNamed) {
  const Field f = field(6, 7, 0.1, 7);
  const RegularGridOptions plain{.kernel = "rbf", .fit = false};
  at::Tensor hole = f.y.clone();
  hole[2][3] = NAN;
  EXPECT_THROW(RegularGridProcess(f.axes, hole, plain), Error);
  GridAxes uneven = f.axes;
  uneven[1][3] += 0.01;
  EXPECT_THROW(RegularGridProcess(uneven, f.y, plain), Error);
  EXPECT_THROW(RegularGridProcess(f.axes, f.y.reshape({-1}), plain), Error);
  for (const char* kernel : {"rbf + linear", "warp(rbf)", "deep(rbf)", "erf"}) {
    EXPECT_THROW(RegularGridProcess(f.axes, f.y, {.kernel = kernel, .fit = false}), Error)
        << kernel;
  }
  EXPECT_THROW(RegularGridProcess(f.axes, f.y, {.mean = "linear"}), Error);
}

}  // namespace
}  // namespace covary::stat
