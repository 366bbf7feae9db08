#include "covary/stat/filter/kalman.h"

#include <limits>
#include <utility>

#include <ATen/ATen.h>
#include <Eigen/Eigenvalues>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

// What a pass hands over at each step; matrices live until the call returns.
struct StepView {
  const VectorXd& predicted_mean;
  const MatrixXd& predicted_cov;
  const MatrixXd& predicted_diffuse;
  const VectorXd& mean;
  const MatrixXd& cov;
  const MatrixXd& diffuse;
  const Scores<double>& scores;
};

bool has_exact_rows(const MatrixXd& r) {
  MatrixXd l;
  VectorXd d;
  unit_factor<double>(r, l, d);
  return (d.array() == 0).any();
}

// The pass while some direction is diffuse: scalar by scalar, whatever the form.
class DiffusePart {
 public:
  explicit DiffusePart(const ModelView& v) : v_(v), a_(v.diffuse()) {}
  bool active() const { return a_.cols() > 0 && a_.norm() > 0; }
  const MatrixXd& a() const { return a_; }
  void update(Belief<double>& b, const Observation& o, Scores<double>& s) {
    scalar_updates<double>(b, a_, o.h, o.r, o.y, s, [](const ScalarStep<double>&) {});
  }
  void predict(int64_t t) { a_ = (v_.f(t) * a_).eval(); }

 private:
  const ModelView& v_;
  MatrixXd a_;
};

// A form holds the belief between steps as it likes and gives mean and covariance on demand.
class JosephForm {
 public:
  explicit JosephForm(const ModelView& v) : v_(v) {}
  void set(Belief<double> b) { b_ = std::move(b); }
  Belief<double> get() const { return b_; }
  bool update(int64_t, const Observation& o, Scores<double>& s) {
    return joseph_update<double>(b_, o.h, o.r, o.y, s);
  }
  void predict(int64_t t) { joseph_predict<double>(b_, v_.f(t), v_.q(t), v_.input(t)); }

 private:
  const ModelView& v_;
  Belief<double> b_;
};

class SequentialForm {
 public:
  explicit SequentialForm(const ModelView& v) : v_(v) {}
  void set(Belief<double> b) { b_ = std::move(b); }
  Belief<double> get() const { return b_; }
  bool update(int64_t, const Observation& o, Scores<double>& s) {
    sequential_update<double>(b_, o.h, o.r, o.y, s);
    return true;
  }
  void predict(int64_t t) { joseph_predict<double>(b_, v_.f(t), v_.q(t), v_.input(t)); }

 private:
  const ModelView& v_;
  Belief<double> b_;
};

class RootForm {
 public:
  explicit RootForm(const ModelView& v) : v_(v) {}
  void set(const Belief<double>& b) { b_ = {b.mean, root_of(b.cov)}; }
  Belief<double> get() const { return {b_.mean, b_.root * b_.root.transpose()}; }
  bool update(int64_t t, const Observation& o, Scores<double>& s) {
    return root_update<double>(b_, o.h, v_.complete(t) ? v_.r_root(t) : root_of(o.r), o.y, s);
  }
  void predict(int64_t t) { root_predict<double>(b_, v_.f(t), v_.q_root(t), v_.input(t)); }

 private:
  const ModelView& v_;
  RootBelief<double> b_;
};

class InformationForm {
 public:
  explicit InformationForm(const ModelView& v) : v_(v) {
    if (v.diffuse().cols() > 0) need("a start that is not diffuse", "diffuse");
  }
  void set(const Belief<double>& b) {
    const MatrixXd precision = inverse_of(b.cov, "cov0");
    b_ = {precision * b.mean, precision};
  }
  Belief<double> get() const {
    const MatrixXd cov = inverse_of(b_.precision, "the precision of the state");
    return {cov * b_.vector, cov};
  }
  bool update(int64_t, const Observation& o, Scores<double>& s) {
    const Belief<double> before = get();
    const MatrixXd innovation_cov = symmetrised<double>(o.h * before.cov * o.h.transpose() + o.r);
    add_scores<double>(innovation_cov.llt().matrixL(), o.y - o.h * before.mean, s);
    information_update<double>(b_, o.h, inverse_of(o.r, "R"), o.y);
    return true;
  }
  void predict(int64_t t) {
    if (t == 0 || v_.varying_f()) {
      const Eigen::FullPivLU<MatrixXd> lu(v_.f(t));
      if (!lu.isInvertible()) need("F invertible", "F");
      f_inverse_ = lu.inverse();
    }
    information_predict<double>(b_, f_inverse_, v_.q_root(t), v_.input(t));
  }

 private:
  [[noreturn]] static void need(const std::string& what, const std::string& where) {
    throw Error(ExitCode::kData, "the information form needs " + what, where,
                "take form square-root");
  }
  static MatrixXd inverse_of(const MatrixXd& m, const char* name) {
    const Eigen::LLT<MatrixXd> llt(m);
    if (llt.info() != Eigen::Success) need("it invertible", name);
    return llt.solve(MatrixXd::Identity(m.rows(), m.cols()));
  }

  const ModelView& v_;
  InformationBelief<double> b_;
  MatrixXd f_inverse_;
};

// Runs the filter; sink(t, StepView) sees every step. Returns the belief beyond the last.
template <class Form, class Sink>
Belief<double> run(const ModelView& v, Sink&& sink) {
  Form form(v);
  DiffusePart diffuse(v);
  form.set({v.mean0(), v.cov0()});
  for (int64_t t = 0; t < v.steps(); ++t) {
    const Belief<double> predicted = form.get();
    const MatrixXd predicted_diffuse = diffuse.a();
    Scores<double> scores;
    if (!v.present(t).empty()) {
      const Observation o = observation_at(v, t);
      if (diffuse.active()) {
        Belief<double> b = predicted;
        diffuse.update(b, o, scores);
        form.set(b);
      } else if (has_exact_rows(o.r) || !form.update(t, o, scores)) {
        Belief<double> b = predicted;
        sequential_update<double>(b, o.h, o.r, o.y, scores);
        form.set(b);
      }
    }
    const Belief<double> updated = form.get();
    if (!updated.mean.allFinite() || !updated.cov.allFinite()) {
      throw Error(ExitCode::kData, "the state is no longer finite", "step " + std::to_string(t),
                  "F grows without bound, or the scales of the model are too far apart");
    }
    sink(t, StepView{predicted.mean, predicted.cov, predicted_diffuse, updated.mean, updated.cov,
                     diffuse.a(), scores});
    form.predict(t);
    diffuse.predict(t);
  }
  return form.get();
}

template <class Sink>
Belief<double> run(const ModelView& v, const KalmanOptions& options, Sink&& sink) {
  options.check();
  if (options.form == "joseph") return run<JosephForm>(v, sink);
  if (options.form == "sequential") return run<SequentialForm>(v, sink);
  if (options.form == "information") return run<InformationForm>(v, sink);
  return run<RootForm>(v, sink);
}

// a with as many columns as the model has diffuse directions, zeros behind.
MatrixXd widened(const MatrixXd& a, int64_t columns) {
  MatrixXd w = MatrixXd::Zero(a.rows(), columns);
  w.leftCols(a.cols()) = a;
  return w;
}

// X with X p = m, p positive semi-definite; along directions where p is 0, X is 0.
MatrixXd solve_right(const MatrixXd& m, const MatrixXd& p) {
  const Eigen::LLT<MatrixXd> llt(p);
  if (llt.info() == Eigen::Success) {
    const MatrixXd root = llt.matrixL();
    if (!singular_root<double>(root, p.diagonal().cwiseSqrt())) {
      return llt.solve(m.transpose()).transpose();
    }
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(p);
  const VectorXd& e = eigen.eigenvalues();
  const double floor = 1e-14 * static_cast<double>(e.size()) * std::max(e(e.size() - 1), 0.0);
  const VectorXd inverse = (e.array() > floor).select(e.cwiseInverse(), 0);
  return m * eigen.eigenvectors() * inverse.asDiagonal() * eigen.eigenvectors().transpose();
}

// One step of Rauch, Tung and Striebel: from x_{t+1} given all to x_t given all.
struct RtsStep {
  VectorXd mean;
  MatrixXd cov, gain;
};
RtsStep rts_step(const MatrixXd& f, const MatrixXd& q, const VectorXd& mean, const MatrixXd& cov,
                 const VectorXd& next_predicted, const MatrixXd& next_predicted_cov,
                 const VectorXd& next_mean, const MatrixXd& next_cov) {
  RtsStep s;
  s.gain = solve_right(cov * f.transpose(), next_predicted_cov);
  s.mean = mean + s.gain * (next_mean - next_predicted);
  const MatrixXd keep = MatrixXd::Identity(cov.rows(), cov.cols()) - s.gain * f;
  s.cov = symmetrised<double>(keep * cov * keep.transpose() +
                              s.gain * (q + next_cov) * s.gain.transpose());
  return s;
}

const at::Tensor& at_step(const at::Tensor& m, int64_t t, at::Tensor& scratch) {
  if (m.dim() == 2) return m;
  scratch = m[t];
  return scratch;
}
MatrixXd model_matrix(const at::Tensor& m, int64_t t) {
  at::Tensor scratch;
  return matrix_of(at_step(m, t, scratch));
}

}  // namespace

Filtered kalman_filter(const LinearModel& model, const at::Tensor& y, const at::Tensor& u,
                       const KalmanOptions& options) {
  const ModelView v(model, y, u);
  const int64_t steps = v.steps(), n = v.states(), p = v.observations();
  const auto o = at::kDouble;
  Filtered out;
  out.mean = at::empty({steps, n}, o);
  out.cov = at::empty({steps, n, n}, o);
  out.predicted_mean = at::empty({steps, n}, o);
  out.predicted_cov = at::empty({steps, n, n}, o);
  out.innovation = at::empty({steps, p}, o);
  out.innovation_cov = at::empty({steps, p, p}, o);
  out.nis = at::empty({steps}, o);
  out.log_likelihoods = at::empty({steps}, o);
  out.observed = at::empty({steps}, at::kLong);
  double* nis = out.nis.mutable_data_ptr<double>();
  double* likelihoods = out.log_likelihoods.mutable_data_ptr<double>();
  int64_t* observed = out.observed.mutable_data_ptr<int64_t>();
  std::vector<MatrixXd> before, after;
  const Belief<double> next = run(v, options, [&](int64_t t, const StepView& s) {
    put(out.mean, t, s.mean);
    put(out.cov, t, s.cov);
    put(out.predicted_mean, t, s.predicted_mean);
    put(out.predicted_cov, t, s.predicted_cov);
    put(out.innovation, t, VectorXd(v.y(t) - v.h(t) * s.predicted_mean));
    put(out.innovation_cov, t,
        symmetrised<double>(v.h(t) * s.predicted_cov * v.h(t).transpose() + v.r(t)));
    nis[t] = s.scores.nis;
    likelihoods[t] = s.scores.log_likelihood;
    observed[t] = static_cast<int64_t>(v.present(t).size());
    out.log_likelihood += s.scores.log_likelihood;
    if (s.predicted_diffuse.cols() > 0 && s.predicted_diffuse.norm() > 0) {
      before.push_back(widened(s.predicted_diffuse, v.diffuse().cols()));
      after.push_back(widened(s.diffuse, v.diffuse().cols()));
    }
  });
  out.next_mean = tensor_of(next.mean);
  out.next_cov = tensor_of(next.cov);
  out.diffuse_steps = static_cast<int64_t>(before.size());
  out.predicted_diffuse = at::empty({out.diffuse_steps, n, v.diffuse().cols()}, o);
  out.diffuse = at::empty({out.diffuse_steps, n, v.diffuse().cols()}, o);
  for (int64_t t = 0; t < out.diffuse_steps; ++t) {
    put(out.predicted_diffuse, t, before[static_cast<size_t>(t)]);
    put(out.diffuse, t, after[static_cast<size_t>(t)]);
  }
  out.resolved = after.empty() || after.back().norm() == 0;
  return out;
}

double kalman_log_likelihood(const LinearModel& model, const at::Tensor& y, const at::Tensor& u,
                             const KalmanOptions& options) {
  const ModelView v(model, y, u);
  double total = 0;
  run(v, options, [&](int64_t, const StepView& s) { total += s.scores.log_likelihood; });
  return total;
}

Smoothed rts_smoother(const LinearModel& model, const Filtered& filtered) {
  const int64_t steps = filtered.mean.size(0), n = filtered.mean.size(1);
  if (filtered.diffuse_steps > 0) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "rts_smoother",
                "take bryson_frazier_smoother, or kalman_smoother, which chooses");
  }
  Smoothed out{filtered.mean.clone(), filtered.cov.clone(),
               at::empty({std::max<int64_t>(steps - 1, 0), n, n}, at::kDouble)};
  if (steps == 0) return out;
  VectorXd mean = vector_at(filtered.mean, steps - 1);
  MatrixXd cov = matrix_at(filtered.cov, steps - 1);
  for (int64_t t = steps - 2; t >= 0; --t) {
    const MatrixXd q = model_matrix(model.q, t);
    const RtsStep s =
        rts_step(model_matrix(model.f, t), q, vector_at(filtered.mean, t),
                 matrix_at(filtered.cov, t), vector_at(filtered.predicted_mean, t + 1),
                 matrix_at(filtered.predicted_cov, t + 1), mean, cov);
    put(out.lag_cov, t, MatrixXd(cov * s.gain.transpose()));
    mean = s.mean;
    cov = s.cov;
    put(out.mean, t, mean);
    put(out.cov, t, cov);
  }
  return out;
}

Smoothed bryson_frazier_smoother(const LinearModel& model, const at::Tensor& y,
                                 const Filtered& filtered) {
  const ModelView v(model, y, {});
  const int64_t steps = v.steps(), n = v.states();
  if (!filtered.resolved) {
    throw Error(ExitCode::kData, "the series ends before every diffuse direction is known", "y",
                "give a longer series, or a start with variances");
  }
  Smoothed out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble), {}};
  // r = r0 + r1 / kappa, N = n0 + n1 / kappa + n2 / kappa^2, with
  //   E[x_t | all] = predicted + P r,  Cov = P - P N P,  P = cov + kappa A A'.
  VectorXd r0 = VectorXd::Zero(n), r1 = r0;
  MatrixXd n0 = MatrixXd::Zero(n, n), n1 = n0, n2 = n0;
  for (int64_t t = steps - 1; t >= 0; --t) {
    if (t < steps - 1) {
      const MatrixXd& f = v.f(t);
      r0 = (f.transpose() * r0).eval();
      r1 = (f.transpose() * r1).eval();
      for (MatrixXd* m : {&n0, &n1, &n2}) *m = symmetrised<double>(f.transpose() * *m * f);
    }
    Belief<double> b{vector_at(filtered.predicted_mean, t), matrix_at(filtered.predicted_cov, t)};
    MatrixXd a(n, 0);
    if (t < filtered.diffuse_steps) {
      const MatrixXd wide = matrix_at(filtered.predicted_diffuse, t);
      int64_t columns = wide.cols();
      while (columns > 0 && wide.col(columns - 1).norm() == 0) --columns;
      a = wide.leftCols(columns);
    }
    const VectorXd mean = b.mean;
    const MatrixXd cov = b.cov, far = a * a.transpose();
    if (!v.present(t).empty()) {
      const Observation o = observation_at(v, t);
      std::vector<ScalarStep<double>> taken;
      Scores<double> unused;
      scalar_updates<double>(b, a, o.h, o.r, o.y, unused,
                             [&](const ScalarStep<double>& s) { taken.push_back(s); });
      for (auto s = taken.rbegin(); s != taken.rend(); ++s) {
        if (s->kind == ScalarStep<double>::Kind::kRedundant) continue;
        const bool ends = s->kind == ScalarStep<double>::Kind::kDiffuse;
        const MatrixXd l0 = MatrixXd::Identity(n, n) - s->gain * s->h.transpose();
        const VectorXd scaled = s->h * s->innovation;
        if (!ends) {
          r0 = (scaled / s->variance + l0.transpose() * r0).eval();
          r1 = (l0.transpose() * r1).eval();
          n0 =
              symmetrised<double>(s->h * s->h.transpose() / s->variance + l0.transpose() * n0 * l0);
          n1 = symmetrised<double>(l0.transpose() * n1 * l0);
          n2 = symmetrised<double>(l0.transpose() * n2 * l0);
          continue;
        }
        const MatrixXd l1 = -s->second_gain * s->h.transpose();
        const MatrixXd outer = s->h * s->h.transpose() / s->diffuse_variance;
        r1 = (scaled / s->diffuse_variance + l0.transpose() * r1 + l1.transpose() * r0).eval();
        r0 = (l0.transpose() * r0).eval();
        const MatrixXd turn = l0.transpose() * n1 * l1;
        n2 = symmetrised<double>(-outer * (s->variance / s->diffuse_variance) +
                                 l0.transpose() * n2 * l0 + turn + turn.transpose() +
                                 l1.transpose() * n0 * l1);
        const MatrixXd half = l1.transpose() * n0 * l0;
        n1 = symmetrised<double>(outer + l0.transpose() * n1 * l0 + half + half.transpose());
        n0 = symmetrised<double>(l0.transpose() * n0 * l0);
      }
    }
    const MatrixXd mixed = far * n1 * cov;
    put(out.mean, t, VectorXd(mean + cov * r0 + far * r1));
    put(out.cov, t,
        symmetrised<double>(cov - cov * n0 * cov - mixed - mixed.transpose() - far * n2 * far));
  }
  return out;
}

Smoothed kalman_smoother(const LinearModel& model, const at::Tensor& y, const at::Tensor& u,
                         const KalmanOptions& options) {
  const Filtered f = kalman_filter(model, y, u, options);
  return f.diffuse_steps > 0 ? bryson_frazier_smoother(model, y, f) : rts_smoother(model, f);
}

Smoothed fixed_lag_smoother(const LinearModel& model, const at::Tensor& y, int64_t lag,
                            const at::Tensor& u, const KalmanOptions& options) {
  if (lag < 0) throw Error(ExitCode::kUsage, "must not be negative", "lag", "0 is the filter");
  const Filtered f = kalman_filter(model, y, u, options);
  if (f.diffuse_steps > 0) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "fixed_lag_smoother",
                "take kalman_smoother, or a start with variances");
  }
  Smoothed out{f.mean.clone(), f.cov.clone(), {}};
  const int64_t steps = f.mean.size(0);
  for (int64_t t = 0; t < steps; ++t) {
    const int64_t last = std::min(t + lag, steps - 1);
    VectorXd mean = vector_at(f.mean, last);
    MatrixXd cov = matrix_at(f.cov, last);
    for (int64_t k = last - 1; k >= t; --k) {
      const RtsStep s =
          rts_step(model_matrix(model.f, k), model_matrix(model.q, k), vector_at(f.mean, k),
                   matrix_at(f.cov, k), vector_at(f.predicted_mean, k + 1),
                   matrix_at(f.predicted_cov, k + 1), mean, cov);
      mean = s.mean;
      cov = s.cov;
    }
    put(out.mean, t, mean);
    put(out.cov, t, cov);
  }
  return out;
}

SteadyState steady_state(const LinearModel& model) {
  model.check();
  for (const auto& [m, name] : {std::pair{&model.f, "F"}, std::pair{&model.q, "Q"},
                                std::pair{&model.h, "H"}, std::pair{&model.r, "R"}}) {
    if (m->dim() != 2) {
      throw Error(ExitCode::kUsage, "changes with the step", name,
                  "a steady state belongs to constant matrices");
    }
  }
  const MatrixXd f = matrix_of(model.f), h = matrix_of(model.h), r = matrix_of(model.r);
  const int64_t n = f.rows();
  const MatrixXd identity = MatrixXd::Identity(n, n);
  const Eigen::LLT<MatrixXd> r_llt(r);
  if (r_llt.info() != Eigen::Success) {
    throw Error(ExitCode::kData, "is singular", "R",
                "the Riccati equation is solved for noisy observations; run the filter instead");
  }
  // X = A' X (I + G X)^-1 A + C with A = F', G = H' R^-1 H, C = Q.
  MatrixXd a = f.transpose(), g = h.transpose() * r_llt.solve(h), c = matrix_of(model.q);
  SteadyState out;
  bool done = false;
  constexpr int64_t kLimit = 60;  // the closed loop to the power 2^60
  while (!done && out.iterations < kLimit) {
    ++out.iterations;
    const Eigen::PartialPivLU<MatrixXd> w(identity + g * c);
    const MatrixXd wa = w.solve(a), wg = w.solve(g);
    const MatrixXd step = a.transpose() * c * wa;
    g = symmetrised<double>(g + a * wg * a.transpose());
    c = symmetrised<double>(c + step);
    a = (a * wa).eval();
    if (!c.allFinite() || !g.allFinite()) break;
    done = step.cwiseAbs().maxCoeff() <= 1e-15 * c.cwiseAbs().maxCoeff();
  }
  if (!done) {
    throw Error(ExitCode::kData, "has no steady state", "the model",
                "an unstable state is not seen by H, or a fixed one has no noise");
  }
  const MatrixXd s = symmetrised<double>(h * c * h.transpose() + r);
  const MatrixXd gain = s.llt().solve(h * c).transpose();
  const MatrixXd keep = identity - gain * h;
  out.predicted_cov = tensor_of(c);
  out.gain = tensor_of(gain);
  out.innovation_cov = tensor_of(s);
  out.cov =
      tensor_of(symmetrised<double>(keep * c * keep.transpose() + gain * r * gain.transpose()));
  return out;
}

}  // namespace covary::filter
