#include <cmath>

#include "covary/core/compute/pairwise/pairwise.h"

namespace covary::compute {

void pair_squares_reference(const Points& a, const Points& b, const PairBlock& block, double* out) {
  for (int64_t i = 0; i < block.rows; ++i) {
    for (int64_t j = 0; j < block.columns; ++j) {
      double q = 0;
      for (int64_t k = 0; k < a.dims; ++k) {
        const double difference =
            a.values[k * a.stride + block.row + i] - b.values[k * b.stride + block.column + j];
        q += difference * difference;
      }
      out[i * block.columns + j] = q;
    }
  }
}

void radial_profile_reference(Profile profile, double shape, const double* q, int64_t count,
                              double* value, double* slope, double* shape_slope) {
  for (int64_t i = 0; i < count; ++i) {
    double f = 0, df = 0, da = 0;
    switch (profile) {
      case Profile::kRbf:
        f = std::exp(-0.5 * q[i]);
        df = -0.5 * f;
        break;
      case Profile::kMatern12: {
        const double r = std::sqrt(q[i]);
        f = std::exp(-r);
        df = r > 0 ? -0.5 * f / r : 0;
        break;
      }
      case Profile::kMatern32: {
        const double s = std::sqrt(3 * q[i]), e = std::exp(-s);
        f = (1 + s) * e;
        df = -1.5 * e;
        break;
      }
      case Profile::kMatern52: {
        const double s = std::sqrt(5 * q[i]), e = std::exp(-s);
        f = (1 + s + s * s / 3) * e;
        df = -5.0 / 6 * (1 + s) * e;
        break;
      }
      case Profile::kRationalQuadratic: {
        const double t = q[i] / (2 * shape), log_base = std::log1p(t);
        f = std::exp(-shape * log_base);
        df = -0.5 * f / (1 + t);
        da = f * (t / (1 + t) - log_base);
        break;
      }
    }
    value[i] = f;
    if (slope) slope[i] = df;
    if (shape_slope) shape_slope[i] = da;
  }
}

void pair_square_moments_reference(const Points& a, const Points& b, const PairBlock& block,
                                   const double* weights, double* sums) {
  for (int64_t k = 0; k < a.dims; ++k) {
    double s = 0;
    for (int64_t i = 0; i < block.rows; ++i) {
      for (int64_t j = 0; j < block.columns; ++j) {
        const double difference =
            a.values[k * a.stride + block.row + i] - b.values[k * b.stride + block.column + j];
        s += weights[i * block.columns + j] * difference * difference;
      }
    }
    sums[k] += s;
  }
}

void pair_difference_moments_reference(const Points& a, const Points& b, const PairBlock& block,
                                       const double* weights, double* sums, int64_t stride) {
  for (int64_t i = 0; i < block.rows; ++i) {
    for (int64_t k = 0; k < a.dims; ++k) {
      double s = 0;
      for (int64_t j = 0; j < block.columns; ++j) {
        s += weights[i * block.columns + j] *
             (a.values[k * a.stride + block.row + i] - b.values[k * b.stride + block.column + j]);
      }
      sums[i * stride + k] += s;
    }
  }
}

}  // namespace covary::compute
