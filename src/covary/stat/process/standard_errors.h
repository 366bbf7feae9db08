// How well the data tell a process's parameters: standard errors by the curvature of the fit's
// objective at its optimum.
//
//   std::vector<double> e = standard_errors(gp);      // a parameter of gp.kernel().parameters()
//   // log(lengthscale) = log(l) +- e[1]; an interval of 95 % is l exp(+- 1.96 e[1])
//
// The square roots of the diagonal of the inverse of minus the Hessian of log likelihood plus log
// prior, by logarithms (real parameters as they are). The Hessian is taken by central differences of
// the analytic gradient: 2 p evaluations of a likelihood. NaN for parameters that are fixed, tied or
// at a bound, and for all where the curvature is not positive: the fit has not reached an optimum.
// Tells the truth where the posterior is about normal: rows enough for every parameter.
// Source: Rasmussen and Williams 2006, section 5.4.1 (eq. 5.15 for the curvature).
#pragma once

#include <vector>

#include "covary/stat/process/gp.h"

namespace covary::stat {

std::vector<double> standard_errors(const GaussianProcess& gp,
                                    int64_t memory_limit = 32'000'000'000);

}  // namespace covary::stat
