#include "covary/stat/filter/ensemble.h"

#include <cmath>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

MatrixXd draws(const Random& random, int64_t rows, int64_t columns) {
  MatrixXd z(rows, columns);
  for (int64_t i = 0; i < z.size(); ++i) z.data()[i] = random.normal(static_cast<uint64_t>(i));
  return z;
}

}  // namespace

void EnsembleOptions::check() const {
  if (members < 2) throw Error(ExitCode::kUsage, "must be at least 2", "members");
  if (update != "transform" && update != "perturbed")
    throw Error(ExitCode::kUsage, "is transform or perturbed", "update");
  if (!(inflation >= 1) || std::isinf(inflation))
    throw Error(ExitCode::kUsage, "must be at least 1", "inflation");
}

EnsembleFiltered ensemble_filter(const NonlinearModel& m, const at::Tensor& y,
                                 const EnsembleOptions& options) {
  options.check();
  if (!m.f || !m.h) throw Error(ExitCode::kUsage, "is not set", m.f ? "h" : "f");
  const ModelView v(frame_of(m), y, {});
  const int64_t steps = v.steps(), n = v.states(), p = v.observations(), count = options.members;
  const double each = 1 / static_cast<double>(count - 1);
  const uint64_t seed = static_cast<uint64_t>(options.seed);
  EnsembleFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble), 0,
                       at::empty({count, n}, at::kDouble)};
  MatrixXd x =
      (root_of(v.cov0()) * draws(Random(seed, stream_of("filter.ensemble.start")), n, count))
          .colwise() +
      v.mean0();
  for (int64_t t = 0; t < steps; ++t) {
    const std::vector<int>& rows = v.present(t);
    if (!rows.empty()) {
      const VectorXd mean = x.rowwise().mean();
      const MatrixXd off = options.inflation * (x.colwise() - mean);
      x = off.colwise() + mean;
      MatrixXd images(p, count);
      for (int64_t i = 0; i < count; ++i) images.col(i) = call(m.h, x.col(i), t, p, "h");
      // Differences as the space has them: about the first member, then about the mean.
      const auto difference = [&](const VectorXd& a, const VectorXd& b) {
        if (!m.observation_residual) return VectorXd(a - b);
        VectorXd d(p);
        m.observation_residual({a.data(), size_t(p)}, {b.data(), size_t(p)}, {d.data(), size_t(p)});
        return d;
      };
      const VectorXd first = images.col(0);
      MatrixXd spread(p, count);
      for (int64_t i = 0; i < count; ++i) spread.col(i) = difference(images.col(i), first);
      const VectorXd shift = spread.rowwise().mean();
      spread = (spread.colwise() - shift).eval();
      const VectorXd expected = first + shift;
      VectorXd seen = v.y(t);
      for (int64_t i = 0; i < p; ++i)
        if (std::isnan(seen(i))) seen(i) = expected(i);
      const MatrixXd s = spread(rows, Eigen::all), r = v.r(t)(rows, rows);
      const VectorXd innovation = difference(seen, expected)(rows);
      const Eigen::LLT<MatrixXd> r_llt(r);
      if (r_llt.info() != Eigen::Success) {
        throw Error(ExitCode::kData, "is singular", "R at step " + std::to_string(t),
                    "an ensemble needs noisy observations");
      }
      const MatrixXd total = symmetrised<double>(s * s.transpose() * each + r);
      const Eigen::LLT<MatrixXd> llt(total);
      Scores<double> scores;
      add_scores<double>(llt.matrixL(), innovation, scores);
      out.log_likelihood += scores.log_likelihood;
      if (options.update == "perturbed") {
        const MatrixXd noise =
            MatrixXd(r_llt.matrixL()) *
            draws(Random(seed, stream_of("filter.ensemble.observation", uint64_t(t))),
                  static_cast<int64_t>(rows.size()), count);
        const MatrixXd centred = noise.colwise() - VectorXd(noise.rowwise().mean());
        const MatrixXd moves = (centred - s).colwise() + innovation;
        x += off * (s.transpose() * llt.solve(moves)) * each;
      } else {
        // In the space of members: weights N(w, W W'), W W' = (I + S'R^-1 S / (N - 1))^-1, W the
        // symmetric root. Both are the identity but on the few directions V that S reaches.
        const MatrixXd white = r_llt.matrixL().solve(s);
        const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(
            symmetrised<double>(white * white.transpose()));
        const double floor = 1e-14 * std::max(eigen.eigenvalues().maxCoeff(), 0.0);
        MatrixXd v = white.transpose() * eigen.eigenvectors();  // [N, rows]
        VectorXd shrink(v.cols()), less(v.cols());
        for (int64_t k = 0; k < v.cols(); ++k) {
          const double value = eigen.eigenvalues()(k);
          const bool reached = value > floor;
          v.col(k) *= reached ? 1 / std::sqrt(value) : 0;
          const double gained = reached ? value * each : 0;
          less(k) = gained / (1 + gained);
          shrink(k) = 1 / std::sqrt(1 + gained) - 1;
        }
        const VectorXd told =
            each * (white.transpose() * VectorXd(r_llt.matrixL().solve(innovation)));
        const VectorXd w = told - v * less.cwiseProduct(v.transpose() * told);
        const MatrixXd turned = off + (off * v) * shrink.asDiagonal() * v.transpose();
        x = turned.colwise() + VectorXd(mean + off * w);
      }
    }
    const VectorXd mean = x.rowwise().mean();
    const MatrixXd off = x.colwise() - mean;
    put(out.mean, t, mean);
    put(out.cov, t, symmetrised<double>(off * off.transpose() * each));
    if (t + 1 == steps) break;
    for (int64_t i = 0; i < count; ++i) x.col(i) = call(m.f, x.col(i), t, n, "f");
    x += v.q_root(t) * draws(Random(seed, stream_of("filter.ensemble.step", uint64_t(t))),
                             v.q_root(t).cols(), count);
  }
  put(out.members, 0, MatrixXd(x.transpose()));
  return out;
}

}  // namespace covary::filter
