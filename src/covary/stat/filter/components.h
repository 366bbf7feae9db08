// Structural models of a series from a short text: components that add up to what is observed.
//
//   Components c = Components::parse("level+seasonal(12)", 1);
//   fit_components(c, y);                          // fit_components.h
//   LinearModel m = c.model();                     // for kalman.h and everything else
//   c.state_names({"sales"});                      // level, seasonal, seasonal.lag1, ...
//
//   level(variance)             a random walk
//   constant                    a level that never moves
//   trend(level, slope)         a random walk with a slope that is one too; two variances
//   seasonal(period, variance)  effects of a period that add up to about 0
//   cycle(period, damping, variance)   a damped wave of about that many steps
//   ar(order, variance, phi1, phi2, ...)   a stationary autoregression
//   velocity(q, dt)             position and velocity; q is the density of white acceleration,
//                               units^2 / time^3, dt the time of a step (1)
//   acceleration(q, dt)         position, velocity, acceleration; q of white jerk, units^2 / time^5
//   noise(variance)             of the observation; added free where it is not written, unless all
//                               terms are ar, which have none
//
// A number that is written is fixed, "~3" starts a fit, what is left out is free. Of several
// columns each has the components for itself, and its own parameters with .1, .2, ... behind their
// names; q and dt are shared. A component that appears twice is seasonal and seasonal2.
//
// The start is diffuse for all but ar and cycle, which start in their stationary law.
//
// Errors: Error(kUsage) for the text, Error(kData) for values (parameters.h), Error(kUsage) naming
// the first parameter without a value from model().
//
// Source: Harvey 1989, sections 2.3 and 4.1; Durbin and Koopman 2012, section 3.2; Bar-Shalom, Li
// and Kirubarajan 2001, section 6.2 (velocity, acceleration).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/parameters.h"

namespace covary::filter {

class Components {
 public:
  // Whether every term is a name of this page: what other texts name stands in named_models.h.
  static bool knows(const std::vector<Term>& terms);
  static Components parse(const std::string& text, int64_t columns);

  const std::string& text() const { return text_; }
  int64_t columns() const { return columns_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  LinearModel model() const;
  int64_t states() const;
  // One name a state; names: of the columns.
  std::vector<std::string> state_names(const std::vector<std::string>& names) const;
  // The states that are the positions of the first two columns, or none.
  std::vector<int64_t> positions() const;

 private:
  enum class Kind { kLevel, kConstant, kTrend, kSeasonal, kCycle, kAr, kVelocity, kAcceleration };
  struct Part {
    Kind kind;
    std::string name;               // seasonal2
    int64_t size = 0;               // states a column; of a season and an ar by period and order
    std::vector<size_t> parameter;  // first parameter of each column
  };
  size_t add(const std::string& name, Parameter::Kind kind, const std::string& help);

  std::string text_;
  int64_t columns_ = 1;
  std::vector<Part> parts_;
  std::vector<size_t> noise_;  // parameter of each column; empty = none
  std::vector<Parameter> parameters_;
};

// Coefficients of an autoregression from partial autocorrelations in (-1, 1), and back; all
// stationary ones and no others. Source: Barndorff-Nielsen and Schou 1973. The way back gives a
// value outside (-1, 1) or NaN for coefficients that are not stationary.
std::vector<double> coefficients_of_partials(const std::vector<double>& partials);
std::vector<double> partials_of_coefficients(std::vector<double> coefficients);

}  // namespace covary::filter
