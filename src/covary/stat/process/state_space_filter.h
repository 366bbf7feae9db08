// The filter of a Matern process with D = 1, 2 or 3 states, for plain doubles and for doubles that
// carry derivatives. Used by state_space.cc alone.
//
// State (f, f' / r, f'' / r^2); all variances are shares of the process's variance. Over a gap
// x = r D:
//   A(x) = exp(F x), F the companion of (1 + s)^D;    Q(x) = q int_0^x h(u) h(u)' du,
// with h(u) the last column of A(u), and q such that Q(infinity) is the stationary covariance with
// first entry 1.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace covary::stat {

// A value with its derivatives by N quantities.
template <int N>
struct Dual {
  double v = 0;
  std::array<double, N> d{};
  Dual() = default;
  explicit Dual(double value) : v(value) {}
};

template <int N>
inline Dual<N> operator+(const Dual<N>& a, const Dual<N>& b) {
  Dual<N> c(a.v + b.v);
  for (int k = 0; k < N; ++k) c.d[k] = a.d[k] + b.d[k];
  return c;
}
template <int N>
inline Dual<N> operator-(const Dual<N>& a, const Dual<N>& b) {
  Dual<N> c(a.v - b.v);
  for (int k = 0; k < N; ++k) c.d[k] = a.d[k] - b.d[k];
  return c;
}
template <int N>
inline Dual<N> operator*(const Dual<N>& a, const Dual<N>& b) {
  Dual<N> c(a.v * b.v);
  for (int k = 0; k < N; ++k) c.d[k] = a.v * b.d[k] + a.d[k] * b.v;
  return c;
}
template <int N>
inline Dual<N> reciprocal(const Dual<N>& a) {
  Dual<N> c(1 / a.v);
  const double square = -c.v * c.v;
  for (int k = 0; k < N; ++k) c.d[k] = square * a.d[k];
  return c;
}
inline double reciprocal(double a) { return 1 / a; }
inline double value_of(double a) { return a; }
template <int N>
inline double value_of(const Dual<N>& a) {
  return a.v;
}

// Place of entry (i, j), i >= j, of a symmetric matrix.
constexpr int packed(int i, int j) { return i * (i + 1) / 2 + j; }
constexpr int packed_size(int d) { return d * (d + 1) / 2; }

// Beyond this gap nothing is remembered: exp(-x) x^2 underflows against 1.
constexpr double kFarGap = 700;

template <int D>
struct Transition {
  double a[D * D];           // A(x), row by row
  double q[packed_size(D)];  // Q(x)
  double da[D * D];          // their derivatives by x, when asked for
  double dq[packed_size(D)];
};

// int_0^x u^k exp(-2 u) du for k = 0 .. K, e = exp(-2 x): the highest by a series of positive terms
// for small x and in closed form else, the others downwards, adding positive terms.
template <int K>
inline void incomplete_gammas(double x, double e, double* g) {
  const double z = 2 * x;
  double factorial = 1;
  for (int k = 2; k <= K; ++k) factorial *= k;
  constexpr double kSmall = K == 0 ? 0.5 : K == 2 ? 1 : 2;
  double share;  // P(K + 1, z), the regularised lower incomplete gamma function
  if (z < kSmall) {
    // exp(-z) z^(K+1) / (K+1)! (1 + z / (K+2) (1 + z / (K+3) (1 + ...)))
    constexpr int kTerms = K == 4 ? 22 : 17;
    double sum = 1;
    for (int i = kTerms; i >= 1; --i) sum = 1 + sum * z * (1.0 / (K + 1 + i));
    double front = e;
    for (int i = 1; i <= K + 1; ++i) front *= z / i;
    share = front * sum;
  } else {
    double sum = 1, term = 1;
    for (int i = 1; i <= K; ++i) {
      term *= z / i;
      sum += term;
    }
    share = 1 - e * sum;
  }
  g[K] = factorial * share / static_cast<double>(1 << (K + 1));
  double power[K + 1];  // x^k exp(-2 x)
  power[0] = e;
  for (int k = 1; k <= K; ++k) power[k] = power[k - 1] * x;
  for (int k = K - 1; k >= 0; --k) g[k] = (2 * g[k + 1] + power[k + 1]) * (1.0 / (k + 1));
}

// e = exp(-x).
template <int D>
inline void transition(double x, double e, bool derivatives, Transition<D>* t) {
  double h[D];  // last column of A
  double g[2 * D - 1];
  incomplete_gammas<2 * D - 2>(x, e * e, g);
  if constexpr (D == 1) {
    t->a[0] = h[0] = e;
    t->q[0] = 2 * g[0];
  } else if constexpr (D == 2) {
    t->a[0] = e * (1 + x);
    t->a[1] = h[0] = e * x;
    t->a[2] = -e * x;
    t->a[3] = h[1] = e * (1 - x);
    t->q[0] = 4 * g[2];
    t->q[1] = 2 * x * x * e * e;
    t->q[2] = 4 * (g[0] - 2 * g[1] + g[2]);
  } else {
    const double half = 0.5 * x;
    t->a[0] = e * (1 + x + x * half);
    t->a[1] = e * x * (1 + x);
    t->a[2] = h[0] = e * x * half;
    t->a[3] = -e * x * half;
    t->a[4] = e * (1 + x - x * x);
    t->a[5] = h[1] = e * half * (2 - x);
    t->a[6] = e * half * (x - 2);
    t->a[7] = e * x * (x - 3);
    t->a[8] = h[2] = e * (half * x - 2 * x + 1);
    constexpr double q = 16.0 / 3;
    const double x2e = x * x * e * e;
    t->q[0] = q / 4 * g[4];
    t->q[1] = q / 8 * x2e * x * x;  // the integral of h h' is half the square of h
    t->q[2] = q / 4 * (4 * g[2] - 4 * g[3] + g[4]);
    t->q[3] = q / 4 * (2 * g[2] - 4 * g[3] + g[4]);
    t->q[4] = q / 8 * x2e * (2 - x) * (2 - x);
    t->q[5] = q / 4 * (4 * g[0] - 16 * g[1] + 20 * g[2] - 8 * g[3] + g[4]);
  }
  if (!derivatives) return;
  // dA / dx = F A: row i of A' is row i + 1, and the last row follows from (1 + s)^D = 0.
  constexpr double kLast[3][3] = {{-1, 0, 0}, {-1, -2, 0}, {-1, -3, -3}};
  constexpr double kScale[3] = {2, 4, 16.0 / 3};
  for (int j = 0; j < D; ++j) {
    for (int i = 0; i + 1 < D; ++i) t->da[i * D + j] = t->a[(i + 1) * D + j];
    double s = 0;
    for (int k = 0; k < D; ++k) s += kLast[D - 1][k] * t->a[k * D + j];
    t->da[(D - 1) * D + j] = s;
  }
  for (int i = 0; i < D; ++i) {
    for (int j = 0; j <= i; ++j) t->dq[packed(i, j)] = kScale[D - 1] * h[i] * h[j];
  }
}

// The stationary covariance.
template <int D>
inline double stationary(int i, int j) {
  if constexpr (D < 3) return i == j ? 1 : 0;
  if (i == j) return i == 1 ? 1.0 / 3 : 1;
  return i + j == 2 ? -1.0 / 3 : 0;
}

template <int D, class T>
struct FilterState {
  T m[D];
  T p[packed_size(D)];

  const T& at(int i, int j) const { return i >= j ? p[packed(i, j)] : p[packed(j, i)]; }

  // m := A m, P := A P A' + Q.
  void predict(const T (&a)[D * D], const T (&q)[packed_size(D)]) {
    T moved[D], ap[D * D];
    for (int i = 0; i < D; ++i) {
      moved[i] = a[i * D] * m[0];
      for (int k = 1; k < D; ++k) moved[i] = moved[i] + a[i * D + k] * m[k];
      for (int j = 0; j < D; ++j) {
        ap[i * D + j] = a[i * D] * at(0, j);
        for (int k = 1; k < D; ++k) ap[i * D + j] = ap[i * D + j] + a[i * D + k] * at(k, j);
      }
    }
    T next[packed_size(D)];
    for (int i = 0; i < D; ++i) {
      for (int j = 0; j <= i; ++j) {
        T s = q[packed(i, j)];
        for (int k = 0; k < D; ++k) s = s + ap[i * D + k] * a[j * D + k];
        next[packed(i, j)] = s;
      }
    }
    for (int i = 0; i < D; ++i) m[i] = moved[i];
    for (int i = 0; i < packed_size(D); ++i) p[i] = next[i];
  }

  // Takes in a value with innovation v, innovation variance with the given inverse, and noise r.
  void update(const T& v, const T& inverse, const T& r) {
    T first[D], gain[D];
    for (int i = 0; i < D; ++i) first[i] = p[packed(i, 0)];
    for (int i = 0; i < D; ++i) gain[i] = first[i] * inverse;
    const T kept = r * inverse;  // 1 - gain[0], without the cancellation
    for (int i = 0; i < D; ++i) {
      m[i] = m[i] + gain[i] * v;
      p[packed(i, 0)] = first[i] * kept;
      for (int j = 1; j <= i; ++j) p[packed(i, j)] = p[packed(i, j)] - gain[i] * first[j];
    }
  }
};

}  // namespace covary::stat
