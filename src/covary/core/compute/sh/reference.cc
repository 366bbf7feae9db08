#include <algorithm>
#include <cmath>

#include <Eigen/Dense>

#include "covary/core/compute/lanes.h"
#include "covary/core/compute/sh/sh.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/sh/sh_math.inc"

// One Gaussian: its rows of coefficients, the unit direction, the basis there and the colour before the clamp.
template <class T>
struct Seen {
  int64_t row;
  const T* sh0;
  const T* shN;
  T unit[3], length, basis[kMaxShBands], raw[3];

  Seen(const ShInput<T>& in, int64_t m)
      : row(in.ids ? in.ids[m] : m), sh0(in.sh0 + 3 * row), shN(in.shN + row * 3 * (in.bands - 1)) {
    const T* d = in.directions + 3 * m;
    length = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int k = 0; k < 3; ++k) unit[k] = d[k] / length;
    sh_basis_of(in.degree, unit[0], unit[1], unit[2], basis);
    for (int c = 0; c < 3; ++c) {
      raw[c] = T(0.5);
      for (int k = 0; k < used(in); ++k) raw[c] += basis[k] * coefficient(k, c);
      if (in.offsets) raw[c] += in.offsets[3 * m + c];
    }
  }
  static int used(const ShInput<T>& in) { return (in.degree + 1) * (in.degree + 1); }
  T coefficient(int k, int c) const { return k == 0 ? sh0[c] : shN[3 * (k - 1) + c]; }
};

// The gradient of sum_k weight_k basis_k at a unit vector, by the direction of this length that it was made from.
template <class T>
void through_unit(int degree, const T* u, T length, const T* weight, T* v_direction) {
  T g[3];
  sh_basis_gradient(degree, u[0], u[1], u[2], weight, g[0], g[1], g[2]);
  const T along = g[0] * u[0] + g[1] * u[1] + g[2] * u[2];
  for (int k = 0; k < 3; ++k) v_direction[k] = (g[k] - along * u[k]) / length;
}

}  // namespace

template <class T>
void sh_color_reference(const ShInput<T>& in, T* colors) {
  for (int64_t m = 0; m < in.count; ++m) {
    const Seen<T> seen(in, m);
    for (int c = 0; c < 3; ++c) colors[3 * m + c] = std::max(seen.raw[c], T(0));
  }
}

template <class T>
void sh_color_vjp_reference(const ShInput<T>& in, const T* v_colors, const ShGradients<T>& out) {
  for (int64_t m = 0; m < in.count; ++m) {
    const Seen<T> seen(in, m);
    const int64_t row = out.compact ? m : seen.row;
    T v[3], weight[kMaxShBands] = {};  // weight k of basis k in the sum that is differentiated
    for (int c = 0; c < 3; ++c) v[c] = seen.raw[c] > 0 ? v_colors[3 * m + c] : T(0);
    if (out.offsets) std::copy_n(v, 3, out.offsets + 3 * m);
    for (int k = 0; k < Seen<T>::used(in); ++k) {
      for (int c = 0; c < 3; ++c) {
        weight[k] += seen.coefficient(k, c) * v[c];
        if (k == 0 && out.sh0) out.sh0[3 * row + c] = seen.basis[0] * v[c];
        if (k > 0 && out.shN) {
          out.shN[3 * ((in.bands - 1) * row + k - 1) + c] = seen.basis[k] * v[c];
        }
      }
    }
    if (!out.directions) continue;
    through_unit(in.degree, seen.unit, seen.length, weight, out.directions + 3 * m);
  }
}

template void sh_color_reference(const ShInput<float>&, float*);
template void sh_color_reference(const ShInput<double>&, double*);
template void sh_color_vjp_reference(const ShInput<float>&, const float*,
                                     const ShGradients<float>&);
template void sh_color_vjp_reference(const ShInput<double>&, const double*,
                                     const ShGradients<double>&);

void sh_basis(int degree, const double* d, double* basis) {
  sh_basis_of(degree, d[0], d[1], d[2], basis);
}

void sh_basis_vjp(int degree, const double* d, const double* weights, double* v_direction) {
  const double length = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  const double unit[3] = {d[0] / length, d[1] / length, d[2] / length};
  through_unit(degree, unit, length, weights, v_direction);
}

int sh_rotation(int degree, const double* rotation, double* matrices) {
  // basis(R d) = basis(d) as functions: with rows of A = basis(d_i), B = basis(R d_i) the new coefficients n of old ones o
  // must satisfy B n = A o, so M = B^+ A, band by band.
  constexpr int kDirections = 4 * kMaxShBands;
  const Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>> r(rotation);
  Eigen::MatrixXd a(kDirections, kMaxShBands), b(kDirections, kMaxShBands);
  for (int i = 0; i < kDirections; ++i) {  // a Fibonacci spiral
    const double z = 1 - (2.0 * i + 1) / kDirections, s = std::sqrt(1 - z * z),
                 t = 2.399963229728653 * i;
    const Eigen::Vector3d d(s * std::cos(t), s * std::sin(t), z), turned = r * d;
    double row[kMaxShBands];
    sh_basis(kMaxShDegree, d.data(), row);
    a.row(i) = Eigen::Map<Eigen::RowVectorXd>(row, kMaxShBands);
    sh_basis(kMaxShDegree, turned.data(), row);
    b.row(i) = Eigen::Map<Eigen::RowVectorXd>(row, kMaxShBands);
  }
  int at = 0;
  for (int l = 1; l <= degree; ++l) {
    const int n = 2 * l + 1;
    const Eigen::MatrixXd m =
        b.middleCols(l * l, n).colPivHouseholderQr().solve(a.middleCols(l * l, n));
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) matrices[at++] = m(i, j);
  }
  return at;
}

}  // namespace covary::compute
