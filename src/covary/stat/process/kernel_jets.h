// Covariances between values and derivatives of a process: k, dk/dx_a, dk/dx'_b and d2k/dx_a dx'_b of
// any composition of smooth leaves.
//
//   KernelJets jets(kernel);                       // Error(kUsage) names a leaf that is not smooth
//   jets.cross(x, n, along_x, y, m, along_y, out, m);
//
// along [rows]: -1 where a row stands for the value, else the column by which it is the derivative.
// Smooth enough: rbf, rq, periodic, cosine, const, linear, polynomial, matern32, matern52, matern of nu
// > 1, wendland of smoothness >= 1. Matern 1/2 and pair functions are not. White is noise of values:
// it stands on the diagonal of `matrix` for rows that are values. Warped leaves are smooth inside their
// range; at its ends the slope is that of kernel_warp.h.
// One walk over the kernel's tree a pair, with hyper-dual numbers (value, two slopes, mixed second
// derivative): about 30 ns a leaf. For the large matrices of values alone there is kernel_tape.h.
// Source: Rasmussen and Williams 2006, eq. 9.1; Fike and Alonso 2011 (hyper-dual numbers).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/process/kernel.h"
#include "covary/stat/process/radial.h"

namespace covary::stat {

class KernelJets {
 public:
  // Why the derivatives of a process with this kernel do not exist; empty when they do.
  static std::string obstacle(const Kernel& kernel);
  explicit KernelJets(const Kernel& kernel);

  // out [n, m], rows `stride` apart; x, y row by row.
  void cross(const double* x, int64_t n, const int64_t* along_x, const double* y, int64_t m,
             const int64_t* along_y, double* out, int64_t stride) const;
  // Both halves, white included.
  void matrix(const double* x, int64_t n, const int64_t* along, double* out, int64_t stride) const;
  // Prior variances; white where it is asked for and the row is a value.
  void diagonal(const double* x, int64_t n, const int64_t* along, bool with_white,
                double* out) const;

 private:
  struct Jet {
    double v = 0, a = 0, b = 0, ab = 0;
  };
  struct Scratch {
    std::vector<Jet> stack;                  // by node
    std::vector<double> warped_x, warped_y;  // of a leaf
  };
  Scratch scratch() const;
  // The derivative of a row and a column; white: both are one row.
  double entry(const double* x, int64_t a, const double* y, int64_t b, bool white,
               Scratch& scratch) const;
  // The leaf in warped coordinates, and the chain rule.
  Jet warped_jet(const Kernel::Leaf& leaf, const double* x, int64_t a, const double* y, int64_t b,
                 bool white, Scratch& scratch) const;
  double warp_slope(const KernelWarp& warp, const double* x, int64_t column) const;
  Jet leaf_jet(const Kernel::Leaf& leaf, const double* x, int64_t a, const double* y, int64_t b,
               bool white) const;
  Jet radial(const RadialFunction& f, const Kernel::Leaf& leaf, const double* x, int64_t a,
             const double* y, int64_t b) const;

  Kernel kernel_;
};

}  // namespace covary::stat
