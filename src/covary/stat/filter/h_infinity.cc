#include "covary/stat/filter/h_infinity.h"

#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

HInfinityFiltered h_infinity_filter(const LinearModel& model, const at::Tensor& y,
                                    const HInfinityOptions& options, const at::Tensor& u) {
  if (!(options.theta >= 0) || std::isinf(options.theta)) {
    throw Error(ExitCode::kUsage, "must be finite and not negative", "theta");
  }
  if (model.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "diffuse", "give it a covariance");
  }
  const ModelView v(model, y, u);
  const int64_t steps = v.steps(), n = v.states();
  MatrixXd weight = MatrixXd::Identity(n, n);
  if (options.weight.defined()) {
    if (options.weight.scalar_type() != at::kDouble ||
        options.weight.sizes() != at::IntArrayRef({n, n})) {
      throw Error(ExitCode::kUsage, "must be double [n,n]", "weight");
    }
    weight = matrix_of(options.weight);
  }
  HInfinityFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble),
                        at::empty({steps, n}, at::kDouble), at::empty({n}, at::kDouble)};
  const MatrixXd identity = MatrixXd::Identity(n, n);
  VectorXd mean = v.mean0();
  MatrixXd cov = v.cov0();
  for (int64_t t = 0; t < steps; ++t) {
    put(out.predicted_mean, t, mean);
    put(out.predicted_cov, t, cov);
    MatrixXd seen = MatrixXd::Zero(n, n);  // H' R^-1 H
    VectorXd told = VectorXd::Zero(n);     // H' R^-1 (y - H mean)
    if (!v.present(t).empty()) {
      const Observation o = observation_at(v, t);
      const Eigen::LLT<MatrixXd> r(o.r);
      if (r.info() != Eigen::Success) {
        throw Error(ExitCode::kData, "is singular", "R at step " + std::to_string(t),
                    "an exact observation leaves nothing to bound; give R some variance");
      }
      seen = o.h.transpose() * r.solve(o.h);
      told = o.h.transpose() * r.solve(o.y - o.h * mean);
    }
    // The filter exists while P^-1 - theta S + H'R^-1 H is definite; with P = A A', while
    // I + A' (H'R^-1 H - theta S) A is, which asks nothing of P.
    const MatrixXd root = root_of(cov);
    const MatrixXd inner = MatrixXd::Identity(root.cols(), root.cols()) +
                           root.transpose() * (seen - options.theta * weight) * root;
    const Eigen::LLT<MatrixXd> llt(0.5 * (inner + inner.transpose()));
    if (llt.info() != Eigen::Success) {
      throw Error(ExitCode::kData,
                  "no filter keeps the bound 1 / theta = " + std::to_string(1 / options.theta),
                  "step " + std::to_string(t), "take a smaller theta: h_infinity_limit() finds it");
    }
    const MatrixXd white = llt.matrixL().solve(root.transpose());
    const MatrixXd after = white.transpose() * white;  // P [I - theta S P + H'R^-1 H P]^-1
    // The estimate of now is the Kalman update of mean with P.
    const MatrixXd plain = cov * (identity + seen * cov).partialPivLu().solve(identity);
    put(out.mean, t, VectorXd(mean + plain * told));
    mean = (v.f(t) * (mean + after * told) + v.input(t)).eval();
    cov = v.f(t) * after * v.f(t).transpose() + v.q(t);
    cov = (0.5 * (cov + cov.transpose())).eval();
  }
  std::copy(mean.data(), mean.data() + n, out.next_mean.mutable_data_ptr<double>());
  return out;
}

double h_infinity_limit(const LinearModel& model, int64_t steps, const at::Tensor& weight) {
  const at::Tensor y = at::zeros({steps, model.observations()}, at::kDouble);
  const auto exists = [&](double theta) {
    try {
      h_infinity_filter(model, y, {.theta = theta, .weight = weight});
      return true;
    } catch (const Error& e) {
      if (e.code() != ExitCode::kData || e.where().find("step") != 0) throw;
      return false;
    }
  };
  double low = 0, high = 1;
  exists(0);
  for (int i = 0; i < 200 && exists(high); ++i) {
    low = high;
    high *= 4;
  }
  for (int i = 0; i < 200 && high - low > 1e-7 * high; ++i) {
    const double middle = low > 0 ? std::sqrt(low * high) : high / 16;
    if (high < 1e-30) return 0;
    (exists(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace covary::filter
