// One parameter of a covariance function: what it is called, what it means, where it may go.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "covary/stat/process/prior.h"

namespace covary::stat {

enum class ParameterRole {
  kVariance,     // units of y^2, or 1 beside another one in a product
  kNoise,        // variance of white, units of y^2
  kLengthscale,  // units of x
  kPeriod,       // units of x
  kShape,        // 1: alpha; the length scale of a periodic kernel
  kLinear,       // variance of a slope or of increments, units of y^2 / x^power
  kOffset,       // 1
  kSmoothness,   // 1: the order of a Matern kernel
  kLocation,     // units of x, of any sign
  kLoading,      // 1, of any sign
  kWarp,         // 1: an exponent of an input warp; 1 where nothing is warped
  kWeight        // 1, of any sign: a weight or bias of a network before a kernel
};

struct KernelParameter {
  std::string name = {};  // "matern52.lengthscale[0]"
  ParameterRole role = ParameterRole::kVariance;
  double value = 1;
  // Of any sign, and fitted as it is; others are positive and fitted by their logarithm.
  bool real = false;
  // For the fit; 0 (or -infinity, for one of any sign) and infinity: chosen by the data.
  double lower = 0, upper = std::numeric_limits<double>::infinity();
  int64_t dimension = -1;  // the column that a parameter of one dimension belongs to
  double start = 1;        // times the first guess by the data
  double power = 2;        // of x in the units of a slope's variance
  bool given = false;      // stated in the text: a fit starts there
  bool fixed = false;
  int64_t tied_to = -1;  // index of the parameter whose value this one shares
  Prior prior = {};
};

}  // namespace covary::stat
