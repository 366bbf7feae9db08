#include "covary/core/linalg/dense_operators.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {
constexpr int64_t kBand = 256;  // rows of the matrix a task
}  // namespace

DenseOperator::DenseOperator(const Matrix& a, bool factor) : a_(a) {
  if (!factor) return;
  factor_.resize(static_cast<size_t>(a.n * a.n));
  for (int64_t i = 0; i < a.n; ++i) std::copy_n(a.row(i), a.n, factor_.data() + i * a.n);
  CholeskyReport report = cholesky({factor_.data(), a.n, a.n});
  if (report.jitter > 0) report.done = false;
  report.check("dense operator");
}

void DenseOperator::multiply(const double* rows, int64_t count, double* out) const {
  parallel_tasks((a_.n + kBand - 1) / kBand, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kBand, height = std::min(kBand, a_.n - begin);
    gemm(false, true, count, height, a_.n, 1, rows, a_.n, a_.row(begin), a_.stride, 0, out + begin,
         a_.n);
  });
}

void DenseOperator::diagonal(double* out) const {
  for (int64_t i = 0; i < a_.n; ++i) out[i] = a_.row(i)[i];
}

void DenseOperator::solve(double* rows, int64_t count) const {
  if (!direct()) LinearOperator::solve(rows, count);
  const Matrix factor{const_cast<double*>(factor_.data()), a_.n, a_.n};
  forward(factor, rows, count);
  backward(factor, rows, count);
}

double DenseOperator::log_determinant() const {
  if (!direct()) return LinearOperator::log_determinant();
  return linalg::log_determinant({const_cast<double*>(factor_.data()), a_.n, a_.n});
}

void DiagonalOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t n = size();
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t i = 0; i < n; ++i)
      out[c * n + i] = rows[c * n + i] * values_[static_cast<size_t>(i)];
  }
}

void DiagonalOperator::diagonal(double* out) const {
  std::copy(values_.begin(), values_.end(), out);
}

void DiagonalOperator::solve(double* rows, int64_t count) const {
  const int64_t n = size();
  for (int64_t i = 0; i < n; ++i) {
    if (values_[static_cast<size_t>(i)] == 0)
      throw Error(ExitCode::kFailed, "is singular: 0 at row " + std::to_string(i), "diagonal");
  }
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t i = 0; i < n; ++i) rows[c * n + i] /= values_[static_cast<size_t>(i)];
  }
}

double DiagonalOperator::log_determinant() const {
  double sum = 0;
  for (const double v : values_) sum += std::log(std::abs(v));
  return sum;
}

}  // namespace covary::linalg
