#include "covary/stat/process/kernel_warp.h"

#include <algorithm>
#include <cmath>

namespace covary::stat {

WarpedCoordinate warped_coordinate(double x, double low, double high, double a, double b) {
  constexpr double kInside = 1e-6;  // of the range, where slopes are taken at the ends
  const double range = high - low, u = (x - low) / range;
  if (!(u >= 0 && u <= 1)) return {x, 1, 0, 0};
  // 1 - u^a and 1 - (1 - u^a)^b without cancellation.
  const double log_u = std::log(u), rest = -std::expm1(a * log_u), log_rest = std::log(rest);
  WarpedCoordinate w;
  w.value = a == 1 && b == 1 ? x : low + range * (u < 1 ? -std::expm1(b * log_rest) : 1);
  if (u > 0 && u < 1) {
    const double power = std::exp(b * log_rest);  // (1 - u^a)^b
    w.by_log_a = range * b * power / rest * (1 - rest) * a * log_u;
    w.by_log_b = -range * b * power * log_rest;
  }
  const double inside = std::clamp(u, kInside, 1 - kInside), log_inside = std::log(inside);
  w.by_x = a * b * std::exp((a - 1) * log_inside + (b - 1) * std::log(-std::expm1(a * log_inside)));
  return w;
}

}  // namespace covary::stat
