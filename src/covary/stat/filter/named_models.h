// Nonlinear models by name, with named parameters: what ekf, ukf, ckf and particle run on from the
// shell.
//
//   NamedModel m = NamedModel::parse("pendulum(dt=0.05, r=0.01)");
//   const NonlinearFiltered f = nonlinear_filter(m.gaussian(), y, {.method = "ekf"});
//   const ParticleFiltered g = particle_filter(m.particle(), y);
//   const Simulated s = m.simulate(500, 42);
//
//   pendulum        angle and rate of a noisy pendulum; sin(angle) is observed
//   growth          x' = x/2 + 25 x/(1 + x^2) + 8 cos(1.2 t) + w, y = x^2/20 + v
//   lorenz          Lorenz 1963 by Runge-Kutta steps; the first coordinate is observed
//   turn            a coordinated turn in the plane, rate unknown; x and y are observed
//   range-bearing   constant velocity in the plane; distance and angle from one sensor
//   bearings        constant velocity in the plane; angles from one sensor, or from two
//   volatility      log-variance h' = mu + phi (h - mu) + w, return y ~ N(0, exp h)
//
// Every model has parameters with defaults (info(), describe() lists them), names of its states and
// columns, and a start, mean0 and cov0, that may be replaced. Jacobians are exact (dual.h); angles
// are wrapped into (-pi, pi].
//
// volatility has no additive noise: particles use its exact density; Gaussian filters see
// log(y^2 + 1e-6 exp mu), whose noise has mean -1.2704 and variance pi^2/2 (prepare()).
//
// Errors: Error(kUsage) for unknown names, Error(kData) for values and starts.
//
// Sources: Gordon, Salmond and Smith 1993 (growth); Bar-Shalom, Li and Kirubarajan 2001, section
// 11.7 (turn); Harvey, Ruiz and Shephard 1994 (volatility); Saerkkae 2013, example 3.7 (pendulum).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/parameters.h"
#include "covary/stat/filter/particle.h"
#include "covary/stat/filter/simulate.h"

namespace covary::filter {

class NamedModel {
 public:
  static const std::vector<std::string>& names();
  static bool knows(const std::string& name);
  // A text of one term: name(key=value, ...).
  static NamedModel parse(const std::string& text);

  const std::string& name() const { return name_; }
  std::string text() const { return name_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::vector<std::string> states() const;   // names
  std::vector<std::string> columns() const;  // names of what is observed
  std::vector<int64_t> positions() const;    // states that are places in the plane, or none
  bool angles() const;                       // whether what is observed holds angles

  // The start; undefined = the model's own.
  at::Tensor mean0, cov0;

  // For Gaussian filters, and for particles.
  NonlinearModel gaussian() const;
  ParticleModel particle() const;
  // What Gaussian filters are given in place of y [T,p].
  at::Tensor prepare(const at::Tensor& y) const;
  Simulated simulate(int64_t steps, int64_t seed) const;

 private:
  double at(std::string_view name) const { return value_of(parameters_, name); }
  std::string name_;
  std::vector<Parameter> parameters_;
};

}  // namespace covary::filter
