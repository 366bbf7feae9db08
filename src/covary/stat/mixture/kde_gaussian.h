// Sums of Gaussians over the points of a leaf for a block of queries; SIMD by run-time dispatch. Within
// mixture only.
//
// The exponent of a pair is taken from a product, log2 of the kernel = x q - |x|^2 / 2 - |q|^2 / 2 in
// coordinates about the middle of the block (times log2 e), d multiply-adds; exponentials are taken
// only of the pairs that reach the query's floor, packed together. Weights enter as logarithms.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

class GaussianBlock {
 public:
  // Queries [m,d] in bandwidths, m at most kKdeQueries; most: points of the largest leaf.
  GaussianBlock(const double* queries, int64_t m, int64_t d, int64_t most);

  // Bound of the relative error of a term from the product's rounding, whatever its size.
  double rounding() const { return rounding_; }

  // A leaf: columns [d][stride] of which [begin, end) are its points, multiples of kKdePad; log2 of
  // their weights, -infinity for what pads; the box [low, high] of the points.
  struct Leaf {
    const double* columns;
    int64_t stride;
    const double* log2_weights;
    int64_t begin, end;
    const double *low, *high;
    double heaviest;  // the largest of log2_weights
  };
  // sums[a] += sum over the leaf of weight exp(-|q_a - x|^2 / 2), of the terms above 2^floors[a].
  // brief: exponentials to 1e-8 relative, else to rounding. Weights must be at most 1.
  void add(const Leaf& leaf, const double* floors, bool brief, double* sums);

 private:
  int64_t m_, d_, most_;
  double rounding_ = 0;
  std::vector<double> middle_;            // [d]
  std::vector<double> queries_;           // [m,d], about the middle
  std::vector<double> factors_;           // the same, times log2 e
  std::vector<double> offsets_;           // -|q|^2 / 2 log2 e
  std::vector<double> columns_, starts_;  // of the leaf, about the middle
  std::vector<double> kept_;              // exponents that reach the floor
};

}  // namespace covary::mixture
