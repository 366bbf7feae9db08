// Real spherical harmonics as colours: value, gradient, rotation. Degrees 0 to 4, the sign convention of 3DGS files.
//
//   color = max(0, 0.5 + sum_k basis_k(direction / |direction|) * coefficient_k + offset)
//
// Coefficients of degree 0 (sh0 [N,1,3]) and above (shN [N,K-1,3], K = (degree + 1)^2) lie apart, as they are trained apart,
// and are read in place by row id. A colour reads 3 K floats and writes 3: with K = 16 the loop is bound by memory (192
// bytes a Gaussian forward; backward 192 more written).
// Source: Kerbl et al. 2023; Sloan 2008 ("Stupid Spherical Harmonics Tricks") for the polynomials.
#pragma once

#include <cstdint>

namespace covary::compute {

constexpr int kMaxShDegree = 4;
constexpr int kMaxShBands = 25;
constexpr double kShC0 = 0.28209479177387814;

template <class T>
struct ShInput {
  int64_t count = 0;              // M
  int degree = 0;                 // bands up to this one are used
  int bands = 1;                  // K: rows of shN hold K - 1 coefficients
  const int64_t* ids = nullptr;   // [M] rows; null = 0 .. M-1
  const T* sh0 = nullptr;         // [N,1,3]
  const T* shN = nullptr;         // [N,K-1,3]; null when K = 1
  const T* directions = nullptr;  // [M,3], any length but 0
  const T* offsets = nullptr;     // [M,3] added to the colours before the clamp; null = none
};

template <class T>
struct ShGradients {        // null = not wanted
  T* sh0 = nullptr;         // [N,1,3]; rows that ids do not name are left as they are
  T* shN = nullptr;         // [N,K-1,3]; likewise, and bands above the degree
  T* directions = nullptr;  // [M,3]; every element is set
  bool compact = false;     // sh0 [M,1,3] and shN [M,K-1,3]: row m is that of ids[m]
  T* offsets = nullptr;     // [M,3]; every element is set
};

// colors [M,3]
template <class T>
void sh_color_reference(const ShInput<T>& in, T* colors);
template <class T>
void sh_color_vjp_reference(const ShInput<T>& in, const T* v_colors, const ShGradients<T>& out);
void sh_color(const ShInput<float>& in, float* colors);
void sh_color_vjp(const ShInput<float>& in, const float* v_colors, const ShGradients<float>& out);

// The basis at a unit direction: (degree + 1)^2 values.
void sh_basis(int degree, const double* direction, double* basis);
// The gradient of sum_k weight_k basis_k(d / |d|) by d: 3 numbers. direction: d, any length but 0.
void sh_basis_vjp(int degree, const double* direction, const double* weights, double* v_direction);

// Coefficients of the rotated function: value(R d) of the new ones equals value(d) of the old, for every d. Each band mixes
// within itself; its matrix (2l+1)x(2l+1) comes from a least-squares fit at fixed well-spread directions, exact to rounding.
// matrices: bands 1 .. degree one after the other, row-major, to apply as new = M old. rotation: row-major 3x3.
// Returns 9 + 25 + 49 + 81 numbers at most.
int sh_rotation(int degree, const double* rotation, double* matrices);

}  // namespace covary::compute
