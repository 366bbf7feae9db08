#include "covary/stat/filter/gradient.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

// A group of rows that are taken at once: all of a step, or one scalar while the start is diffuse.
struct Taken {
  std::vector<int> rows;
  bool diffuse = false;  // a scalar that ends a diffuse direction
  VectorXd mean;         // before
  MatrixXd cov, far;     // P and P_inf before
};

struct Step {
  std::vector<Taken> taken;
  VectorXd mean;  // after all
  MatrixXd cov, far;
};

// Adjoints: of the state, and of the matrices of the step at hand.
struct Adjoint {
  VectorXd mean;
  MatrixXd cov, far;
};

class Pass {
 public:
  explicit Pass(const ModelView& v) : v_(v) {}

  double forward() {
    VectorXd mean = v_.mean0();
    MatrixXd cov = v_.cov0(), a = v_.diffuse();
    double total = 0;
    steps_.reserve(static_cast<size_t>(v_.steps()));
    for (int64_t t = 0; t < v_.steps(); ++t) {
      Step step;
      const bool diffuse = a.cols() > 0 && a.norm() > 0;
      const std::vector<int>& present = v_.present(t);
      if (diffuse) {
        need_diagonal(t);
        for (const int row : present) {
          Taken taken{{row}, false, mean, cov, a * a.transpose()};
          Belief<double> b{mean, cov};
          Scores<double> s;
          scalar_updates<double>(b, a, v_.h(t).row(row), v_.r(t).block(row, row, 1, 1),
                                 v_.y(t).segment(row, 1), s, [&](const ScalarStep<double>& one) {
                                   taken.diffuse = one.kind == ScalarStep<double>::Kind::kDiffuse;
                                   if (one.kind == ScalarStep<double>::Kind::kRedundant) {
                                     no_variance(t);
                                   }
                                 });
          mean = b.mean;
          cov = b.cov;
          total += s.log_likelihood;
          step.taken.push_back(std::move(taken));
        }
      } else if (!present.empty()) {
        step.taken.push_back({present, false, mean, cov, {}});
        const Observation o = observation_at(v_, t);
        Belief<double> b{mean, cov};
        Scores<double> s;
        if (!joseph_update<double>(b, o.h, o.r, o.y, s)) no_variance(t);
        mean = b.mean;
        cov = b.cov;
        total += s.log_likelihood;
      }
      step.mean = mean;
      step.cov = cov;
      if (diffuse) step.far = a * a.transpose();
      steps_.push_back(std::move(step));
      mean = (v_.f(t) * mean + v_.input(t)).eval();
      cov = symmetrised<double>(v_.f(t) * cov * v_.f(t).transpose() + v_.q(t));
      if (diffuse) a = (v_.f(t) * a).eval();
    }
    return total;
  }

  // add(t, F, Q, H, R, input): the gradients of step t.
  template <class Add>
  Adjoint backward(Add&& add) const {
    const int64_t n = v_.states(), p = v_.observations();
    Adjoint g{VectorXd::Zero(n), MatrixXd::Zero(n, n), MatrixXd::Zero(n, n)};
    for (int64_t t = v_.steps() - 1; t >= 0; --t) {
      const Step& step = steps_[static_cast<size_t>(t)];
      const MatrixXd& f = v_.f(t);
      MatrixXd gf = g.mean * step.mean.transpose() + 2 * g.cov * f * step.cov;
      if (step.far.size() > 0) gf += 2 * g.far * f * step.far;
      const MatrixXd gq = g.cov;
      const VectorXd input = g.mean;
      g.mean = (f.transpose() * g.mean).eval();
      g.cov = symmetrised<double>(f.transpose() * g.cov * f);
      g.far = symmetrised<double>(f.transpose() * g.far * f);
      MatrixXd gh = MatrixXd::Zero(p, n), gr = MatrixXd::Zero(p, p);
      for (auto taken = step.taken.rbegin(); taken != step.taken.rend(); ++taken) {
        if (taken->diffuse) {
          diffuse_back(t, *taken, g, gh, gr);
        } else {
          usual_back(t, *taken, g, gh, gr);
        }
      }
      add(t, gf, gq, gh, gr, input);
    }
    return g;
  }

 private:
  [[noreturn]] static void no_variance(int64_t t) {
    throw Error(ExitCode::kData, "an innovation has no variance, so the likelihood no gradient",
                "step " + std::to_string(t), "give Q, R or cov0 some variance");
  }
  void need_diagonal(int64_t t) const {
    const MatrixXd& r = v_.r(t);
    if ((r - MatrixXd(r.diagonal().asDiagonal())).cwiseAbs().maxCoeff() > 0) {
      throw Error(ExitCode::kData, "is not diagonal while the start is diffuse",
                  "R at step " + std::to_string(t),
                  "move correlated noise to the state, or give the start a covariance");
    }
  }

  // v = y - H m, M = P H', S = H M + R, w = S^-1 v;
  // m+ = m + M w, P+ = P - M S^-1 M', l = -1/2 (log |S| + v' w).
  void usual_back(int64_t t, const Taken& taken, Adjoint& g, MatrixXd& gh, MatrixXd& gr) const {
    const MatrixXd h = v_.h(t)(taken.rows, Eigen::all);
    const MatrixXd r = v_.r(t)(taken.rows, taken.rows);
    const VectorXd v = v_.y(t)(taken.rows) - h * taken.mean;
    const MatrixXd m = taken.cov * h.transpose();
    const Eigen::LLT<MatrixXd> llt(symmetrised<double>(h * m + r));
    const MatrixXd inverse = llt.solve(MatrixXd::Identity(r.rows(), r.cols()));
    const VectorXd w = llt.solve(v);
    const VectorXd u = llt.solve(m.transpose() * g.mean);  // S^-1 of w's adjoint
    const MatrixXd k = llt.solve(m.transpose());           // S^-1 M'
    const MatrixXd gs = symmetrised<double>(0.5 * (w * w.transpose() - inverse) +
                                            k * g.cov * k.transpose() - u * w.transpose());
    const MatrixXd gm = g.mean * w.transpose() - 2 * g.cov * k.transpose() + h.transpose() * gs;
    const VectorXd gv = u - w;
    const MatrixXd rows =
        gs * m.transpose() + gm.transpose() * taken.cov - gv * taken.mean.transpose();
    gh(taken.rows, Eigen::all) += rows;
    gr(taken.rows, taken.rows) += gs;
    g.mean -= h.transpose() * gv;
    g.cov = symmetrised<double>(g.cov + gm * h);
  }

  // mu = P_inf h, F_inf = h' mu, k = mu / F_inf, m = P h, F = h' m + r, v = y - h' x;
  // x+ = x + k v, P+ = P + k k' F - m k' - k m', P_inf+ = P_inf - k k' F_inf,
  // l = -1/2 log F_inf.
  void diffuse_back(int64_t t, const Taken& taken, Adjoint& g, MatrixXd& gh, MatrixXd& gr) const {
    const int row = taken.rows.front();
    const VectorXd h = v_.h(t).row(row).transpose();
    const VectorXd mu = taken.far * h, m = taken.cov * h;
    const double far = h.dot(mu), variance = h.dot(m) + v_.r(t)(row, row);
    const double v = v_.y(t)(row) - h.dot(taken.mean);
    const VectorXd k = mu / far;
    const VectorXd turned = g.cov * k;
    const VectorXd gk = g.mean * v + 2 * (variance * turned - g.cov * m) - 2 * far * (g.far * k);
    const double gv = k.dot(g.mean), gvariance = k.dot(turned);
    const double gfar = -k.dot(g.far * k) - 0.5 / far - gk.dot(k) / far;
    const VectorXd gmu = gk / far + gfar * h;
    const VectorXd gm = -2 * turned + gvariance * h;
    gh.row(row) += (gfar * mu + taken.far * gmu + gvariance * m + taken.cov * gm - gv * taken.mean)
                       .transpose();
    gr(row, row) += gvariance;
    g.mean -= h * gv;
    g.cov = symmetrised<double>(g.cov + gm * h.transpose());
    g.far = symmetrised<double>(g.far + gmu * h.transpose());
  }

  const ModelView& v_;
  std::vector<Step> steps_;
};

void add_at(at::Tensor& target, int64_t t, const MatrixXd& m) {
  const int64_t step = target.dim() == 3 ? t : 0;
  put(target, step, MatrixXd(matrix_at(target, step) + m));
}

}  // namespace

LikelihoodGradient kalman_gradient(const LinearModel& model, const at::Tensor& y,
                                   const at::Tensor& u) {
  const ModelView v(model, y, u);
  const auto zeros = [](const at::Tensor& t) {
    return t.defined() ? at::zeros(t.sizes(), at::kDouble) : at::Tensor();
  };
  LikelihoodGradient g;
  g.f = zeros(model.f);
  g.q = zeros(model.q);
  g.h = zeros(model.h);
  g.r = zeros(model.r);
  g.b = zeros(model.b);
  const MatrixXd controls = u.defined() ? matrix_of(u) : MatrixXd();
  Pass pass(v);
  g.log_likelihood = pass.forward();
  const Adjoint start =
      pass.backward([&](int64_t t, const MatrixXd& f, const MatrixXd& q, const MatrixXd& h,
                        const MatrixXd& r, const VectorXd& input) {
        add_at(g.f, t, f);
        add_at(g.q, t, q);
        add_at(g.h, t, h);
        add_at(g.r, t, r);
        if (g.b.defined() && u.defined()) add_at(g.b, t, input * controls.row(t));
      });
  g.mean0 = tensor_of(start.mean);
  g.cov0 = tensor_of(start.cov);
  if (model.diffuse.defined()) g.diffuse = tensor_of(MatrixXd(2 * start.far * v.diffuse()));
  return g;
}

}  // namespace covary::filter
