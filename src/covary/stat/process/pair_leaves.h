// The library's own pair functions, by the name of their leaf. For pair_function.cc and tests.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "covary/stat/process/pair_function.h"

namespace covary::stat {

std::map<std::string, std::shared_ptr<const LeafDefinition>> library_leaves();

// exp(-a) times C(u), S(u) and dS/du, u = z^2 - a^2, where C = cos sqrt(u) and S = sin(sqrt u) /
// sqrt u, entire functions: cosh and sinh where u < 0. a, z >= 0.
struct DampedWave {
  double c, s, fall;
};
DampedWave damped_wave(double z, double a);

// The damped oscillator's correlation at distance tau >= 0 with rate w = 2 pi / period and quality
// q, and its slopes by tau, w and q; null where not wanted.
double oscillator(double tau, double w, double q, double* by_tau, double* by_w, double* by_q);

}  // namespace covary::stat
