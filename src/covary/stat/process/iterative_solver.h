// Solutions with the matrix of a kernel over its rows: the operators, the preconditioner and
// conjugate gradients with them, made once for as many right-hand sides as come.
//
//   const KernelSolver solver(kernel, group, pivots, options);
//   std::vector<linalg::Solve> report = solver.solve(b, count, stops, x, nullptr);
//
// From options.single rows on the products are those of entries in floats
// (kernel_operator_single.h), and solutions with a stop by energy are checked and mended by products
// in doubles. Tiles are kept in options.memory_limit bytes, or computed anew for every product.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/iterative_options.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/kernel_operator.h"
#include "covary/stat/process/kernel_operator_single.h"

namespace covary::stat {

class KernelSolver {
 public:
  // Kernel, group and options must outlive it.
  KernelSolver(const Kernel& kernel, const GpGroup& group, std::span<const int64_t> pivots,
               const IterativeOptions& options);

  // As in conjugate_gradient.h.
  std::vector<linalg::Solve> solve(const double* b, int64_t count,
                                   std::span<const linalg::Stop> stops, double* x,
                                   std::vector<linalg::Tridiagonal>* lanczos) const;
  // The exact one.
  const KernelOperator& matrix() const { return exact_; }
  // The one that is multiplied by most of the time.
  const linalg::LinearOperator& products() const {
    return single_ ? static_cast<const linalg::LinearOperator&>(*single_) : exact_;
  }
  const KernelPreconditioner& preconditioner() const { return preconditioner_; }

 private:
  int64_t iterations_;
  KernelOperator exact_;
  std::optional<SingleKernelOperator> single_;
  KernelPreconditioner preconditioner_;
};

}  // namespace covary::stat
