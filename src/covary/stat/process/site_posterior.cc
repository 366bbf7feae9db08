#include "covary/stat/process/site_posterior.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/marginal.h"

namespace covary::stat {
namespace {

constexpr int64_t kAlone = 1 << 16;  // elements that are read before a second thread has woken up

int64_t rows_alone(int64_t n) { return std::max<int64_t>(1, kAlone / std::max<int64_t>(n, 1)); }

// out = A v, A symmetric with both halves; each entry one sum in order.
void symmetric_times(const linalg::Matrix& a, const double* v, double* out) {
  parallel_for(a.n, rows_alone(a.n), [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t i = begin; i < end; ++i) out[i] = linalg::dot(a.n, a.row(i), v);
  });
}

}  // namespace

SitePosterior::SitePosterior(const Kernel& kernel, std::span<const double> x, int64_t n)
    : n_(n), stride_(padded_stride(n)) {
  k_ = at::empty({n, stride_}, at::kDouble);
  b_ = at::empty({n, stride_}, at::kDouble);
  k_matrix_ = {k_.data_ptr<double>(), n, stride_};
  b_matrix_ = {b_.data_ptr<double>(), n, stride_};
  kernel.matrix(x.data(), n, k_matrix_.data, stride_);
}

double SitePosterior::prior(int64_t i) const { return k_matrix_.row(i)[i]; }

std::vector<double> SitePosterior::times_k(std::span<const double> v) const {
  std::vector<double> out(v.size());
  symmetric_times(k_matrix_, v.data(), out.data());
  return out;
}

bool SitePosterior::set(std::span<const double> precision, std::span<const double> shift) {
  inverted_ = false;
  precision_.assign(precision.begin(), precision.end());
  root_.resize(precision_.size());
  for (size_t i = 0; i < root_.size(); ++i) {
    if (!std::isfinite(precision_[i])) return false;
    root_[i] = std::sqrt(std::max(precision_[i], 0.0));
  }
  parallel_for(n_, rows_alone(n_), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double *from = k_matrix_.row(i), left = root_[static_cast<size_t>(i)];
      double* to = b_matrix_.row(i);
      for (int64_t j = 0; j < n_; ++j) to[j] = left * from[j] * root_[static_cast<size_t>(j)];
      to[i] += 1;
    }
  });
  const linalg::CholeskyReport report = linalg::cholesky(b_matrix_);
  if (!report.done) return false;
  log_determinant_ = linalg::log_determinant(b_matrix_);
  if (!take_wide()) return false;
  // alpha = b - R K b
  const std::vector<double> reach = times_k(shift);
  std::vector<double> v = reach;
  for (size_t i = 0; i < v.size(); ++i) v[i] *= root_[i];
  linalg::forward(b_matrix_, v.data(), 1);
  linalg::backward(b_matrix_, v.data(), 1);
  alpha_.resize(v.size());
  for (size_t i = 0; i < v.size(); ++i) alpha_[i] = shift[i] - root_[i] * v[i];
  add_wide(reach, 1, &alpha_);
  mean_ = times_k(alpha_);
  return std::isfinite(log_determinant_);
}

bool SitePosterior::take_wide() {
  wide_.clear();
  for (int64_t i = 0; i < n_; ++i) {
    if (precision_[static_cast<size_t>(i)] < 0) wide_.push_back(i);
  }
  const auto p = static_cast<int64_t>(wide_.size());
  const auto n = static_cast<size_t>(n_);
  wide_c_.assign(wide_.size() * n, 0.0);
  wide_m_.assign(wide_.size() * n, 0.0);
  if (p == 0) return true;
  // M = e - R K e, C = K M.
  for (size_t k = 0; k < wide_.size(); ++k) {
    const double* row = k_matrix_.row(wide_[k]);
    for (size_t j = 0; j < n; ++j) wide_m_[k * n + j] = root_[j] * row[j];
  }
  linalg::forward(b_matrix_, wide_m_.data(), p);
  linalg::backward(b_matrix_, wide_m_.data(), p);
  for (size_t k = 0; k < wide_.size(); ++k) {
    double* m = wide_m_.data() + k * n;
    for (size_t j = 0; j < n; ++j) m[j] *= -root_[j];
    m[wide_[k]] += 1;
    symmetric_times(k_matrix_, m, wide_c_.data() + k * n);
  }
  std::vector<double> t(wide_.size() * wide_.size());
  for (size_t k = 0; k < wide_.size(); ++k) {
    for (size_t l = 0; l < wide_.size(); ++l)
      t[k * wide_.size() + l] = -0.5 * (wide_c_[k * n + static_cast<size_t>(wide_[l])] +
                                        wide_c_[l * n + static_cast<size_t>(wide_[k])]);
    t[k * wide_.size() + k] -= 1 / precision_[static_cast<size_t>(wide_[k])];
  }
  const linalg::OneBlasThread one;
  if (linalg::potrf(p, t.data(), p) != 0) return false;
  for (size_t k = 0; k < wide_.size(); ++k)
    log_determinant_ += std::log(-precision_[static_cast<size_t>(wide_[k])]) +
                        2 * std::log(t[k * wide_.size() + k]);
  linalg::trsm_left(false, p, n_, t.data(), p, wide_m_.data(), n_);
  linalg::trsm_left(false, p, n_, t.data(), p, wide_c_.data(), n_);
  return true;
}

// out += sign M T^-1 M' v
void SitePosterior::add_wide(std::span<const double> v, double sign,
                             std::vector<double>* out) const {
  const auto n = static_cast<size_t>(n_);
  for (size_t k = 0; k < wide_.size(); ++k) {
    const double* m = wide_m_.data() + k * n;
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += m[j] * v[j];
    for (size_t j = 0; j < n; ++j) (*out)[j] += sign * sum * m[j];
  }
}

std::vector<double> SitePosterior::project(double* k, int64_t count) const {
  const auto n = static_cast<size_t>(n_);
  std::vector<double> wide(static_cast<size_t>(count) * wide_.size());
  for (int64_t i = 0; i < count; ++i) {
    double* row = k + i * n_;
    for (size_t w = 0; w < wide_.size(); ++w) {
      double& sum = wide[static_cast<size_t>(i) * wide_.size() + w];
      for (size_t j = 0; j < n; ++j) sum += wide_m_[w * n + j] * row[j];
    }
    for (size_t j = 0; j < n; ++j) row[j] *= root_[j];
  }
  linalg::forward(b_matrix_, k, count);
  return wide;
}

void SitePosterior::explain(double* k, int64_t count, double* explained) const {
  const std::vector<double> wide = project(k, count);
  for (int64_t i = 0; i < count; ++i) {
    explained[i] = 0;
    for (int64_t j = 0; j < n_; ++j) explained[i] += k[i * n_ + j] * k[i * n_ + j];
    for (size_t w = 0; w < wide_.size(); ++w) {
      const double along = wide[static_cast<size_t>(i) * wide_.size() + w];
      explained[i] -= along * along;
    }
  }
}

void SitePosterior::explain_pairs(double* k, int64_t count, double* explained) const {
  const std::vector<double> wide = project(k, count);
  const linalg::OneBlasThread one;
  linalg::gemm(false, true, count, count, n_, 1, k, n_, k, n_, 0, explained, count);
  const auto p = static_cast<int64_t>(wide_.size());
  if (p > 0)
    linalg::gemm(false, true, count, count, p, -1, wide.data(), p, wide.data(), p, 1, explained,
                 count);
}

void SitePosterior::invert() {
  if (inverted_) return;
  variance_.resize(static_cast<size_t>(n_));
  // Where a site is nothing beside the prior the difference 1 - [B^-1]_ii has no digits: those rows
  // are solved for while the factor is there.
  std::vector<int64_t> weak;
  for (int64_t i = 0; i < n_; ++i) {
    if (root_[static_cast<size_t>(i)] * root_[static_cast<size_t>(i)] * prior(i) < 1e-5)
      weak.push_back(i);
  }
  constexpr int64_t kSome = 256;
  for (size_t first = 0; first < weak.size(); first += kSome) {
    const size_t some = std::min<size_t>(kSome, weak.size() - first);
    std::vector<double> rows(some * static_cast<size_t>(n_));
    for (size_t r = 0; r < some; ++r)
      std::copy_n(k_matrix_.row(weak[first + r]), n_, rows.data() + r * static_cast<size_t>(n_));
    std::vector<double> explained(some);
    explain(rows.data(), static_cast<int64_t>(some), explained.data());
    for (size_t r = 0; r < some; ++r)
      variance_[static_cast<size_t>(weak[first + r])] =
          std::max(prior(weak[first + r]) - explained[r], 1e-12 * prior(weak[first + r]));
  }
  linalg::inverse(b_matrix_);
  parallel_for(n_, rows_alone(n_),
               [&](int64_t begin, int64_t end) {  // both halves: products read rows
                 for (int64_t i = begin; i < end; ++i) {
                   for (int64_t j = 0; j < i; ++j) b_matrix_.row(j)[i] = b_matrix_.row(i)[j];
                 }
               });
  trace_ = 0;
  for (int64_t i = 0; i < n_; ++i) {
    const double diagonal = b_matrix_.row(i)[i], root = root_[static_cast<size_t>(i)],
                 w = root * root;
    trace_ += diagonal;
    double wide = 0;
    for (size_t k = 0; k < wide_.size(); ++k) {
      const auto at = k * static_cast<size_t>(n_) + static_cast<size_t>(i);
      wide += wide_c_[at] * wide_c_[at];
      trace_ += wide_c_[at] * wide_m_[at];
    }
    if (w * prior(i) >= 1e-5)
      variance_[static_cast<size_t>(i)] = std::max((1 - diagonal) / w + wide, 1e-12 * prior(i));
  }
  inverted_ = true;
}

std::vector<double> SitePosterior::times_r(std::span<const double> v) const {
  std::vector<double> scaled(v.begin(), v.end()), out(scaled.size());
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= root_[i];
  symmetric_times(b_matrix_, scaled.data(), out.data());
  for (size_t i = 0; i < out.size(); ++i) out[i] *= root_[i];
  add_wide(v, -1, &out);
  return out;
}

void SitePosterior::contract(const Kernel& kernel, std::span<const double> x,
                             std::span<const double> u, std::span<double> gradient) const {
  const auto n = static_cast<size_t>(n_);
  kernel.contract(
      x.data(), n_,
      [&](const compute::PairBlock& t, double* w) {
        for (int64_t i = 0; i < t.rows; ++i) {
          const auto row = static_cast<size_t>(t.row + i);
          const double *b = b_matrix_.row(t.row + i) + t.column, *a = alpha_.data() + t.column,
                       *root = root_.data() + t.column;
          const double of_a = 0.5 * (alpha_[row] + (u.empty() ? 0 : u[row])),
                       of_b = 0.5 * root_[row], of_u = 0.5 * alpha_[row];
          double* out = w + i * t.columns;
          for (int64_t j = 0; j < t.columns; ++j) out[j] = of_a * a[j] - of_b * root[j] * b[j];
          for (int64_t j = 0; !u.empty() && j < t.columns; ++j)
            out[j] += of_u * u[static_cast<size_t>(t.column + j)];
          for (size_t k = 0; k < wide_.size(); ++k) {
            const double *m = wide_m_.data() + k * n, half = 0.5 * m[row];
            for (int64_t j = 0; j < t.columns; ++j) out[j] += half * m[t.column + j];
          }
        }
      },
      gradient);
}

}  // namespace covary::stat
