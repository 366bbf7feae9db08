#include "covary/stat/filter/correlated_noise.h"

#include <string>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

Uncorrelated uncorrelated(const LinearModel& model, const at::Tensor& cross, const at::Tensor& y,
                          const at::Tensor& u) {
  const ModelView v(model, y, u);
  const int64_t steps = v.steps(), n = v.states(), p = v.observations();
  const bool by_step = cross.defined() && cross.dim() == 3;
  if (!cross.defined() || (cross.dim() != 2 && cross.dim() != 3) || cross.size(-2) != n ||
      cross.size(-1) != p || (by_step && cross.size(0) != steps) ||
      cross.scalar_type() != at::kDouble) {
    throw Error(
        ExitCode::kData,
        "must be double [" + std::to_string(n) + "," + std::to_string(p) + "], or one a step",
        "cross", "it is the covariance of the step's noise and the observation's");
  }
  const at::Tensor stack = (by_step ? cross : cross.unsqueeze(0)).contiguous();
  Uncorrelated out;
  out.model = model;
  out.model.f = at::empty({steps, n, n}, at::kDouble);
  out.model.q = at::empty({steps, n, n}, at::kDouble);
  out.model.b = at::eye(n, at::kDouble);
  out.u = at::empty({steps, n}, at::kDouble);
  for (int64_t t = 0; t < steps; ++t) {
    MatrixXd f = v.f(t), q = v.q(t);
    VectorXd input = v.input(t);
    const std::vector<int>& rows = v.present(t);
    if (!rows.empty()) {
      const Observation o = observation_at(v, t);
      const MatrixXd s = matrix_at(stack, by_step ? t : 0)(Eigen::all, rows);
      const Eigen::LLT<MatrixXd> llt(o.r);
      if (llt.info() != Eigen::Success) {
        throw Error(ExitCode::kData, "is singular", "R at step " + std::to_string(t),
                    "an exact observation has no noise to be correlated with");
      }
      const MatrixXd gain = llt.solve(s.transpose()).transpose();
      f -= gain * o.h;
      q -= gain * s.transpose();
      input += gain * o.y;
    }
    put(out.model.f, t, f);
    put(out.model.q, t, MatrixXd(0.5 * (q + q.transpose())));
    put(out.u, t, input);
  }
  try {
    out.model.check(steps);
  } catch (const Error& e) {
    throw Error(e.code(), "with Q and R is no covariance: " + e.message() + " (" + e.where() + ")",
                "cross", "the covariance of (w, v) has no negative eigenvalue");
  }
  return out;
}

}  // namespace covary::filter
