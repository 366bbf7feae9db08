#include "covary/stat/filter/nonlinear.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

std::span<const double> span_of(const VectorXd& v) { return {v.data(), size_t(v.size())}; }
std::span<double> span_of(VectorXd& v) { return {v.data(), size_t(v.size())}; }

MatrixXd call_jacobian(const StepFunction& function, const VectorXd& x, int64_t step, int64_t rows,
                       const char* name) {
  const VectorXd flat = call(function, x, step, rows * x.size(), name);
  return Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(flat.data(), rows,
                                                                          x.size());
}

VectorXd difference(const Residual& residual, const VectorXd& a, const VectorXd& b) {
  if (!residual) return a - b;
  VectorXd out(a.size());
  residual(span_of(a), span_of(b), span_of(out));
  return out;
}

// Points x_i = mean + root unit_i, with weights for means and for covariances.
struct SigmaPoints {
  MatrixXd unit;  // [n,m]
  VectorXd mean_weights, cov_weights;
};

// Nodes and weights of the standard normal law in one dimension, by the eigenvalues of its Jacobi
// matrix (Golub and Welsch 1969).
void hermite(int64_t count, VectorXd& nodes, VectorXd& weights) {
  MatrixXd jacobi = MatrixXd::Zero(count, count);
  for (int64_t i = 1; i < count; ++i)
    jacobi(i, i - 1) = jacobi(i - 1, i) = std::sqrt(static_cast<double>(i));
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(jacobi);
  nodes = eigen.eigenvalues();
  weights = eigen.eigenvectors().row(0).array().square();
}

// All combinations of the one-dimensional nodes.
SigmaPoints hermite_points(int64_t n, int64_t count) {
  double all = 1;
  for (int64_t i = 0; i < n; ++i) all *= static_cast<double>(count);
  if (all > 1e5) {
    throw Error(ExitCode::kUsage,
                std::to_string(count) + " points a state are " + std::to_string(int64_t(all)) +
                    " for " + std::to_string(n) + " states",
                "points", "take fewer, or method ukf or ckf");
  }
  VectorXd nodes, weights;
  hermite(count, nodes, weights);
  SigmaPoints s{MatrixXd(n, int64_t(all)), VectorXd::Ones(int64_t(all)), {}};
  for (int64_t k = 0; k < s.unit.cols(); ++k) {
    for (int64_t i = 0, rest = k; i < n; ++i, rest /= count) {
      s.unit(i, k) = nodes(rest % count);
      s.mean_weights(k) *= weights(rest % count);
    }
  }
  s.cov_weights = s.mean_weights;
  return s;
}

// The centre and n + 1 corners of a simplex about it, all of the same weight.
SigmaPoints simplex_points(int64_t n) {
  const double weight = 1 / static_cast<double>(n + 2);
  SigmaPoints s{MatrixXd::Zero(n, n + 2), VectorXd::Constant(n + 2, weight), {}};
  s.unit(0, 1) = -1 / std::sqrt(2 * weight);
  s.unit(0, 2) = -s.unit(0, 1);
  for (int64_t j = 2; j <= n; ++j) {
    const double step = 1 / std::sqrt(static_cast<double>(j * (j + 1)) * weight);
    s.unit.row(j - 1).segment(1, j).setConstant(-step);
    s.unit(j - 1, j + 1) = static_cast<double>(j) * step;
  }
  s.cov_weights = s.mean_weights;
  return s;
}

SigmaPoints sigma_points(const NonlinearOptions& o, int64_t n) {
  if (o.method == "ghf") return hermite_points(n, o.points);
  if (o.method == "ukf" && o.sigma == "simplex") return simplex_points(n);
  const double size = static_cast<double>(n);
  const bool centre = o.method == "ukf";
  const double scale = !centre               ? size
                       : o.sigma == "julier" ? size + o.kappa
                                             : o.alpha * o.alpha * (size + o.kappa);
  if (!(scale > 0)) {
    throw Error(ExitCode::kUsage, "must be above minus the number of states", "kappa");
  }
  SigmaPoints s;
  const int64_t first = centre ? 1 : 0;
  s.unit = MatrixXd::Zero(n, 2 * n + first);
  s.unit.middleCols(first, n).diagonal().setConstant(std::sqrt(scale));
  s.unit.rightCols(n).diagonal().setConstant(-std::sqrt(scale));
  s.mean_weights = VectorXd::Constant(2 * n + first, 1 / (2 * scale));
  s.cov_weights = s.mean_weights;
  if (centre) {
    s.mean_weights(0) = 1 - size / scale;
    s.cov_weights(0) = s.mean_weights(0);
    if (o.sigma == "merwe") s.cov_weights(0) += 1 - o.alpha * o.alpha + o.beta;
  }
  return s;
}

// Mean and covariance of a function of a Gaussian, and the covariance of both.
struct Image {
  VectorXd mean;
  MatrixXd cov, cross;  // cross [n, outputs]
};

class Transform {
 public:
  Transform(const NonlinearModel& m, const NonlinearOptions& o) : m_(m), o_(o) {
    if (o.method != "ekf") points_ = sigma_points(o, m.states);
  }

  Image of_transition(const VectorXd& mean, const MatrixXd& cov, int64_t t) const {
    return image(mean, cov, t, m_.states, m_.f, m_.f_jacobian, "f", m_.state_mean,
                 m_.state_residual);
  }
  Image of_observation(const VectorXd& mean, const MatrixXd& cov, int64_t t) const {
    return image(mean, cov, t, m_.observations, m_.h, m_.h_jacobian, "h", m_.observation_mean,
                 m_.observation_residual);
  }

 private:
  Image image(const VectorXd& mean, const MatrixXd& cov, int64_t t, int64_t size,
              const StepFunction& function, const StepFunction& jacobian, const char* name,
              const WeightedMean& average, const Residual& residual) const {
    Image out;
    if (o_.method == "ekf") {
      const MatrixXd j = call_jacobian(jacobian, mean, t, size, name);
      out.mean = call(function, mean, t, size, name);
      out.cross = cov * j.transpose();
      out.cov = j * out.cross;
      return out;
    }
    const MatrixXd spread = root_of(cov) * points_.unit;
    const int64_t count = spread.cols();
    MatrixXd images(size, count);
    for (int64_t i = 0; i < count; ++i) {
      images.col(i) = call(function, mean + spread.col(i), t, size, name);
    }
    if (average) {
      out.mean.resize(size);
      average({images.data(), size_t(images.size())}, span_of(points_.mean_weights),
              span_of(out.mean));
    } else {
      // About the centre's image: weights may be large and of both signs.
      out.mean = images.col(0) + (images.colwise() - images.col(0).eval()) * points_.mean_weights;
    }
    for (int64_t i = 0; i < count; ++i) {
      images.col(i) = difference(residual, images.col(i), out.mean);
    }
    const MatrixXd weighted = images * points_.cov_weights.asDiagonal();
    out.cov = weighted * images.transpose();
    out.cross = spread * weighted.transpose();
    return out;
  }

  const NonlinearModel& m_;
  const NonlinearOptions& o_;
  SigmaPoints points_;
};

void check_model(const NonlinearModel& m, const NonlinearOptions& o) {
  o.check();
  if (m.states < 1 || m.observations < 1) {
    throw Error(ExitCode::kUsage, "must be at least 1", m.states < 1 ? "states" : "observations");
  }
  if (!m.f || !m.h) throw Error(ExitCode::kUsage, "is not set", m.f ? "h" : "f");
  if (o.method == "ekf" && (!m.f_jacobian || !m.h_jacobian)) {
    throw Error(ExitCode::kUsage, "is not set", m.f_jacobian ? "h_jacobian" : "f_jacobian",
                "jacobian_of() makes one, or take method ukf or ckf");
  }
}

}  // namespace

NonlinearModel nonlinear_of(const LinearModel& model, const at::Tensor& u) {
  model.check();
  struct Matrices {
    std::vector<MatrixXd> f, h;
    std::vector<VectorXd> input;
  };
  const auto all = std::make_shared<Matrices>();
  const auto fill = [](std::vector<MatrixXd>& to, const at::Tensor& m) {
    const at::Tensor stack = (m.dim() == 3 ? m : m.unsqueeze(0)).contiguous();
    for (int64_t t = 0; t < stack.size(0); ++t) to.push_back(matrix_at(stack, t));
  };
  fill(all->f, model.f);
  fill(all->h, model.h);
  if (u.defined()) {
    const ModelView v(model, at::zeros({u.size(0), model.observations()}, at::kDouble), u);
    for (int64_t t = 0; t < u.size(0); ++t) all->input.push_back(v.input(t));
  }
  const auto at = [](const std::vector<MatrixXd>& s, int64_t t) -> const MatrixXd& {
    return s[s.size() == 1 ? 0 : size_t(t)];
  };
  const auto flat = [](const MatrixXd& m, std::span<double> out) {
    Eigen::Map<Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(out.data(), m.rows(), m.cols()) = m;
  };
  NonlinearModel m;
  m.states = model.states();
  m.observations = model.observations();
  m.f = [all, at](std::span<const double> x, int64_t t, std::span<double> out) {
    Eigen::Map<VectorXd> y(out.data(), Eigen::Index(out.size()));
    y = at(all->f, t) * Eigen::Map<const VectorXd>(x.data(), Eigen::Index(x.size()));
    if (!all->input.empty()) y += all->input[size_t(t)];
  };
  m.h = [all, at](std::span<const double> x, int64_t t, std::span<double> out) {
    Eigen::Map<VectorXd>(out.data(), Eigen::Index(out.size())) =
        at(all->h, t) * Eigen::Map<const VectorXd>(x.data(), Eigen::Index(x.size()));
  };
  m.f_jacobian = [all, at, flat](std::span<const double>, int64_t t, std::span<double> out) {
    flat(at(all->f, t), out);
  };
  m.h_jacobian = [all, at, flat](std::span<const double>, int64_t t, std::span<double> out) {
    flat(at(all->h, t), out);
  };
  m.q = model.q;
  m.r = model.r;
  m.mean0 = model.mean0;
  m.cov0 = model.cov0;
  return m;
}

NonlinearFiltered nonlinear_filter(const NonlinearModel& model, const at::Tensor& y,
                                   const NonlinearOptions& options) {
  check_model(model, options);
  const ModelView v(frame_of(model), y, {});
  const Transform transform(model, options);
  const int64_t steps = v.steps(), n = v.states(), p = v.observations();
  const auto o = at::kDouble;
  NonlinearFiltered out{at::empty({steps, n}, o),
                        at::empty({steps, n, n}, o),
                        at::empty({steps, n}, o),
                        at::empty({steps, n, n}, o),
                        at::empty({std::max<int64_t>(steps - 1, 0), n, n}, o),
                        at::zeros({steps}, o),
                        0,
                        at::empty({steps, p}, o),
                        at::empty({steps, p}, o),
                        at::empty({steps, p, p}, o),
                        at::zeros({steps}, o),
                        {},
                        {}};
  VectorXd mean = v.mean0();
  MatrixXd cov = v.cov0();
  for (int64_t t = 0; t < steps; ++t) {
    put(out.predicted_mean, t, mean);
    put(out.predicted_cov, t, cov);
    const std::vector<int>& rows = v.present(t);
    Image image = transform.of_observation(mean, cov, t);
    put(out.predicted_observation, t, image.mean);
    put(out.innovation, t, VectorXd::Constant(p, std::nan("")).eval());
    put(out.innovation_cov, t, symmetrised<double>(image.cov + v.r(t)));
    if (!rows.empty()) {
      // Missing rows take the value expected, so that residuals of the caller see whole rows.
      const auto innovation = [&](const VectorXd& expected) {
        VectorXd full = v.y(t);
        for (int64_t i = 0; i < p; ++i) {
          if (std::isnan(full(i))) full(i) = expected(i);
        }
        return VectorXd(difference(model.observation_residual, full, expected)(rows));
      };
      const MatrixXd r = v.r(t)(rows, rows);
      VectorXd residual = innovation(image.mean);
      for (size_t i = 0; i < rows.size(); ++i) {
        out.innovation[t][rows[i]] = residual(static_cast<Eigen::Index>(i));
      }
      MatrixXd s = symmetrised<double>(MatrixXd(image.cov(rows, rows)) + r);
      MatrixXd cross = image.cross(Eigen::all, rows);
      Eigen::LLT<MatrixXd> llt(s);
      const auto need_variance = [&] {
        if (llt.info() == Eigen::Success) return;
        throw Error(ExitCode::kData, "an innovation has no variance", "step " + std::to_string(t),
                    "give R, Q or cov0 some variance");
      };
      need_variance();
      Scores<double> scores;
      add_scores<double>(llt.matrixL(), residual, scores);
      out.nis[t] = scores.nis;
      out.log_likelihoods[t] = scores.log_likelihood;
      out.log_likelihood += scores.log_likelihood;
      VectorXd updated = mean + cross * llt.solve(residual);
      // Iterated EKF: the observation is linearised anew where the last update arrived.
      for (int64_t i = 1; options.method == "ekf" && i < options.iterations; ++i) {
        const MatrixXd h =
            call_jacobian(model.h_jacobian, updated, t, p, "h_jacobian")(rows, Eigen::all);
        cross = cov * h.transpose();
        llt.compute(symmetrised<double>(h * cross + r));
        need_variance();
        residual = innovation(call(model.h, updated, t, p, "h")) -
                   h * difference(model.state_residual, mean, updated);
        updated = mean + cross * llt.solve(residual);
      }
      mean = updated;
      const MatrixXd white = llt.matrixL().solve(cross.transpose());
      cov = symmetrised<double>(cov - white.transpose() * white);
    }
    put(out.mean, t, mean);
    put(out.cov, t, cov);
    const Image next = transform.of_transition(mean, cov, t);
    if (t + 1 < steps) put(out.cross_cov, t, next.cross);
    mean = next.mean;
    cov = symmetrised<double>(next.cov + v.q(t));
  }
  out.next_mean = tensor_of(mean);
  out.next_cov = tensor_of(cov);
  return out;
}

Smoothed nonlinear_smoother(const NonlinearModel& model, const NonlinearFiltered& filtered) {
  const int64_t steps = filtered.mean.size(0), n = filtered.mean.size(1);
  Smoothed out{filtered.mean.clone(), filtered.cov.clone(),
               at::empty({std::max<int64_t>(steps - 1, 0), n, n}, at::kDouble)};
  if (steps == 0) return out;
  VectorXd mean = vector_at(filtered.mean, steps - 1);
  MatrixXd cov = matrix_at(filtered.cov, steps - 1);
  for (int64_t t = steps - 2; t >= 0; --t) {
    const MatrixXd predicted = matrix_at(filtered.predicted_cov, t + 1);
    const MatrixXd gain = predicted.completeOrthogonalDecomposition()
                              .solve(matrix_at(filtered.cross_cov, t).transpose())
                              .transpose();
    put(out.lag_cov, t, MatrixXd(cov * gain.transpose()));
    mean = vector_at(filtered.mean, t) +
           gain * difference(model.state_residual, mean, vector_at(filtered.predicted_mean, t + 1));
    cov = symmetrised<double>(matrix_at(filtered.cov, t) +
                              gain * (cov - predicted) * gain.transpose());
    put(out.mean, t, mean);
    put(out.cov, t, cov);
  }
  return out;
}

}  // namespace covary::filter
