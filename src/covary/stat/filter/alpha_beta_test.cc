#include "covary/stat/filter/alpha_beta.h"

#include <cmath>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

// States 2 or 3, driven by a piecewise constant acceleration, or increment of it.
LinearModel kinematic(int64_t n, double sigma_w, double sigma_v, double dt) {
  MatrixXd f = MatrixXd::Identity(n, n), h = MatrixXd::Zero(1, n);
  f(0, 1) = dt;
  VectorXd g(n);
  g(0) = dt * dt / 2;
  g(1) = dt;
  if (n == 3) {
    f(0, 2) = dt * dt / 2;
    f(1, 2) = dt;
    g(2) = 1;
  }
  h(0, 0) = 1;
  LinearModel m;
  m.f = tensor_of(f);
  m.q = tensor_of(MatrixXd(sigma_w * sigma_w * g * g.transpose()));
  m.h = tensor_of(h);
  m.r = at::full({1, 1}, sigma_v * sigma_v, at::kDouble);
  m.mean0 = at::zeros({n}, at::kDouble);
  m.cov0 = at::eye(n, at::kDouble);
  return m;
}

TEST(AlphaBeta, GainsAreTheSteadyKalmanGains) {
  for (const double sigma_w : {1e-3, 0.1, 2.0, 300.0}) {
    const double sigma_v = 0.7, dt = 0.4;
    const double index = tracking_index(sigma_w, sigma_v, dt);
    const at::Tensor two = steady_state(kinematic(2, sigma_w, sigma_v, dt)).gain;
    const AlphaBetaGains g = alpha_beta_gains(index);
    EXPECT_NEAR(g.alpha, two[0][0].item<double>(), 1e-9);
    EXPECT_NEAR(g.beta / dt, two[1][0].item<double>(), 1e-9 * (1 + g.beta / dt));
    const at::Tensor three = steady_state(kinematic(3, sigma_w, sigma_v, dt)).gain;
    const AlphaBetaGains k = alpha_beta_gamma_gains(index);
    EXPECT_NEAR(k.alpha, three[0][0].item<double>(), 1e-8);
    EXPECT_NEAR(k.beta / dt, three[1][0].item<double>(), 1e-8 * (1 + k.beta / dt));
    EXPECT_NEAR(k.gamma / dt / dt, three[2][0].item<double>(), 1e-8 * (1 + k.gamma / dt / dt));
  }
}

TEST(AlphaBeta, IsTheKalmanFilterOfItsSteadyState) {
  LinearModel m = kinematic(2, 0.3, 0.7, 0.5);
  const SteadyState s = steady_state(m);
  m.cov0 = s.predicted_cov;
  m.mean0 = at::tensor({1.0, -2.0}, at::kDouble);
  const at::Tensor y = series_with_holes(30, 1, 320).nan_to_num(0.3);
  const Filtered exact = kalman_filter(m, y);
  AlphaBeta track(alpha_beta_gains(tracking_index(0.3, 0.7, 0.5)), 0.5, {1, -2, 0});
  for (int64_t t = 0; t < 30; ++t) {
    const double v = track.step(y[t][0].item<double>());
    EXPECT_NEAR(v, exact.innovation[t][0].item<double>(), 1e-9);
    EXPECT_NEAR(track.position(), exact.mean[t][0].item<double>(), 1e-9);
    EXPECT_NEAR(track.velocity(), exact.mean[t][1].item<double>(), 1e-9);
  }
  const double before = track.position(), speed = track.velocity();
  EXPECT_TRUE(std::isnan(track.step(std::nan(""))));
  EXPECT_NEAR(track.position(), before + 0.5 * speed, 1e-12);
}

TEST(AlphaBeta, RefusesWhatIsNotStable) {
  EXPECT_THROW(alpha_beta_gains(0), Error);
  EXPECT_THROW(tracking_index(1, -1, 1), Error);
  EXPECT_THROW(AlphaBeta({.alpha = 0.9, .beta = 3, .gamma = 0}, 1, {0, 0, 0}), Error);
  EXPECT_THROW(AlphaBeta({.alpha = 0.5, .beta = 0.1, .gamma = 0}, 0, {0, 0, 0}), Error);
}

}  // namespace
}  // namespace covary::filter
