#include "covary/stat/process/hilbert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kRowsAtOnce = 512;

size_t index(int64_t i) { return static_cast<size_t>(i); }

// (a' b - u_a' C^-1 u_b) / s, u already through the factor: an inner product by K^-1.
double inner(double plain, const Vector& u, const Vector& v, double noise) {
  return (plain - linalg::dot(static_cast<int64_t>(u.size()), u.data(), v.data())) / noise;
}

double frequency(const HilbertBasis& basis, int64_t f, int64_t k) {
  return std::numbers::pi * static_cast<double>(basis.numbers[index(f * basis.dims + k)]) /
         (2 * basis.half[index(k)]);
}

}  // namespace

SpectralForm SpectralForm::of(const Kernel& kernel) {
  SpectralForm f;
  f.lengths.assign(index(kernel.dims()), 0.0);
  std::string leaf;
  int constants = 0, whites = 0;
  bool other = false;
  for (const KernelParameter& p : kernel.parameters()) {
    const std::string kind = p.name.substr(0, p.name.find('.'));
    if (kind == "const") {
      f.variance = p.value;
      ++constants;
    } else if (kind == "white") {
      f.noise = p.value;
      ++whites;
    } else if (p.role == ParameterRole::kLengthscale && (leaf.empty() || leaf == kind)) {
      leaf = kind;
      if (p.dimension >= 0) {
        f.lengths[index(p.dimension)] = p.value;
      } else {
        std::fill(f.lengths.begin(), f.lengths.end(), p.value);
      }
    } else {
      other = true;
    }
  }
  f.order = leaf == "matern12"   ? 0.5
            : leaf == "matern32" ? 1.5
            : leaf == "matern52" ? 2.5
            : leaf == "rbf"      ? kInfinity
                                 : 0;
  // The form is a product: at distance 0 the variance, far away nothing, and one length a column.
  const auto d = index(kernel.dims());
  Vector points(2 * d, 0.0), values(1);
  for (size_t k = 0; k < d; ++k) points[d + k] = 1e3 * f.lengths[k];
  double zero = 0;
  bool fits = !other && f.order > 0 && constants <= 1 && whites <= 1 &&
              *std::min_element(f.lengths.begin(), f.lengths.end()) > 0;
  if (fits) {
    kernel.diagonal(points.data(), 1, false, &zero);
    kernel.cross(points.data(), 1, points.data() + d, 1, values.data(), 1);
    fits = std::abs(zero - f.variance) <= 1e-12 * f.variance && values[0] < 1e-12 * f.variance;
    kernel.diagonal(points.data(), 1, true, &zero);
    fits = fits && std::abs(zero - f.variance - f.noise) <= 1e-12 * (f.variance + f.noise);
  }
  if (!fits) {
    throw Error(ExitCode::kUsage,
                "must be rbf, matern12, matern32 or matern52 over all columns, times a const, plus "
                "white",
                "kernel", "write --method exact, or another kernel");
  }
  return f;
}

double SpectralForm::log_density(const double* w, double* slopes) const {
  const auto d = static_cast<double>(lengths.size());
  double q = 0, volume = 0;
  for (size_t k = 0; k < lengths.size(); ++k) {
    q += lengths[k] * lengths[k] * w[k] * w[k];
    volume += std::log(lengths[k]);
  }
  const bool normal = std::isinf(order);
  const double power = order + d / 2;
  for (size_t k = 0; slopes && k < lengths.size(); ++k) {
    const double own = lengths[k] * lengths[k] * w[k] * w[k];
    slopes[k] = 1 - (normal ? own : 2 * power * own / (2 * order + q));
  }
  if (normal) {
    return std::log(variance) + volume + 0.5 * d * std::log(2 * std::numbers::pi) - 0.5 * q;
  }
  return std::log(variance) + volume + d * std::log(2.0) + 0.5 * d * std::log(std::numbers::pi) +
         std::lgamma(power) - std::lgamma(order) + order * std::log(2 * order) -
         power * std::log(2 * order + q);
}

Vector HilbertBasis::at(const double* points, int64_t count) const {
  const int64_t m = functions();
  int64_t most = 0;
  for (const int64_t j : numbers) most = std::max(most, j);
  Vector out(index(count * m));
  parallel_for(count, 64, [&](int64_t begin, int64_t end) {
    Vector sines(index(dims * (most + 1)));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = 0; k < dims; ++k) {
        const double l = half[index(k)];
        const double angle =
            std::numbers::pi * (points[i * dims + k] - centre[index(k)] + l) / (2 * l);
        for (int64_t j = 1; j <= most; ++j) {
          sines[index(k * (most + 1) + j)] =
              std::sin(angle * static_cast<double>(j)) / std::sqrt(l);
        }
      }
      for (int64_t f = 0; f < m; ++f) {
        double product = 1;
        for (int64_t k = 0; k < dims; ++k) {
          product *= sines[index(k * (most + 1) + numbers[index(f * dims + k)])];
        }
        out[index(i * m + f)] = product;
      }
    }
  });
  return out;
}

double hilbert_log_likelihood(const HilbertBasis& basis, const Kernel& kernel, bool constant,
                              std::span<double> gradient, HilbertSolution* solution) {
  const SpectralForm form = SpectralForm::of(kernel);
  const int64_t m = basis.functions(), d = basis.dims;
  const double rows = static_cast<double>(basis.rows), noise = form.noise;
  std::fill(gradient.begin(), gradient.end(), 0.0);
  if (!(noise > 0)) return -kInfinity;
  HilbertSolution local;
  HilbertSolution& s = solution ? *solution : local;
  s.root.resize(index(m));
  Vector slopes(index(m * d)), w(index(d));
  for (int64_t f = 0; f < m; ++f) {
    for (int64_t k = 0; k < d; ++k) {
      w[index(k)] = frequency(basis, f, k);
    }
    s.root[index(f)] = std::exp(0.5 * form.log_density(w.data(), slopes.data() + f * d));
  }
  // C = S^1/2 Phi'Phi S^1/2 + s I = F F'.
  s.factor = basis.gram;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < m; ++j)
      s.factor[index(i * m + j)] *= s.root[index(i)] * s.root[index(j)];
    s.factor[index(i * m + i)] += noise;
  }
  const linalg::Matrix factor{s.factor.data(), m, m};
  const linalg::CholeskyReport report = linalg::cholesky(factor);
  if (!report.done) return -kInfinity;
  Vector u(basis.on_y);
  s.one = basis.on_one;
  for (int64_t f = 0; f < m; ++f) {
    u[index(f)] *= s.root[index(f)];
    s.one[index(f)] *= s.root[index(f)];
  }
  linalg::forward(factor, u.data(), 1);
  linalg::forward(factor, s.one.data(), 1);
  s.mean = 0;
  s.precision_of_mean = 0;
  double square = inner(basis.yy, u, u, noise);
  if (constant) {
    const double cross = inner(basis.y1, u, s.one, noise);
    s.precision_of_mean = inner(basis.ones, s.one, s.one, noise);
    s.mean = cross / s.precision_of_mean;
    square -= s.mean * cross;
    linalg::axpy(m, -s.mean, s.one.data(), u.data());
  }
  const double value = -0.5 * square - 0.5 * (rows - static_cast<double>(m)) * std::log(noise) -
                       0.5 * linalg::log_determinant(factor) + 0.5 * basis.log_weights -
                       0.5 * rows * std::log(2 * std::numbers::pi);
  if (!std::isfinite(value)) return -kInfinity;
  linalg::backward(factor, u.data(), 1);  // C^-1 S^1/2 Phi' r
  s.weights = u;
  for (int64_t f = 0; f < m; ++f) s.weights[index(f)] *= s.root[index(f)];
  if (gradient.empty()) return value;
  // By log S_j: 1/2 (u_j^2 - 1 + s C^-1_jj); by log s: 1/2 (r'a - |u|^2 - n + M - s tr C^-1).
  Vector inverse = s.factor;
  linalg::inverse({inverse.data(), m, m});
  double trace = 0, variance = 0;
  Vector lengths(index(d));
  for (int64_t f = 0; f < m; ++f) {
    const double own = noise * inverse[index(f * m + f)];
    trace += own;
    const double slope = 0.5 * (u[index(f)] * u[index(f)] - 1 + own);
    variance += slope;
    for (int64_t k = 0; k < d; ++k) lengths[index(k)] += slope * slopes[index(f * d + k)];
  }
  const double by_noise =
      0.5 * (square - linalg::dot(m, u.data(), u.data()) - rows + static_cast<double>(m) - trace);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const KernelParameter& parameter = kernel.parameters()[p];
    if (parameter.role == ParameterRole::kNoise) gradient[p] = by_noise;
    if (parameter.role == ParameterRole::kVariance) gradient[p] = variance;
    if (parameter.role != ParameterRole::kLengthscale) continue;
    for (int64_t k = 0; k < d; ++k) {
      if (parameter.dimension < 0 || parameter.dimension == k) gradient[p] += lengths[index(k)];
    }
  }
  return value;
}

HilbertProcess::HilbertProcess(const at::Tensor& x, const at::Tensor& y,
                               const HilbertOptions& options, const RowNoise& rows)
    : options_(options), constant_(options.mean == "const") {
  options.check();
  if (!y.defined() || y.dim() != 1) throw Error(ExitCode::kUsage, "must be one value a row", "y");
  if (rows.variances.defined())
    throw Error(ExitCode::kUsage,
                "are not for a fixed basis: its products with itself are made once",
                "variances of rows", "give weights, or write --method exact or vecchia");
  const GpData data = GpData::from(x, y, rows, constant_ ? Mean::kConst : Mean::kZero);
  const int64_t d = data.dims;
  if (d > 3) {
    throw Error(ExitCode::kUsage,
                "has " + std::to_string(d) + " columns: the basis grows beyond use after three",
                "X", "write --method exact or vecchia");
  }
  kernel_ = Kernel::parse(completed_kernel(options.kernel, false, d), d);
  start_by_data(&kernel_, data, static_cast<uint64_t>(options.seed));
  SpectralForm::of(kernel_);
  const GpGroup& group = data.groups[0];
  const int64_t n = group.count();
  n_ = data.n;
  rows_ = group.rows;
  x_ = at::from_blob(const_cast<double*>(group.x.data()), {n, d}, at::kDouble).clone();
  y_ = at::from_blob(const_cast<double*>(group.y.data()), {n}, at::kDouble).clone();
  weights_ = group.weights;
  if (constant_) centre_ = y_.mean().item<double>();
  double boundary = options.boundary > 0 ? options.boundary : 2;
  for (int round = 0;; ++round) {
    fill_basis(boundary);
    if (options.fit) fit();
    if (options.boundary > 0 || round == 3) break;
    // The box that serves these parameters best, then parameters for that box.
    double best = boundary, least = kInfinity;
    for (const double trial : {1.25, 1.5, 2.0, 3.0, 4.0, 6.0}) {
      const double error = kernel_error(box(trial));
      if (error < least) {
        best = trial;
        least = error;
      }
    }
    if (best == boundary) break;
    boundary = best;
  }
  condition();
}

HilbertBasis HilbertProcess::box(double boundary) const {
  HilbertBasis b;
  const int64_t d = x_.size(1);
  b.dims = d;
  b.rows = x_.size(0);
  static constexpr int64_t kNumbers[] = {128, 28, 12};
  const int64_t along = options_.functions > 0 ? options_.functions : kNumbers[d - 1];
  int64_t m = 1;
  for (int64_t k = 0; k < d; ++k) {
    m *= along;
    if (m > 20000) throw Error(ExitCode::kUsage, "gives more than 20,000 functions", "functions");
    const at::Tensor column = x_.select(1, k);
    const double low = column.min().item<double>(), high = column.max().item<double>();
    b.centre.push_back(0.5 * (low + high));
    b.half.push_back(high > low ? boundary * 0.5 * (high - low) : std::max(std::abs(high), 1.0));
  }
  for (int64_t f = 0; f < m; ++f) {
    int64_t rest = f;
    for (int64_t k = 0; k < d; ++k, rest /= along) b.numbers.push_back(1 + rest % along);
  }
  b.on_y.assign(index(m), 0.0);
  b.on_one.assign(index(m), 0.0);
  return b;
}

void HilbertProcess::fill_basis(double boundary) {
  basis_ = box(boundary);
  report_.boundary = boundary;
  HilbertBasis& b = basis_;
  const int64_t n = b.rows, d = b.dims, m = b.functions();
  b.gram.assign(index(m * m), 0.0);
  const double* from = x_.const_data_ptr<double>();
  for (int64_t begin = 0; begin < n; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, n - begin);
    Vector phi = b.at(from + begin * d, count);
    Vector values(index(count)), ones(index(count), 1.0);
    for (int64_t i = 0; i < count; ++i) {
      values[index(i)] = y_.const_data_ptr<double>()[begin + i] - centre_;
      if (weights_.empty()) continue;
      const double weight = weights_[index(begin + i)], root = std::sqrt(weight);
      for (int64_t f = 0; f < m; ++f) phi[index(i * m + f)] *= root;
      values[index(i)] *= root;
      ones[index(i)] = root;
      b.log_weights += std::log(weight);
    }
    constexpr int64_t kBand = 64;
    parallel_tasks((m + kBand - 1) / kBand, [&](int64_t task) {
      const linalg::OneBlasThread one;
      const int64_t at = task * kBand, width = std::min(kBand, m - at);
      linalg::gemm(true, false, width, m, count, 1, phi.data() + at, m, phi.data(), m, 1,
                   b.gram.data() + at * m, m);
    });
    for (int64_t i = 0; i < count; ++i) {
      const double value = values[index(i)], one = ones[index(i)];
      linalg::axpy(m, value, phi.data() + i * m, b.on_y.data());
      linalg::axpy(m, one, phi.data() + i * m, b.on_one.data());
      b.yy += value * value;
      b.y1 += value * one;
      b.ones += one * one;
    }
  }
  for (int64_t i = 0; i < m; ++i) {  // exactly symmetric
    for (int64_t j = 0; j < i; ++j) b.gram[index(j * m + i)] = b.gram[index(i * m + j)];
  }
}

void HilbertProcess::fit() {
  const Vector start = kernel_.pack();
  if (start.empty()) return;
  const numeric::Optimum o = search_kernel(
      kernel_,
      [&](const Kernel& kernel, Vector* gradient) {
        return hilbert_log_likelihood(basis_, kernel, constant_, *gradient, nullptr);
      },
      start, options_.search);
  kernel_.unpack(o.x);
  record(o, kernel_, &report_);
}

void HilbertProcess::condition() {
  report_.log_likelihood = hilbert_log_likelihood(basis_, kernel_, constant_, {}, &solution_);
  if (report_.log_likelihood == -kInfinity)
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "scale the data, or use fewer functions");
  report_.kernel = kernel_.text();
  report_.mean = centre_ + solution_.mean;
  report_.functions = basis_.functions();
  report_.kernel_error = kernel_error(basis_);
}

// Covariances of the basis against those of the kernel, over pairs of rows, some with themselves.
double HilbertProcess::kernel_error(const HilbertBasis& basis) const {
  const int64_t n = x_.size(0), d = basis.dims, m = basis.functions();
  const SpectralForm form = SpectralForm::of(kernel_);
  Vector w(index(d)), density(index(m));
  for (int64_t f = 0; f < m; ++f) {
    for (int64_t k = 0; k < d; ++k) w[index(k)] = frequency(basis, f, k);
    density[index(f)] = std::exp(form.log_density(w.data(), nullptr));
  }
  const Random random(0, stream_of("process.hilbert"));
  double error = 0;
  for (uint64_t e = 0; e < 256; ++e) {
    const auto i = static_cast<int64_t>(random.below(static_cast<uint64_t>(n), 2 * e));
    const auto j =
        e % 4 == 0 ? i : static_cast<int64_t>(random.below(static_cast<uint64_t>(n), 2 * e + 1));
    const double *a = x_.const_data_ptr<double>() + i * d, *b = x_.const_data_ptr<double>() + j * d;
    double exact = 0, ours = 0;
    kernel_.cross(a, 1, b, 1, &exact, 1);
    const Vector phi_a = basis.at(a, 1), phi_b = basis.at(b, 1);
    for (int64_t f = 0; f < m; ++f) ours += phi_a[index(f)] * phi_b[index(f)] * density[index(f)];
    error = std::max(error, std::abs(exact - ours) / form.variance);
  }
  return error;
}

HilbertPrediction HilbertProcess::predict(const at::Tensor& points, bool noise) const {
  const at::Tensor xs = checked_points(points, basis_.dims, "points");
  const int64_t s = xs.size(0), m = basis_.functions(), d = basis_.dims;
  const double spread = SpectralForm::of(kernel_).noise;
  const double* x = xs.const_data_ptr<double>();
  for (int64_t i = 0; i < s * d; ++i) {
    if (!(std::abs(x[i] - basis_.centre[index(i % d)]) < basis_.half[index(i % d)])) {
      throw Error(ExitCode::kData,
                  "lies outside of the box of the basis, in row " + std::to_string(i / d), "points",
                  "fit with a wider boundary, or write --method exact");
    }
  }
  HilbertPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  const linalg::Matrix factor{const_cast<double*>(solution_.factor.data()), m, m};
  for (int64_t begin = 0; begin < s; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, s - begin);
    Vector phi = basis_.at(x + begin * d, count);
    for (int64_t i = 0; i < count; ++i) {
      double* row = phi.data() + i * m;
      out.mean.data_ptr<double>()[begin + i] =
          report_.mean + linalg::dot(m, row, solution_.weights.data());
      for (int64_t f = 0; f < m; ++f) row[f] *= solution_.root[index(f)];
    }
    linalg::forward(factor, phi.data(), count);
    for (int64_t i = 0; i < count; ++i) {
      const double* row = phi.data() + i * m;
      double variance = spread * linalg::dot(m, row, row) + (noise ? spread : 0);
      if (constant_) {  // of the mean: (1 - phi' S^1/2 C^-1 S^1/2 Phi' 1)^2 over its precision
        const double left = 1 - linalg::dot(m, row, solution_.one.data());
        variance += left * left / solution_.precision_of_mean;
      }
      out.variance.data_ptr<double>()[begin + i] = variance;
    }
  }
  return out;
}

// For a linear smoother with prior: left out, residual and variance grow by 1 / (1 - h / total), h
// the variance that the row's own prediction has of the function, total the row's noise.
HilbertPrediction HilbertProcess::leave_one_out() const {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  const double noise = SpectralForm::of(kernel_).noise;
  HilbertPrediction out{at::full({n_}, missing, at::kDouble), at::full({n_}, missing, at::kDouble)};
  const HilbertPrediction p = predict(x_);
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const double own = weights_.empty() ? noise : noise / weights_[i];
    const double h = p.variance.const_data_ptr<double>()[at] / own;  // share of its own value
    const double y = y_.const_data_ptr<double>()[at], share = std::max(1 - h, 1e-12);
    out.mean.data_ptr<double>()[rows_[i]] = y - (y - p.mean.const_data_ptr<double>()[at]) / share;
    out.variance.data_ptr<double>()[rows_[i]] = own / share;
  }
  return out;
}

}  // namespace covary::stat
