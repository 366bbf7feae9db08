// How the posterior of a process's parameters is sampled; see hyper_sample.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::stat {

// Where the sampling is, before each evaluation of the density.
struct SampleStep {
  int64_t done = 0, total = 0;  // steps of all chains, warm-up included
  double log_density = 0;       // that was met last
};
// Sees each of them, one at a time but from any thread, to report on long chains or to end them: false.
using SampleWatch = std::function<bool(const SampleStep&)>;

struct HyperSampleOptions {
  int64_t chains = 4;       // started apart, 1
  int64_t warm_up = 500;    // steps a chain that adapt and are thrown away, 1
  int64_t draws = 500;      // steps a chain that are kept, 1
  int64_t mixed = 100;      // draws that a prediction mixes, evenly over all; 0: all, 1
  double acceptance = 0.8;  // mean acceptance that the step size is set for, 1
  // gamma, dim-scaled, weak: of parameters that have no prior, see priors.h; what it leaves flat gets
  // that of set_proper_priors. none: refused while any is flat.
  std::string priors = "gamma";
  SampleWatch watch = {};                 // none: nothing is seen; not described
  int64_t seed = 0;                       // not described: verbs have their own
  int64_t memory_limit = 32'000'000'000;  // bytes for kernel matrices; likewise

  void describe(OptionList& o) {
    o.add("chains", &chains, "chains, started apart").range(1, 1000);
    o.add("warm_up", &warm_up, "steps a chain that adapt and are thrown away").range(0, 1e6);
    o.add("draws", &draws, "steps a chain that are kept").range(4, 1e6);
    o.add("mixed", &mixed, "draws that a prediction mixes, evenly over all; 0: all").range(0, 1e6);
    o.add("acceptance", &acceptance, "mean acceptance that the step size is set for")
        .range(0.01, 0.999);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "sampling options");
    };
    if (chains < 1) refuse("chains", "must be at least 1");
    if (warm_up < 0) refuse("warm_up", "must not be negative");
    if (draws < 4) refuse("draws", "must be at least 4");
    if (mixed < 0) refuse("mixed", "must not be negative");
    if (!(acceptance > 0 && acceptance < 1)) refuse("acceptance", "must lie between 0 and 1");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 1) refuse("memory_limit", "must be at least 1");
  }
};

}  // namespace covary::stat
