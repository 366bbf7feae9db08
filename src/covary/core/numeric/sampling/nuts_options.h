// How long the sampler of nuts.h runs, and how it adapts; see there.
#pragma once

#include <cstdint>
#include <functional>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::numeric {

struct NutsOptions {
  int64_t warm_up = 500;     // steps a chain that adapt and are thrown away, 1
  int64_t draws = 500;       // steps a chain that are kept, 1
  double acceptance = 0.8;   // mean acceptance that the step size is set for, 1
  int64_t depth = 10;        // doublings of a trajectory, at most, 1
  bool dense = false;        // a full covariance as metric; else its diagonal
  double divergence = 1000;  // error of the energy that counts as a divergence, nats
  int64_t seed = 0;          // of all chains
  // Called after each step of a chain, warm-up included, by the thread that walks it; what it throws
  // ends the sampling. Not described.
  std::function<void(int64_t chain)> stepped = {};

  void describe(OptionList& o) {
    o.add("warm_up", &warm_up, "steps a chain that adapt and are thrown away").range(0, 1e7);
    o.add("draws", &draws, "steps a chain that are kept").range(1, 1e7);
    o.add("acceptance", &acceptance, "mean acceptance that the step size is set for")
        .range(0.01, 0.999);
    o.add("depth", &depth, "doublings of a trajectory, at most").range(1, 20);
    o.add("dense", &dense, "a full covariance as metric, not its diagonal alone");
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "sampler options");
    };
    if (warm_up < 0) refuse("warm_up", "must not be negative");
    if (draws < 1) refuse("draws", "must be at least 1");
    if (!(acceptance > 0 && acceptance < 1)) refuse("acceptance", "must lie between 0 and 1");
    if (depth < 1 || depth > 20) refuse("depth", "must lie in [1, 20]");
    if (!(divergence > 0)) refuse("divergence", "must be positive");
    if (seed < 0) refuse("seed", "must not be negative");
  }
};

}  // namespace covary::numeric
