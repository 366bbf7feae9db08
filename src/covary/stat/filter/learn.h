// Linear models from data: maximum likelihood by gradient, and EM.
//
//   LinearFit a = fit_likelihood(local_level(1000, 1000), y);                // variances
//   LinearFit b = fit_em(start, y, {}, {.f = true, .q = "full", .r = "full"});
//   a.model;  a.log_likelihood;
//
// Both start from the model given, change what the options free, and keep the rest. Matrices that
// are fitted are constant over the steps. Masks (bool, shaped like F and H) name the entries that
// are free; undefined = all. Missing observations are integrated out exactly.
//
// fit_likelihood takes diffuse starts and controls. Variances are searched by their logarithms, a
// full covariance by a Cholesky factor with a logarithmic diagonal, so that every step is a model.
// A variance that the data drive to 0 ends small, not at 0; the gradient there is flat, so the
// search may stop anywhere below what matters.
// fit_em needs a start that is not diffuse; the likelihood never falls from step to step (trace).
//
// Sources: kalman_gradient; numeric/optimise/lbfgs.h; Shumway and Stoffer 1982 (EM), with missing
// entries by their conditional moments given the rest of the row, and known entries of F and H by
// the constrained maximum for the present Q and R (Meng and Rubin 1993).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/learn_options.h"
#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct LearnMasks {
  at::Tensor f, h;  // bool [n,n], [p,n]
};

struct LinearFit {
  LinearModel model;
  double log_likelihood = 0;
  int64_t steps = 0;
  bool converged = false;
  std::string ending;         // why it stopped
  std::vector<double> trace;  // log-likelihood at the start and after each step
};

LinearFit fit_likelihood(const LinearModel& start, const at::Tensor& y, const at::Tensor& u = {},
                         const LearnOptions& options = {}, const LearnMasks& masks = {});

LinearFit fit_em(const LinearModel& start, const at::Tensor& y, const at::Tensor& u = {},
                 const LearnOptions& options = {}, const LearnMasks& masks = {});

}  // namespace covary::filter
