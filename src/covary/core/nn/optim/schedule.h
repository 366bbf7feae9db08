// A rate that depends on the step: constant, or falling exponentially, with an optional warm-up.
//
//   Schedule rate = exponential(1.6e-4, 1.6e-6, 30000);   // straight line in log(rate), then flat
//   rate.warm_up(0.01, 500);       // times a sine ramp from 0.01 to 1 over the first 500 steps
//   double now = rate.at(step);    // steps count from 1 in a training loop; at(0) is the start
//
// Source: the exponential with a delayed start is that of Kerbl et al. 2023 (after Mip-NeRF's
// learning rates).
#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

namespace covary::nn {

struct Schedule {
  double from = 0;            // rate at step 0
  double to = 0;              // rate from step `steps` on
  int64_t steps = 0;          // 0 = constant `from`
  double warm_up_factor = 1;  // the rate is multiplied by a factor that rises from this ...
  int64_t warm_up_steps = 0;  // ... to 1 over so many steps

  // The rate at a step >= 0.
  double at(int64_t step) const;
  Schedule& warm_up(double factor, int64_t over_steps);
  // Error(kUsage) naming `where` when a rate is negative, not finite, or an exponential touches 0.
  void check(const std::string& where) const;
};

Schedule constant(double rate);
Schedule exponential(double from, double to, int64_t steps);

void to_json(nlohmann::json& j, const Schedule& schedule);
void from_json(const nlohmann::json& j, Schedule& schedule);

}  // namespace covary::nn
