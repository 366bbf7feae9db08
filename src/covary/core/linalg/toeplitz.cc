#include "covary/core/linalg/toeplitz.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

constexpr int kRefinements = 2;

// sign * L L' b added to out, L lower triangular Toeplitz with the first column c.
void add_product(std::span<const double> c, std::span<const double> b, double sign,
                 std::span<double> out) {
  const auto n = static_cast<int64_t>(c.size());
  std::vector<double> reversed(c.rbegin(), c.rend()), x(c.size());
  for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(i)] = dot(n - i, c.data(), b.data() + i);
  for (int64_t i = 0; i < n; ++i) {
    out[static_cast<size_t>(i)] += sign * dot(i + 1, reversed.data() + (n - 1 - i), x.data());
  }
}

}  // namespace

ToeplitzFactor::ToeplitzFactor(std::span<const double> first) : first_(first.begin(), first.end()) {
  const size_t n = first.size();
  if (n == 0) return;
  const OneBlasThread one;
  // a: predicts a value from those before it, nearest first; e: the variance that is left.
  std::vector<double> a, backwards;
  double e = first[0];
  const auto check = [&](size_t row) {
    if (e > 0 && std::isfinite(e)) return;
    throw Error(
        ExitCode::kFailed,
        "is not positive definite: pivot " + std::to_string(e) + " at row " + std::to_string(row),
        "Toeplitz matrix", "add noise to the diagonal");
  };
  check(0);
  log_determinant_ = std::log(e);
  std::vector<double> lags(first.rbegin(), first.rend());  // lags[n - 1 - k] = first[k]
  for (size_t k = 1; k < n; ++k) {
    const double known =
        dot(static_cast<int64_t>(k - 1), a.data(), lags.data() + (n - k));  // first[k - 1 .. 1]
    const double g = (first[k] - known) / e;
    backwards.assign(a.rbegin(), a.rend());
    axpy(static_cast<int64_t>(k - 1), -g, backwards.data(), a.data());
    a.push_back(g);
    e *= (1 - g) * (1 + g);
    check(k);
    log_determinant_ += std::log(e);
  }
  column_.push_back(1 / e);
  for (const double v : a) column_.push_back(-v / e);
  shifted_.push_back(0);
  for (size_t i = n - 1; i > 0; --i) shifted_.push_back(column_[i]);
}

std::vector<double> ToeplitzFactor::apply_inverse(std::span<const double> b) const {
  std::vector<double> out(b.size());
  add_product(column_, b, 1, out);
  add_product(shifted_, b, -1, out);
  for (double& v : out) v /= column_[0];
  return out;
}

void ToeplitzFactor::solve(std::span<double> b) const {
  const int64_t n = size();
  if (n == 0) return;
  const OneBlasThread one;
  // Row i of T is a stretch of (first[n - 1], ..., first[0], ..., first[n - 1]).
  std::vector<double> both(first_.rbegin(), first_.rend());
  both.insert(both.end(), first_.begin() + 1, first_.end());
  std::vector<double> x = apply_inverse(b), residual(b.size());
  for (int turn = 0; turn < kRefinements; ++turn) {
    for (int64_t i = 0; i < n; ++i) {
      residual[static_cast<size_t>(i)] =
          b[static_cast<size_t>(i)] - dot(n, both.data() + (n - 1 - i), x.data());
    }
    const std::vector<double> step = apply_inverse(residual);
    axpy(n, 1, step.data(), x.data());
  }
  std::copy(x.begin(), x.end(), b.begin());
}

std::vector<double> ToeplitzFactor::inverse_lag_sums() const {
  const size_t n = first_.size();
  std::vector<double> sums(n);
  for (size_t lag = 0; lag < n; ++lag) {
    double sum = 0;
    for (size_t m = 0; m + lag < n; ++m) {
      sum += static_cast<double>(n - lag - m) *
             (column_[m] * column_[m + lag] - shifted_[m] * shifted_[m + lag]);
    }
    sums[lag] = sum / column_[0];
  }
  return sums;
}

}  // namespace covary::linalg
