// Likelihood and gradient of both forms, and predictions.
#include "covary/stat/process/multi_output.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/draws.h"
#include "covary/stat/process/gp_data.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLogTwoPi = 1.8378770664093454836;

at::Tensor kernel_matrix(const Kernel& kernel, const at::Tensor& x) {
  const int64_t n = x.size(0);
  at::Tensor k = at::empty({n, n}, at::kDouble);
  kernel.matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), n);
  return k;
}

at::Tensor cross_matrix(const Kernel& kernel, const at::Tensor& points, const at::Tensor& x) {
  at::Tensor k = at::empty({points.size(0), x.size(0)}, at::kDouble);
  kernel.cross(points.const_data_ptr<double>(), points.size(0), x.const_data_ptr<double>(),
               x.size(0), k.data_ptr<double>(), x.size(0));
  return k;
}

// gradient = sum_ij w_ij dk_ij / dlog(parameter).
std::vector<double> contracted(const Kernel& kernel, const at::Tensor& x, const at::Tensor& w) {
  const at::Tensor weights = w.contiguous();
  const int64_t n = x.size(0);
  std::vector<double> gradient(kernel.parameters().size());
  kernel.contract(x.const_data_ptr<double>(), n, weights.const_data_ptr<double>(), n, gradient);
  return gradient;
}

// From the derivatives by B to those by W and log own.
void by_loadings(const MultiOutputParameters& p, size_t q, const at::Tensor& by_between,
                 MultiOutputGradient* g) {
  const at::Tensor symmetric = 0.5 * (by_between + by_between.t());
  g->loadings.push_back(2 * symmetric.matmul(p.loadings[q]));
  g->own.push_back(symmetric.diagonal() * p.own[q]);
}

// What both forms do with all values as one vector of N, in the order of their output.
class Solver {
 public:
  virtual ~Solver() = default;
  virtual at::Tensor solve(const at::Tensor& columns) const = 0;  // K^-1 [N, c]
  virtual double log_determinant() const = 0;
  virtual at::Tensor inverse_diagonal() const = 0;  // of K^-1, [N]
  // gradient of 1/2 tr((a a' - K^-1) dK).
  virtual void gradient(const at::Tensor& alpha, MultiOutputGradient* g) const = 0;
};

// Rows and outputs of the known values, output by output.
struct Stack {
  at::Tensor rows, outputs;  // [N] int64
  at::Tensor values;         // [N]
  at::Tensor basis;          // [N, m]: which output
  explicit Stack(const at::Tensor& y) {
    const at::Tensor known = at::logical_not(at::isnan(y.t())).nonzero();  // (output, row)
    outputs = known.select(1, 0).contiguous();
    rows = known.select(1, 1).contiguous();
    values = y.t().contiguous().index({outputs, rows});
    basis = at::zeros({values.size(0), y.size(1)}, at::kDouble);
    basis.scatter_(1, outputs.unsqueeze(1), 1.0);
  }
};

class DenseSolver : public Solver {
 public:
  DenseSolver(const MultiOutputParameters& p, const at::Tensor& x, const Stack& s)
      : p_(p), x_(x), s_(s) {
    const int64_t count = s.values.size(0);
    factor_ = at::diag(p.noise.index({s.outputs}));
    for (size_t q = 0; q < p.kernels.size(); ++q) {
      factor_ += over_values(p.between(q)) *
                 kernel_matrix(p.kernels[q], x).index_select(0, s.rows).index_select(1, s.rows);
    }
    factor_ = factor_.contiguous();
    good_ = factor_.isfinite().all().item<bool>() && linalg::cholesky(view(count)).done;
  }
  bool good() const { return good_; }
  at::Tensor solve(const at::Tensor& columns) const override {
    at::Tensor rows = columns.t().contiguous().clone();
    linalg::forward(view(rows.size(1)), rows.data_ptr<double>(), rows.size(0));
    linalg::backward(view(rows.size(1)), rows.data_ptr<double>(), rows.size(0));
    return rows.t();
  }
  double log_determinant() const override { return linalg::log_determinant(view(factor_.size(0))); }
  at::Tensor inverse_diagonal() const override {
    const int64_t count = factor_.size(0);
    at::Tensor inverse = factor_.clone();
    linalg::inverse({inverse.data_ptr<double>(), count, count});
    return inverse.diagonal().clone();
  }
  void gradient(const at::Tensor& alpha, MultiOutputGradient* g) const override {
    const int64_t count = factor_.size(0), n = x_.size(0);
    at::Tensor inverse = factor_.clone();
    linalg::inverse({inverse.data_ptr<double>(), count, count});
    inverse = inverse.tril() + inverse.tril(-1).t();
    const at::Tensor w = 0.5 * (at::outer(alpha, alpha) - inverse);
    g->noise = (s_.basis.t().matmul(w.diagonal().unsqueeze(1))).squeeze(1) * p_.noise;
    for (size_t q = 0; q < p_.kernels.size(); ++q) {
      const at::Tensor k =
          kernel_matrix(p_.kernels[q], x_).index_select(0, s_.rows).index_select(1, s_.rows);
      by_loadings(p_, q, s_.basis.t().matmul(w * k).matmul(s_.basis), g);
      at::Tensor by_rows = at::zeros({n, count}, at::kDouble);
      by_rows.index_add_(0, s_.rows, w * over_values(p_.between(q)));
      at::Tensor by_pairs = at::zeros({n, n}, at::kDouble);
      by_pairs.index_add_(1, s_.rows, by_rows);
      g->kernels.push_back(contracted(p_.kernels[q], x_, by_pairs));
    }
  }

 private:
  linalg::Matrix view(int64_t count) const { return {factor_.data_ptr<double>(), count, count}; }
  at::Tensor over_values(const at::Tensor& between) const {
    return between.index_select(0, s_.outputs).index_select(1, s_.outputs);
  }
  const MultiOutputParameters& p_;
  const at::Tensor& x_;
  const Stack& s_;
  at::Tensor factor_;  // [N, N]
  bool good_ = false;
};

// K = S^1/2 (C (x) k + I) S^1/2, C = S^-1/2 B S^-1/2 = U diag(c) U', k = V diag(l) V'.
class KroneckerSolver : public Solver {
 public:
  KroneckerSolver(const MultiOutputParameters& p, const at::Tensor& x) : p_(p), x_(x) {
    root_ = p.noise.sqrt();
    const at::Tensor scaled = p.between(0) / at::outer(root_, root_);
    const at::Tensor k = kernel_matrix(p.kernels[0], x);
    if (!scaled.isfinite().all().item<bool>() || !k.isfinite().all().item<bool>()) return;
    std::tie(c_, u_) = at::linalg_eigh(scaled);
    std::tie(l_, v_) = at::linalg_eigh(k);
    c_ = c_.clamp_min(0);
    l_ = l_.clamp_min(0);
    spectrum_ = at::outer(c_, l_) + 1;  // [m, n]
    u_ = u_ / root_.unsqueeze(1);       // S^-1/2 U
    good_ = true;
  }
  bool good() const { return good_; }
  at::Tensor solve(const at::Tensor& columns) const override {
    const int64_t m = root_.size(0), n = x_.size(0), count = columns.size(1);
    const at::Tensor b = columns.t().reshape({count, m, n});
    const at::Tensor turned = u_.t().matmul(b).matmul(v_) / spectrum_;
    return u_.matmul(turned).matmul(v_.t()).reshape({count, m * n}).t();
  }
  double log_determinant() const override {
    return (spectrum_.log().sum() + static_cast<double>(x_.size(0)) * p_.noise.log().sum())
        .item<double>();
  }
  at::Tensor inverse_diagonal() const override {
    return u_.square().matmul(spectrum_.reciprocal()).matmul(v_.square().t()).reshape({-1});
  }
  void gradient(const at::Tensor& alpha, MultiOutputGradient* g) const override {
    const int64_t m = root_.size(0), n = x_.size(0);
    const at::Tensor a = alpha.reshape({m, n}), k = kernel_matrix(p_.kernels[0], x_);
    const at::Tensor inverse = spectrum_.reciprocal();
    g->noise = 0.5 * p_.noise * (a.square().sum(1) - u_.square().matmul(inverse.sum(1)));
    by_loadings(p_, 0,
                0.5 * (a.matmul(k).matmul(a.t()) -
                       u_.matmul(at::diag((inverse * l_).sum(1))).matmul(u_.t())),
                g);
    const at::Tensor along = (inverse * c_.unsqueeze(1)).sum(0);
    g->kernels.push_back(
        contracted(p_.kernels[0], x_,
                   0.5 * (a.t().matmul(p_.between(0)).matmul(a) - (v_ * along).matmul(v_.t()))));
  }

 private:
  const MultiOutputParameters& p_;
  const at::Tensor& x_;
  at::Tensor root_, c_, u_, l_, v_, spectrum_;
  bool good_ = false;
};

bool complete(const MultiOutputParameters& p, const at::Tensor& y) {
  return p.kernels.size() == 1 && !y.isnan().any().item<bool>();
}

struct Fit {
  std::unique_ptr<Solver> solver;
  at::Tensor alpha;         // [N]
  at::Tensor coefficients;  // [m]
  at::Tensor basis_alpha;   // K^-1 H, [N, m], where the mean is const
  at::Tensor gram;          // H' K^-1 H
  double value = -kInfinity;
};

Fit solve_all(const MultiOutputParameters& p, const at::Tensor& x, const at::Tensor& y,
              const Stack& s, bool constant, MultiOutputForm form) {
  Fit f;
  if (form == MultiOutputForm::kAuto) {
    form = complete(p, y) ? MultiOutputForm::kKronecker : MultiOutputForm::kDense;
  }
  if (form == MultiOutputForm::kKronecker) {
    auto solver = std::make_unique<KroneckerSolver>(p, x);
    if (!solver->good()) return f;
    f.solver = std::move(solver);
  } else {
    auto solver = std::make_unique<DenseSolver>(p, x, s);
    if (!solver->good()) return f;
    f.solver = std::move(solver);
  }
  at::Tensor residual = s.values;
  f.coefficients = at::zeros({y.size(1)}, at::kDouble);
  if (constant) {
    f.basis_alpha = f.solver->solve(s.basis);
    f.gram = s.basis.t().matmul(f.basis_alpha);
    f.coefficients = at::linalg_solve(f.gram, f.basis_alpha.t().matmul(s.values));
    residual = residual - s.basis.matmul(f.coefficients);
  }
  f.alpha = f.solver->solve(residual.unsqueeze(1)).squeeze(1).contiguous();
  const double value = -0.5 * (residual * f.alpha).sum().item<double>() -
                       0.5 * f.solver->log_determinant() -
                       0.5 * static_cast<double>(s.values.size(0)) * kLogTwoPi;
  if (std::isfinite(value)) f.value = value;
  return f;
}

}  // namespace

at::Tensor MultiOutputParameters::between(size_t latent) const {
  return loadings[latent].matmul(loadings[latent].t()) + at::diag(own[latent]);
}

double multi_output_log_likelihood(const MultiOutputParameters& p, const at::Tensor& x,
                                   const at::Tensor& y, at::Tensor* coefficients,
                                   MultiOutputGradient* gradient, MultiOutputForm form) {
  if (form == MultiOutputForm::kKronecker && !complete(p, y))
    throw Error(ExitCode::kUsage, "needs one kernel and no missing value", "Kronecker form");
  const linalg::OneBlasThread one;
  const Stack s(y);
  const Fit f = solve_all(p, x, y, s, coefficients != nullptr, form);
  if (f.value == -kInfinity) return f.value;
  if (coefficients) *coefficients = f.coefficients;
  if (gradient) {
    *gradient = {};
    f.solver->gradient(f.alpha, gradient);
  }
  return f.value;
}

void MultiOutputProcess::condition() {
  const linalg::OneBlasThread one;
  const Stack s(y_);
  const Fit f = solve_all(parameters_, x_, y_, s, constant_, MultiOutputForm::kAuto);
  if (f.value == -kInfinity)
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "scale the data, or bound the kernels' parameters");
  report_.log_likelihood = f.value;
  report_.kronecker = complete(parameters_, y_);
  report_.means.assign(f.coefficients.const_data_ptr<double>(),
                       f.coefficients.const_data_ptr<double>() + f.coefficients.numel());
}

MultiOutputPrediction MultiOutputProcess::predict(const at::Tensor& points, bool noise) const {
  const linalg::OneBlasThread one;
  const at::Tensor xs = checked_points(points, x_.size(1), "points");
  const int64_t count = xs.size(0), m = y_.size(1);
  const Stack s(y_);
  const Fit f = solve_all(parameters_, x_, y_, s, constant_, MultiOutputForm::kAuto);
  MultiOutputPrediction out{at::empty({count, m}, at::kDouble), at::empty({count, m}, at::kDouble)};
  std::vector<at::Tensor> cross, own;
  for (const Kernel& k : parameters_.kernels) {
    cross.push_back(cross_matrix(k, xs, x_).index_select(1, s.rows));  // [s, N]
    own.push_back(at::empty({count}, at::kDouble));
    k.diagonal(xs.const_data_ptr<double>(), count, false, own.back().data_ptr<double>());
  }
  for (int64_t o = 0; o < m; ++o) {
    at::Tensor c = at::zeros({count, s.values.size(0)}, at::kDouble);
    at::Tensor prior = at::zeros({count}, at::kDouble);
    for (size_t q = 0; q < cross.size(); ++q) {
      const at::Tensor b = parameters_.between(q).select(0, o);
      c += cross[q] * b.index_select(0, s.outputs);
      prior += own[q] * b[o];
    }
    const at::Tensor known = (f.solver->solve(c.t()) * c.t()).sum(0);
    at::Tensor variance = (prior - known).clamp_min(0);
    if (constant_) {
      at::Tensor left = -c.matmul(f.basis_alpha);  // h - H' K^-1 c
      left.select(1, o) += 1;
      variance += (left * at::linalg_solve(f.gram, left.t()).t()).sum(1);
    }
    if (noise) variance = variance + parameters_.noise[o];
    out.mean.select(1, o).copy_(c.matmul(f.alpha) + f.coefficients[o]);
    out.variance.select(1, o).copy_(variance);
  }
  return out;
}

MultiOutputPrediction MultiOutputProcess::leave_one_out() const {
  const linalg::OneBlasThread one;
  const Stack s(y_);
  const Fit f = solve_all(parameters_, x_, y_, s, constant_, MultiOutputForm::kAuto);
  const at::Tensor diagonal = f.solver->inverse_diagonal();
  at::Tensor precision = diagonal;
  // The means are estimated from the other rows too: K^-1 less its part along H.
  if (constant_) {
    precision = diagonal - (f.basis_alpha * at::linalg_solve(f.gram, f.basis_alpha.t()).t()).sum(1);
  }
  const double least = (precision / diagonal).min().item<double>();
  if (!(least > 1e-12))
    throw Error(ExitCode::kData, "an output whose only value is left out has no mean", "process",
                "write --mean zero, or give every output two values");
  MultiOutputPrediction out{at::full_like(y_, NAN), at::full_like(y_, NAN)};
  out.mean.index_put_({s.rows, s.outputs}, s.values - f.alpha / precision);
  out.variance.index_put_({s.rows, s.outputs}, precision.reciprocal());
  return out;
}

at::Tensor MultiOutputProcess::sample(const at::Tensor& points, int64_t count,
                                      uint64_t seed) const {
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "samples");
  const linalg::OneBlasThread one;
  const at::Tensor xs = checked_points(points, x_.size(1), "points");
  const int64_t n = xs.size(0), m = y_.size(1);
  const Stack s(y_);
  const Fit f = solve_all(parameters_, x_, y_, s, constant_, MultiOutputForm::kAuto);
  at::Tensor covariance = at::zeros({m * n, m * n}, at::kDouble);
  at::Tensor c = at::zeros({m * n, s.values.size(0)}, at::kDouble);
  for (size_t q = 0; q < parameters_.kernels.size(); ++q) {
    const at::Tensor b = parameters_.between(q);
    covariance += at::kron(b, cross_matrix(parameters_.kernels[q], xs, xs));
    const at::Tensor cross = cross_matrix(parameters_.kernels[q], xs, x_).index_select(1, s.rows);
    for (int64_t o = 0; o < m; ++o)
      c.slice(0, o * n, (o + 1) * n) += cross * b.select(0, o).index_select(0, s.outputs);
  }
  covariance -= c.matmul(f.solver->solve(c.t()));
  at::Tensor mean = c.matmul(f.alpha);
  if (constant_) {
    const at::Tensor basis = at::eye(m, at::kDouble).repeat_interleave(n, 0);
    const at::Tensor left = basis - c.matmul(f.basis_alpha);
    covariance += left.matmul(at::linalg_solve(f.gram, left.t()));
    mean = mean + basis.matmul(f.coefficients);
  }
  const at::Tensor draws =
      gaussian_draws(mean, 0.5 * (covariance + covariance.t()), count, seed, 0);
  return draws.reshape({count, m, n}).permute({0, 2, 1}).contiguous();
}

}  // namespace covary::stat
