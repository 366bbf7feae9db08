#include "covary/stat/filter/two_filter.h"

#include <string>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {

Smoothed two_filter_smoother(const LinearModel& model, const at::Tensor& y, const at::Tensor& u) {
  if (model.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "diffuse",
                "take kalman_smoother, or give the start a covariance");
  }
  const ModelView v(model, y, u);
  const int64_t steps = v.steps(), n = v.states();
  const Filtered front = kalman_filter(model, y, u);
  Smoothed out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble), {}};
  // What y_t .. y_{T-1} say: log p = -1/2 x' L x + l' x + a constant.
  MatrixXd precision = MatrixXd::Zero(n, n);
  VectorXd vector = VectorXd::Zero(n);
  for (int64_t t = steps - 1; t >= 0; --t) {
    if (t < steps - 1) {
      // Through x_{t+1} = F x_t + b + G e: e is integrated out.
      const MatrixXd& g = v.q_root(t);
      const MatrixXd lg = precision * g;
      const MatrixXd inner = MatrixXd::Identity(g.cols(), g.cols()) + g.transpose() * lg;
      const MatrixXd gain = inner.llt().solve(lg.transpose());  // [q,n]
      const MatrixXd kept = symmetrised<double>(precision - lg * gain);
      const VectorXd left = vector - lg * inner.llt().solve(g.transpose() * vector);
      const MatrixXd& f = v.f(t);
      vector = f.transpose() * (left - kept * v.input(t));
      precision = symmetrised<double>(f.transpose() * kept * f);
    }
    if (!v.present(t).empty()) {
      const Observation o = observation_at(v, t);
      const Eigen::LLT<MatrixXd> r(o.r);
      if (r.info() != Eigen::Success) {
        throw Error(ExitCode::kData, "is singular", "R at step " + std::to_string(t),
                    "take kalman_smoother, which knows exact observations");
      }
      precision += o.h.transpose() * r.solve(o.h);
      precision = symmetrised<double>(precision);
      vector += o.h.transpose() * r.solve(o.y);
    }
    // P (I + L P)^-1 by a root of P, which may be singular.
    const VectorXd mean = vector_at(front.predicted_mean, t);
    const MatrixXd root = root_of(matrix_at(front.predicted_cov, t));
    const MatrixXd inner =
        MatrixXd::Identity(root.cols(), root.cols()) + root.transpose() * precision * root;
    const MatrixXd white = inner.llt().matrixL().solve(root.transpose());
    const MatrixXd cov = white.transpose() * white;
    put(out.mean, t, VectorXd(mean + cov * (vector - precision * mean)));
    put(out.cov, t, symmetrised<double>(cov));
  }
  return out;
}

}  // namespace covary::filter
