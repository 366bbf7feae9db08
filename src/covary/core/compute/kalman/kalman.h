// Kalman filters of many short series at once: B series of T steps, d states, p observations.
//
//   KalmanBatch b{.series = 10000, .steps = 1000, .states = 4, .observations = 2};
//   b.f = {f};  b.q = {q};  b.h = {h};  b.mean0 = {m0};  b.cov0 = {p0};   // shared by all series
//   b.r = {r, 4};                                                         // own: 4 numbers a series
//   b.y = y;                                                              // [B,T,p], NaN = missing
//   kalman_batch(b, {.log_likelihood = l, .mean = m});
//
//   x_0 ~ N(mean0, cov0),  y_t = H x_t + v_t, v_t ~ N(0, R),  x_{t+1} = F x_t + w_t, w_t ~ N(0, Q)
//
// Lanes run over series, so that each step is a few hundred independent multiply-adds; covariances
// are lower triangles, observations are taken one scalar at a time after R was made diagonal, a
// missing one has gain 0. Sizes d = 1, 2, 3, 4 and 6 are compiled as such, others run a loop;
// d <= 16, p <= 8. No memory is taken between the first step and the last. Two ways out of the covariances:
//   * every matrix shared, constant or by step: they are computed once; a group of series with a
//     hole goes the usual way
//   * a constant model whose predicted covariance did not change by a bit in a step: no later step
//     would change it, so gains are kept until a hole comes
// Results do not depend on the number of threads.
//
// Cost a series and step: d^2 (3 d + 1) / 2 multiply-adds to predict, p (d^2 + d (d + 1) / 2 + 4 d)
// to update; with covariances at hand d^2 + 2 p d. Memory: 8 p bytes read, 8 d written for means.
//
// Sources: Durbin and Koopman 2012, section 6.4 (scalar by scalar).
#pragma once

#include <cstdint>

namespace covary::compute {

constexpr int kKalmanStates = 16, kKalmanObservations = 8;  // at most

// A matrix, row-major: shared or one a series, constant or one a step.
struct KalmanMatrix {
  const double* values = nullptr;
  int64_t series_stride = 0;  // doubles from a series to the next, 0 = shared
  int64_t step_stride = 0;    // doubles from a step to the next, 0 = constant
};

struct KalmanBatch {
  int64_t series = 0, steps = 0;
  int states = 0, observations = 0;
  KalmanMatrix f = {}, q = {};         // F, Q [d,d]
  KalmanMatrix h = {}, r = {};         // H [p,d], R [p,p]; Q, R, cov0 symmetric
  KalmanMatrix mean0 = {}, cov0 = {};  // [d], [d,d]
  const double* y = nullptr;           // [B,T,p]
};

// What is wanted; null = not wanted.
struct KalmanBatchOut {
  double* log_likelihood = nullptr;  // [B]
  double* mean = nullptr;            // [B,T,d] of x_t given y_0 .. y_t
  double* cov = nullptr;             // [B,T,d,d]
  // [B] the first step with an innovation whose variance is below kKalmanVariance or not a number,
  // and -1 where there is none. That observation is passed over; the series goes on.
  int64_t* failed = nullptr;
};
constexpr double kKalmanVariance = 1e-300;

// The plain recursion, series by series, with the whole innovation covariance of a step at once.
void kalman_batch_reference(const KalmanBatch& batch, const KalmanBatchOut& out);

void kalman_batch(const KalmanBatch& batch, const KalmanBatchOut& out);

}  // namespace covary::compute
