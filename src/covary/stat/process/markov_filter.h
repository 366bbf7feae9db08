// The Kalman filter of a kernel in time with any number of blocks (markov_form.h): likelihood, its
// gradient by all parameters, and smoothing, linear in the number of points.
//
//   MarkovForm form(kernel);
//   std::vector<double> gradient(kernel.parameters().size());
//   double l = filter_log_likelihood(form, t, y, extra, &gradient);   // by log parameters
//   filter_smooth(form, t, y, extra, mean, variance);                 // of f at every t
//
// t ascending, finite; NaN in y is missing; extra: variances a point beside the form's noise, or
// empty; weights a point, > 0, divide the form's noise, or empty. Transitions are block diagonal, so that a step costs about 2 s^2 b flops for s states in
// blocks of b; a gap equal to the one before costs no new transition. The gradient is the adjoint of
// the filter, about four times the likelihood whatever the number of parameters; its memory is that
// of kSegment steps and of one state a segment. On a regular grid without holes the likelihood and
// the smoother stop updating covariances once they stand still (steady state): a step is then s b
// flops. Single Matern kernels have a faster way, see state_space.h.
// Source: Sarkka and Solin 2019, chapter 12; Bierman 1973 (smoother without an inverse); the adjoint
// is derived here, by the chain rule through predict and update.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "covary/stat/process/markov_form.h"

namespace covary::stat {

// -infinity when two equal times carry no noise. gradient, when given, is that by all parameters of
// the kernel, by logarithms.
double filter_log_likelihood(const MarkovForm& form, std::span<const double> t,
                             std::span<const double> y, std::span<const double> extra,
                             std::vector<double>* gradient, std::span<const double> weights = {});

// Posterior mean and variance of f at every t; returns the log likelihood. 8 (s + 3) bytes a point.
double filter_smooth(const MarkovForm& form, std::span<const double> t, std::span<const double> y,
                     std::span<const double> extra, std::span<double> mean,
                     std::span<double> variance, std::span<const double> weights = {});

}  // namespace covary::stat
