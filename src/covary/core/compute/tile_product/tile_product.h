// Products of a matrix that comes tile by tile with several right-hand sides at once, in single
// precision with sums in doubles: what conjugate gradients over a large kernel matrix repeat.
//
//   // K [128, 256] floats, right-hand sides packed point by point: b [256, 16], c [128, 16]
//   tile_product(k, 128, 256, b, 16, out);                 // out [128, 16] += K b
//   tile_product_transposed(k, 128, 256, c, 16, out_t);    // out_t [256, 16] += K' c
//
// width, the right-hand sides, is a multiple of kLanes. Of one tile a sum is formed in floats, in the
// order of its points, and then added to out in doubles: the error is about 1e-7 times the sum of
// magnitudes of one tile. 2 rows columns width flops, 12 sums in registers at a time. Results depend
// on the instruction set only. No allocation; out must not overlap the input.
#pragma once

#include <cstdint>

namespace covary::compute {

constexpr int64_t kLanes = 8;   // right-hand sides are padded to a multiple of it
constexpr int64_t kPanel = 16;  // that share the loads of an entry

void tile_product_reference(const float* k, int64_t rows, int64_t columns, const float* right,
                            int64_t width, double* out);
void tile_product(const float* k, int64_t rows, int64_t columns, const float* right, int64_t width,
                  double* out);

void tile_product_transposed_reference(const float* k, int64_t rows, int64_t columns,
                                       const float* right, int64_t width, double* out);
void tile_product_transposed(const float* k, int64_t rows, int64_t columns, const float* right,
                             int64_t width, double* out);

}  // namespace covary::compute
