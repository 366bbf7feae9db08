#include "covary/stat/process/standard_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/marginal.h"

namespace covary::stat {

std::vector<double> standard_errors(const GaussianProcess& gp, int64_t memory_limit) {
  constexpr double kStep = 1e-3;
  const std::vector<std::string>& bound = gp.report().at_bound;
  Kernel kernel = gp.kernel();
  const std::vector<KernelParameter>& parameters = kernel.parameters();
  std::vector<double> errors(parameters.size(), std::numeric_limits<double>::quiet_NaN());
  // Of the packed ones, those that are free.
  std::vector<size_t> place, packed;
  size_t next = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].fixed || parameters[i].tied_to >= 0) continue;
    if (std::find(bound.begin(), bound.end(), parameters[i].name) == bound.end()) {
      place.push_back(i);
      packed.push_back(next);
    }
    ++next;
  }
  const auto count = static_cast<int64_t>(place.size());
  if (count == 0) return errors;
  MarginalLikelihood likelihood(gp.data(), memory_limit);
  const std::vector<double> at = kernel.pack();
  std::vector<double> curvature(static_cast<size_t>(count * count)), all(parameters.size());
  for (int64_t i = 0; i < count; ++i) {
    const size_t moved = packed[static_cast<size_t>(i)];
    // A real parameter has a scale of its own.
    const bool real = parameters[place[static_cast<size_t>(i)]].real;
    const double step = kStep * (real ? std::max(std::abs(at[moved]), 1e-3) : 1);
    for (const double sign : {-1.0, 1.0}) {
      std::vector<double> there = at;
      there[moved] += sign * step;
      kernel.unpack(there);
      if (!likelihood.evaluate(kernel, all).report.done) return errors;
      kernel.log_prior(all);
      const std::vector<double> slopes = kernel.pack_gradient(all);
      for (int64_t j = 0; j < count; ++j) {
        const double part = -sign * slopes[packed[static_cast<size_t>(j)]] / (4 * step);
        curvature[static_cast<size_t>(i * count + j)] += part;  // both halves: its symmetric part
        curvature[static_cast<size_t>(j * count + i)] += part;
      }
    }
  }
  for (const double c : curvature) {
    if (!std::isfinite(c)) return errors;
  }
  const linalg::Matrix matrix{curvature.data(), count, count};
  const linalg::CholeskyReport report = linalg::cholesky(matrix);
  if (!report.done || report.jitter > 0) return errors;
  linalg::inverse(matrix);
  for (int64_t i = 0; i < count; ++i) {
    errors[place[static_cast<size_t>(i)]] = std::sqrt(matrix.row(i)[i]);
  }
  return errors;
}

}  // namespace covary::stat
