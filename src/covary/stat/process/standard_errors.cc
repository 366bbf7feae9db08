#include "covary/stat/process/standard_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/marginal.h"

namespace covary::stat {
namespace {

constexpr double kStep = 1e-3;
constexpr double kFar = 0.5;  // standard errors from the optimum
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

std::pair<double, double> ParameterError::interval(double value) const {
  constexpr double kWide = 1.959963984540054;
  if (real) return {value - kWide * size, value + kWide * size};
  return {value * std::exp(-kWide * size), value * std::exp(kWide * size)};
}

std::vector<ParameterError> search_errors(const SearchEnd& end) {
  std::vector<ParameterError> errors(end.at.size());
  std::vector<size_t> free;
  for (size_t i = 0; i < errors.size(); ++i) {
    errors[i].real = end.real[i] != 0;
    if (end.held[i]) {
      errors[i].none = "at bound";
    } else {
      free.push_back(i);
    }
  }
  const auto none = [&](const std::string& why) {
    for (const size_t i : free) errors[i].none = why;
    return errors;
  };
  const auto count = static_cast<int64_t>(free.size());
  if (count == 0) return errors;
  std::vector<double> here, slopes, curvature(static_cast<size_t>(count * count));
  if (!end.gradient(end.at, &here)) return none("no likelihood");
  for (int64_t i = 0; i < count; ++i) {
    const size_t moved = free[static_cast<size_t>(i)];
    // A real parameter has a scale of its own.
    const double step = kStep * (end.real[moved] ? std::max(std::abs(end.at[moved]), 1e-3) : 1);
    for (const double sign : {-1.0, 1.0}) {
      std::vector<double> there = end.at;
      there[moved] += sign * step;
      if (!end.gradient(there, &slopes)) return none("no likelihood beside it");
      for (int64_t j = 0; j < count; ++j) {
        const double part = -sign * slopes[free[static_cast<size_t>(j)]] / (4 * step);
        curvature[static_cast<size_t>(i * count + j)] += part;  // both halves: its symmetric part
        curvature[static_cast<size_t>(j * count + i)] += part;
      }
    }
  }
  const bool finite =
      std::all_of(curvature.begin(), curvature.end(), [](double c) { return std::isfinite(c); });
  const linalg::Matrix matrix{curvature.data(), count, count};
  const linalg::CholeskyReport report =
      finite ? linalg::cholesky(matrix) : linalg::CholeskyReport();
  if (!finite || !report.done || report.jitter > 0) return none("no positive curvature");
  std::vector<double> way;  // L^-1 g: its length is how many standard errors are left to go
  for (const size_t i : free) way.push_back(here[i]);
  linalg::forward(matrix, way.data(), 1);
  double far = 0;
  for (const double w : way) far += w * w;
  if (!(far <= kFar * kFar)) return none("not at an optimum");
  linalg::inverse(matrix);
  for (int64_t i = 0; i < count; ++i) {
    errors[free[static_cast<size_t>(i)]].size = std::sqrt(matrix.row(i)[i]);
  }
  return errors;
}

std::vector<ParameterError> kernel_errors(const Kernel& fitted,
                                          const std::vector<std::string>& at_bound,
                                          const KernelObjective& log_likelihood) {
  Kernel kernel = fitted;
  const std::vector<KernelParameter>& parameters = kernel.parameters();
  SearchEnd end;
  end.at = kernel.pack();
  for (const KernelParameter* p : kernel.free_parameters()) {
    end.real.push_back(p->real);
    end.held.push_back(std::find(at_bound.begin(), at_bound.end(), p->name) != at_bound.end());
  }
  std::vector<double> all(parameters.size());
  end.gradient = [&](std::span<const double> at, std::vector<double>* gradient) {
    kernel.unpack(at);
    std::fill(all.begin(), all.end(), 0.0);
    if (log_likelihood(kernel, &all) == -kInfinity) return false;
    kernel.log_prior(all);
    *gradient = kernel.pack_gradient(all);
    return true;
  };
  return all_errors(kernel, search_errors(end));
}

std::vector<ParameterError> all_errors(const Kernel& kernel,
                                       const std::vector<ParameterError>& packed) {
  const std::vector<KernelParameter>& parameters = kernel.parameters();
  std::vector<ParameterError> errors(parameters.size());
  size_t next = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    if (parameters[i].fixed) {
      errors[i].none = "fixed";
    } else if (parameters[i].tied_to < 0) {
      errors[i] = packed[next++];
    }
  }
  for (size_t i = 0; i < errors.size(); ++i) {
    if (parameters[i].tied_to >= 0) errors[i] = errors[static_cast<size_t>(parameters[i].tied_to)];
  }
  for (; next < packed.size(); ++next) errors.push_back(packed[next]);
  return errors;
}

std::vector<ParameterError> standard_errors(const GridProcess& grid) {
  if (!grid.report().gaps.direct) return {};
  constexpr double kAtBound = 1e-9;
  GridProcess moved = grid;  // its report of solutions is written
  std::vector<Kernel> kernels = grid.kernels();
  SearchEnd end;
  end.at = grid.packed();
  for (const Kernel& kernel : kernels) {
    for (const KernelParameter* p : kernel.free_parameters()) end.real.push_back(p->real);
  }
  end.real.resize(end.at.size(), false);
  std::vector<double> lower, upper;
  grid.bounds(&lower, &upper);
  for (size_t i = 0; i < end.at.size(); ++i)
    end.held.push_back(end.at[i] - lower[i] < kAtBound || upper[i] - end.at[i] < kAtBound);
  end.gradient = [&](std::span<const double> at, std::vector<double>* gradient) {
    gradient->assign(at.size(), 0.0);
    return moved.objective(at, &kernels, *gradient) != -kInfinity;
  };
  const std::vector<ParameterError> packed = search_errors(end);
  std::vector<ParameterError> errors;
  auto from = packed.begin();
  for (const Kernel& kernel : grid.kernels()) {
    const auto own = static_cast<std::ptrdiff_t>(kernel.free_parameters().size());
    const std::vector<ParameterError> all = all_errors(kernel, {from, from + own});
    errors.insert(errors.end(), all.begin(), all.end());
    from += own;
  }
  errors.insert(errors.end(), from, packed.end());
  return errors;
}

std::vector<ParameterError> standard_errors(const GaussianProcess& gp, int64_t memory_limit) {
  MarginalLikelihood likelihood(gp.data(), memory_limit);
  return kernel_errors(gp.kernel(), gp.report().at_bound,
                       [&](const Kernel& kernel, std::vector<double>* gradient) {
                         const MarginalValue v = likelihood.evaluate(kernel, *gradient);
                         return v.report.done ? v.log_likelihood : -kInfinity;
                       });
}

}  // namespace covary::stat
