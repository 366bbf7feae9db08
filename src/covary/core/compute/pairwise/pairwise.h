// Blocks of a matrix over pairs of points: squared distances, radial profiles of them with their
// slopes, and sums over a block weighted entry by entry. What kernels of processes, mixtures of
// densities and neighbour searches are made of.
//
//   Points x{columns, n, d};                          // coordinate k of point i: columns[k * n + i]
//   PairBlock b{0, 32, 64, 128};                      // rows 0..31, columns 64..191
//   pair_squares(x, x, b, r2);                        // r2 [32, 128]
//   radial_profile(Profile::kMatern52, 0, r2, 32 * 128, value, slope, nullptr);
//   pair_square_moments(x, x, b, weights, sums);      // sums[k] += sum_ij w_ij (x_ik - x_jk)^2
//   pair_difference_moments(x, x, b, weights, s, d);  // s[i,k] += sum_j w_ij (x_ik - x_jk)
//
// Points come coordinate by coordinate, already divided by their length scales. Differences are
// formed one by one, never as |x|^2 + |y|^2 - 2 x.y: duplicates have distance 0, and points far
// from the origin lose no digits; next to a factorisation the cost (3 d flops a pair) is nothing.
// Results depend on the instruction set only, not on the position of a block. No allocation.
#pragma once

#include <cstdint>

namespace covary::compute {

struct Points {
  const double* values = nullptr;  // [dims, count], rows `stride` apart
  int64_t stride = 0;
  int64_t dims = 0;
};

// Rows are points of the first set, columns of the second. Blocks in memory are [rows, columns],
// contiguous.
struct PairBlock {
  int64_t row = 0, rows = 0, column = 0, columns = 0;
  int64_t size() const { return rows * columns; }
};

// As functions of q = squared distance:
enum class Profile {
  kRbf,               // exp(-q / 2)
  kMatern12,          // exp(-r), r = sqrt(q)
  kMatern32,          // (1 + s) exp(-s), s = sqrt(3 q)
  kMatern52,          // (1 + s + s^2 / 3) exp(-s), s = sqrt(5 q)
  kRationalQuadratic  // (1 + q / (2 a))^-a, a = shape > 0
};

// out = squared distances of the block.
void pair_squares_reference(const Points& a, const Points& b, const PairBlock& block, double* out);
void pair_squares(const Points& a, const Points& b, const PairBlock& block, double* out);

// value = profile(q) and slope = d profile / d q of `count` numbers q >= 0; shape_slope = d profile
// / d shape for the rational quadratic, 0 for others. slope and shape_slope may be null. Where the
// slope is infinite (Matern 1/2 at 0) it is 0: it only ever meets factors that vanish there. value
// may be q itself.
void radial_profile_reference(Profile profile, double shape, const double* q, int64_t count,
                              double* value, double* slope, double* shape_slope);
void radial_profile(Profile profile, double shape, const double* q, int64_t count, double* value,
                    double* slope, double* shape_slope);

// sums[k] += sum_ij weights_ij (a_ik - b_jk)^2, k < dims.
void pair_square_moments_reference(const Points& a, const Points& b, const PairBlock& block,
                                   const double* weights, double* sums);
void pair_square_moments(const Points& a, const Points& b, const PairBlock& block,
                         const double* weights, double* sums);

// sums[i * stride + k] += sum_j weights_ij (a_ik - b_jk), i a row of the block, k < dims.
void pair_difference_moments_reference(const Points& a, const Points& b, const PairBlock& block,
                                       const double* weights, double* sums, int64_t stride);
void pair_difference_moments(const Points& a, const Points& b, const PairBlock& block,
                             const double* weights, double* sums, int64_t stride);

// out = x * y, entry by entry; out may be x or y.
void pair_product(const double* x, const double* y, int64_t count, double* out);
void pair_scale(const double* x, double factor, int64_t count, double* out);  // out = factor * x

// sum of x * y over a block.
double pair_dot(const double* x, const double* y, int64_t count);

}  // namespace covary::compute
