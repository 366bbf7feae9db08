// Options of kernel densities; see kde.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct KernelDensityOptions {
  std::string kernel = "gaussian";  // gaussian | epanechnikov | tophat | exponential | linear |
                                    // cosine, all radial, | laplacian: exp(-sum |z_j|) | vmf:
                                    // directions, von Mises-Fisher of concentration 1 / width^2
  bool product = false;             // the product over columns of the kernel of one column
  std::string bandwidth =
      "scott";  // scott | silverman | isj | lcv | lscv: one width a column; or a
                // number, the width of every column in its unit
  std::string bandwidth_kind = "fixed";      // fixed | adaptive: widths go with the square root of
                                             // 1 / density | knn: with the distance to a neighbour
  int64_t neighbours = 0;                    // which neighbour; 0 = the square root of the rows
  std::string bandwidth_shape = "diagonal";  // diagonal | full: kernels lean as the data do
  std::string bounds = {};      // "COLUMN=LOW:HIGH,...", kde_bounds.h; columns by number, from 0
  double rtol = 0;              // relative error allowed of each density; 0 = none
  double atol = 0;              // absolute error allowed of each density, 1 / volume
  std::string engine = "auto";  // auto | exact | tree | moments (one column, gaussian) | fft
                                // (gaussian, fixed, up to three columns; within atol) | ifgt
                                // (gaussian, fixed, up to eight; within atol) | rff | nystrom:
                                // estimates without a bound (gaussian, exponential, laplacian)
  std::string tree = "kd";      // of engine tree: kd | ball | cover
  int64_t features = 2048;      // frequencies of rff
  int64_t landmarks = 512;      // rows of nystrom
  int64_t engine_seed = 0;      // of frequencies and landmarks

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::mixture
