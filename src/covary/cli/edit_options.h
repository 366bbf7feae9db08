// `covary edit`: the chain of operations, and how scenes are read and written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

struct EditOptions {
  std::vector<std::string>
      operations;  // splat/scene/edit_options.h, in order; next_scene and merge among them

  std::string capture;                // whose cameras say what is seen; empty = those of the run
  int64_t views = 24;                 // that are asked what is seen, at most
  std::string axes = "auto";          // of the output, as covary convert
  std::string input_axes = "auto";    // of the inputs
  std::string format;                 // of the output; empty = by its extension
  std::string not_finite = "refuse";  // refuse | drop
  int64_t level = 0;                  // of an input with levels of detail
  bool keep_order = false;            // rows stay in their order in formats that would sort them

  void describe(OptionList& o);
  void check() const;  // Error(kUsage) naming the operation
};

}  // namespace covary::cli
