// The matrix of a kernel over a set of points as a linear operator: its lower half in tiles that are
// kept where memory allows, else computed anew for every product and used for all right-hand sides.
//
//   const KernelOperator k(kernel, x, n, noise, memory);  // K + diag(noise), white inside K,
//                                                         // divided by weights of rows
//   k.multiply(rows, count, out);
//   linalg::LowRankOperator p = kernel_preconditioner(kernel, x, n, noise, pivots);
//
// Half of the entries are computed, each used twice. n^2 / 2 entries once or a product, 2 n^2 count
// flops a product; 8 n count kGroups bytes and, where tiles are kept, 4 n^2. The same bits at any
// number of threads, kept or not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/core/linalg/low_rank.h"
#include "covary/core/linalg/operator.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/kernel_strips.h"
#include "covary/stat/process/kernel_tape.h"

namespace covary::stat {

class KernelOperator : public linalg::LinearOperator {
 public:
  // Strips of rows are dealt to so many groups, whose sums are added in order.
  static constexpr int64_t kGroups = 16;

  // Kernel and points x [n, dims] must outlive the operator; noise [n] variances and weights [n], or
  // empty (row_noise.h); memory: bytes that tiles may take.
  KernelOperator(const Kernel& kernel, const double* x, int64_t n, std::span<const double> noise,
                 int64_t memory, std::span<const double> weights = {});
  int64_t size() const override { return n_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  // sum_ij (K - P)_ij^2 / (D_i D_j), D the diagonal part of P.
  double scaled_rest(const linalg::LowRankOperator& p) const;

 private:
  const Kernel& kernel_;
  const double* x_;
  int64_t n_;
  LowerStrips strips_;
  KernelTape tape_;
  std::vector<double> noise_;
  std::unique_ptr<double[]> stored_;
};

// Traces of B and B^2, B = P^-1/2 K P^-1/2: exact, by K - P = R entry by entry and its products with
// the preconditioner's factor. 3 n^2 rank flops.
linalg::SpectrumTraces spectrum_traces(const KernelOperator& k, const linalg::LowRankOperator& p);

// Variance of each row beside the smooth part of the kernel: its white, divided by weights [n] (or
// empty), and noise [n] (or empty).
std::vector<double> noise_diagonal(const Kernel& kernel, const double* x, int64_t n,
                                   std::span<const double> noise,
                                   std::span<const double> weights = {});

// Rows that a partial Cholesky factorisation of the kernel without white takes first, at most
// `rank`.
std::vector<int64_t> kernel_pivots(const Kernel& kernel, const double* x, int64_t n, int64_t rank);

// K_nm K_mm^-1 K_mn + diag: what the kernel is dominated by, of the rows `pivots`. As a function of
// the kernel's parameters it is smooth.
struct KernelPreconditioner {
  linalg::LowRankOperator matrix;
  std::vector<double> points;  // of the pivots, [m, dims]
  std::vector<double> factor;  // L of K_mm, [m, m]
};
KernelPreconditioner kernel_preconditioner(const Kernel& kernel, const double* x, int64_t n,
                                           std::span<const double> noise,
                                           std::span<const int64_t> pivots,
                                           std::span<const double> weights = {});

}  // namespace covary::stat
