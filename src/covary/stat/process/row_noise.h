// What is known of the noise of single rows: row i has the noise of the kernel (its white), divided
// by the row's weight, plus a variance of its own,
//   var(y_i | f) = white(x_i) / w_i + v_i.
//
//   GaussianProcess gp(X, y, options, {v, w});        // [n] each, either may be undefined
//   GaussianProcess gp(X, y, options, v);             // variances alone
//
// A row of weight k is the mean of k values at one place: f, its posterior and the gradient by every
// parameter but the noise are those of the row repeated k times. The log marginal likelihood of the
// k copies, each equal to y_i, is that of the weighted row plus
//   -1/2 ((k - 1) log(2 pi s) + log k),    s = white(x_i),
// the density of k values that agree; by log s it adds -1/2 (k - 1) to the gradient, so that copies
// are taken for precise measurements, which weights are not.
// A weight of 0: the row carries nothing, and counts as one whose value is missing.
// Source: derived from N(y; f, s)^k = N(y; f, s / k) (2 pi s)^(-k/2) (2 pi s / k)^(1/2).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::stat {

class Kernel;

struct RowNoise {
  at::Tensor variances;  // [n], units of y^2, >= 0; undefined: none
  at::Tensor weights;    // [n], >= 0; undefined: 1 each

  RowNoise() = default;
  RowNoise(at::Tensor of_variances, at::Tensor of_weights = {})  // NOLINT: a tensor is variances
      : variances(std::move(of_variances)), weights(std::move(of_weights)) {}

  bool defined() const { return variances.defined() || weights.defined(); }
  // Whether the variances are noise enough: weights need a white that they divide.
  bool stands_alone() const { return variances.defined() && !weights.defined(); }
  // Throws Error(kData) naming the row for a variance or weight that is negative, NaN or infinite,
  // and where every weight is 0; Error(kUsage) for shapes and types.
  void check(int64_t n) const;
  RowNoise rows(const at::Tensor& chosen) const;  // by index
  int64_t weightless() const;                     // rows of weight 0
  // y [n] or [n,m] with NaN in the rows of weight 0.
  at::Tensor masked(const at::Tensor& y) const;
};

// The white of a kernel at points x [n, dims]: [n].
std::vector<double> white_diagonal(const Kernel& kernel, const double* x, int64_t n);

// What rows add to the diagonal of the kernel's matrix, white (1 / w - 1) + v; empty without both.
std::vector<double> row_terms(const Kernel& kernel, const double* x, int64_t n,
                              std::span<const double> variances, std::span<const double> weights);

// gradient [parameters] += sum_i g_i d white(x_i) / dlog(parameter).
void contract_white(const Kernel& kernel, const double* x, int64_t n, std::span<const double> g,
                    std::span<double> gradient);

// The same of the terms above: of what 1 / w - 1 times the white adds.
void contract_row_terms(const Kernel& kernel, const double* x, int64_t n,
                        std::span<const double> weights, std::span<const double> g,
                        std::span<double> gradient);

}  // namespace covary::stat
