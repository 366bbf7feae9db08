// The options that every verb has: what the machine may use, how much is said, and how long work is
// resumed.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::cli {

struct CommonOptions {
  int64_t seed = 42;                // same seed, thread count and machine: same bits
  int64_t threads = 0;              // 0 = all cores
  std::string device = "auto";      // auto | cpu | cuda[:i]
  std::string precision = "float";  // float | double: eval and render by the reference rasteriser
  int64_t max_memory = 0;    // bytes, 0 = no limit; refused with the estimate when impossible
  double time_budget = 0;    // s, 0 = no limit
  bool quiet = false;        // errors only
  bool verbose = false;      // more
  bool tty = false;          // forces the progress style; automatic when not set
  bool memory = false;       // print the peak at the end
  bool dry_run = false;      // check, print what would be done, write nothing
  bool resume = false;       // go on where the output folder's run stopped
  bool overwrite = false;    // a non-empty output may be replaced
  int64_t repeats = 1;       // runs a point of a sweep, seeds seed, seed + 1, ...
  std::string from, until;   // stage names; empty = the first, the last
  bool view = false;         // of a training: a page that shows it, on this machine
  std::string report, plot;  // files, of the kinds that the verb writes; empty = none
  bool parity = false;       // as the authors' release does, below presets, configs and flags

  void describe(OptionList& o);
  void check()
      const;  // Error(kUsage): a device that this build lacks, flags that contradict each other
};

}  // namespace covary::cli
