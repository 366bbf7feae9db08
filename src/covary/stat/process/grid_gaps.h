// The likelihood and the solutions of a process on a grid with cells that have no value, or whose
// values have noise of their own: the eigenvectors of the axes no longer diagonalise its matrix, but
// still do most of the work.
//
//   const GridGaps a(q, cells, noise, options);        // the matrix of the cells that have a value
//   at::Tensor alpha = a.solve(residual);              // [..., n_1, ..., n_d], 0 where there is none
//   a.log_determinant();  a.report().error;            // nats; 0 where it is exact
//
// With A = K + noise over all cells, B its inverse, o the cells with a value and m those without:
//   direct     A_oo^-1 = B_oo - B_om B_mm^-1 B_mo and |A_oo| = |A| |B_mm|: exact, O(m^2 N + m^3)
//              and 24 m N bytes; for up to options.holes cells without value, no own noise, and m N
//              up to 1e8
//   iterative  conjugate gradients with products K_1 (x) ... (x) K_d between the cells and B_oo as
//              preconditioner, which bounds their error too (A_oo^-1 <= B_oo); log |A_oo| and the
//              trace of its gradient by fixed probes, whose standard error is told
// Doubles; the same bits at any number of threads.
// Source: Zhang 2005 (Schur complements and complementary minors, chapters 0 and 1); Lin et al. 2024
// (latent Kronecker structure by projection, solved iteratively).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/core/linalg/operator.h"
#include "covary/stat/process/grid_spectrum.h"

namespace covary::stat {

struct GridCells {
  std::vector<int64_t> known, holes;  // cells in row order, both ascending
  std::vector<double> noise;          // of the known ones, variances beside the common; empty: none
};

struct GapOptions {
  int64_t holes = 2000;      // up to which they are solved for directly
  int64_t probes = 16;       // for determinant and traces, 1
  double tolerance = 1e-10;  // relative residual of solutions
  double probe_tolerance = 1e-4;
  int64_t iterations = 2000;  // of one solve, at most
  uint64_t seed = 0;          // of the probes
};

struct GapReport {
  bool direct = true;
  double error = 0;        // standard error of the log likelihood by probes, nats
  int64_t iterations = 0;  // products of the longest solve
  double residual = 0;     // largest, relative
};

class GridGaps {
 public:
  // q: of the axes' kernels and `noise`, good; q, cells and options must outlive it. Error(kFailed)
  // when a solution does not come to its tolerance. estimate: whether determinant and traces will be
  // asked for.
  GridGaps(const GridSpectrum& q, const GridCells& cells, double noise, const GapOptions& options,
           bool estimate);
  GridGaps(const GridGaps&) = delete;
  GridGaps& operator=(const GridGaps&) = delete;
  ~GridGaps();

  // A_oo^-1 t for t [count, n_1, ..., n_d]; entries of holes are not read, and 0 in the result.
  at::Tensor solve(const at::Tensor& t);
  double log_determinant() const { return log_determinant_; }
  double trace() const { return trace_; }  // of A_oo^-1
  // Of dA: the trace of A_oo^-1 dA / dlog(parameter) is the contraction with these weights, [n,n], of
  // axis k in the coordinates of its eigenvectors.
  at::Tensor trace_weights(int64_t axis) const;
  at::Tensor inverse_diagonal() const;  // of A_oo^-1, [n_1, ..., n_d], 0 for holes; direct alone
  // k' A_oo^-1 k for covariances with the cells: k [count, n_1, ..., n_d] in the coordinates of the
  // eigenvectors.
  at::Tensor explained(const at::Tensor& k);
  const GapReport& report() const { return report_; }

 private:
  at::Tensor on_grid(const double* rows, int64_t count) const;
  void off_grid(const at::Tensor& t, double* rows) const;
  void make_direct();
  void make_estimates();

  const GridSpectrum& q_;
  const GridCells& cells_;
  const GapOptions& options_;
  std::vector<int64_t> shape_;
  int64_t size_ = 1;
  // Direct: U = L^-1 B_m:, L L' = B_mm, with A_oo^-1 = B - U'U; [m, N], and turned.
  at::Tensor u_, turned_u_;
  // Iterative: operators, and solutions beside what they answer, turned, [probes, n_1, ..., n_d].
  std::unique_ptr<linalg::LinearOperator> matrix_, preconditioner_;
  at::Tensor left_, right_;
  double log_determinant_ = 0, trace_ = 0;
  GapReport report_;
};

}  // namespace covary::stat
