// The marginal likelihood by conjugate gradients.
#include "covary/stat/process/iterative.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/stat/process/iterative_cost.h"
#include "covary/stat/process/iterative_solver.h"
#include "covary/stat/process/kernel_operator.h"

namespace covary::stat {
namespace {

using linalg::Stop;
using Vector = std::vector<double>;

size_t index(int64_t i) { return static_cast<size_t>(i); }

// Weights sum_c a_c[i] b_c[j] of a tile; the sum over c is symmetric.
class OuterWeights {
 public:
  OuterWeights(const Vector& a, const Vector& b, int64_t n)
      : a_(a), b_(b), n_(n), count_(static_cast<int64_t>(a.size()) / n) {}
  Vector diagonal() const {
    Vector d(index(n_));
    for (int64_t c = 0; c < count_; ++c) {
      for (int64_t i = 0; i < n_; ++i) d[index(i)] += a_[index(c * n_ + i)] * b_[index(c * n_ + i)];
    }
    return d;
  }
  void operator()(const compute::PairBlock& t, double* w) const {
    const linalg::OneBlasThread one;
    linalg::gemm(true, false, t.rows, t.columns, count_, 1, a_.data() + t.row, n_,
                 b_.data() + t.column, n_, 0, w, t.columns);
  }

 private:
  const Vector &a_, &b_;
  int64_t n_, count_;
};

// gradient += -1/2 (d log |P| - mean over probes of v' dP v), v = P^-1 z: exact where the probes
// estimate, so that only their difference is left to chance.
void add_preconditioner(const Kernel& kernel, const GpGroup& group, const KernelPreconditioner& p,
                        const Vector& v, int64_t probes, std::span<double> gradient) {
  const int64_t n = group.count(), m = p.matrix.rank();
  const linalg::Matrix factor{const_cast<double*>(p.factor.data()), m, m};
  const Vector& f = p.matrix.factor();  // F = L^-1 C
  // q = L^-T F v, [probes, m].
  Vector q(index(probes * m));
  {
    const linalg::OneBlasThread one;
    linalg::gemm(false, true, probes, m, n, 1, v.data(), n, f.data(), n, 0, q.data(), m);
  }
  linalg::backward(factor, q.data(), probes);
  const double share = 1 / static_cast<double>(probes);
  // Of dC: -(L^-T F P^-1 - mean of q v'), [m, n]; F P^-1 by a solution with P.
  Vector w(f);
  p.matrix.solve(w.data(), m);
  // F P^-1 F' for the weights of dK_mm, symmetric: its lower half by strips.
  Vector inner(index(m * m));
  constexpr int64_t kStrip = 64;
  parallel_tasks((m + kStrip - 1) / kStrip, [&](int64_t task) {
    const linalg::OneBlasThread one;
    const int64_t row = task * kStrip, height = std::min(kStrip, m - row);
    linalg::gemm(false, true, height, row + height, n, 1, w.data() + row * n, n, f.data(), n, 0,
                 inner.data() + row * m, m);
  });
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) inner[index(j * m + i)] = inner[index(i * m + j)];
  }
  // diag(P^-1) = 1 / D - (F P^-1)' ... : D^-1 - D^-1 F' (F P^-1) by Woodbury, column by column.
  const Vector noise = noise_diagonal(kernel, group.x.data(), n, group.noise, group.weights);
  Vector own(index(n));
  parallel_for(n, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) own[index(i)] = 1;
    for (int64_t k = 0; k < m; ++k) {
      for (int64_t i = begin; i < end; ++i)
        own[index(i)] -= f[index(k * n + i)] * w[index(k * n + i)];
    }
    for (int64_t i = begin; i < end; ++i) {
      double square = 0;
      for (int64_t s = 0; s < probes; ++s) square += v[index(s * n + i)] * v[index(s * n + i)];
      own[index(i)] = -0.5 * (own[index(i)] / noise[index(i)] - share * square);
    }
  });
  constexpr int64_t kBand = 4096;
  parallel_tasks((n + kBand - 1) / kBand, [&](int64_t task) {
    const linalg::OneBlasThread one;
    const int64_t begin = task * kBand, width = std::min(kBand, n - begin);
    linalg::trsm_left(true, m, width, p.factor.data(), m, w.data() + begin, n);
    linalg::gemm(true, false, m, width, probes, share, q.data(), m, v.data() + begin, n, -1,
                 w.data() + begin, n);
  });
  // Of dK_mm: 1/2 (L^-T F P^-1 F' L^-1 - mean of q q').
  linalg::backward(factor, inner.data(), m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) std::swap(inner[index(i * m + j)], inner[index(j * m + i)]);
  }
  linalg::backward(factor, inner.data(), m);
  {
    const linalg::OneBlasThread one;
    linalg::gemm(true, false, m, m, probes, -0.5 * share, q.data(), m, q.data(), m, 0.5,
                 inner.data(), m);
  }
  Vector part(gradient.size());
  const auto add = [&] {
    for (size_t k = 0; k < part.size(); ++k) gradient[k] += part[k];
  };
  kernel.contract_cross(p.points.data(), m, group.x.data(), n, w.data(), n, part);
  add();
  kernel.contract_cross(p.points.data(), m, p.points.data(), m, inner.data(), m, part);
  add();
  for (size_t i = 0; i < group.weights.size(); ++i) own[i] /= group.weights[i];
  contract_white(kernel, group.x.data(), n, own, gradient);
}

}  // namespace

IterativeLikelihood::IterativeLikelihood(const GpGroup& group, int64_t coefficients,
                                         const IterativeOptions& options)
    : group_(group), coefficients_(coefficients), options_(options), residual_(group.y) {
  // Solutions are sought for what the basis leaves: an offset of y would cost them digits.
  const int64_t n = group.count(), p = coefficients;
  Vector gram(index(p * p));
  fitted_.assign(index(p), 0.0);
  const double* h = group.basis.data();
  for (int64_t a = 0; a < p; ++a) {
    for (int64_t b = 0; b < p; ++b) {
      gram[index(a * p + b)] = linalg::dot(n, h + a * n, h + b * n);
    }
    fitted_[index(a)] = linalg::dot(n, h + a * n, group.y.data());
  }
  if (p == 0) return;
  const linalg::Matrix factor{gram.data(), p, p};
  linalg::cholesky(factor).check("normal equations of the mean");
  linalg::forward(factor, fitted_.data(), 1);
  linalg::backward(factor, fitted_.data(), 1);
  for (int64_t a = 0; a < p; ++a) linalg::axpy(n, -fitted_[index(a)], h + a * n, residual_.data());
}

void IterativeLikelihood::choose_pivots(const Kernel& kernel) {
  const int64_t n = group_.count();
  const int64_t rank =
      preconditioner_rank(n, options_.rank, static_cast<double>(options_.memory_limit));
  pivots_ = kernel_pivots(kernel, group_.x.data(), n, rank);
}

IterativeValue IterativeLikelihood::evaluate(const Kernel& kernel, std::span<double> gradient,
                                             double energy, IterativeSolution* solution) const {
  const int64_t n = group_.count(), p = coefficients_, probes = options_.probes;
  IterativeValue out;
  const KernelSolver solver(kernel, group_, pivots_, options_);
  const KernelPreconditioner& preconditioner = solver.preconditioner();
  // Right-hand sides: y, the basis, the probes z ~ N(0, P) on the ellipsoid z' P^-1 z = n.
  const int64_t count = 1 + p + probes;
  Vector b(index(count * n)), x(b.size());
  std::copy(residual_.begin(), residual_.end(), b.begin());
  std::copy(group_.basis.begin(), group_.basis.end(), b.begin() + n);
  double* z = b.data() + (1 + p) * n;
  preconditioner.matrix.draw(static_cast<uint64_t>(options_.seed), stream_of("process.probes"),
                             probes, z);
  Vector v(z, z + probes * n);  // P^-1 z
  preconditioner.matrix.solve(v.data(), probes);
  for (int64_t s = 0; s < probes; ++s) {
    const double scale =
        std::sqrt(static_cast<double>(n) / linalg::dot(n, z + s * n, v.data() + s * n));
    for (int64_t i = s * n; i < (s + 1) * n; ++i) {
      z[i] *= scale;
      v[index(i)] *= scale;
    }
  }
  std::vector<Stop> stops(index(count));
  stops[0].energy = energy;
  const double size = linalg::dot(n, residual_.data(), residual_.data());
  for (int64_t a = 0; a < p; ++a) {
    const double* h = group_.basis.data() + a * n;
    stops[index(1 + a)].energy =
        size > 0 ? energy * linalg::dot(n, h, h) / size : std::numeric_limits<double>::infinity();
    stops[index(1 + a)].residual = 1e-3;
  }
  for (int64_t s = 0; s < probes; ++s) stops[index(1 + p + s)].residual = options_.probe_tolerance;
  std::vector<linalg::Tridiagonal> lanczos;
  const std::vector<linalg::Solve> solves =
      solver.solve(b.data(), count, stops, x.data(), &lanczos);
  for (const linalg::Solve& s : solves) {
    out.iterations = std::max(out.iterations, s.iterations);
    out.residual = std::max(out.residual, s.residual);
    out.reached = out.reached && s.reached;
  }
  out.solve_residual = solves[0].residual;

  // b = (H' K^-1 H)^-1 H' K^-1 y, alpha = K^-1 (y - H b).
  IterativeSolution local;
  IterativeSolution& s = solution ? *solution : local;
  s.alpha.assign(x.begin(), x.begin() + n);
  s.basis.assign(x.begin() + n, x.begin() + (1 + p) * n);
  s.coefficients.assign(index(p), 0.0);
  s.gram.assign(index(p * p), 0.0);
  const double* h = group_.basis.data();
  for (int64_t a = 0; a < p; ++a) {
    for (int64_t c = 0; c < p; ++c) {
      s.gram[index(a * p + c)] = 0.5 * (linalg::dot(n, h + a * n, s.basis.data() + c * n) +
                                        linalg::dot(n, h + c * n, s.basis.data() + a * n));
    }
    s.coefficients[index(a)] = linalg::dot(n, h + a * n, s.alpha.data());
  }
  const linalg::Matrix gram{s.gram.data(), p, p};
  if (p > 0) {
    linalg::cholesky(gram).check("normal equations of the mean");
    linalg::forward(gram, s.coefficients.data(), 1);
    linalg::backward(gram, s.coefficients.data(), 1);
  }
  Vector left = residual_;
  double root = std::sqrt(solves[0].energy);
  for (int64_t a = 0; a < p; ++a) {
    const double c = s.coefficients[index(a)];
    linalg::axpy(n, -c, s.basis.data() + a * n, s.alpha.data());
    linalg::axpy(n, -c, h + a * n, left.data());
    root += std::abs(c) * std::sqrt(solves[index(1 + a)].energy);
    s.coefficients[index(a)] += fitted_[index(a)];
  }
  out.solve_error = 0.5 * root * root;
  // Exact traces cost 3 n^2 rank flops: beyond options.single rows more than all else.
  const bool sharpen = solution && n < options_.single;
  linalg::SpectrumTraces traces;
  if (sharpen) traces = spectrum_traces(solver.matrix(), preconditioner.matrix);
  const linalg::StochasticLogDeterminant rest = linalg::stochastic_log_determinant(
      std::span(lanczos).subspan(index(1 + p)), n, sharpen ? &traces : nullptr);
  out.error = 0.5 * (rest.error + rest.quadrature);
  out.log_likelihood = -0.5 * linalg::dot(n, left.data(), s.alpha.data()) -
                       0.5 * (preconditioner.matrix.log_determinant() + rest.value) -
                       0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  if (gradient.empty()) return out;

  // 1/2 (a a' - mean of sym(u v')), u = K^-1 z.
  const double half = 0.5 / static_cast<double>(probes), quarter = 0.5 * half;
  Vector first = s.alpha, second = s.alpha;
  for (double& value : second) value *= 0.5;
  const Vector u(x.begin() + (1 + p) * n, x.end());
  for (const Vector* part : std::initializer_list<const Vector*>{&u, &v})
    first.insert(first.end(), part->begin(), part->end());
  for (const Vector* part : std::initializer_list<const Vector*>{&v, &u}) {
    for (const double value : *part) second.push_back(-quarter * value);
  }
  const OuterWeights outer(first, second, n);
  kernel.contract(group_.x.data(), n, outer, gradient);
  if (!group_.weights.empty())
    contract_row_terms(kernel, group_.x.data(), n, group_.weights, outer.diagonal(), gradient);
  add_preconditioner(kernel, group_, preconditioner, v, probes, gradient);
  return out;
}

}  // namespace covary::stat
