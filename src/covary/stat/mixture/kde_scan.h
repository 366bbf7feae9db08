// Sums of one radial kernel at many widths from one pass over the distances. Within mixture only.
//
//   ScanPoints points(x, weights, n, d);                        // x [n,d] in the base widths
//   points.log_sums(kernel, queries, own, m, shrinks, count, out);
//
// Widths are the base widths times a factor each, so that s (kde_kernel.h) is that of the base times
// a number, its shrink. Kernels without end are exp(-rate u) with u = s or its root: every width has its
// sum relative to the nearest point, so that none underflows, and where a rate is twice another its
// terms are the other's, squared, for one multiplication in place of an exponential (a rounding error
// doubles with every squaring; seven cost two digits). Points are taken in tiles, near ones first; a tile
// whose terms could not reach 2^-60 of a width's sum is left out for it. Cost: m n distances, and what
// the widths in reach of each tile ask.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/kde_kernel.h"

namespace covary::mixture {

class ScanPoints {
 public:
  ScanPoints(const std::vector<double>& x, const std::vector<double>& weights, int64_t n,
             int64_t d);

  // out[a * count + b] = log of sum over points i of weights[i] kernel(shrinks[b] s(query_a - x_i)),
  // without row own[a] (-1: with all; null: with all). -inf where the sum is 0. queries [m,d]; not
  // for products.
  void log_sums(Kernel kernel, const double* queries, const int64_t* own, int64_t m,
                const double* shrinks, int64_t count, double* out) const;

 private:
  struct Tile {
    int64_t begin, count;  // of places; count a multiple of kKdePad
  };
  int64_t d_;
  double total_ = 0;
  std::vector<Tile> tiles_;
  std::vector<double> low_, high_;  // [tiles,d]
  std::vector<double> columns_;     // a tile is [d][count]
  std::vector<double> weights_;     // by place
  std::vector<int64_t> places_;     // of a row
};

}  // namespace covary::mixture
