#include "covary/stat/filter/alpha_beta.h"

#include <cmath>

#include "covary/core/base/error.h"

namespace covary::filter {
namespace {

void need_positive(double v, const char* name) {
  if (!(v > 0) || std::isinf(v)) {
    throw Error(ExitCode::kUsage, "must be positive and finite", name);
  }
}

}  // namespace

double tracking_index(double sigma_w, double sigma_v, double dt) {
  need_positive(sigma_w, "sigma_w");
  need_positive(sigma_v, "sigma_v");
  need_positive(dt, "dt");
  return sigma_w * dt * dt / sigma_v;
}

AlphaBetaGains alpha_beta_gains(double index) {
  need_positive(index, "index");
  // index^2 = beta^2 / (1 - alpha) with beta = 2 (2 - alpha) - 4 sqrt(1 - alpha): with
  // r = sqrt(1 - alpha), beta = 2 (1 - r)^2 and index = 2 (1 - r)^2 / r. 1 - r without
  // cancellation.
  const double gap = (std::sqrt(index * index + 8 * index) - index) / 4, r = 1 - gap;
  return {gap * (1 + r), 2 * gap * gap, 0};
}

AlphaBetaGains alpha_beta_gamma_gains(double index) {
  need_positive(index, "index");
  // With s = sqrt(1 - alpha): beta = 2 (1 - s)^2, gamma = beta^2 / (2 alpha), index = gamma / s,
  // that is 2 (1 - s)^3 / (s (1 + s)), which falls from infinity to 0 on (0, 1).
  double low = 0, high = 1;
  for (int i = 0; i < 200; ++i) {
    const double s = 0.5 * (low + high), gap = 1 - s;
    (2 * gap * gap * gap / (s * (1 + s)) > index ? low : high) = s;
  }
  const double s = 0.5 * (low + high), alpha = (1 - s) * (1 + s), beta = 2 * (1 - s) * (1 - s);
  return {alpha, beta, beta * beta / (2 * alpha)};
}

AlphaBeta::AlphaBeta(const AlphaBetaGains& gains, double dt, const std::array<double, 3>& start)
    : gains_(gains), dt_(dt), x_(start) {
  need_positive(dt, "dt");
  const bool stable = gains.alpha > 0 && gains.alpha <= 1 && gains.beta >= 0 &&
                      gains.beta <= 4 - 2 * gains.alpha && gains.gamma >= 0 &&
                      gains.gamma <= 4 * gains.alpha * gains.beta / (2 - gains.alpha);
  if (!stable) {
    throw Error(ExitCode::kUsage, "make the filter unstable", "gains",
                "0 < alpha <= 1, 0 <= beta <= 4 - 2 alpha; alpha_beta_gains() makes good ones");
  }
}

double AlphaBeta::step(double y) {
  if (!first_) {
    x_[0] += dt_ * (x_[1] + 0.5 * dt_ * x_[2]);
    x_[1] += dt_ * x_[2];
  }
  first_ = false;
  if (std::isnan(y)) return y;
  const double v = y - x_[0];
  x_[0] += gains_.alpha * v;
  x_[1] += gains_.beta / dt_ * v;
  x_[2] += gains_.gamma / (dt_ * dt_) * v;
  return v;
}

}  // namespace covary::filter
