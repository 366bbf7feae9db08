// Sums of kernels over points in columns; SIMD by run-time dispatch. Within mixture only.
#pragma once

#include <cstdint>
#include <string>

namespace covary::mixture {

enum class Kernel { kGaussian, kEpanechnikov, kTophat, kExponential, kLinear, kCosine };
Kernel kernel_of(const std::string& name);

// The kernel at a squared distance in bandwidths, 1 at 0; to be read.
double kernel_at(Kernel kernel, double squared);
// Its derivative by the squared distance.
double kernel_slope(Kernel kernel, double squared);
// log of the integral of the kernel over d dimensions.
double kernel_log_volume(Kernel kernel, int64_t d);
// Points beyond this distance add nothing; infinite for gaussian and exponential.
double kernel_radius(Kernel kernel);

constexpr int64_t kKdePad = 16;      // ranges of points begin and end at multiples of this
constexpr int64_t kKdeQueries = 16;  // most queries a call

// sums[a] += sum over points i in [begin, end) of weights[i] kernel(|query_a - x_i|^2).
// x: columns [d][stride], in bandwidths; queries [m,d]. brief: exponentials to 1e-8 relative, else
// to rounding.
void add_kernels(Kernel kernel, const double* x, int64_t stride, const double* weights,
                 int64_t begin, int64_t end, int64_t d, const double* queries, int64_t m,
                 bool brief, double* sums);

}  // namespace covary::mixture
