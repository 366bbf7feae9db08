#include "covary/stat/process/marginal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/huge_pages.h"

namespace covary::stat {
namespace {

// Memory for a matrix of n rows.
at::Tensor matrix_of(int64_t n) {
  at::Tensor buffer = at::empty({n, padded_stride(n)}, at::kDouble);
  use_huge_pages(buffer.data_ptr(), buffer.nbytes());
  return buffer;
}

// Builds K in the buffer and factors it.
void build(const Kernel& kernel, const GpGroup& group, PosteriorFactor* f) {
  const int64_t n = group.count(), stride = padded_stride(n);
  f->factor = {f->buffer.data_ptr<double>(), n, stride};
  kernel.matrix(group.x.data(), n, f->factor.data, stride);
  const std::vector<double> terms =
      row_terms(kernel, group.x.data(), n, group.noise, group.weights);
  for (size_t i = 0; i < terms.size(); ++i) {
    f->factor.row(static_cast<int64_t>(i))[i] += terms[i];
  }
  f->report = linalg::cholesky(f->factor);
}

double dot(const double* a, const double* b, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; ++i) s += a[i] * b[i];
  return s;
}

// The weights 1/2 (sum of a a' - outputs K^-1), tile by tile; a: those of the outputs, and others
// that stand beside them.
class GradientWeights {
 public:
  GradientWeights(const linalg::Matrix& inverse, const std::vector<double>& alpha, int64_t outputs)
      : inverse_(inverse),
        alpha_(alpha),
        outputs_(outputs),
        vectors_(static_cast<int64_t>(alpha.size()) / inverse.n) {}
  double own(int64_t i) const {
    double w = -0.5 * static_cast<double>(outputs_) * inverse_.row(i)[i];
    for (int64_t o = 0; o < vectors_; ++o) {
      const double a = alpha_[static_cast<size_t>(o * inverse_.n + i)];
      w += 0.5 * a * a;
    }
    return w;
  }
  void operator()(const compute::PairBlock& t, double* w) const {
    const double half = 0.5 * static_cast<double>(outputs_);
    for (int64_t i = 0; i < t.rows; ++i) {
      const int64_t row = t.row + i;
      double* out = w + i * t.columns;
      const int64_t below = std::clamp<int64_t>(row + 1 - t.column, 0, t.columns);
      for (int64_t j = 0; j < below; ++j) out[j] = -half * inverse_.row(row)[t.column + j];
      for (int64_t j = below; j < t.columns; ++j) out[j] = -half * inverse_.row(t.column + j)[row];
      for (int64_t o = 0; o < vectors_; ++o) {
        const double* a = alpha_.data() + o * inverse_.n;
        const double scaled = 0.5 * a[row];
        for (int64_t j = 0; j < t.columns; ++j) out[j] += scaled * a[t.column + j];
      }
    }
  }

 private:
  const linalg::Matrix& inverse_;
  const std::vector<double>& alpha_;
  int64_t outputs_, vectors_;
};

// Those rows as vectors [p, n] beside alpha in the gradient, times the root of the outputs, each of
// which has the determinant of G.
std::vector<double> mean_vectors(const PosteriorFactor& f, int64_t p, int64_t outputs) {
  const int64_t n = f.factor.n;
  const std::vector<double> rows = mean_rows(f, p);
  std::vector<double> vectors(rows.size());
  const double root = std::sqrt(static_cast<double>(outputs));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t a = 0; a < p; ++a) {
      vectors[static_cast<size_t>(a * n + i)] = root * rows[static_cast<size_t>(i * p + a)];
    }
  }
  return vectors;
}

}  // namespace

std::vector<double> mean_rows(const PosteriorFactor& f, int64_t p) {
  const int64_t n = f.factor.n;
  std::vector<double> solved = f.basis, rows(static_cast<size_t>(n * p));
  linalg::backward(f.factor, solved.data(), p);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t a = 0; a < p; ++a) {
      rows[static_cast<size_t>(i * p + a)] = solved[static_cast<size_t>(a * n + i)];
    }
  }
  const linalg::Matrix gram{const_cast<double*>(f.gram.data()), p, p};
  if (p > 0) linalg::forward(gram, rows.data(), n);
  return rows;
}

int64_t padded_stride(int64_t n) {
  const int64_t lines = (n + 7) / 8 * 8;
  return lines % 512 == 0 ? lines + 8 : lines;
}

void solve_group(const GpGroup& group, int64_t p, PosteriorFactor* f) {
  const int64_t n = group.count(), outputs = group.width();
  f->basis = group.basis;
  linalg::forward(f->factor, f->basis.data(), p);
  f->gram.assign(static_cast<size_t>(p * p), 0.0);
  for (int64_t a = 0; a < p; ++a) {
    for (int64_t b = 0; b < p; ++b) {
      f->gram[static_cast<size_t>(a * p + b)] =
          dot(f->basis.data() + a * n, f->basis.data() + b * n, n);
    }
  }
  const linalg::Matrix gram{f->gram.data(), p, p};
  linalg::cholesky(gram).check("normal equations of the mean");
  f->alpha = group.y;
  linalg::forward(f->factor, f->alpha.data(), outputs);
  f->coefficients.assign(static_cast<size_t>(outputs * p), 0.0);
  const double log_determinant = linalg::log_determinant(f->factor);
  f->log_likelihood = 0;
  for (int64_t o = 0; o < outputs; ++o) {
    double* z = f->alpha.data() + o * n;
    double* b = f->coefficients.data() + o * p;
    for (int64_t a = 0; a < p; ++a) b[a] = dot(f->basis.data() + a * n, z, n);
    linalg::forward(gram, b, p > 0 ? 1 : 0);
    linalg::backward(gram, b, p > 0 ? 1 : 0);
    for (int64_t a = 0; a < p; ++a) {
      for (int64_t i = 0; i < n; ++i) z[i] -= b[a] * f->basis[static_cast<size_t>(a * n + i)];
    }
    f->log_likelihood -= 0.5 * dot(z, z, n) + 0.5 * log_determinant +
                         0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  }
  linalg::backward(f->factor, f->alpha.data(), outputs);
}

PosteriorFactor factorise(const Kernel& kernel, const GpData& data, const GpGroup& group) {
  PosteriorFactor f;
  f.buffer = matrix_of(group.count());
  build(kernel, group, &f);
  f.report.check("kernel matrix");
  solve_group(group, data.coefficients(), &f);
  return f;
}

MarginalLikelihood::MarginalLikelihood(const GpData& data, int64_t memory_limit) : data_(data) {
  int64_t largest = 0;
  for (const GpGroup& g : data.groups) largest = std::max(largest, g.count());
  const double bytes =
      8.0 * static_cast<double>(largest) * static_cast<double>(padded_stride(largest));
  if (bytes > static_cast<double>(memory_limit)) {
    throw Error(ExitCode::kFailed,
                "the kernel matrix of " + std::to_string(largest) + " rows takes " +
                    std::to_string(static_cast<int64_t>(bytes / 1e6)) +
                    " MB, more than the limit of " + std::to_string(memory_limit / 1000000) + " MB",
                "process", "raise memory_limit, or fit fewer rows");
  }
  buffer_ = matrix_of(largest);
}

MarginalValue MarginalLikelihood::evaluate(const Kernel& kernel, std::span<double> gradient,
                                           MeanCoefficients mean) {
  MarginalValue result;
  std::fill(gradient.begin(), gradient.end(), 0.0);
  std::vector<double> part(gradient.size());
  for (const GpGroup& group : data_.groups) {
    PosteriorFactor f;
    f.buffer = buffer_;
    build(kernel, group, &f);
    if (!f.report.done) {
      return {-std::numeric_limits<double>::infinity(), f.report};
    }
    if (&group == &data_.groups.front() || f.report.jitter > result.report.jitter) {
      result.report = f.report;
    }
    solve_group(group, data_.coefficients(), &f);
    result.log_likelihood += f.log_likelihood;
    std::vector<double> vectors = f.alpha;
    const int64_t p = data_.coefficients();
    if (mean == MeanCoefficients::kIntegrated && p > 0) {
      const linalg::Matrix gram{f.gram.data(), p, p};
      result.log_likelihood +=
          0.5 * static_cast<double>(group.width()) *
          (static_cast<double>(p) * std::log(2 * std::numbers::pi) - linalg::log_determinant(gram));
      if (!gradient.empty()) {
        const std::vector<double> more = mean_vectors(f, p, group.width());
        vectors.insert(vectors.end(), more.begin(), more.end());
      }
    }
    if (gradient.empty()) continue;
    linalg::inverse(f.factor);
    const GradientWeights weights(f.factor, vectors, group.width());
    kernel.contract(group.x.data(), group.count(), weights, part);
    for (size_t p = 0; p < part.size(); ++p) gradient[p] += part[p];
    if (group.weights.empty()) continue;
    std::vector<double> own(group.weights.size());
    for (size_t i = 0; i < own.size(); ++i) own[i] = weights.own(static_cast<int64_t>(i));
    contract_row_terms(kernel, group.x.data(), group.count(), group.weights, own, gradient);
  }
  return result;
}

}  // namespace covary::stat
