// Sums of Gaussians over the points of a leaf; SIMD by run-time dispatch. Within mixture only.
//
// The exponent of a pair is taken from a product, log2 of the kernel = x q - |x|^2 / 2 - |q|^2 / 2 in
// coordinates about the middle of the leaf (times log2 e), d multiply-adds; exponentials are taken
// only of the pairs that reach the query's floor, packed together. Weights enter as logarithms.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

struct GaussianLeaf {
  const double* columns;     // [d][count], in bandwidths, less the middle
  const double* starts;      // log2 weight - |x|^2 / 2 log2 e; -infinity for what pads
  int64_t count;             // a multiple of kKdePad
  const double* middle;      // [d]
  const double *low, *high;  // [d]: the box of the points, not less the middle
  double heaviest;           // the largest log2 weight, at most 0
};

// Bound of the relative error of a term, whatever its size, that the product makes when all points of
// the leaf lie within `radius` of its middle.
double gaussian_rounding(double radius, int64_t d);

class GaussianSums {
 public:
  // most: points of the largest leaf, padding included.
  GaussianSums(int64_t d, int64_t most);
  // sums[a] += sum over the leaf of weight exp(-|q_a - x|^2 / 2), of the terms above 2^floors[a];
  // queries [m,d], not less the middle. brief: exponentials to 1e-8 relative, else to rounding.
  void add(const GaussianLeaf& leaf, const double* queries, int64_t m, const double* floors,
           bool brief, double* sums);

 private:
  int64_t d_, room_;
  std::vector<double>
      factors_;  // of the queries that share a loaded point: about the middle, times log2 e
  std::vector<double> kept_;  // exponents that reach the floor
};

}  // namespace covary::mixture
