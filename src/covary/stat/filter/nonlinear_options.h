// Options of Gaussian filters of nonlinear models; see nonlinear.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {

struct NonlinearOptions {
  std::string method = "ukf";   // ekf | ukf | ckf
  std::string sigma = "merwe";  // points of the ukf: merwe (alpha, beta, kappa) | julier (kappa)
  double alpha = 1;             // spread of merwe's points, 1; small ones cost digits, 1 / alpha^2
  double beta = 2;              // merwe: weight of the centre in covariances, 1
  double kappa = 0;             // > -n, 1
  int64_t iterations = 1;       // of an EKF's update (more: Gauss-Newton), 1

  void describe(OptionList& o) {
    o.add("method", &method, "kind of filter").choices({"ekf", "ukf", "ckf"}).common();
    o.add("sigma", &sigma, "sigma points of the ukf").choices({"merwe", "julier"});
    o.add("alpha", &alpha, "spread of sigma points").range(1e-6, 10);
    o.add("beta", &beta, "weight of the centre in covariances").range(-100, 100);
    o.add("kappa", &kappa, "secondary spread of sigma points").range(-16, 1000);
    o.add("iterations", &iterations, "iterations of an EKF's update").range(1, 1000);
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, rule, field);
    };
    if (method != "ekf" && method != "ukf" && method != "ckf")
      refuse("method", "is ekf, ukf or ckf");
    if (sigma != "merwe" && sigma != "julier") refuse("sigma", "is merwe or julier");
    if (!(alpha >= 1e-6 && alpha <= 10)) refuse("alpha", "must lie in [1e-6, 10]");
    if (!(beta >= -100 && beta <= 100)) refuse("beta", "must lie in [-100, 100]");
    if (!(kappa >= -16 && kappa <= 1000)) refuse("kappa", "must lie in [-16, 1000]");
    if (iterations < 1) refuse("iterations", "must be at least 1");
  }
};

}  // namespace covary::filter
