// Options of particle filters; see particle.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {

struct ParticleOptions {
  int64_t particles = 1000;               // 1
  std::string method = "bootstrap";       // bootstrap | auxiliary | guided
  std::string resampling = "systematic";  // systematic | stratified | residual | multinomial
  double threshold =
      0.5;  // but for auxiliary: resample when the effective sample size is below this share
            // of the particles, 1
  int64_t seed = 42;

  void describe(OptionList& o) {
    o.add("particles", &particles, "number of particles").range(1, 1e9).common();
    o.add("method", &method, "how particles are proposed")
        .choices({"bootstrap", "auxiliary", "guided"})
        .common();
    o.add("resampling", &resampling, "how particles are drawn anew")
        .choices({"systematic", "stratified", "residual", "multinomial"});
    o.add("threshold", &threshold, "share of effective particles below which they are drawn anew")
        .range(0, 1);
    o.add("seed", &seed, "seed").common();
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, rule, field);
    };
    if (particles < 1) refuse("particles", "must be at least 1");
    if (method != "bootstrap" && method != "auxiliary" && method != "guided")
      refuse("method", "is bootstrap, auxiliary or guided");
    if (resampling != "systematic" && resampling != "stratified" && resampling != "residual" &&
        resampling != "multinomial") {
      refuse("resampling", "is systematic, stratified, residual or multinomial");
    }
    if (!(threshold >= 0 && threshold <= 1)) refuse("threshold", "must lie in [0, 1]");
  }
};

}  // namespace covary::filter
