#include "covary/core/compute/tile_product/tile_product.h"

namespace covary::compute {

void tile_product_reference(const float* k, int64_t rows, int64_t columns, const float* right,
                            int64_t width, double* out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const double entry = k[i * columns + j];
      for (int64_t c = 0; c < width; ++c) out[i * width + c] += entry * right[j * width + c];
    }
  }
}

void tile_product_transposed_reference(const float* k, int64_t rows, int64_t columns,
                                       const float* right, int64_t width, double* out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const double entry = k[i * columns + j];
      for (int64_t c = 0; c < width; ++c) out[j * width + c] += entry * right[i * width + c];
    }
  }
}

}  // namespace covary::compute
