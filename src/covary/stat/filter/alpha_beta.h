// Alpha-beta and alpha-beta-gamma filters: a steady Kalman filter of position, velocity (and
// acceleration) with gains from one number.
//
//   const AlphaBetaGains g = alpha_beta_gains(tracking_index(sigma_w, sigma_v, dt));
//   AlphaBeta track(g, dt, first);
//   for (double y : ys) { track.step(y);  track.position();  track.velocity(); }
//
// The gains are those to which the Kalman filter of a piecewise constant white acceleration (jerk
// increments for gamma: a piecewise constant increment of acceleration) tends. index =
// sigma_w dt^2 / sigma_v, with sigma_w the deviation of that acceleration, units / time^2, and
// sigma_v of an observation, units.
//
// A NaN only predicts. Cost: a few operations a step. Error(kUsage) for an index that is not
// positive and finite, and for gains outside the stable region.
//
// Source: Kalata 1984; Bar-Shalom, Li and Kirubarajan 2001, sections 6.5.2 and 6.5.3.
#pragma once

#include <array>

namespace covary::filter {

struct AlphaBetaGains {
  double alpha = 0, beta = 0, gamma = 0;  // gamma 0: no acceleration
};

double tracking_index(double sigma_w, double sigma_v, double dt);
AlphaBetaGains alpha_beta_gains(double index);
AlphaBetaGains alpha_beta_gamma_gains(double index);

class AlphaBeta {
 public:
  // start: position, velocity, acceleration before the first observation.
  AlphaBeta(const AlphaBetaGains& gains, double dt, const std::array<double, 3>& start);
  // Takes an observation and gives its innovation; the state is then that of its time.
  double step(double y);
  double position() const { return x_[0]; }
  double velocity() const { return x_[1]; }
  double acceleration() const { return x_[2]; }

 private:
  AlphaBetaGains gains_;
  double dt_;
  std::array<double, 3> x_;
  bool first_ = true;
};

}  // namespace covary::filter
