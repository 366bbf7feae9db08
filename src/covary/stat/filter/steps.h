// One step of a Kalman filter in its four forms, for float or double: what kalman.cc strings
// together.
//
//   Belief<double> b{mean, cov};
//   Scores<double> s;
//   if (!joseph_update(b, h, r, y, s)) sequential_update(b, h, r, y, s);
//   joseph_predict(b, f, q, input);
//
// y, H and R are those of the observed rows. An update adds its log-likelihood and normalised
// innovation squared (NIS) to the scores. It returns false and changes nothing where the
// innovation's covariance is singular to rounding; sequential_update is for every case.
//
// Sources: Bucy and Joseph 1968 (Joseph form); Kailath, Sayed and Hassibi 2000, section 12.3
// (arrays of roots); Anderson and Moore 1979, section 6.3 (information); Durbin and Koopman 2012,
// section 6.4 (scalar by scalar); Koopman and Durbin 2000 (diffuse).
#pragma once

#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/LU>
#include <Eigen/QR>

#include "covary/core/base/error.h"

namespace covary::filter {

template <class T>
using MatrixX = Eigen::Matrix<T, -1, -1>;
template <class T>
using VectorX = Eigen::Matrix<T, -1, 1>;

template <class T>
struct Belief {
  VectorX<T> mean;
  MatrixX<T> cov;
};
template <class T>
struct RootBelief {
  VectorX<T> mean;
  MatrixX<T> root;  // cov = root root'
};
template <class T>
struct InformationBelief {
  VectorX<T> vector;     // cov^-1 mean
  MatrixX<T> precision;  // cov^-1
};

template <class T>
struct Scores {
  T log_likelihood = 0, nis = 0;
};

template <class T>
constexpr T kLogTwoPi = T(1.8378770664093454836);

template <class T>
MatrixX<T> symmetrised(const MatrixX<T>& m) {
  return T(0.5) * (m + m.transpose());
}

// Whether a triangular root has a pivot that is zero to rounding beside its row.
template <class T>
bool singular_root(const MatrixX<T>& root, const VectorX<T>& scale) {
  const T tolerance = T(16) * T(root.rows()) * std::numeric_limits<T>::epsilon();
  for (Eigen::Index i = 0; i < root.rows(); ++i) {
    if (!(std::abs(root(i, i)) > tolerance * scale(i))) return true;
  }
  return false;
}

template <class T>
void add_scores(const MatrixX<T>& root, const VectorX<T>& v, Scores<T>& s) {
  const VectorX<T> white = root.template triangularView<Eigen::Lower>().solve(v);
  const T nis = white.squaredNorm();
  s.nis += nis;
  s.log_likelihood -=
      T(0.5) * (T(v.size()) * kLogTwoPi<T> + nis) + root.diagonal().array().abs().log().sum();
}

// ---- Joseph

template <class T>
bool joseph_update(Belief<T>& b, const MatrixX<T>& h, const MatrixX<T>& r, const VectorX<T>& y,
                   Scores<T>& scores) {
  const MatrixX<T> cross = b.cov * h.transpose();
  const MatrixX<T> s = symmetrised<T>(h * cross + r);
  const Eigen::LLT<MatrixX<T>> llt(s);
  if (llt.info() != Eigen::Success) return false;
  const MatrixX<T> root = llt.matrixL();
  if (singular_root<T>(root, s.diagonal().cwiseAbs().cwiseSqrt())) return false;
  const VectorX<T> v = y - h * b.mean;
  const MatrixX<T> gain = llt.solve(cross.transpose()).transpose();
  add_scores<T>(root, v, scores);
  b.mean += gain * v;
  const MatrixX<T> keep = MatrixX<T>::Identity(b.cov.rows(), b.cov.rows()) - gain * h;
  b.cov = symmetrised<T>(keep * b.cov * keep.transpose() + gain * r * gain.transpose());
  return true;
}

template <class T>
void joseph_predict(Belief<T>& b, const MatrixX<T>& f, const MatrixX<T>& q,
                    const VectorX<T>& input) {
  b.mean = f * b.mean + input;
  b.cov = symmetrised<T>(f * b.cov * f.transpose() + q);
}

// ---- Square root

// The lower triangular L with L L' = a a'.
template <class T>
MatrixX<T> triangular(const MatrixX<T>& a) {
  const MatrixX<T> transposed = a.transpose();
  const Eigen::HouseholderQR<MatrixX<T>> qr(transposed);
  return qr.matrixQR().topRows(a.rows()).template triangularView<Eigen::Upper>().transpose();
}

template <class T>
bool root_update(RootBelief<T>& b, const MatrixX<T>& h, const MatrixX<T>& r_root,
                 const VectorX<T>& y, Scores<T>& scores) {
  const Eigen::Index n = b.root.rows(), p = h.rows();
  MatrixX<T> array = MatrixX<T>::Zero(p + n, p + n);
  array.topLeftCorner(p, p) = r_root;
  array.topRightCorner(p, n) = h * b.root;
  array.bottomRightCorner(n, n) = b.root;
  const VectorX<T> scale = array.topRows(p).rowwise().norm();
  const MatrixX<T> post = triangular<T>(array);
  const MatrixX<T> root = post.topLeftCorner(p, p);
  if (singular_root<T>(root, scale)) return false;
  const VectorX<T> v = y - h * b.mean;
  add_scores<T>(root, v, scores);
  b.mean += post.bottomLeftCorner(n, p) * root.template triangularView<Eigen::Lower>().solve(v);
  b.root = post.bottomRightCorner(n, n);
  return true;
}

template <class T>
void root_predict(RootBelief<T>& b, const MatrixX<T>& f, const MatrixX<T>& q_root,
                  const VectorX<T>& input) {
  const Eigen::Index n = b.root.rows();
  b.mean = f * b.mean + input;
  MatrixX<T> array(n, b.root.cols() + q_root.cols());
  array.leftCols(b.root.cols()) = f * b.root;
  array.rightCols(q_root.cols()) = q_root;
  b.root = triangular<T>(array);
}

// ---- Information

// v and s: innovation and its covariance, for the scores.
template <class T>
void information_update(InformationBelief<T>& b, const MatrixX<T>& h, const MatrixX<T>& r_inverse,
                        const VectorX<T>& y) {
  b.vector += h.transpose() * (r_inverse * y);
  b.precision = symmetrised<T>(b.precision + h.transpose() * r_inverse * h);
}

// q_root: Q = G G'. The joint precision of x_t and the standard normal noise is folded onto
// x_{t+1} = F x_t + G w + input by marginalising w.
template <class T>
void information_predict(InformationBelief<T>& b, const MatrixX<T>& f_inverse,
                         const MatrixX<T>& q_root, const VectorX<T>& input) {
  const MatrixX<T> m = symmetrised<T>(f_inverse.transpose() * b.precision * f_inverse);
  const VectorX<T> z = f_inverse.transpose() * b.vector + m * input;
  const MatrixX<T> mg = m * q_root;
  const MatrixX<T> inner =
      MatrixX<T>::Identity(q_root.cols(), q_root.cols()) + q_root.transpose() * mg;
  const MatrixX<T> gain = inner.llt().solve(mg.transpose());  // [q,n]
  b.vector = z - gain.transpose() * (q_root.transpose() * z);
  b.precision = symmetrised<T>(m - mg * gain);
}

// ---- One scalar at a time

// R = L D L' with L unit lower triangular; a pivot that is zero to rounding is 0 and clears its
// column.
template <class T>
void unit_factor(const MatrixX<T>& r, MatrixX<T>& l, VectorX<T>& d) {
  const Eigen::Index p = r.rows();
  l = MatrixX<T>::Identity(p, p);
  d = VectorX<T>::Zero(p);
  for (Eigen::Index j = 0; j < p; ++j) {
    T pivot = r(j, j);
    for (Eigen::Index k = 0; k < j; ++k) pivot -= l(j, k) * l(j, k) * d(k);
    if (!(pivot > T(16) * T(p) * std::numeric_limits<T>::epsilon() * r(j, j))) continue;
    d(j) = pivot;
    for (Eigen::Index i = j + 1; i < p; ++i) {
      T entry = r(i, j);
      for (Eigen::Index k = 0; k < j; ++k) entry -= l(i, k) * l(j, k) * d(k);
      l(i, j) = entry / pivot;
    }
  }
}

// What a scalar update did, for the backward pass of bryson_frazier.
template <class T>
struct ScalarStep {
  enum class Kind {
    kUsual,
    kDiffuse,   // it ended a diffuse direction
    kRedundant  // variance 0 and innovation 0: nothing new
  };
  Kind kind = Kind::kRedundant;
  VectorX<T> h;
  T innovation = 0;
  T variance = 0, diffuse_variance = 0;  // F*, F_inf
  VectorX<T> gain, second_gain;          // k0 (of F_inf if diffuse), k1
};

// Calls visit(ScalarStep) for each scalar. diffuse: A [n,m] with the covariance cov + kappa A A',
// kappa -> infinity; an observation along it removes a column.
template <class T, class Visit>
void scalar_updates(Belief<T>& b, MatrixX<T>& diffuse, const MatrixX<T>& h, const MatrixX<T>& r,
                    const VectorX<T>& y, Scores<T>& scores, Visit&& visit) {
  constexpr T kEps = std::numeric_limits<T>::epsilon();
  const Eigen::Index n = b.mean.size(), p = h.rows();
  MatrixX<T> l;
  VectorX<T> d;
  unit_factor<T>(r, l, d);
  const auto unit = l.template triangularView<Eigen::UnitLower>();
  const MatrixX<T> rows = unit.solve(h);
  const VectorX<T> values = unit.solve(y);
  for (Eigen::Index i = 0; i < p; ++i) {
    ScalarStep<T> step;
    step.h = rows.row(i).transpose();
    const VectorX<T> size = step.h.cwiseAbs();
    const VectorX<T> cross = b.cov * step.h;
    step.innovation = values(i) - step.h.dot(b.mean);
    step.variance = step.h.dot(cross) + d(i);
    const VectorX<T> w = diffuse.transpose() * step.h;
    const T reach = w.norm();
    if (w.size() > 0 && reach > T(64) * T(n) * std::sqrt(kEps) * size.norm() * diffuse.norm()) {
      step.kind = ScalarStep<T>::Kind::kDiffuse;
      step.diffuse_variance = reach * reach;
      const VectorX<T> far = diffuse * w;  // P_inf h
      step.gain = far / step.diffuse_variance;
      step.second_gain = (cross - step.gain * step.variance) / step.diffuse_variance;
      b.mean += step.gain * step.innovation;
      b.cov += step.gain * step.gain.transpose() * step.variance - cross * step.gain.transpose() -
               step.gain * cross.transpose();
      b.cov = symmetrised<T>(b.cov);
      // A reflection that turns w to its first axis: what stays of A is orthogonal to w.
      VectorX<T> u = w;
      u(0) += w(0) < 0 ? -reach : reach;
      const MatrixX<T> turned = diffuse - (diffuse * u) * u.transpose() * (T(2) / u.squaredNorm());
      diffuse = turned.rightCols(turned.cols() - 1).eval();
      scores.log_likelihood -= std::log(reach);
    } else {
      const T scale = size.dot(b.cov.cwiseAbs() * size) + d(i);
      if (step.variance > T(16) * T(n) * kEps * scale) {
        step.kind = ScalarStep<T>::Kind::kUsual;
        step.gain = cross / step.variance;
        const T nis = step.innovation * step.innovation / step.variance;
        scores.nis += nis;
        scores.log_likelihood -= T(0.5) * (kLogTwoPi<T> + std::log(step.variance) + nis);
        b.mean += step.gain * step.innovation;
        b.cov = symmetrised<T>(b.cov - step.gain * cross.transpose());
      } else if (std::abs(step.innovation) >
                 std::sqrt(kEps) * (std::abs(values(i)) + size.dot(b.mean.cwiseAbs()))) {
        throw Error(ExitCode::kData,
                    "an observation that the model holds for certain is contradicted by " +
                        std::to_string(step.innovation),
                    "y", "give Q, R or cov0 some variance");
      }
    }
    // An exact observation leaves nothing along h; rounding would, and the next exact one would
    // take it for news.
    if (d(i) == 0 && step.kind != ScalarStep<T>::Kind::kRedundant) {
      const T length = step.h.squaredNorm();
      const VectorX<T> rest = b.cov * step.h / length;
      b.cov -= rest * step.h.transpose() + step.h * rest.transpose() -
               step.h * (step.h.dot(rest) / length) * step.h.transpose();
      b.cov = symmetrised<T>(b.cov);
    }
    visit(step);
  }
}

template <class T>
void sequential_update(Belief<T>& b, const MatrixX<T>& h, const MatrixX<T>& r, const VectorX<T>& y,
                       Scores<T>& scores) {
  MatrixX<T> diffuse(b.mean.size(), 0);
  scalar_updates<T>(b, diffuse, h, r, y, scores, [](const ScalarStep<T>&) {});
}

}  // namespace covary::filter
