// The matrix of a kernel over a set of points with its entries in floats, for the products that
// conjugate gradients repeat: half the memory and half the time of kernel_operator.h. The diagonal,
// where noise decides how solvable the matrix is, stays in doubles.
//
//   const SingleKernelOperator fast(kernel, x, n, noise, memory);
//   const KernelOperator exact(kernel, x, n, noise, 0);
//   conjugate_gradient(fast, &p, b, count, stops, iterations, out, &lanczos, &exact);
//
// Entries are off by 1e-7 of themselves and sums by as much of what they add: as a matrix it is K + E
// with |E| about 3e-8 sqrt(n) times the variance, which noise far above that does not feel, and what
// is felt the exact operator's residuals take away.
// n^2 / 2 entries once, or a product where memory (bytes) does not hold them; 2 n^2 flops a right-hand
// side, padded to multiples of compute::kLanes; 2 n^2 bytes kept, read once a product. The same bits
// at any number of threads, kept or not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "covary/core/linalg/operator.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/kernel_strips.h"
#include "covary/stat/process/kernel_tape.h"

namespace covary::stat {

class SingleKernelOperator : public linalg::LinearOperator {
 public:
  // Strips of rows are dealt to so many groups, whose sums are added in order.
  static constexpr int64_t kGroups = 16;
  static constexpr int64_t kRows = 128, kColumns = 256;  // of a tile: with its sums in cache

  // Kernel and points x [n, dims] must outlive the operator; noise [n] variances and weights [n] of
  // the rows, each may be empty; memory: bytes that tiles may take.
  SingleKernelOperator(const Kernel& kernel, const double* x, int64_t n,
                       std::span<const double> noise, int64_t memory,
                       std::span<const double> weights = {});
  int64_t size() const override { return n_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool kept() const { return stored_ != nullptr; }

 private:
  void fill(const compute::PairBlock& tile, KernelTape::Scratch& scratch, float* out) const;

  int64_t n_;
  LowerStrips strips_;
  KernelTape tape_;
  std::vector<double> diagonal_;
  std::unique_ptr<float[]> stored_;
};

}  // namespace covary::stat
