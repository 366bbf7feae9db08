// `covary convert`: how scene files are read, and what of them is written.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::cli {

struct ConvertOptions {
  int64_t sh_degree = -1;     // highest that is written; -1 = all
  std::string axes = "auto";  // of the output: auto (as the format has them) | as-is | rub ...
  std::string input_axes = "auto";    // of the inputs: auto | as-is | rdf | rub ...
  std::string format;                 // of the output; empty = by its extension
  std::string not_finite = "refuse";  // refuse | drop: splats that hold NaN or infinity
  int64_t level = 0;                  // of an input with levels of detail; 0 = the finest
  bool keep_order = false;            // rows stay in their order
  std::string against;                // what --report compares with; empty = the inputs
  int64_t views = 8;                  // that --report compares; 0 = sizes alone
  int64_t spz_version = 3;            // 2 | 3 | 4
  int64_t spz_sh_bits = 0;            // of an SH coefficient, 1..8; 0 = 5 and 4, as Niantic's
  bool gltf_spz = false;              // glTF: splats as a .spz within
  int64_t ksplat_level = 1;           // 0 | 1 | 2
  int64_t sog_sweeps = 6;             // of k-means over the palette
  int64_t webp_effort = 5;            // 0..9, of SOG

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::cli
