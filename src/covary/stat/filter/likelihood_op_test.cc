#include "covary/stat/filter/likelihood_op.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

at::Tensor series(int64_t steps) {
  at::Tensor y = at::empty({steps, 1}, at::kDouble);
  const Random random(4);
  double level = 0;
  for (int64_t t = 0; t < steps; ++t) {
    level += 0.3 * random.normal(uint64_t(2 * t));
    y.data_ptr<double>()[t] = level + random.normal(uint64_t(2 * t + 1));
  }
  y.data_ptr<double>()[3] = NAN;
  return y;
}

// A damped trend whose every matrix follows from a few numbers.
LinearModel model_of(const at::Tensor& v) {
  const at::Tensor zero = at::zeros({}, at::kDouble), one = at::ones({}, at::kDouble);
  LinearModel m;
  m.f = at::stack({one, one, zero, v[0]}).view({2, 2});
  m.q = at::diag(at::stack({v[1].exp(), v[2].exp()}));
  m.h = at::stack({v[3], zero}).view({1, 2});
  m.r = v[4].exp().view({1, 1});
  m.mean0 = at::stack({v[5], zero});
  m.cov0 = at::diag(at::stack({v[6].exp(), one}));
  return m;
}

TEST(LikelihoodOp, GradientsFlowThroughTheMatricesToWhatMadeThem) {
  const at::Tensor y = series(30);
  const at::Tensor v = at::tensor({0.8, -2., -3., 1.2, 0.1, 0.3, -0.5}, at::kDouble);
  const at::Tensor own = v.clone().requires_grad_(true);
  const at::Tensor value = log_likelihood_op(model_of(own), y);
  EXPECT_EQ(value.item<double>(), kalman_log_likelihood(model_of(v), y));
  (3 * value).backward();
  const double h = 1e-5;
  for (int64_t i = 0; i < v.size(0); ++i) {
    at::Tensor up = v.clone(), down = v.clone();
    up[i] += h;
    down[i] -= h;
    const double slope =
        (kalman_log_likelihood(model_of(up), y) - kalman_log_likelihood(model_of(down), y)) /
        (2 * h);
    EXPECT_NEAR(own.grad()[i].item<double>(), 3 * slope, 1e-6 * (1 + std::abs(slope))) << i;
  }
}

TEST(LikelihoodOp, AscentFindsTheNoise) {
  const at::Tensor y = series(200);
  at::Tensor v = at::tensor({0.8, -2., -3., 1.2, 0.1, 0.3, -0.5}, at::kDouble).requires_grad_(true);
  const double before = log_likelihood_op(model_of(v), y).item<double>();
  torch::optim::Adam adam({v}, torch::optim::AdamOptions(0.05));
  for (int step = 0; step < 60; ++step) {
    adam.zero_grad();
    log_likelihood_op(model_of(v), y).neg().backward();
    adam.step();
  }
  EXPECT_GT(log_likelihood_op(model_of(v), y).item<double>(), before + 1);
}

TEST(LikelihoodOp, BadModelsAreNamed) {
  LinearModel m = model_of(at::zeros({7}, at::kDouble));
  m.h = at::zeros({1, 3}, at::kDouble);
  EXPECT_THROW(log_likelihood_op(m, series(5)), Error);
}

}  // namespace
}  // namespace covary::filter
