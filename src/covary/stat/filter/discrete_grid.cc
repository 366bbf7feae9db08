#include "covary/stat/filter/discrete_grid.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

void check_probabilities(const at::Tensor& p, const char* name) {
  const bool good =
      (p >= 0).all().item<bool>() && ((p.sum(-1) - 1).abs() < 1e-9).all().item<bool>();
  if (!good) {
    throw Error(ExitCode::kData, "holds no probabilities", name,
                "each row is not negative and adds up to 1");
  }
}

at::Tensor normal_rows(const at::Tensor& places, const at::Tensor& centres, double variance,
                       const char* name) {
  if (!(variance > 0) || std::isinf(variance)) {
    throw Error(ExitCode::kUsage, "must be positive and finite", name);
  }
  const at::Tensor off = places.unsqueeze(0) - centres.unsqueeze(1);
  return at::softmax(-0.5 * off.square() / variance, 1);
}

}  // namespace

GridFiltered grid_filter(const at::Tensor& transition, const at::Tensor& start,
                         const at::Tensor& log_density) {
  const bool shapes =
      transition.defined() && start.defined() && log_density.defined() && start.dim() == 1 &&
      log_density.dim() == 2 &&
      transition.sizes() == at::IntArrayRef({start.size(0), start.size(0)}) &&
      log_density.size(1) == start.size(0) && transition.scalar_type() == at::kDouble &&
      start.scalar_type() == at::kDouble && log_density.scalar_type() == at::kDouble;
  if (!shapes) {
    throw Error(ExitCode::kData, "have shapes that do not fit", "transition, start, log_density",
                "they are double [N,N], [N], [T,N]");
  }
  check_probabilities(transition, "transition");
  check_probabilities(start, "start");
  const int64_t steps = log_density.size(0), n = start.size(0);
  const MatrixXd a = matrix_of(transition);
  const MatrixXd logs = matrix_of(log_density).transpose();  // [N,T]
  GridFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n}, at::kDouble),
                   at::empty({steps}, at::kLong), 0};
  VectorXd p = vector_of(start);
  VectorXd best = p.array().log();  // log-probability of the best way that ends at each place
  const MatrixXd log_a = a.array().log();
  std::vector<std::vector<int64_t>> from(static_cast<size_t>(steps));
  for (int64_t t = 0; t < steps; ++t) {
    if (t > 0) {
      p = (a.transpose() * p).eval();
      VectorXd next(n);
      from[size_t(t)].resize(static_cast<size_t>(n));
      for (int64_t j = 0; j < n; ++j) {
        Eigen::Index at = 0;
        next(j) = (best + log_a.col(j)).maxCoeff(&at);
        from[size_t(t)][size_t(j)] = at;
      }
      best = next;
    }
    const VectorXd l = logs.col(t);
    double highest = kNone;
    for (int64_t i = 0; i < n; ++i) {
      if (std::isnan(l(i)) || l(i) == -kNone) {
        throw Error(ExitCode::kData, "is NaN or infinite",
                    "log_density at step " + std::to_string(t), "-inf is a density of 0");
      }
      if (p(i) > 0) highest = std::max(highest, l(i));
    }
    if (!std::isfinite(highest)) {
      throw Error(ExitCode::kData, "no place explains the observation", "step " + std::to_string(t),
                  "take a wider grid, or more noise");
    }
    p = (p.array() * (l.array() - highest).exp()).eval();
    const double total = p.sum();
    p /= total;
    out.log_likelihood += highest + std::log(total);
    best += l;
    put(out.probability, t, p);
  }
  if (steps == 0) return out;
  // Backward: given all, by the filter's probabilities alone.
  VectorXd given = p;
  put(out.smoothed, steps - 1, given);
  for (int64_t t = steps - 2; t >= 0; --t) {
    const VectorXd now = vector_at(out.probability, t), next = a.transpose() * now;
    const VectorXd ratio = (next.array() > 0).select(given.array() / next.array(), 0);
    given = now.cwiseProduct(a * ratio);
    put(out.smoothed, t, given);
  }
  Eigen::Index at = 0;
  best.maxCoeff(&at);
  for (int64_t t = steps - 1; t >= 0; --t) {
    out.path.mutable_data_ptr<int64_t>()[t] = at;
    if (t > 0) at = from[size_t(t)][size_t(at)];
  }
  return out;
}

at::Tensor grid_transition(const at::Tensor& places, const at::Tensor& next, double q) {
  return normal_rows(places, next, q, "q");
}

at::Tensor grid_start(const at::Tensor& places, double mean, double variance) {
  return normal_rows(places, at::full({1}, mean, at::kDouble), variance, "variance")[0];
}

}  // namespace covary::filter
