#include "covary/stat/process/softmax_laplace.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/row_likelihood.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostSteps = 200;
constexpr double kNone = -std::numeric_limits<double>::infinity();

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// out [n] = A v, every entry one sum in order.
void times(const double* a, int64_t n, const double* v, double* out) {
  parallel_for(n, std::max<int64_t>(64, (1 << 16) / n), [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t i = begin; i < end; ++i) out[i] = linalg::dot(n, a + i * n, v);
  });
}

// C [n,n] (+)= A' B or A B, blocks of rows of C at a time.
void multiply(bool transpose, int64_t n, double alpha, const double* a, const double* b,
              double beta, double* c) {
  constexpr int64_t kBlock = 64;
  parallel_for((n + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t k = begin; k < end; ++k) {
      const int64_t row = k * kBlock, rows = std::min(kBlock, n - row);
      linalg::gemm(transpose, false, rows, n, n, alpha, transpose ? a + row : a + row * n, n, b, n,
                   beta, c + row * n, n);
    }
  });
}

}  // namespace

SoftmaxPosterior::SoftmaxPosterior(const Kernel& kernel, std::span<const double> x,
                                   std::span<const double> y, std::span<const double> means,
                                   std::span<const double> start)
    : n_(static_cast<int64_t>(y.size())),
      classes_(static_cast<int64_t>(means.size())),
      x_(x.begin(), x.end()),
      y_(y.begin(), y.end()),
      means_(means.begin(), means.end()) {
  const auto n = static_cast<size_t>(n_), all = n * means.size();
  k_.resize(n * n);
  e_.resize(n * all);
  sum_.resize(n * n);
  kernel.matrix(x.data(), n_, k_.data(), n_);
  alpha_.assign(all, 0.0);
  mode_.assign(all, 0.0);
  p_.resize(all);
  value_ = kNone;
  double now = log_density(mode_);
  if (start.size() == all) {
    const Vector a(start.begin(), start.end()), g = times_k(a);
    const double there = log_density(g) - 0.5 * dot(a, g);
    if (there > now) {
      now = there;
      alpha_ = a;
      mode_ = g;
    }
  }
  if (!std::isfinite(now)) return;
  Vector slope(all), b(all);
  double before = std::numeric_limits<double>::infinity();
  for (; iterations_ < kMostSteps; ++iterations_) {
    if (!factor()) return;
    double off = 0;
    for (size_t i = 0; i < n; ++i) {
      double along = 0;
      for (size_t c = 0; c < means.size(); ++c) along += p_[c * n + i] * mode_[c * n + i];
      for (size_t c = 0; c < means.size(); ++c) {
        const size_t at = c * n + i;
        slope[at] = (y_[i] == static_cast<double>(c) ? 1 : 0) - p_[at];
        b[at] = p_[at] * (mode_[at] - along) + slope[at];
        off = std::max(off, std::abs(slope[at] - alpha_[at]));
      }
    }
    // Newton's steps are quadratic: close by, one that comes no closer is rounding.
    if (off < 1e-11 || (off < 1e-6 && off > 0.5 * before)) {
      converged_ = true;
      break;
    }
    before = off;
    Vector da = times_r(times_k(b));
    for (size_t i = 0; i < all; ++i) da[i] = b[i] - da[i] - alpha_[i];
    const Vector dg = times_k(da);
    const double a_g = dot(alpha_, mode_), a_dg = dot(alpha_, dg), da_dg = dot(da, dg);
    double step = 1, next = now;
    Vector moved(all);
    for (; step > 1e-8; step *= 0.5) {
      for (size_t i = 0; i < all; ++i) moved[i] = mode_[i] + step * dg[i];
      next = log_density(moved) - 0.5 * (a_g + step * (2 * a_dg + step * da_dg));
      if (next >= now - 1e-13 * std::abs(now)) break;
    }
    if (!(step > 1e-8)) {  // rounding is all that is left
      converged_ = true;
      break;
    }
    for (size_t i = 0; i < all; ++i) alpha_[i] += step * da[i];
    mode_ = moved;
    now = next;
  }
  const double value = log_density(mode_) - 0.5 * dot(alpha_, mode_) - 0.5 * log_determinant_;
  if (std::isfinite(value)) value_ = value;
}

double SoftmaxPosterior::log_density(const Vector& g) const {
  const auto n = static_cast<size_t>(n_), classes = means_.size();
  Vector f(classes);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    double top = kNone;
    for (size_t c = 0; c < classes; ++c) top = std::max(top, f[c] = means_[c] + g[c * n + i]);
    double mass = 0;
    for (size_t c = 0; c < classes; ++c) mass += std::exp(f[c] - top);
    sum += f[static_cast<size_t>(y_[i])] - top - std::log(mass);
  }
  return std::isfinite(sum) ? sum : kNone;
}

bool SoftmaxPosterior::factor() {
  const auto n = static_cast<size_t>(n_), classes = means_.size();
  Vector f(classes), p(classes);
  for (size_t i = 0; i < n; ++i) {
    for (size_t c = 0; c < classes; ++c) f[c] = means_[c] + mode_[c * n + i];
    RowLikelihood::probabilities(f, p);
    for (size_t c = 0; c < classes; ++c) p_[c * n + i] = p[c];
  }
  log_determinant_ = 0;
  std::fill(sum_.begin(), sum_.end(), 0.0);
  Vector root(n);
  for (int64_t c = 0; c < classes_; ++c) {
    double* m = e(c);
    for (size_t i = 0; i < n; ++i) root[i] = std::sqrt(p_[static_cast<size_t>(c) * n + i]);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) m[i * n + j] = root[i] * k_[i * n + j] * root[j];
      m[i * n + i] += 1;
    }
    const linalg::Matrix matrix{m, n_, n_};
    if (!linalg::cholesky(matrix).done) return false;
    log_determinant_ += linalg::log_determinant(matrix);
    linalg::inverse(matrix);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j <= i; ++j) {
        const double v = root[i] * m[i * n + j] * root[j];
        m[i * n + j] = m[j * n + i] = v;
      }
    }
    for (size_t i = 0; i < n * n; ++i) sum_[i] += m[i];
  }
  const linalg::Matrix matrix{sum_.data(), n_, n_};
  if (!linalg::cholesky(matrix).done) return false;
  log_determinant_ += linalg::log_determinant(matrix);
  return std::isfinite(log_determinant_);
}

Vector SoftmaxPosterior::times_k(std::span<const double> v) const {
  Vector out(v.size());
  for (int64_t c = 0; c < classes_; ++c)
    times(k_.data(), n_, v.data() + c * n_, out.data() + c * n_);
  return out;
}

Vector SoftmaxPosterior::times_r(std::span<const double> v) const {
  const auto n = static_cast<size_t>(n_);
  Vector out(v.size()), common(n), part(n);
  for (int64_t c = 0; c < classes_; ++c) {
    times(e(c), n_, v.data() + c * n_, out.data() + c * n_);
    for (size_t i = 0; i < n; ++i) common[i] += out[static_cast<size_t>(c) * n + i];
  }
  const linalg::Matrix factor{const_cast<double*>(sum_.data()), n_, n_};
  linalg::forward(factor, common.data(), 1);
  linalg::backward(factor, common.data(), 1);
  for (int64_t c = 0; c < classes_; ++c) {
    times(e(c), n_, common.data(), part.data());
    for (size_t i = 0; i < n; ++i) out[static_cast<size_t>(c) * n + i] -= part[i];
  }
  return out;
}

// [K - K E_a K] and K E_a (sum E)^-1 E_b K on the diagonal: rows of K E_a through the factor.
Vector SoftmaxPosterior::covariances() const {
  const auto n = static_cast<size_t>(n_), classes = means_.size();
  Vector out(n * classes * classes), rows(n * n * classes);
  for (int64_t a = 0; a < classes_; ++a) {
    double* reach = rows.data() + a * n_ * n_;
    multiply(false, n_, 1, k_.data(), e(a), 0, reach);
    for (size_t i = 0; i < n; ++i) {
      double sum = k_[i * n + i];
      for (size_t j = 0; j < n; ++j) sum -= reach[i * n + j] * k_[i * n + j];
      out[(i * classes + static_cast<size_t>(a)) * classes + static_cast<size_t>(a)] =
          std::max(sum, 0.0);
    }
    linalg::forward({const_cast<double*>(sum_.data()), n_, n_}, reach, n_);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t a = 0; a < classes; ++a) {
      for (size_t b = 0; b <= a; ++b) {
        const double *left = rows.data() + (a * n + i) * n, *right = rows.data() + (b * n + i) * n;
        double sum = 0;
        for (size_t j = 0; j < n; ++j) sum += left[j] * right[j];
        out[(i * classes + a) * classes + b] += sum;
        if (a != b) out[(i * classes + b) * classes + a] += sum;
      }
    }
  }
  return out;
}

void SoftmaxPosterior::gradient(const Kernel& kernel, std::span<double> by_kernel,
                                std::span<double> by_means) {
  const auto n = static_cast<size_t>(n_), classes = means_.size();
  const Vector covariance = covariances();
  // By the mode: it moves log |I + K W| alone.
  Vector by_mode(n * classes), h(classes);
  for (size_t i = 0; i < n; ++i) {
    const double* s = covariance.data() + i * classes * classes;
    double middle = 0;
    for (size_t a = 0; a < classes; ++a) {
      h[a] = s[a * classes + a];
      for (size_t b = 0; b < classes; ++b) h[a] -= 2 * s[a * classes + b] * p_[b * n + i];
      middle += h[a] * p_[a * n + i];
    }
    for (size_t c = 0; c < classes; ++c)
      by_mode[c * n + i] = -0.5 * p_[c * n + i] * (h[c] - middle);
  }
  Vector u = times_r(times_k(by_mode));
  for (size_t i = 0; i < u.size(); ++i) u[i] = by_mode[i] - u[i];
  // sum_c of alpha alpha' - R_cc + u alpha' + alpha u'
  Vector w(n * n), rows(n * n);
  for (int64_t c = 0; c < classes_; ++c) {
    std::copy_n(e(c), n_ * n_, rows.data());
    linalg::forward({sum_.data(), n_, n_}, rows.data(), n_);  // E L^-T, row by row
    constexpr int64_t kBlock = 64;
    parallel_for((n_ + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
      const linalg::OneBlasThread one;
      for (int64_t k = begin; k < end; ++k) {
        const int64_t row = k * kBlock, count = std::min(kBlock, n_ - row);
        linalg::gemm(false, true, count, n_, n_, 1, rows.data() + row * n_, n_, rows.data(), n_, 1,
                     w.data() + row * n_, n_);
      }
    });
    const double *a = alpha_.data() + c * n_, *v = u.data() + c * n_, *own = e(c);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j)
        w[i * n + j] += a[i] * a[j] - own[i * n + j] + v[i] * a[j] + a[i] * v[j];
    }
    double mean = 0;
    for (size_t i = 0; i < n; ++i) mean += a[i] + v[i];
    by_means[static_cast<size_t>(c)] = mean;
  }
  std::fill(by_kernel.begin(), by_kernel.end(), 0.0);
  kernel.contract(
      x_.data(), n_,
      [&](const compute::PairBlock& t, double* out) {
        for (int64_t i = 0; i < t.rows; ++i) {
          for (int64_t j = 0; j < t.columns; ++j)
            out[i * t.columns + j] = 0.5 * w[static_cast<size_t>((t.row + i) * n_ + t.column + j)];
        }
      },
      by_kernel);
}

void SoftmaxPosterior::leave_one_out(Vector* mean, Vector* covariance) const {
  const auto n = static_cast<size_t>(n_), classes = means_.size();
  const Vector all = covariances();
  mean->resize(n * classes);
  covariance->resize(n * classes * classes);
  const size_t wide = 2 * classes;
  Vector m(classes * wide);
  for (size_t i = 0; i < n; ++i) {
    const double* s = all.data() + i * classes * classes;
    // (I - S W) C = S by elimination with pivots; W = diag p - p p'.
    for (size_t a = 0; a < classes; ++a) {
      double along = 0;
      for (size_t b = 0; b < classes; ++b) along += s[a * classes + b] * p_[b * n + i];
      for (size_t b = 0; b < classes; ++b) {
        m[a * wide + b] = (a == b ? 1 : 0) - (s[a * classes + b] - along) * p_[b * n + i];
        m[a * wide + classes + b] = s[a * classes + b];
      }
    }
    for (size_t k = 0; k < classes; ++k) {
      size_t best = k;
      for (size_t r = k + 1; r < classes; ++r)
        if (std::abs(m[r * wide + k]) > std::abs(m[best * wide + k])) best = r;
      for (size_t j = 0; j < wide; ++j) std::swap(m[k * wide + j], m[best * wide + j]);
      const double pivot = std::abs(m[k * wide + k]) > 1e-12 ? m[k * wide + k] : 1e-12;
      for (size_t j = 0; j < wide; ++j) m[k * wide + j] /= pivot;
      for (size_t r = 0; r < classes; ++r) {
        if (r == k) continue;
        const double by = m[r * wide + k];
        for (size_t j = 0; j < wide; ++j) m[r * wide + j] -= by * m[k * wide + j];
      }
    }
    double* c = covariance->data() + i * classes * classes;
    for (size_t a = 0; a < classes; ++a) {
      for (size_t b = 0; b < classes; ++b)
        c[a * classes + b] = 0.5 * (m[a * wide + classes + b] + m[b * wide + classes + a]);
    }
    for (size_t a = 0; a < classes; ++a) {
      double& v = (*mean)[i * classes + a];
      v = means_[a] + mode_[a * n + i];
      for (size_t b = 0; b < classes; ++b)
        v -= c[a * classes + b] * ((y_[i] == static_cast<double>(b) ? 1 : 0) - p_[b * n + i]);
    }
  }
}

void SoftmaxPosterior::predict(const double* k, const double* prior, int64_t count, double* mean,
                               double* covariance) const {
  const auto n = static_cast<size_t>(n_), classes = means_.size(), s = static_cast<size_t>(count);
  Vector rows(s * n * classes);
  const linalg::OneBlasThread one;
  for (int64_t c = 0; c < classes_; ++c) {
    double* own = rows.data() + c * count * n_;
    linalg::gemm(false, false, count, n_, n_, 1, k, n_, e(c), n_, 0, own, n_);
    const auto at = static_cast<size_t>(c);
    for (size_t i = 0; i < s; ++i) {
      double m = means_[at], v = prior[i];
      for (size_t j = 0; j < n; ++j) {
        m += k[i * n + j] * alpha_[at * n + j];
        v -= k[i * n + j] * own[i * n + j];
      }
      mean[i * classes + at] = m;
      for (size_t b = 0; b < classes; ++b) covariance[(i * classes + at) * classes + b] = 0;
      covariance[(i * classes + at) * classes + at] = std::max(v, 0.0);
    }
    linalg::forward({const_cast<double*>(sum_.data()), n_, n_}, own, count);
  }
  for (size_t i = 0; i < s; ++i) {
    for (size_t a = 0; a < classes; ++a) {
      for (size_t b = 0; b < classes; ++b)
        covariance[(i * classes + a) * classes + b] +=
            linalg::dot(n_, rows.data() + (a * s + i) * n, rows.data() + (b * s + i) * n);
    }
  }
}

}  // namespace covary::stat
