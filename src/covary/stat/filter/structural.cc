#include "covary/stat/filter/structural.h"

#include <cmath>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

void StructuralOptions::check() const {
  const auto variance = [](double v, const char* field) {
    if (!(v >= 0) || std::isinf(v)) {
      throw Error(ExitCode::kUsage, "must be a variance: finite and not negative", field);
    }
  };
  variance(observation, "observation");
  variance(level, "level");
  if (slope) variance(*slope, "slope");
  variance(season, "season");
  if (period < 0 || period == 1) {
    throw Error(ExitCode::kUsage, "must be 0 (no season) or at least 2", "period");
  }
}

LinearModel structural_model(const StructuralOptions& options) {
  options.check();
  const int64_t trend = options.slope ? 2 : 1;
  const int64_t season = options.period > 0 ? options.period - 1 : 0, n = trend + season;
  MatrixXd f = MatrixXd::Zero(n, n), q = f, h = MatrixXd::Zero(1, n);
  f(0, 0) = h(0, 0) = 1;
  q(0, 0) = options.level;
  if (options.slope) {
    f(0, 1) = f(1, 1) = 1;
    q(1, 1) = *options.slope;
  }
  if (season > 0) {
    f.block(trend, trend, 1, season).setConstant(-1);
    f.block(trend + 1, trend, season - 1, season - 1).setIdentity();
    q(trend, trend) = options.season;
    h(0, trend) = 1;
  }
  LinearModel m;
  m.f = tensor_of(f);
  m.q = tensor_of(q);
  m.h = tensor_of(h);
  m.r = tensor_of(MatrixXd::Constant(1, 1, options.observation).eval());
  m.mean0 = tensor_of(VectorXd::Zero(n).eval());
  m.cov0 = tensor_of(MatrixXd::Zero(n, n).eval());
  m.diffuse = tensor_of(MatrixXd::Identity(n, n).eval());
  return m;
}

LinearModel local_level(double level, double observation) {
  return structural_model(
      {.observation = observation, .level = level, .slope = {}, .period = 0, .season = 1});
}

LinearModel local_linear_trend(double level, double slope, double observation) {
  return structural_model(
      {.observation = observation, .level = level, .slope = slope, .period = 0, .season = 1});
}

}  // namespace covary::filter
