// Linear-Gaussian state-space models: what filters, smoothers and fits take.
//
//   x_0     ~ N(mean0, cov0)                                     the state when y_0 is seen
//   y_t     = H_t x_t + v_t,             v_t ~ N(0, R_t)          t = 0 .. T-1
//   x_{t+1} = F_t x_t + B_t u_t + w_t,   w_t ~ N(0, Q_t)
//
//   LinearModel m = local_level(1469.18, 15098.52);              // structural.h
//   LinearModel m{.f = f, .q = q, .h = h, .r = r, .mean0 = m0, .cov0 = p0};
//   m.check(y.size(0));
//   nlohmann::json j = m.to_json();  LinearModel same = LinearModel::from_json(j, "model.json");
//
// Matrices are double on the CPU, n states, p observations, k controls; each is constant or has one
// entry a step ([T,...]). The last F, Q and B of a series of T steps serve forecasts beyond it.
// Covariances may be singular: R = 0 (exact observations), Q = 0 (a fixed state) are models like
// any other.
//
// Missing observations are NaN in y; a row may be missing in part.
//
// diffuse [n,m]: directions of the start about which nothing is known. The start's covariance is
// cov0 + kappa D D' with kappa -> infinity, taken exactly (kalman.h), not by a large number.
//
// JSON: {"F": [[...]], "Q": ..., "H": ..., "R": ..., "B": ..., "mean0": [...], "cov0": [[...]],
// "diffuse": [[...]]}; a per-step matrix is a list of matrices, a number is a 1 x 1 matrix; B and
// diffuse may be absent. "diffuse": true means every direction; beside a diffuse start, mean0 and
// cov0 may be absent and are 0. Other keys are refused.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

namespace covary::filter {

struct LinearModel {
  at::Tensor f;        // F [n,n] or [T,n,n]
  at::Tensor q;        // Q [n,n] or [T,n,n], covariance of the step's noise
  at::Tensor h;        // H [p,n] or [T,p,n]
  at::Tensor r;        // R [p,p] or [T,p,p], covariance of the observation's noise
  at::Tensor b;        // B [n,k] or [T,n,k], undefined = no control
  at::Tensor mean0;    // [n]
  at::Tensor cov0;     // [n,n]
  at::Tensor diffuse;  // D [n,m], undefined = none

  int64_t states() const { return mean0.size(0); }
  int64_t observations() const { return h.size(-2); }
  int64_t controls() const { return b.defined() ? b.size(-1) : 0; }

  // Throws Error(kData) naming the matrix (and the step) that has a wrong shape or type, an entry
  // that is not finite, or, for a covariance, an asymmetry above 1e-8 or an eigenvalue below
  // -1e-10, both relative to its largest entry. steps < 0: the number of steps is not checked.
  void check(int64_t steps = -1) const;

  nlohmann::json to_json() const;
  // file names the source in errors. Throws Error(kData); the result is checked.
  static LinearModel from_json(const nlohmann::json& j, const std::string& file);
};

}  // namespace covary::filter
