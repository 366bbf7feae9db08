// The search of a fit: the free parameters of a kernel that make a log likelihood, times their
// priors, largest.
//
//   const numeric::Optimum o = search_kernel(kernel, value, start, options.search);
//   kernel.unpack(o.x);
//   record(o, kernel, &report);
//
// Bounds and priors are the kernel's own.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

// The log likelihood of a kernel, and its gradient by all parameters (as many numbers as the kernel
// has parameters); -infinity where there is none.
using KernelObjective = std::function<double(const Kernel& kernel, std::vector<double>* gradient)>;

// Minimises the negative; its value is +infinity when no parameters gave a finite one. `known`: see
// numeric::minimise.
numeric::Optimum search_kernel(const Kernel& kernel, const KernelObjective& log_likelihood,
                               std::vector<double> start, const numeric::LbfgsOptions& how,
                               const numeric::Curvature& known = {});

// How a search ended, into the fields that the reports of all processes have. What it cost is added
// to what earlier ones did.
template <class Report>
void record(const numeric::Optimum& o, const Kernel& kernel, Report* report) {
  report->fitted = true;
  report->ending = o.ending;
  report->gradient_norm = o.gradient_norm;
  report->iterations += o.iterations;
  report->evaluations += o.evaluations;
  report->at_bound.clear();
  const std::vector<const KernelParameter*> free = kernel.free_parameters();
  for (const int64_t index : o.at_bound) {
    report->at_bound.push_back(free[static_cast<size_t>(index)]->name);
  }
}

}  // namespace covary::stat
