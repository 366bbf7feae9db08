// Options of Gaussian filters of nonlinear models; see nonlinear.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {

struct NonlinearOptions {
  std::string method = "ukf";   // ekf | ukf | ckf | ghf (Gauss-Hermite)
  std::string sigma = "merwe";  // points of the ukf: merwe (alpha, beta, kappa) | julier (kappa) |
                                // simplex (n + 2 points of equal weights)
  double alpha = 1;             // spread of merwe's points, 1; small ones cost digits, 1 / alpha^2
  double beta = 2;              // merwe: weight of the centre in covariances, 1
  double kappa = 0;             // > -n, 1
  int64_t iterations = 1;       // of an EKF's update (more: Gauss-Newton), 1
  int64_t points = 3;           // of the ghf, a state; points^n in all, at most 100,000

  void describe(OptionList& o) {
    o.add("method", &method, "kind of filter").choices({"ekf", "ukf", "ckf", "ghf"}).common();
    o.add("sigma", &sigma, "sigma points of the ukf").choices({"merwe", "julier", "simplex"});
    o.add("alpha", &alpha, "spread of sigma points").range(1e-6, 10);
    o.add("beta", &beta, "weight of the centre in covariances").range(-100, 100);
    o.add("kappa", &kappa, "secondary spread of sigma points").range(-16, 1000);
    o.add("iterations", &iterations, "iterations of an EKF's update").range(1, 1000);
    o.add("points", &points, "points a state of the ghf").range(2, 30);
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, rule, field);
    };
    if (method != "ekf" && method != "ukf" && method != "ckf" && method != "ghf")
      refuse("method", "is ekf, ukf, ckf or ghf");
    if (sigma != "merwe" && sigma != "julier" && sigma != "simplex")
      refuse("sigma", "is merwe, julier or simplex");
    if (!(alpha >= 1e-6 && alpha <= 10)) refuse("alpha", "must lie in [1e-6, 10]");
    if (!(beta >= -100 && beta <= 100)) refuse("beta", "must lie in [-100, 100]");
    if (!(kappa >= -16 && kappa <= 1000)) refuse("kappa", "must lie in [-16, 1000]");
    if (iterations < 1) refuse("iterations", "must be at least 1");
    if (points < 2 || points > 30) refuse("points", "must lie in [2, 30]");
  }
};

}  // namespace covary::filter
