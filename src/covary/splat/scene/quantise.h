// The small codes that formats of splats share. Within scene only. What is not a number becomes 0 or
// the identity, so that no cast is undefined.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "covary/core/compute/sh/sh.h"

namespace covary::scene {

constexpr double kSqrt2 = 1.41421356237309504880;
constexpr float kLeastLogScale = -20;  // of a scale that a file stores as 0

constexpr double kHalf = 0.5;
// Nearest code of 0 .. most.
inline uint32_t code_of(double v, uint32_t most) {
  return v > 0 ? (v < most ? static_cast<uint32_t>(v + kHalf) : most) : 0;
}
inline uint8_t byte_of(double v) { return static_cast<uint8_t>(code_of(v, 255)); }

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
// Of a probability that a file rounded: 0 and 1 become 1e-6 and 1 - 1e-6.
inline float logit(double p) {
  p = std::clamp(p, 1e-6, 1 - 1e-6);
  return static_cast<float>(std::log(p / (1 - p)));
}
// Logits of the bytes 0 .. 255, for 0 .. 1.
inline std::array<float, 256> logits_of_bytes() {
  std::array<float, 256> table{};
  for (size_t b = 0; b < 256; ++b) table[b] = logit(static_cast<double>(b) / 255);
  return table;
}

inline double colour_of_sh0(double f_dc) { return 0.5 + compute::kShC0 * f_dc; }
inline float sh0_of_colour(double colour) {
  return static_cast<float>((colour - 0.5) / compute::kShC0);
}

inline float log_of_scale(float s) { return s > 0 ? std::log(s) : kLeastLogScale; }

// Of length 1; the identity for one without a length.
inline std::array<double, 4> unit_quat(const float* q) {
  std::array<double, 4> u{q[0], q[1], q[2], q[3]};
  const double norm = std::sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + u[3] * u[3]);
  if (!(norm > 0) || !std::isfinite(norm)) return {1, 0, 0, 0};
  for (double& v : u) v /= norm;
  return u;
}

// A unit quaternion as the index of its largest component and the other three, in order, after the
// largest was made positive: each within +-sqrt(1/2).
struct SmallestThree {
  uint32_t largest = 0;
  std::array<double, 3> rest{};
};
inline SmallestThree smallest_three(const std::array<double, 4>& q) {
  SmallestThree s;
  for (uint32_t k = 1; k < 4; ++k)
    if (std::abs(q[k]) > std::abs(q[s.largest])) s.largest = k;
  const double sign = q[s.largest] < 0 ? -1 : 1;
  for (uint32_t k = 0, j = 0; k < 4; ++k)
    if (k != s.largest) s.rest[j++] = sign * q[k];
  return s;
}
inline std::array<double, 4> from_smallest_three(const SmallestThree& s) {
  std::array<double, 4> q{};
  double sum = 0;
  for (uint32_t k = 0, j = 0; k < 4; ++k) {
    if (k == s.largest) continue;
    q[k] = s.rest[j++];
    sum += q[k] * q[k];
  }
  q[s.largest] = std::sqrt(std::max(0.0, 1 - sum));
  return q;
}

}  // namespace covary::scene
