// The library's own pair functions, by the name of their leaf. For pair_function.cc and tests.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "covary/stat/process/pair_function.h"

namespace covary::stat {

std::map<std::string, std::shared_ptr<const LeafDefinition>> library_leaves();

// The damped oscillator's correlation at distance tau >= 0 with rate w = 2 pi / period and quality
// q, and its slopes by tau, w and q; null where not wanted.
double oscillator(double tau, double w, double q, double* by_tau, double* by_w, double* by_q);

}  // namespace covary::stat
