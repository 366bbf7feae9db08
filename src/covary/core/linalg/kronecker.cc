#include "covary/core/linalg/kronecker.h"

#include <algorithm>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {

KroneckerOperator::KroneckerOperator(std::vector<Matrix> parts, bool factor)
    : parts_(std::move(parts)) {
  if (parts_.empty())
    throw Error(ExitCode::kUsage, "needs one part at least", "Kronecker operator");
  for (const Matrix& p : parts_) {
    size_ *= p.n;
    if (!factor) continue;
    std::vector<double> copy(static_cast<size_t>(p.n * p.n));
    for (int64_t i = 0; i < p.n; ++i) std::copy_n(p.row(i), p.n, copy.data() + i * p.n);
    CholeskyReport report = cholesky({copy.data(), p.n, p.n});
    if (report.jitter > 0) report.done = false;
    report.check("part of a Kronecker product");
    factors_.push_back(std::move(copy));
  }
}

void KroneckerOperator::multiply(const double* rows, int64_t count, double* out) const {
  std::vector<double> from(rows, rows + count * size_);
  int64_t after = size_;
  for (const Matrix& p : parts_) {
    after /= p.n;
    // Every fibre along this axis: [p.n, after] blocks, one below the other.
    const int64_t blocks = count * size_ / (p.n * after);
    parallel_for(blocks, (1 << 16) / (p.n * after) + 1, [&](int64_t begin, int64_t end) {
      const OneBlasThread one;
      for (int64_t b = begin; b < end; ++b) {
        gemm(false, false, p.n, after, p.n, 1, p.data, p.stride, from.data() + b * p.n * after,
             after, 0, out + b * p.n * after, after);
      }
    });
    if (&p != &parts_.back()) std::copy_n(out, count * size_, from.data());
  }
}

void KroneckerOperator::diagonal(double* out) const {
  std::fill_n(out, size_, 1.0);
  int64_t after = size_;
  for (const Matrix& p : parts_) {
    after /= p.n;
    for (int64_t i = 0; i < size_; ++i) {
      const int64_t k = i / after % p.n;
      out[i] *= p.row(k)[k];
    }
  }
}

void KroneckerOperator::solve(double* rows, int64_t count) const {
  if (!direct()) LinearOperator::solve(rows, count);
  int64_t after = size_;
  for (size_t k = 0; k < parts_.size(); ++k) {
    const int64_t n = parts_[k].n;
    after /= n;
    const double* factor = factors_[k].data();
    const int64_t blocks = count * size_ / (n * after);
    parallel_for(blocks, (1 << 16) / (n * after) + 1, [&](int64_t begin, int64_t end) {
      const OneBlasThread one;
      for (int64_t b = begin; b < end; ++b) {
        double* block = rows + b * n * after;
        trsm_left(false, n, after, factor, n, block, after);
        trsm_left(true, n, after, factor, n, block, after);
      }
    });
  }
}

double KroneckerOperator::log_determinant() const {
  if (!direct()) return LinearOperator::log_determinant();
  double sum = 0;
  for (size_t k = 0; k < parts_.size(); ++k) {
    const int64_t n = parts_[k].n;
    sum += static_cast<double>(size_ / n) *
           linalg::log_determinant({const_cast<double*>(factors_[k].data()), n, n});
  }
  return sum;
}

double KroneckerOperator::trace() const {
  double product = 1;
  for (const Matrix& p : parts_) {
    double sum = 0;
    for (int64_t i = 0; i < p.n; ++i) sum += p.row(i)[i];
    product *= sum;
  }
  return product;
}

}  // namespace covary::linalg
