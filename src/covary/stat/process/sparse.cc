#include "covary/stat/process/sparse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kBand = 64;  // columns of a product a task
constexpr int64_t kRowsAtOnce = 1024;

size_t size_of(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

double dot(const double* a, const double* b, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; ++i) s += a[i] * b[i];
  return s;
}

// I + V' V / s of rows V [n, m], both halves.
Vector inner_matrix(const Vector& v, int64_t n, int64_t m, double s) {
  Vector b(size_of(m, m));
  parallel_tasks((m + kBand - 1) / kBand, [&](int64_t task) {
    const linalg::OneBlasThread one;
    const int64_t begin = task * kBand, width = std::min(kBand, m - begin);
    linalg::gemm(true, false, m, width, n, 1 / s, v.data(), m, v.data() + begin, m, 0,
                 b.data() + begin, m);
  });
  for (int64_t i = 0; i < m; ++i) {
    b[size_of(i, m) + static_cast<size_t>(i)] += 1;
    for (int64_t j = 0; j < i; ++j) {  // exactly symmetric
      b[size_of(j, m) + static_cast<size_t>(i)] = b[size_of(i, m) + static_cast<size_t>(j)];
    }
  }
  return b;
}

// The inverse of a factored matrix, both halves.
Vector whole_inverse(const Vector& factor, int64_t m) {
  Vector inverse = factor;
  linalg::inverse({inverse.data(), m, m});
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      inverse[size_of(j, m) + static_cast<size_t>(i)] =
          inverse[size_of(i, m) + static_cast<size_t>(j)];
    }
  }
  return inverse;
}

// rows [n, m] := rows times a symmetric matrix [m, m], in blocks of fixed size.
void times(Vector* rows, const Vector& matrix, int64_t n, int64_t m) {
  parallel_tasks((n + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t task) {
    const linalg::OneBlasThread one;
    const int64_t begin = task * kRowsAtOnce, count = std::min(kRowsAtOnce, n - begin);
    const Vector block(rows->begin() + begin * m, rows->begin() + (begin + count) * m);
    linalg::gemm(false, false, count, m, m, 1, block.data(), m, matrix.data(), m, 0,
                 rows->data() + begin * m, m);
  });
}

}  // namespace

SparseBound sparse_bound(const Kernel& kernel, double noise, std::span<const double> x,
                         std::span<const double> values, std::span<const double> z,
                         SparseGradient* gradient, std::span<const double> variances,
                         std::span<const double> row_weights) {
  const int64_t d = kernel.dims(), n = static_cast<int64_t>(values.size()),
                m = static_cast<int64_t>(z.size()) / d;
  SparseBound out;
  out.value = -kInfinity;
  out.factor.resize(size_of(m, m));
  const linalg::Matrix factor{out.factor.data(), m, m};
  kernel.matrix(z.data(), m, factor.data, m);
  const linalg::CholeskyReport report = linalg::cholesky(factor);
  if (!report.done) return out;
  out.jitter = report.jitter;
  Vector v(size_of(n, m)), prior(static_cast<size_t>(n));
  kernel.cross(x.data(), n, z.data(), m, v.data(), m);
  linalg::forward(factor, v.data(), n);
  kernel.diagonal(x.data(), n, false, prior.data());
  // Rows with noise of their own, D_i = s / r_i: times r_i^1/2 they have the noise s.
  Vector y(values.begin(), values.end()), roots;
  double log_shares = 0;
  if (!variances.empty() || !row_weights.empty()) {
    roots.resize(y.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const double own = (row_weights.empty() ? noise : noise / row_weights[i]) +
                         (variances.empty() ? 0 : variances[i]);
      const double share = noise / own, root = std::sqrt(share);
      roots[i] = root;
      log_shares += std::log(share);
      y[i] *= root;
      prior[i] *= share;
      for (int64_t k = 0; k < m; ++k)
        v[size_of(static_cast<int64_t>(i), m) + static_cast<size_t>(k)] *= root;
    }
  }
  const double total = ordered_sum(n, [&](int64_t i) { return prior[static_cast<size_t>(i)]; });
  const double explained =
      ordered_sum(n, [&](int64_t i) { return dot(v.data() + i * m, v.data() + i * m, m); });
  const double left = std::max(total - explained, 0.0);  // tr(K - Q)
  const Vector b = inner_matrix(v, n, m, noise);
  out.inner = b;
  const linalg::Matrix inner{out.inner.data(), m, m};
  if (!linalg::cholesky(inner).done) return out;
  Vector projected(static_cast<size_t>(m));  // V y
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < m; ++k) {
      projected[static_cast<size_t>(k)] +=
          v[size_of(i, m) + static_cast<size_t>(k)] * y[static_cast<size_t>(i)];
    }
  }
  out.weights = projected;
  linalg::forward(inner, out.weights.data(), 1);
  const double reduced = dot(out.weights.data(), out.weights.data(), m);
  linalg::backward(inner, out.weights.data(), 1);
  const double squares = ordered_sum(
      n, [&](int64_t i) { return y[static_cast<size_t>(i)] * y[static_cast<size_t>(i)]; });
  const double count = static_cast<double>(n);
  const double constant = -0.5 * count * std::log(2 * std::numbers::pi * noise) + 0.5 * log_shares -
                          0.5 * linalg::log_determinant(inner);
  out.value = constant - 0.5 * (squares - reduced / noise) / noise - 0.5 * left / noise;
  {
    const double wider = noise + left;
    Vector c = inner_matrix(v, n, m, wider);
    const linalg::Matrix loose{c.data(), m, m};
    if (!linalg::cholesky(loose).done) return out;
    Vector r = projected;
    linalg::forward(loose, r.data(), 1);
    out.upper = constant - 0.5 * (squares - dot(r.data(), r.data(), m) / wider) / wider;
  }
  if (!std::isfinite(out.value)) out.value = -kInfinity;
  if (!gradient || out.value == -kInfinity) return out;

  const Vector b_inverse = whole_inverse(out.inner, m);
  Vector t = out.weights;  // K_mm^-1 K_mn beta = L^-T w / s
  linalg::backward(factor, t.data(), 1);
  for (double& value : t) value /= noise;
  // Weights of dK_mm: -1/2 (L^-T (B - 2 I + B^-1) L^-1 + t t').
  Vector g_mm(size_of(m, m));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < m; ++j) {
      const size_t at = size_of(i, m) + static_cast<size_t>(j);
      g_mm[at] = b[at] + b_inverse[at] - (i == j ? 2 : 0);
    }
  }
  linalg::backward(factor, g_mm.data(), m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      std::swap(g_mm[size_of(i, m) + static_cast<size_t>(j)],
                g_mm[size_of(j, m) + static_cast<size_t>(i)]);
    }
  }
  linalg::backward(factor, g_mm.data(), m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < m; ++j) {
      double& g = g_mm[size_of(i, m) + static_cast<size_t>(j)];
      g = -0.5 * (g + t[static_cast<size_t>(i)] * t[static_cast<size_t>(j)]);
    }
  }
  // beta = (Q + s I)^-1 y, and the weights of dK_nm: rows (I - B^-1) v / s through L^-T, + beta t'.
  Vector beta(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    beta[static_cast<size_t>(i)] =
        (y[static_cast<size_t>(i)] - dot(v.data() + i * m, out.weights.data(), m) / noise) / noise;
  }
  Vector shrink(size_of(m, m));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < m; ++j) {
      const size_t at = size_of(i, m) + static_cast<size_t>(j);
      shrink[at] = ((i == j ? 1 : 0) - b_inverse[at]) / noise;
    }
  }
  // The noise moves a row that has a variance of its own by less: what is too much of its part.
  double excess = 0;
  if (!variances.empty()) {
    const Vector before = v;
    times(&v, shrink, n, m);
    for (int64_t i = 0; i < n; ++i) {
      const double *vi = before.data() + i * m, own = dot(vi, vi, m);
      const double inside = own / noise - dot(vi, v.data() + i * m, m);  // v'B^-1 v / s
      const double b = beta[static_cast<size_t>(i)], share = roots[static_cast<size_t>(i)];
      const double slope =
          0.5 * (1 - inside - noise * b * b - (prior[static_cast<size_t>(i)] - own) / noise);
      excess += slope * variances[static_cast<size_t>(i)] * share * share / noise;
    }
  } else {
    times(&v, shrink, n, m);
  }
  linalg::backward(factor, v.data(), n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < m; ++k) {
      v[size_of(i, m) + static_cast<size_t>(k)] +=
          beta[static_cast<size_t>(i)] * t[static_cast<size_t>(k)];
    }
  }
  Vector own(static_cast<size_t>(n), -0.5 / noise);
  for (size_t i = 0; i < roots.size(); ++i) {
    own[i] *= roots[i] * roots[i];
    for (int64_t k = 0; k < m; ++k)
      v[size_of(static_cast<int64_t>(i), m) + static_cast<size_t>(k)] *= roots[i];
  }

  const size_t parameters = kernel.parameters().size();
  gradient->kernel.assign(parameters, 0.0);
  Vector part(parameters);
  const auto add = [&] {
    for (size_t p = 0; p < parameters; ++p) gradient->kernel[p] += part[p];
  };
  kernel.contract_cross(z.data(), m, z.data(), m, g_mm.data(), m, part);
  add();
  kernel.contract_cross(x.data(), n, z.data(), m, v.data(), m, part);
  add();
  kernel.contract_diagonal(x.data(), n, own.data(), part);
  add();
  double trace = 0;
  for (int64_t i = 0; i < m; ++i) trace += b_inverse[size_of(i, m) + static_cast<size_t>(i)];
  gradient->noise = -0.5 * (count - static_cast<double>(m) + trace) +
                    0.5 * noise * dot(beta.data(), beta.data(), n) + 0.5 * left / noise + excess;
  Vector turned(size_of(m, n)), from_data(size_of(m, d));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < m; ++k) {
      turned[size_of(k, n) + static_cast<size_t>(i)] = v[size_of(i, m) + static_cast<size_t>(k)];
    }
  }
  kernel.contract_inputs(z.data(), m, x.data(), n, turned.data(), from_data.data());
  gradient->inducing.assign(size_of(m, d), 0.0);
  kernel.contract_inputs(z.data(), m, z.data(), m, g_mm.data(), gradient->inducing.data());
  for (size_t i = 0; i < from_data.size(); ++i) {
    gradient->inducing[i] = 2 * gradient->inducing[i] + from_data[i];
  }
  return out;
}

std::vector<int64_t> greedy_inducing(const Kernel& kernel, std::span<const double> x, int64_t m) {
  const int64_t d = kernel.dims(), n = static_cast<int64_t>(x.size()) / d;
  m = std::min(m, n);
  Vector left(static_cast<size_t>(n)), rows(size_of(m, n));
  kernel.diagonal(x.data(), n, false, left.data());
  const double first = *std::max_element(left.begin(), left.end());
  std::vector<int64_t> chosen;
  for (int64_t k = 0; k < m; ++k) {
    const int64_t best = std::max_element(left.begin(), left.end()) - left.begin();
    const double pivot = left[static_cast<size_t>(best)];
    if (!(pivot > 1e-12 * first)) break;
    double* row = rows.data() + k * n;
    kernel.cross(x.data() + best * d, 1, x.data(), n, row, n);
    parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t j = 0; j < k; ++j) {
        const double* before = rows.data() + j * n;
        const double weight = before[best];
        for (int64_t i = begin; i < end; ++i) row[i] -= weight * before[i];
      }
      const double scale = 1 / std::sqrt(pivot);
      for (int64_t i = begin; i < end; ++i) {
        row[i] *= scale;
        left[static_cast<size_t>(i)] -= row[i] * row[i];
      }
    });
    left[static_cast<size_t>(best)] = 0;
    chosen.push_back(best);
  }
  return chosen;
}

void SparseProcess::take(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise,
                         GpData* data) {
  *data = GpData::from(x, y, noise, Mean::kConst);
  if (data->outputs != 1) throw Error(ExitCode::kUsage, "must hold one output", "y");
  n_ = data->n;
  rows_ = data->groups[0].rows;
  x_ = data->groups[0].x;
  y_ = data->groups[0].y;
  variances_ = data->groups[0].noise;
  weights_ = data->groups[0].weights;
  double total = 0;
  for (size_t i = 0; i < y_.size(); ++i) total += weights_.empty() ? 1 : weights_[i];
  for (size_t i = 0; i < y_.size(); ++i)
    mean_ += y_[i] * (weights_.empty() ? 1 : weights_[i]) / total;
  for (double& v : y_) v -= mean_;
}

double SparseProcess::noise_of(size_t i) const {
  return (weights_.empty() ? noise_ : noise_ / weights_[i]) +
         (variances_.empty() ? 0 : variances_[i]);
}

SparseProcess::SparseProcess(const at::Tensor& x, const at::Tensor& y, const SparseOptions& options,
                             const RowNoise& noise) {
  options.check();
  GpData data;
  take(x, y, noise, &data);
  Kernel plain = Kernel::parse(options.kernel, data.dims);
  if (plain.has(ParameterRole::kNoise)) {
    throw Error(ExitCode::kUsage, "has white: the noise is a parameter of its own here", "kernel",
                "leave white out");
  }
  kernel_ = plain.has(ParameterRole::kVariance) || plain.has(ParameterRole::kLinear)
                ? std::move(plain)
                : Kernel::parse("const*(" + options.kernel + ")", data.dims);
  start_by_data(&kernel_, data, static_cast<uint64_t>(options.seed));
  noise_ = options.noise > 0 ? options.noise : 0.1 * mean_square(data);
  for (const int64_t row : greedy_inducing(kernel_, x_, options.inducing)) {
    z_.insert(z_.end(), x_.begin() + row * data.dims, x_.begin() + (row + 1) * data.dims);
  }
  if (options.fit) fit(data, options);
  condition();
}

SparseProcess::SparseProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel, double noise,
                             const at::Tensor& inducing, const RowNoise& rows) {
  GpData data;
  take(x, y, rows, &data);
  const at::Tensor z = checked_points(inducing, data.dims, "inducing");
  if (kernel.dims() != data.dims || z.size(0) == 0 || !(noise > 0) || std::isinf(noise)) {
    throw Error(ExitCode::kUsage,
                "needs a kernel for the columns of X, inducing points and a positive noise",
                "sparse process");
  }
  kernel_ = std::move(kernel);
  noise_ = noise;
  z_.assign(z.const_data_ptr<double>(), z.const_data_ptr<double>() + z.numel());
  condition();
}

void SparseProcess::condition() {
  bound_ = bound(kernel_, noise_, nullptr);
  if (bound_.value == -kInfinity) {
    throw Error(ExitCode::kFailed,
                "the bound is not finite: the kernel of the inducing points has "
                "no factor",
                "process", "use fewer inducing points");
  }
  report_.kernel = kernel_.text();
  report_.noise = noise_;
  report_.bound = bound_.value;
  report_.upper = std::max(bound_.upper, bound_.value);
  report_.inducing = static_cast<int64_t>(z_.size()) / kernel_.dims();
  report_.jitter = bound_.jitter;
}

void SparseProcess::fit(const GpData& data, const SparseOptions& options) {
  const size_t d = static_cast<size_t>(data.dims);
  Vector lower, upper, start = kernel_.pack();
  kernel_.bounds(&lower, &upper);
  const size_t own = start.size();
  start.push_back(std::log(noise_));
  // Far below the data's variance the bound is all rounding.
  lower.push_back(std::log(std::min(1e-6 * mean_square(data), noise_)));
  upper.push_back(std::log(std::max(1e2 * mean_square(data), noise_)));
  if (options.move_inducing) {
    for (size_t i = 0; i < z_.size(); ++i) {  // in shares of the column's range
      start.push_back((z_[i] - data.centre[i % d]) / data.scale[i % d]);
      lower.push_back(-1);
      upper.push_back(1);
    }
  }
  Kernel kernel = kernel_;
  Vector z = z_;
  const auto take = [&](std::span<const double> p) {
    kernel.unpack(p.first(own));
    for (size_t i = 0; options.move_inducing && i < z.size(); ++i) {
      z[i] = data.centre[i % d] + p[own + 1 + i] * data.scale[i % d];
    }
    return std::exp(p[own]);
  };
  const numeric::Optimum o = numeric::minimise(
      [&](std::span<const double> p, std::span<double> gradient) {
        const double noise = take(p);
        SparseGradient g;
        const SparseBound bound = sparse_bound(kernel, noise, x_, y_, z, &g, variances_, weights_);
        if (bound.value == -kInfinity) return kInfinity;
        const double prior = kernel.log_prior(g.kernel);
        const Vector packed = kernel.pack_gradient(g.kernel);
        for (size_t i = 0; i < own; ++i) gradient[i] = -packed[i];
        gradient[own] = -g.noise;
        for (size_t i = 0; options.move_inducing && i < z.size(); ++i) {
          gradient[own + 1 + i] = -g.inducing[i] * data.scale[i % d];
        }
        return -(bound.value + prior);
      },
      start, lower, upper, options.search);
  noise_ = take(o.x);
  kernel_ = kernel;
  z_ = z;
  report_.fitted = true;
  report_.ending = o.ending;
  report_.gradient_norm = o.gradient_norm;
  report_.iterations = o.iterations;
  report_.evaluations = o.evaluations;
  const std::vector<const KernelParameter*> free = kernel_.free_parameters();
  for (const int64_t index : o.at_bound) {
    const auto i = static_cast<size_t>(index);
    if (i <= own) report_.at_bound.push_back(i < own ? free[i]->name : "noise");
  }
}

void SparseProcess::project(const double* x, int64_t count, Vector* v, Vector* u) const {
  const int64_t m = report_.inducing;
  const linalg::Matrix factor{const_cast<double*>(bound_.factor.data()), m, m},
      inner{const_cast<double*>(bound_.inner.data()), m, m};
  v->resize(size_of(count, m));
  kernel_.cross(x, count, z_.data(), m, v->data(), m);
  linalg::forward(factor, v->data(), count);
  *u = *v;
  linalg::forward(inner, u->data(), count);
}

SparsePrediction SparseProcess::predict(const at::Tensor& points, bool noise) const {
  const at::Tensor xs = checked_points(points, kernel_.dims(), "points");
  const int64_t s = xs.size(0), m = report_.inducing, d = kernel_.dims();
  SparsePrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  for (int64_t begin = 0; begin < s; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, s - begin);
    const double* x = xs.const_data_ptr<double>() + begin * d;
    Vector v, u, prior(static_cast<size_t>(count));
    kernel_.diagonal(x, count, false, prior.data());
    project(x, count, &v, &u);
    for (int64_t i = 0; i < count; ++i) {
      const double *vi = v.data() + i * m, *ui = u.data() + i * m;
      out.mean.data_ptr<double>()[begin + i] = mean_ + dot(vi, bound_.weights.data(), m) / noise_;
      const double left = prior[static_cast<size_t>(i)] - dot(vi, vi, m) + dot(ui, ui, m);
      out.variance.data_ptr<double>()[begin + i] = std::max(left, 0.0) + (noise ? noise_ : 0);
    }
  }
  return out;
}

at::Tensor SparseProcess::covariance(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, kernel_.dims(), "points");
  const int64_t s = xs.size(0), m = report_.inducing;
  const double* x = xs.const_data_ptr<double>();
  Vector v, u;
  project(x, s, &v, &u);
  at::Tensor c = at::empty({s, s}, at::kDouble);
  kernel_.cross(x, s, x, s, c.data_ptr<double>(), s);
  const linalg::OneBlasThread one;
  linalg::gemm(false, true, s, s, m, -1, v.data(), m, v.data(), m, 1, c.data_ptr<double>(), s);
  linalg::gemm(false, true, s, s, m, 1, u.data(), m, u.data(), m, 1, c.data_ptr<double>(), s);
  return c;
}

// (Q + D)^-1 = D^-1 - D^-1 V' B^-1 V D^-1: its diagonal, and (y - mean) / D its product with y. What
// Q leaves of the prior variance is added as in a prediction.
SparsePrediction SparseProcess::leave_one_out() const {
  const int64_t m = report_.inducing, d = kernel_.dims();
  const auto known = static_cast<int64_t>(y_.size());
  const double missing = std::numeric_limits<double>::quiet_NaN();
  SparsePrediction out{at::full({n_}, missing, at::kDouble), at::full({n_}, missing, at::kDouble)};
  for (int64_t begin = 0; begin < known; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, known - begin);
    const double* x = x_.data() + begin * d;
    Vector v, u, prior(static_cast<size_t>(count));
    kernel_.diagonal(x, count, false, prior.data());
    project(x, count, &v, &u);
    for (int64_t i = 0; i < count; ++i) {
      const double *vi = v.data() + i * m, *ui = u.data() + i * m;
      const double residual =
          y_[static_cast<size_t>(begin + i)] - dot(vi, bound_.weights.data(), m) / noise_;
      // D times the diagonal: 1 - u'u / D, u'u <= D.
      const double own = noise_of(static_cast<size_t>(begin + i));
      const double share = std::max(1 - dot(ui, ui, m) / own, 1e-12);
      const int64_t row = rows_[static_cast<size_t>(begin + i)];
      out.mean.data_ptr<double>()[row] =
          mean_ + y_[static_cast<size_t>(begin + i)] - residual / share;
      out.variance.data_ptr<double>()[row] =
          own / share + std::max(prior[static_cast<size_t>(i)] - dot(vi, vi, m), 0.0);
    }
  }
  return out;
}

at::Tensor SparseProcess::inducing() const {
  at::Tensor z = at::empty({report_.inducing, kernel_.dims()}, at::kDouble);
  std::copy(z_.begin(), z_.end(), z.data_ptr<double>());
  return z;
}

}  // namespace covary::stat
