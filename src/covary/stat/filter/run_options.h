// Options of a filter of any model by any method; see filter_run.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/stat/filter/filter_options.h"
#include "covary/stat/filter/nonlinear_options.h"
#include "covary/stat/filter/particle_options.h"

namespace covary::filter {

struct RunOptions {
  std::string method = "auto";  // auto (kalman where it is exact, else ukf) | kalman | ekf | ukf |
                                // ckf | ghf | particle
  KalmanOptions kalman;         // form
  NonlinearOptions nonlinear;   // sigma points; its method is `method`
  ParticleOptions particle;     // its method is `proposal`
  int64_t paths = 200;          // draws of the whole path that a particle smoother averages

  void describe(OptionList& o) {
    o.add("method", &method, "kind of filter; auto: kalman for linear models, else ukf")
        .choices({"auto", "kalman", "ekf", "ukf", "ckf", "ghf", "particle"})
        .common();
    kalman.describe(o);
    o.add("sigma", &nonlinear.sigma, "sigma points of the ukf")
        .choices({"merwe", "julier", "simplex"});
    o.add("alpha", &nonlinear.alpha, "spread of sigma points").range(1e-6, 10);
    o.add("beta", &nonlinear.beta, "weight of the centre in covariances").range(-100, 100);
    o.add("kappa", &nonlinear.kappa, "secondary spread of sigma points").range(-16, 1000);
    o.add("iterations", &nonlinear.iterations, "iterations of an EKF's update").range(1, 1000);
    o.add("points", &nonlinear.points, "points a state of the ghf").range(2, 30);
    o.add("particles", &particle.particles, "number of particles").range(1, 1e9).common();
    o.add("proposal", &particle.method, "how particles are proposed")
        .choices({"bootstrap", "auxiliary", "guided"});
    o.add("resampling", &particle.resampling, "how particles are drawn anew")
        .choices({"systematic", "stratified", "residual", "multinomial"});
    o.add("threshold", &particle.threshold,
          "share of effective particles below which they are drawn anew")
        .range(0, 1);
    o.add("paths", &paths, "draws that a particle smoother averages").range(1, 1e7);
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    kalman.check();
    NonlinearOptions n = nonlinear;
    n.method = method == "auto" || method == "kalman" || method == "particle" ? "ukf" : method;
    n.check();
    particle.check();
    if (paths < 1) throw Error(ExitCode::kUsage, "must be at least 1", "paths");
  }
};

}  // namespace covary::filter
