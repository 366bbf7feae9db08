#include "covary/stat/process/iterative_solver.h"

namespace covary::stat {

KernelSolver::KernelSolver(const Kernel& kernel, const GpGroup& group,
                           std::span<const int64_t> pivots, const IterativeOptions& options)
    : iterations_(options.iterations),
      exact_(kernel, group.x.data(), group.count(), group.noise,
             group.count() < options.single ? options.memory_limit : 0, group.weights),
      preconditioner_(kernel_preconditioner(kernel, group.x.data(), group.count(), group.noise,
                                            pivots, group.weights)) {
  if (group.count() >= options.single) {
    single_.emplace(kernel, group.x.data(), group.count(), group.noise, options.memory_limit,
                    group.weights);
  }
}

std::vector<linalg::Solve> KernelSolver::solve(const double* b, int64_t count,
                                               std::span<const linalg::Stop> stops, double* x,
                                               std::vector<linalg::Tridiagonal>* lanczos) const {
  return linalg::conjugate_gradient(products(), &preconditioner_.matrix, b, count, stops,
                                    iterations_, x, lanczos, single_ ? &exact_ : nullptr);
}

}  // namespace covary::stat
