#include <algorithm>
#include <cmath>

#include <Eigen/Dense>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/sh/sh.h"

namespace covary::compute {
namespace {

template <class V>
V load_lanes(const V* p) {
  return *p;
}
template <class V>
void store_lanes(V v, V* p) {
  *p = v;
}

#include "covary/core/compute/sh/sh_math.inc"

}  // namespace

template <class T>
void sh_color_reference(const ShInput<T>& in, T* colors) {
  sh_colors<T, T, 1>(in, colors);
}
template <class T>
void sh_color_vjp_reference(const ShInput<T>& in, const T* v_colors, const ShGradients<T>& out) {
  sh_colors_vjp<T, T, 1>(in, v_colors, out);
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
