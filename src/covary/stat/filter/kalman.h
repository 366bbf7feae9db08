// Kalman filters and smoothers of linear models, with the exact log-likelihood.
//
//   const Filtered f = kalman_filter(model, y);           // y [T,p], NaN = missing
//   const Smoothed s = kalman_smoother(model, y);         // given the whole series
//   const double l = kalman_log_likelihood(model, y);
//
// A row that is missing in part counts with the part that is there; a row that is missing whole
// only predicts. R = 0 is allowed: an exact observation, taken scalar by scalar (steps.h), and an
// error where it contradicts what the model holds for certain.
//
// A diffuse start is exact: while directions of the state are unknown, the covariance of a step is
// cov + kappa diffuse diffuse', kappa -> infinity, and an observation that ends a direction counts
// with -1/2 log F_inf in the log-likelihood (Durbin and Koopman 2012, section 7.2). For the local
// level model that is the likelihood given y_0.
//
// Cost: O(T (n^3 + p^3)) and O(T n^2) memory; kalman_log_likelihood keeps one step only. Throws
// Error(kData) for a bad model or series (linear_model.h), Error(kUsage) for a bad option.
//
// Sources: steps.h; Rauch, Tung and Striebel 1965 (smoother); Bierman 1973 and Durbin and Koopman
// 2012, sections 4.4 and 5.3 (backward pass without inverses; diffuse).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/filter_options.h"
#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct Filtered {
  at::Tensor mean, cov;                      // of x_t given y_0 .. y_t: [T,n], [T,n,n]
  at::Tensor predicted_mean, predicted_cov;  // of x_t given y_0 .. y_{t-1}
  at::Tensor next_mean, next_cov;            // of x_T given all: [n], [n,n]
  at::Tensor innovation;                     // y_t - H_t predicted_mean: [T,p], NaN where missing
  at::Tensor innovation_cov;                 // H_t predicted_cov H_t' + R_t, of all rows: [T,p,p]
  at::Tensor nis;              // [T] v' S^-1 v of what is observed: chi-squared with `observed`
                               // degrees of freedom; without the diffuse part
  at::Tensor observed;         // [T] int64
  at::Tensor log_likelihoods;  // [T], sum log_likelihood
  double log_likelihood = 0;
  // The first so many steps have a predicted state that is diffuse in part: its covariance is
  // predicted_cov + kappa A A' with A = predicted_diffuse[t] [n,m], and after y_t
  // cov + kappa A A' with A = diffuse[t] (columns beyond the directions left are 0).
  int64_t diffuse_steps = 0;
  at::Tensor predicted_diffuse, diffuse;  // [diffuse_steps,n,m]
  bool resolved = true;                   // false: the series ends before every direction is known
};

// u [T,k]: controls; undefined = none.
Filtered kalman_filter(const LinearModel& model, const at::Tensor& y, const at::Tensor& u = {},
                       const KalmanOptions& options = {});

double kalman_log_likelihood(const LinearModel& model, const at::Tensor& y,
                             const at::Tensor& u = {}, const KalmanOptions& options = {});

struct Smoothed {
  at::Tensor mean, cov;  // of x_t given all: [T,n], [T,n,n]
  at::Tensor lag_cov;    // Cov(x_{t+1}, x_t) given all: [T-1,n,n]; undefined after a diffuse start
};

// Rauch-Tung-Striebel in the form that keeps covariances positive semi-definite; after a diffuse
// start, the backward pass of Bierman and of Durbin and Koopman. Throws Error(kData) when the series
// leaves a diffuse direction unknown.
Smoothed kalman_smoother(const LinearModel& model, const at::Tensor& y, const at::Tensor& u = {},
                         const KalmanOptions& options = {});

// The backward pass alone, from a filter's result for the same model and series.
Smoothed rts_smoother(const LinearModel& model, const Filtered& filtered);
Smoothed bryson_frazier_smoother(const LinearModel& model, const at::Tensor& y,
                                 const Filtered& filtered);

// x_t given y_0 .. y_{t+lag} (the whole series near its end): [T,n], [T,n,n]. O(lag T n^3).
Smoothed fixed_lag_smoother(const LinearModel& model, const at::Tensor& y, int64_t lag,
                            const at::Tensor& u = {}, const KalmanOptions& options = {});

// What a filter of constant matrices tends to.
struct SteadyState {
  at::Tensor predicted_cov;   // [n,n], the stabilising solution of the Riccati equation
  at::Tensor cov;             // [n,n], after an observation
  at::Tensor gain;            // K [n,p]: mean = predicted + K (y - H predicted)
  at::Tensor innovation_cov;  // [p,p]
  int64_t iterations = 0;
};

// By structure-preserving doubling (Chu, Fan, Lin and Wang 2004): each iteration squares the
// closed loop. R must be invertible, the model constant. Throws Error(kData) when no steady state
// is reached, that is, when H does not see an unstable state.
SteadyState steady_state(const LinearModel& model);

}  // namespace covary::filter
