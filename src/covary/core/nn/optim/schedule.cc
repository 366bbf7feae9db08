#include "covary/core/nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "covary/core/base/error.h"

namespace covary::nn {

double Schedule::at(int64_t step) const {
  double rate = from;
  if (steps > 0 && from > 0 && to != from) {  // equal ends: constant to the bit
    const double t = std::clamp(static_cast<double>(step) / static_cast<double>(steps), 0.0, 1.0);
    rate = std::exp((1 - t) * std::log(from) + t * std::log(to));
  }
  if (step < warm_up_steps) {
    const double t = static_cast<double>(step) / static_cast<double>(warm_up_steps);
    rate *= warm_up_factor + (1 - warm_up_factor) * std::sin(0.5 * std::numbers::pi * t);
  }
  return rate;
}

Schedule& Schedule::warm_up(double factor, int64_t over_steps) {
  warm_up_factor = factor;
  warm_up_steps = over_steps;
  return *this;
}

void Schedule::check(const std::string& where) const {
  const auto refuse = [&](const std::string& what) { throw Error(ExitCode::kUsage, what, where); };
  if (!std::isfinite(from) || from < 0) refuse("the rate must be finite and not negative");
  if (steps < 0 || warm_up_steps < 0) refuse("a schedule has no negative number of steps");
  if (!std::isfinite(warm_up_factor) || warm_up_factor < 0) {
    refuse("the warm-up factor must be finite and not negative");
  }
  if (steps > 0 && (!std::isfinite(to) || (from > 0) != (to > 0))) {
    refuse("an exponential runs between two positive rates");
  }
}

Schedule constant(double rate) { return {.from = rate, .to = rate}; }

Schedule exponential(double from, double to, int64_t steps) {
  return {.from = from, .to = to, .steps = steps};
}

void to_json(nlohmann::json& j, const Schedule& s) {
  j = {{"from", s.from},
       {"to", s.to},
       {"steps", s.steps},
       {"warm_up_factor", s.warm_up_factor},
       {"warm_up_steps", s.warm_up_steps}};
}

void from_json(const nlohmann::json& j, Schedule& s) {
  j.at("from").get_to(s.from);
  j.at("to").get_to(s.to);
  j.at("steps").get_to(s.steps);
  j.at("warm_up_factor").get_to(s.warm_up_factor);
  j.at("warm_up_steps").get_to(s.warm_up_steps);
}

}  // namespace covary::nn
