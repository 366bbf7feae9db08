// The functions that carry unbounded parameters to scales and opacities, element by element.
//
//   exponential(log_scales, count, scales);   // e^x
//   logistic(logits, count, opacities);       // 1 / (1 + e^-x)
//
// Within 3 units in the last place where the result is a normal number; e^x is 0 below -104 and infinite
// above 88.73, a NaN stays one. A result depends on its element and the instruction set alone, not on
// where in the array it stands: an array may be cut anywhere. 8 bytes an element; about 20 operations.
#pragma once

#include <cstdint>

namespace covary::compute {

void exponential_reference(const float* x, int64_t count, float* out);
void exponential(const float* x, int64_t count, float* out);

void logistic_reference(const float* x, int64_t count, float* out);
void logistic(const float* x, int64_t count, float* out);

}  // namespace covary::compute
