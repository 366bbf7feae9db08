// Options of mixtures of von Mises-Fisher distributions; see von_mises_fisher_mixture.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct VonMisesFisherMixtureOptions {
  int64_t components = 2;
  std::string assignment =
      "soft";                // soft: EM | hard: each row to its likeliest component | cosine:
                             // to the nearest mean, one kappa for all (spherical k-means)
  int64_t starts = 1;        // seeds tried; the best goes on
  int64_t steps = 200;       // at most
  double tolerance = 1e-10;  // nats a row; stop when a step gains less
  double max_kappa = 1e9;    // a component of equal rows would grow without bound
  int64_t restarts = 10;     // of components that lost their rows
  bool normalise = false;    // scale rows to length 1; otherwise they must have it
  int64_t seed = 42;

  void describe(OptionList& o);
  void describe_details(OptionList& o);  // assignment, max_kappa, restarts, normalise
  void check() const;
};

}  // namespace covary::mixture
