#include "covary/core/linalg/toeplitz_operator.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"

namespace covary::linalg {

ToeplitzOperator::ToeplitzOperator(std::vector<double> first, bool factor)
    : first_(std::move(first)) {
  if (first_.empty()) throw Error(ExitCode::kUsage, "has no rows", "Toeplitz operator");
  const int64_t n = size();
  for (period_ = 1; period_ < 2 * n; period_ *= 2) {
  }
  at::Tensor column = at::zeros({period_}, at::kDouble);
  double* c = column.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) {
    c[i] = first_[static_cast<size_t>(i)];
    if (i > 0) c[period_ - i] = c[i];
  }
  spectrum_ = at::real(at::fft_rfft(column)).contiguous();
  if (factor) factor_ = std::make_unique<ToeplitzFactor>(first_);
}

void ToeplitzOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t n = size();
  const at::Tensor b = at::from_blob(const_cast<double*>(rows), {count, n}, at::kDouble);
  const at::Tensor product =
      at::fft_irfft(at::fft_rfft(b, period_) * spectrum_, period_).slice(1, 0, n).contiguous();
  std::copy_n(product.const_data_ptr<double>(), count * n, out);
}

void ToeplitzOperator::diagonal(double* out) const { std::fill_n(out, size(), first_[0]); }

void ToeplitzOperator::solve(double* rows, int64_t count) const {
  if (!direct()) LinearOperator::solve(rows, count);
  const int64_t n = size();
  for (int64_t c = 0; c < count; ++c) {
    factor_->solve(std::span(rows + c * n, static_cast<size_t>(n)));
  }
}

double ToeplitzOperator::log_determinant() const {
  return direct() ? factor_->log_determinant() : LinearOperator::log_determinant();
}

}  // namespace covary::linalg
