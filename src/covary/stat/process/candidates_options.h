// How the best batch by an acquisition function is looked for; see candidates.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::stat {

struct CandidateOptions {
  int64_t trials = 512;      // spread over the space, 1
  int64_t near = 128;        // besides, near the incumbents, 1
  int64_t starts = 10;       // of them that are climbed, 1
  int64_t iterations = 200;  // of a climb, at most, 1

  void describe(OptionList& o) {
    o.add("trials", &trials, "trial batches spread over the space").range(1, 1e7);
    o.add("near", &near, "trial batches near the best points so far").range(0, 1e7);
    o.add("starts", &starts, "trial batches that are climbed").range(1, 1e5);
    o.add("iterations", &iterations, "steps of a climb").range(0, 1e6);
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "candidate options");
    };
    if (trials < 1) refuse("trials", "must be at least 1");
    if (near < 0) refuse("near", "must not be negative");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (iterations < 0) refuse("iterations", "must not be negative");
  }
};

}  // namespace covary::stat
