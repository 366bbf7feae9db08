// How well the data tell the parameters of a fit: standard errors by the curvature of its objective
// at the optimum.
//
//   const std::vector<ParameterError> e = standard_errors(gp);  // of gp.kernel().parameters()
//   if (e[1].none.empty()) e[1].interval(lengthscale);          // 95 %: l exp(+- 1.96 e[1].size)
//
// The square roots of the diagonal of the inverse of minus the Hessian of log likelihood plus log
// prior, by logarithms (real parameters as they are). The Hessian is taken by central differences of
// the analytic gradient, steps of 1e-3 in a logarithm: 2 p + 1 evaluations of a likelihood. A
// parameter that is fixed or at a bound has none, and is held where it is for the others; none has
// one where the curvature is not positive, or the optimum lies more than half a standard error away.
// Intervals are those of the logarithm, so that they stay positive; in the parameter's own units the
// error is value times size (delta method).
// Tells the truth where the posterior is about normal: rows enough for every parameter.
// Source: Rasmussen and Williams 2006, section 5.4.1 (eq. 5.15 for the curvature).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "covary/stat/process/gp.h"
#include "covary/stat/process/grid.h"
#include "covary/stat/process/kernel_search.h"

namespace covary::stat {

struct ParameterError {
  double size = 0;  // of the logarithm, or of the parameter itself where it is real
  bool real = false;
  std::string none;  // why there is none; empty: there is one

  double in_units(double value) const { return real ? size : value * size; }
  std::pair<double, double> interval(double value) const;  // 95 %
};

// A search's objective around its end, by what the search moved.
struct SearchEnd {
  std::vector<double> at;        // logarithms; real parameters as they are
  std::vector<char> real, held;  // held: by a bound
  // The gradient of log likelihood plus log prior there, [at]; false where there is none.
  std::function<bool(std::span<const double> at, std::vector<double>* gradient)> gradient;
};
std::vector<ParameterError> search_errors(const SearchEnd& end);  // [at]

// Of all parameters of a kernel, by those of what a search moved, which come first; what follows them
// follows.
std::vector<ParameterError> all_errors(const Kernel& kernel,
                                       const std::vector<ParameterError>& packed);

// Of all parameters of a kernel that was fitted by `log_likelihood` (kernel_search.h), at its present
// values.
std::vector<ParameterError> kernel_errors(const Kernel& kernel,
                                          const std::vector<std::string>& at_bound,
                                          const KernelObjective& log_likelihood);

std::vector<ParameterError> standard_errors(const GaussianProcess& gp,
                                            int64_t memory_limit = 32'000'000'000);
// Of the kernels of a grid's axes, one after the other, then of the noise where it is fitted. Empty
// where the likelihood is known by probes alone.
std::vector<ParameterError> standard_errors(const GridProcess& grid);

}  // namespace covary::stat
