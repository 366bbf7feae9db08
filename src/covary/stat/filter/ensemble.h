// The ensemble Kalman filter: a Gaussian filter whose covariance is that of a few model runs.
//
//   const EnsembleFiltered f = ensemble_filter(m, y, {.members = 100});     // m: nonlinear.h
//
// Members move by f and the noise of q. An observation moves each by the gain that the ensemble's
// own covariances give: with a perturbed copy of y (`perturbed`), or by the symmetric root that
// gives the analysis covariance exactly (`transform`). It never forms an n x n matrix to update,
// so that the state may be large. On a linear model mean and covariance tend to the Kalman filter's
// as members grow, at the rate of Monte Carlo.
//
// Inflation multiplies deviations before each update; 1 = none. Residuals of the caller (angles)
// are used. Missing observations as everywhere; R definite. Draws are functions of (seed, step,
// member). Cost a step: members calls of f and h, O(members p (n + p)).
//
// Source: Evensen 2003 (perturbed); Hunt, Kostelich and Szunyogh 2007 (transform).
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/nonlinear.h"

namespace covary::filter {

struct EnsembleOptions {
  int64_t members = 100;             // >= 2
  std::string update = "transform";  // transform | perturbed
  double inflation = 1;              // of deviations before each update, >= 1
  int64_t seed = 42;

  void check() const;  // throws Error(kUsage) naming the field
};

struct EnsembleFiltered {
  at::Tensor mean, cov;       // of the members after y_t: [T,n], [T,n,n]
  double log_likelihood = 0;  // of the Gaussians that the ensemble stands for
  at::Tensor members;         // [N,n] after the last step
};

EnsembleFiltered ensemble_filter(const NonlinearModel& model, const at::Tensor& y,
                                 const EnsembleOptions& options = {});

}  // namespace covary::filter
