// Sums of kernels over points in columns; SIMD by run-time dispatch. Within mixture only.
#pragma once

#include <cstdint>
#include <string>

namespace covary::mixture {

enum class Kernel {
  kGaussian,
  kEpanechnikov,
  kTophat,
  kExponential,
  kLinear,
  kCosine,
  kLaplacian,
  kProductEpanechnikov,  // from here on: products over coordinates of the shapes above
  kProductTophat,
  kProductLinear,
  kProductCosine,
};
// product: over the coordinates, of the kernel of one. That of gaussians is the gaussian, that of
// exponentials the laplacian.
Kernel kernel_of(const std::string& name, bool product = false);
inline bool is_product(Kernel kernel) { return kernel >= Kernel::kProductEpanechnikov; }

// The shape k of a product's coordinate at z, 0 from |z| = 1 on.
double product_shape(Kernel kernel, double z);

// A kernel is a function of s, the sum over coordinates of kernel_term: squares of differences in
// bandwidths, but for the laplacian, exp(-sum |z_j|), absolute differences, and for products -log k.
// A term never falls as |z| grows.
double product_term(Kernel kernel, double z);
inline double kernel_term(Kernel kernel, double z) {
  if (is_product(kernel)) return product_term(kernel, z);
  return kernel == Kernel::kLaplacian ? (z < 0 ? -z : z) : z * z;
}
// Its derivative by z, where it is finite.
double kernel_term_slope(Kernel kernel, double z);
// The kernel at s, 1 at 0; to be read.
double kernel_at(Kernel kernel, double s);
// Its derivative by s.
double kernel_slope(Kernel kernel, double s);
// Its logarithm; finite at any s for kernels without end, -inf outside the others.
double kernel_log(Kernel kernel, double s);
// log of the integral of the kernel over d dimensions.
double kernel_log_volume(Kernel kernel, int64_t d);
// Points beyond this distance (products: in any coordinate) add nothing; infinite for gaussian,
// exponential, laplacian.
double kernel_radius(Kernel kernel);
// What s is multiplied by when a point's width is multiplied by `factor`; not for products.
double kernel_shrink(Kernel kernel, double factor);

constexpr int64_t kKdePad = 16;      // counts of points are multiples of this
constexpr int64_t kKdeQueries = 64;  // most queries a call

// sums[a] += sum over points i of weights[i] kernel(shrink[i] s(query_a - x_i)); shrink null: 1.
// x: columns [d][count], in bandwidths; queries [m,d]. brief: exponentials to 1e-8 relative, else
// to rounding.
void add_kernels(Kernel kernel, const double* x, const double* weights, const double* shrink,
                 int64_t count, int64_t d, const double* queries, int64_t m, bool brief,
                 double* sums);

}  // namespace covary::mixture
