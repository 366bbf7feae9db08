#include "covary/stat/filter/learn.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <utility>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/filter/gradient.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

void need_constant(const at::Tensor& m, bool free, const char* name) {
  if (free && m.defined() && m.dim() != 2) {
    throw Error(ExitCode::kUsage, "changes with the step and cannot be fitted", name,
                "fit constant matrices, or keep it fixed");
  }
}

void check_request(const LinearModel& m, const LearnOptions& o, const LearnMasks& masks) {
  o.check();
  need_constant(m.f, o.f, "F");
  need_constant(m.h, o.h, "H");
  need_constant(m.b, o.b, "B");
  need_constant(m.q, o.q != "fixed", "Q");
  need_constant(m.r, o.r != "fixed", "R");
  for (const auto& [mask, matrix, name] :
       {std::tuple{&masks.f, &m.f, "mask of F"}, std::tuple{&masks.h, &m.h, "mask of H"}}) {
    if (mask->defined() && (mask->scalar_type() != at::kBool || mask->sizes() != matrix->sizes())) {
      throw Error(ExitCode::kUsage, "must be bool and shaped like its matrix", name);
    }
  }
}

double observed_rows(const at::Tensor& y) {
  return std::max<double>(1, at::isfinite(y).any(1).sum().item<double>());
}

// ---- by gradient

// The free numbers of a model as a vector, and gradients in them.
class Parameters {
 public:
  Parameters(const LinearModel& start, const LearnOptions& o, const LearnMasks& masks)
      : start_(start) {
    if (o.cov0) {
      throw Error(ExitCode::kUsage, "is fitted by EM only", "cov0",
                  "one series says too little about the start for a search");
    }
    const auto entries = [&](bool free, at::Tensor LinearModel::* field,
                             at::Tensor LikelihoodGradient::* gradient, const at::Tensor& mask) {
      if (!free || !(start.*field).defined()) return;
      const at::Tensor chosen = mask.defined() ? mask.contiguous() : at::Tensor();
      for (int64_t i = 0; i < (start.*field).numel(); ++i) {
        if (!chosen.defined() || chosen.const_data_ptr<bool>()[i]) {
          entries_.push_back({field, gradient, i});
        }
      }
    };
    entries(o.f, &LinearModel::f, &LikelihoodGradient::f, masks.f);
    entries(o.h, &LinearModel::h, &LikelihoodGradient::h, masks.h);
    entries(o.b, &LinearModel::b, &LikelihoodGradient::b, {});
    entries(o.mean0, &LinearModel::mean0, &LikelihoodGradient::mean0, {});
    covariance(o.q, &LinearModel::q, &LikelihoodGradient::q, "Q");
    covariance(o.r, &LinearModel::r, &LikelihoodGradient::r, "R");
    if (start_x_.empty() && entries_.empty()) {
      throw Error(ExitCode::kUsage, "nothing of the model is free", "options",
                  "free a matrix, or give Q or R a variance above 0 to start from");
    }
    std::vector<double> x;
    for (const Entry& e : entries_)
      x.push_back((start.*e.field).contiguous().const_data_ptr<double>()[e.at]);
    start_x_.insert(start_x_.begin(), x.begin(), x.end());
  }

  const std::vector<double>& start() const { return start_x_; }

  LinearModel model(std::span<const double> x) const {
    LinearModel m = start_;
    for (at::Tensor LinearModel::* field :
         {&LinearModel::f, &LinearModel::h, &LinearModel::b, &LinearModel::mean0, &LinearModel::q,
          &LinearModel::r}) {
      if ((m.*field).defined()) m.*field = (m.*field).clone(at::MemoryFormat::Contiguous);
    }
    size_t next = 0;
    for (const Entry& e : entries_) (m.*e.field).mutable_data_ptr<double>()[e.at] = x[next++];
    for (const Covariance& c : covariances_) {
      if (!c.full) {
        for (const int64_t i : c.rows) {
          (m.*c.field).mutable_data_ptr<double>()[i * (c.size + 1)] = std::exp(x[next++]);
        }
      } else {
        const MatrixXd root = root_at(c, x.subspan(next));
        put(m.*c.field, 0, MatrixXd(root * root.transpose()));
        next += static_cast<size_t>(c.size * (c.size + 1) / 2);
      }
    }
    return m;
  }

  void gradient(std::span<const double> x, const LikelihoodGradient& g,
                std::span<double> out) const {
    size_t next = 0;
    for (const Entry& e : entries_) out[next++] = (g.*e.gradient).const_data_ptr<double>()[e.at];
    for (const Covariance& c : covariances_) {
      const MatrixXd gc = matrix_of(g.*c.gradient);
      if (!c.full) {
        for (const int64_t i : c.rows) {
          out[next] = gc(i, i) * std::exp(x[next]);
          ++next;
        }
        continue;
      }
      const MatrixXd root = root_at(c, x.subspan(next)), groot = 2 * gc * root;
      for (int64_t i = 0; i < c.size; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          out[next++] = i == j ? groot(i, i) * root(i, i) : groot(i, j);
        }
      }
    }
  }

 private:
  struct Entry {
    at::Tensor LinearModel::* field;
    at::Tensor LikelihoodGradient::* gradient;
    int64_t at;
  };
  struct Covariance {
    at::Tensor LinearModel::* field;
    at::Tensor LikelihoodGradient::* gradient;
    int64_t size;
    bool full;
    std::vector<int64_t> rows;  // free variances, when diagonal
  };

  void covariance(const std::string& kind, at::Tensor LinearModel::* field,
                  at::Tensor LikelihoodGradient::* gradient, const char* name) {
    if (kind == "fixed") return;
    const MatrixXd m = matrix_of(start_.*field);
    Covariance c{field, gradient, m.rows(), kind == "full", {}};
    if (c.full) {
      const Eigen::LLT<MatrixXd> llt(m);
      if (llt.info() != Eigen::Success) {
        throw Error(ExitCode::kUsage, "is singular at the start of a full fit", name,
                    "start from a definite matrix, or fit its diagonal");
      }
      const MatrixXd root = llt.matrixL();
      for (int64_t i = 0; i < c.size; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          start_x_.push_back(i == j ? std::log(root(i, i)) : root(i, j));
        }
      }
    } else {
      for (int64_t i = 0; i < c.size; ++i) {
        if (m(i, i) <= 0) continue;
        c.rows.push_back(i);
        start_x_.push_back(std::log(m(i, i)));
      }
    }
    covariances_.push_back(std::move(c));
  }
  static MatrixXd root_at(const Covariance& c, std::span<const double> x) {
    MatrixXd root = MatrixXd::Zero(c.size, c.size);
    size_t next = 0;
    for (int64_t i = 0; i < c.size; ++i) {
      for (int64_t j = 0; j <= i; ++j, ++next) root(i, j) = i == j ? std::exp(x[next]) : x[next];
    }
    return root;
  }

  const LinearModel& start_;
  std::vector<Entry> entries_;
  std::vector<Covariance> covariances_;
  std::vector<double> start_x_;
};

// ---- by EM

// Sums over steps of second moments: of targets z, of regressors x.
struct Moments {
  Moments(int64_t z, int64_t x)
      : zz(MatrixXd::Zero(z, z)), zx(MatrixXd::Zero(z, x)), xx(MatrixXd::Zero(x, x)) {}
  MatrixXd zz, zx, xx;
  double count = 0;

  // E sum (z - a x)(z - a x)' / count
  MatrixXd residual(const MatrixXd& a) const {
    return symmetrised<double>(zz - a * zx.transpose() - zx * a.transpose() +
                               a * xx * a.transpose()) /
           std::max(count, 1.0);
  }
};

// The free entries of a that maximise the expected likelihood for noise covariance `noise`; with
// every entry free it does not enter.
MatrixXd regression(const Moments& m, const MatrixXd& a, const at::Tensor& mask,
                    const MatrixXd& noise) {
  if (!mask.defined()) return m.xx.ldlt().solve(m.zx.transpose()).transpose();
  const at::Tensor chosen = mask.contiguous();
  std::vector<std::pair<int64_t, int64_t>> free;
  MatrixXd fixed = a;
  for (int64_t i = 0; i < a.rows(); ++i) {
    for (int64_t j = 0; j < a.cols(); ++j) {
      if (!chosen.const_data_ptr<bool>()[i * a.cols() + j]) continue;
      free.emplace_back(i, j);
      fixed(i, j) = 0;
    }
  }
  if (free.empty()) return a;
  const MatrixXd weight = noise.completeOrthogonalDecomposition().pseudoInverse();
  const MatrixXd right = weight * (m.zx - fixed * m.xx);
  const int64_t n = static_cast<int64_t>(free.size());
  MatrixXd system(n, n);
  VectorXd side(n);
  for (int64_t k = 0; k < n; ++k) {
    const auto [i, j] = free[size_t(k)];
    side(k) = right(i, j);
    for (int64_t l = 0; l < n; ++l) {
      const auto [s, t] = free[size_t(l)];
      system(k, l) = weight(i, s) * m.xx(t, j);
    }
  }
  const VectorXd solution = system.completeOrthogonalDecomposition().solve(side);
  for (int64_t k = 0; k < n; ++k)
    fixed(free[size_t(k)].first, free[size_t(k)].second) = solution(k);
  return fixed;
}

MatrixXd learned_covariance(const std::string& kind, const MatrixXd& present,
                            const MatrixXd& residual) {
  if (kind == "fixed") return present;
  if (kind == "full") return residual;
  MatrixXd m = present;
  for (int64_t i = 0; i < m.rows(); ++i) {
    if (present(i, i) > 0) m(i, i) = std::max(residual(i, i), 0.0);
  }
  return m;
}

// y as the model expects it given the states and what is observed: y = A x + c + e.
struct Completed {
  MatrixXd a, noise;
  VectorXd c;
};
Completed complete_row(const ModelView& v, int64_t t) {
  const int64_t n = v.states(), p = v.observations();
  Completed out{MatrixXd::Zero(p, n), MatrixXd::Zero(p, p), VectorXd::Zero(p)};
  const std::vector<int>& seen = v.present(t);
  std::vector<int> unseen;
  for (int i = 0, k = 0; i < int(p); ++i) {
    if (k < int(seen.size()) && seen[size_t(k)] == i) {
      ++k;
    } else {
      unseen.push_back(i);
    }
  }
  const VectorXd y = v.y(t)(seen);
  out.c(seen) = y;
  if (unseen.empty()) return out;
  const MatrixXd& h = v.h(t);
  const MatrixXd& r = v.r(t);
  const MatrixXd cross = r(unseen, seen);
  const MatrixXd gain = MatrixXd(r(seen, seen))
                            .completeOrthogonalDecomposition()
                            .solve(cross.transpose())
                            .transpose();
  out.a(unseen, Eigen::all) = h(unseen, Eigen::all) - gain * h(seen, Eigen::all);
  out.c(unseen) = gain * y;
  out.noise(unseen, unseen) = r(unseen, unseen) - gain * cross.transpose();
  return out;
}

}  // namespace

LinearFit fit_likelihood(const LinearModel& start, const at::Tensor& y, const at::Tensor& u,
                         const LearnOptions& options, const LearnMasks& masks) {
  start.check();
  check_request(start, options, masks);
  const Parameters parameters(start, options, masks);
  const double scale = 1 / observed_rows(y);
  kalman_gradient(start, y, u);  // what is wrong at the start is the caller's, not a step's
  const numeric::Objective objective = [&](std::span<const double> x, std::span<double> g) {
    try {
      const LikelihoodGradient l = kalman_gradient(parameters.model(x), y, u);
      parameters.gradient(x, l, g);
      for (double& value : g) value *= -scale;
      return -scale * l.log_likelihood;
    } catch (const Error& e) {
      // A step too far: covariances out of range. The line search shortens it.
      if (e.code() != ExitCode::kData) throw;
      std::fill(g.begin(), g.end(), 0.0);
      return std::numeric_limits<double>::infinity();
    }
  };
  const numeric::Optimum best =
      numeric::minimise(objective, parameters.start(), {}, {},
                        {.iterations = options.steps, .gradient_tolerance = options.tolerance});
  LinearFit fit;
  fit.model = parameters.model(best.x);
  fit.log_likelihood = -best.value / scale;
  fit.steps = best.iterations;
  fit.converged = best.ending == numeric::Ending::kConverged;
  fit.ending = std::string(numeric::name_of(best.ending));
  for (const double value : best.trace) fit.trace.push_back(-value / scale);
  return fit;
}

LinearFit fit_em(const LinearModel& start, const at::Tensor& y, const at::Tensor& u,
                 const LearnOptions& options, const LearnMasks& masks) {
  start.check();
  check_request(start, options, masks);
  if (options.b) {
    throw Error(ExitCode::kUsage, "is not fitted by EM", "b", "take fit_likelihood");
  }
  if (start.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "EM needs a start that is not diffuse", "diffuse",
                "take fit_likelihood, or give the start a covariance");
  }
  need_constant(start.f, options.q != "fixed", "F");
  need_constant(start.q, options.f, "Q");
  need_constant(start.h, options.r != "fixed", "H");
  need_constant(start.r, options.h, "R");
  LinearFit fit;
  fit.model = start;
  const double scale = 1 / observed_rows(y);
  const bool learn_dynamics = options.f || options.q != "fixed";
  const bool learn_observation = options.h || options.r != "fixed";
  for (;;) {
    const ModelView v(fit.model, y, u);
    const Filtered f = kalman_filter(fit.model, y, u);
    fit.log_likelihood = f.log_likelihood;
    const bool first = fit.trace.empty();
    const double gain = first ? 0 : f.log_likelihood - fit.trace.back();
    fit.trace.push_back(f.log_likelihood);
    if (!first && gain * scale < options.tolerance) {
      fit.converged = true;
      fit.ending = "converged";
      return fit;
    }
    if (fit.steps == options.steps) {
      fit.ending = "iterations";
      return fit;
    }
    const Smoothed s = rts_smoother(fit.model, f);
    const int64_t n = v.states(), p = v.observations(), steps = v.steps();
    Moments dynamics(n, n), observation(p, n);
    for (int64_t t = 0; t < steps; ++t) {
      const VectorXd x = vector_at(s.mean, t);
      const MatrixXd xx = matrix_at(s.cov, t) + x * x.transpose();
      if (learn_dynamics && t + 1 < steps) {
        const VectorXd next = vector_at(s.mean, t + 1) - v.input(t);
        dynamics.zz += matrix_at(s.cov, t + 1) + next * next.transpose();
        dynamics.zx += matrix_at(s.lag_cov, t) + next * x.transpose();
        dynamics.xx += xx;
        dynamics.count += 1;
      }
      if (learn_observation && !v.present(t).empty()) {
        const Completed c = complete_row(v, t);
        const MatrixXd mixed = c.a * x * c.c.transpose();
        observation.zz += c.a * xx * c.a.transpose() + mixed + mixed.transpose() +
                          c.c * c.c.transpose() + c.noise;
        observation.zx += c.a * xx + c.c * x.transpose();
        observation.xx += xx;
        observation.count += 1;
      }
    }
    LinearModel next = fit.model;
    if (learn_dynamics && dynamics.count > 0) {
      const MatrixXd q = matrix_of(fit.model.q);
      MatrixXd a = matrix_of(fit.model.f);
      if (options.f) a = regression(dynamics, a, masks.f, q);
      next.f = tensor_of(a);
      next.q = tensor_of(learned_covariance(options.q, q, dynamics.residual(a)));
    }
    if (learn_observation && observation.count > 0) {
      const MatrixXd r = matrix_of(fit.model.r);
      MatrixXd a = matrix_of(fit.model.h);
      if (options.h) a = regression(observation, a, masks.h, r);
      next.h = tensor_of(a);
      next.r = tensor_of(learned_covariance(options.r, r, observation.residual(a)));
    }
    if (options.mean0 && steps > 0) next.mean0 = s.mean[0].clone();
    if (options.cov0 && steps > 0) {
      const VectorXd off = vector_at(s.mean, 0) - vector_of(next.mean0);
      next.cov0 = tensor_of(symmetrised<double>(matrix_at(s.cov, 0) + off * off.transpose()));
    }
    fit.model = next;
    ++fit.steps;
  }
}

}  // namespace covary::filter
