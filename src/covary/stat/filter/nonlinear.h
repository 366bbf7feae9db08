// Gaussian filters and smoothers of nonlinear models: extended, unscented, cubature, Gauss-Hermite.
//
//   NonlinearModel m{.states = 4, .observations = 2};
//   m.f = function_of(drive);  m.h = function_of(polar);          // dual.h
//   m.f_jacobian = jacobian_of(drive, 4);  m.h_jacobian = jacobian_of(polar, 2);   // for the ekf
//   m.q = q;  m.r = r;  m.mean0 = m0;  m.cov0 = p0;
//   m.observation_residual = [](auto a, auto b, auto out) { ... };   // angles: wrapped a - b
//   const NonlinearFiltered f = nonlinear_filter(m, y, {.method = "ukf"});
//   const Smoothed s = nonlinear_smoother(m, f);
//
//   x_0 ~ N(mean0, cov0),  y_t = h(x_t, t) + v_t,  x_{t+1} = f(x_t, t) + w_t
//
// Shapes and missing observations as in linear_model.h; q and r are constant or one a step. Sigma
// points are drawn anew from the predicted covariance before each update, so that a linear model
// gives the Kalman filter whatever Q is. They come from a root that exists for semi-definite
// covariances too. Means and residuals of the caller are used in means, covariances and
// cross-covariances alike, and by the smoother.
//
// Cost a step: 2 n + 1 evaluations (ukf; simplex n + 2), 2 n (ckf), points^n (ghf), one and a
// Jacobian (ekf). Throws Error(kData)
// for shapes and for a function that returns something not finite, naming the step;
// Error(kUsage) for options and for a function that is not set.
//
// Sources: Julier and Uhlmann 1997; Wan and van der Merwe 2000; Julier 2003 (simplex); Arasaratnam
// and Haykin 2009; Ito and Xiong 2000 (Gauss-Hermite); Bell and Cathey 1993 (iterated EKF);
// Saerkkae 2008 (smoother).
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/nonlinear_options.h"

namespace covary::filter {

// Writes f(x, step).
using StepFunction =
    std::function<void(std::span<const double> x, int64_t step, std::span<double> out)>;
// Writes a - b, as the space has it.
using Residual = std::function<void(std::span<const double> a, std::span<const double> b,
                                    std::span<double> out)>;
// Writes the mean of count points [count,n] with weights [count] that add up to 1.
using WeightedMean = std::function<void(std::span<const double> points,
                                        std::span<const double> weights, std::span<double> out)>;

struct NonlinearModel {
  int64_t states = 0, observations = 0;
  StepFunction f, h;
  StepFunction f_jacobian, h_jacobian;            // [n,n], [p,n] row-major; ekf only
  at::Tensor q, r;                                // as in LinearModel
  at::Tensor mean0, cov0;                         // [n], [n,n]
  Residual state_residual, observation_residual;  // empty = the difference
  WeightedMean state_mean, observation_mean;      // empty = the weighted sum
};

// The linear model as a nonlinear one; constant or per-step matrices. u as in kalman.h.
NonlinearModel nonlinear_of(const LinearModel& model, const at::Tensor& u = {});

struct NonlinearFiltered {
  at::Tensor mean, cov;                      // given y_0 .. y_t: [T,n], [T,n,n]
  at::Tensor predicted_mean, predicted_cov;  // given y_0 .. y_{t-1}
  at::Tensor cross_cov;                      // Cov(x_t, x_{t+1}) given y_0 .. y_t: [T-1,n,n]
  at::Tensor nis;                            // [T]
  double log_likelihood = 0;                 // of the Gaussians assumed
  at::Tensor predicted_observation;          // of h(x_t) given y_0 .. y_{t-1}: [T,p]
  at::Tensor innovation;                     // y_t less that, NaN where missing: [T,p]
  at::Tensor innovation_cov;                 // of all rows: [T,p,p]
  at::Tensor log_likelihoods;                // [T]
  at::Tensor next_mean, next_cov;            // of x_T given all: [n], [n,n]
};

NonlinearFiltered nonlinear_filter(const NonlinearModel& model, const at::Tensor& y,
                                   const NonlinearOptions& options = {});

// Rauch, Tung and Striebel with the filter's own cross-covariances; lag_cov is set.
Smoothed nonlinear_smoother(const NonlinearModel& model, const NonlinearFiltered& filtered);

}  // namespace covary::filter
