// The marginal likelihood of a Gaussian process as an object: value, gradient, and the factor that
// everything after the fit is made of.
//
//   MarginalLikelihood likelihood(data, memory_limit);
//   MarginalValue v = likelihood.evaluate(kernel, gradient);   // gradient by log parameters
//   PosteriorFactor f = factorise(kernel, data, data.groups[0]);
//
// With residual r = y - H b, b by generalised least squares, and K the kernel's matrix with noise:
//   log p = -1/2 r' K^-1 r - 1/2 log |K| - n/2 log 2 pi,        summed over outputs;
//   d log p / dt = 1/2 tr((a a' - K^-1) dK / dt),  a = K^-1 r.
// (b is at its optimum, so it adds nothing to the derivative.) Integrated over b with a flat density
// instead, as the posterior of the parameters asks for, an output's log p grows by
//   p/2 log 2 pi - 1/2 log |H' K^-1 H|.
// One n x n buffer: the factor, then
// the inverse over it, then one pass of tiles. n^3 flops and 8 n^2 bytes a group of outputs.
// Source: Rasmussen and Williams 2006, eq. 2.30, 2.37 to 2.45 (mean with coefficients), 5.9.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

// K = L L' of one group, and the solutions with it.
struct PosteriorFactor {
  at::Tensor buffer;      // rows of `stride`; lower half L, strict upper half K
  linalg::Matrix factor;  // a view of it
  linalg::CholeskyReport report;
  std::vector<double> alpha;         // [outputs, rows]
  std::vector<double> coefficients;  // of the mean, [outputs, p]
  std::vector<double> basis;         // L^-1 H, [p, rows]
  std::vector<double> gram;          // Cholesky factor of H' K^-1 H, [p, p]
  double log_likelihood = 0;         // of all outputs of the group
};

// Elements between rows: whole cache lines, and no power of two that would crowd one cache set.
int64_t padded_stride(int64_t n);

// K with all noise in an n x n buffer with rows of `stride`, and its factor. Throws Error(kFailed)
// when K is not positive definite after the jitter ladder.
PosteriorFactor factorise(const Kernel& kernel, const GpData& data, const GpGroup& group);

// What follows from factor and y: alpha, coefficients, basis, gram, log_likelihood.
void solve_group(const GpGroup& group, int64_t coefficients, PosteriorFactor* f);

// K^-1 H G^-1/2 of a solved group, [rows, p], G = H' K^-1 H with p coefficients: what the mean's being
// unknown takes off K^-1, r_i . r_j an entry.
std::vector<double> mean_rows(const PosteriorFactor& f, int64_t p);

enum class MeanCoefficients { kBest, kIntegrated };

struct MarginalValue {
  double log_likelihood = 0;      // -infinity when the factorisation failed
  linalg::CholeskyReport report;  // of the group that failed, or with the most jitter
};

class MarginalLikelihood {
 public:
  // data must outlive the object. Throws Error(kFailed) when the matrix of the largest group needs
  // more than memory_limit bytes.
  MarginalLikelihood(const GpData& data, int64_t memory_limit);
  // gradient [parameters of the kernel] by their logarithms, or empty. Not from two threads at
  // once: the buffer is one.
  MarginalValue evaluate(const Kernel& kernel, std::span<double> gradient,
                         MeanCoefficients mean = MeanCoefficients::kBest);

 private:
  const GpData& data_;
  at::Tensor buffer_;
};

}  // namespace covary::stat
