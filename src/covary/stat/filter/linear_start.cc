#include "covary/stat/filter/linear_start.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

LinearModel linear_start(const at::Tensor& y, int64_t states) {
  if (states < 1) throw Error(ExitCode::kUsage, "must be at least 1", "states");
  MatrixXd rows = matrix_of(y);  // [T,p]
  const int64_t steps = rows.rows(), p = rows.cols(), n = states;
  const int64_t window = n <= p ? 1 : (n + p - 1) / p + 1;
  if (steps < 2 * window + n + 2) {
    throw Error(ExitCode::kData,
                "has " + std::to_string(steps) + " rows for " + std::to_string(n) + " states",
                "data", "give a longer series or fewer states");
  }
  for (int64_t j = 0; j < p; ++j) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = 0; t < steps; ++t)
      if (std::isfinite(rows(t, j))) sum += rows(t, j), ++count;
    const double mean = count ? sum / double(count) : 0;
    for (int64_t t = 0; t < steps; ++t)
      if (!std::isfinite(rows(t, j))) rows(t, j) = mean;
  }
  const int64_t count = steps - window + 1;
  MatrixXd windows(count, window * p);
  for (int64_t k = 0; k < window; ++k)
    windows.middleCols(k * p, p) = rows.middleRows(window - 1 - k, count);
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(windows.transpose() * windows /
                                                      double(count));
  if (!(eigen.eigenvalues().maxCoeff() > 0)) {
    throw Error(ExitCode::kData, "is 0 everywhere", "data", "choose another column with --columns");
  }
  // Not centred: a level that stays is a state too.
  const MatrixXd x = windows * eigen.eigenvectors().rightCols(n).rowwise().reverse();
  const auto regression = [](const MatrixXd& target, const MatrixXd& on) {
    return MatrixXd(on.completeOrthogonalDecomposition().solve(target).transpose());
  };
  const auto residual = [](const MatrixXd& target, const MatrixXd& on, const MatrixXd& a,
                           double floor) {
    const MatrixXd off = target - on * a.transpose();
    MatrixXd c = off.transpose() * off / double(off.rows());
    c.diagonal().array() += floor;
    return MatrixXd(0.5 * (c + c.transpose()));
  };
  const double scale = std::max(windows.squaredNorm() / double(windows.size()), 1e-300);
  const MatrixXd before = x.topRows(count - 1), after = x.bottomRows(count - 1);
  MatrixXd f = regression(after, before);
  const MatrixXd seen = rows.bottomRows(count), h = regression(seen, x);
  LinearModel m;
  m.f = tensor_of(f);
  m.q = tensor_of(residual(after, before, f, 1e-3 * scale));
  m.h = tensor_of(h);
  m.r = tensor_of(residual(seen, x, h, 1e-2 * scale));
  m.mean0 = tensor_of(VectorXd(x.row(0).transpose()));
  MatrixXd cov0 = x.transpose() * x / double(count);
  cov0.diagonal().array() += 1e-3 * scale;
  m.cov0 = tensor_of(MatrixXd(0.5 * (cov0 + cov0.transpose())));
  return m;
}

LinearFit fit_linear(const at::Tensor& y, int64_t states, int64_t steps) {
  constexpr int64_t kEm = 40;
  LearnOptions o{.f = true, .h = true, .mean0 = true, .q = "full", .r = "full"};
  o.steps = std::min(steps, kEm);
  LinearFit em = fit_em(linear_start(y, states), y, {}, o);
  if (em.converged || steps <= kEm) return em;
  o.steps = steps - kEm;
  o.tolerance = 1e-6;
  LinearFit fit;
  try {
    fit = fit_likelihood(em.model, y, {}, o);
  } catch (const Error&) {  // EM drove a covariance to its border, where no search can start
    return em;
  }
  if (!(fit.log_likelihood > em.log_likelihood)) return em;
  fit.steps += em.steps;
  fit.trace.insert(fit.trace.begin(), em.trace.begin(), em.trace.end());
  return fit;
}

}  // namespace covary::filter
