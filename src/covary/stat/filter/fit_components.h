// Maximum likelihood of a structural model's free parameters.
//
//   Components c = Components::parse("level", 1);
//   const ComponentFit fit = fit_components(c, y);       // Nile: noise 15098.5, level 1469.2
//   fit.log_likelihood;                                  // -632.5456, given y_0
//
// The exact (diffuse) likelihood of kalman.h, its gradient by kalman_gradient and, from matrices to
// parameters, central differences of Components::model, which is smooth and cheap. Variances are
// searched by their logarithms, shares and partial autocorrelations by theirs, so that every step
// is a model. Several starts by the data's variance, the best kept. A variance that the data drive
// to nothing is 0 afterwards if that costs no likelihood.
//
// y [T,p], NaN = missing. Parameters that are not free stay. Throws Error(kData) for a series that
// is too short or constant.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/components.h"

namespace covary::filter {

struct ComponentFit {
  double log_likelihood = 0;
  int64_t steps = 0, evaluations = 0;
  bool converged = false;
  std::string ending;
  double gradient_norm = 0;          // in nats, of the search's variables
  int64_t free = 0;                  // parameters that were free
  int64_t observed = 0;              // numbers observed
  std::vector<std::string> at_zero;  // variances that ended at 0
  std::vector<double> trace;         // log-likelihood at each step of the best start
};

struct ComponentFitOptions {
  int64_t steps = 500;      // of a search, at most
  double tolerance = 1e-8;  // of the gradient, nats a number observed
  int64_t starts = 4;       // searches

  void check() const;  // throws Error(kUsage) naming the field
};

ComponentFit fit_components(Components& components, const at::Tensor& y,
                            const ComponentFitOptions& options = {});

}  // namespace covary::filter
