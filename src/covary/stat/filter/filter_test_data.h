// For tests: random linear models, series with holes, and the posterior by conditioning the whole
// stacked Gaussian at once, which knows nothing of recursions.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <Eigen/Dense>

#include "covary/core/base/random.h"
#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

inline at::Tensor normal_tensor(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random random(seed);
  double* x = t.mutable_data_ptr<double>();
  for (int64_t i = 0; i < t.numel(); ++i) x[i] = random.normal(static_cast<uint64_t>(i));
  return t;
}

// Random, stable; with steps > 0 every matrix changes each step.
inline LinearModel random_model(int64_t n, int64_t p, int64_t k, int64_t steps, uint64_t seed) {
  const auto matrix = [&](int64_t rows, int64_t columns, uint64_t offset) {
    return steps > 0 ? normal_tensor({steps, rows, columns}, seed * 100 + offset)
                     : normal_tensor({rows, columns}, seed * 100 + offset);
  };
  const auto covariance = [](const at::Tensor& a) {
    return at::matmul(a, a.transpose(-1, -2)) * 0.3 + 0.2 * at::eye(a.size(-1), at::kDouble);
  };
  LinearModel m;
  m.f = 0.5 * at::eye(n, at::kDouble) + 0.3 * matrix(n, n, 1) / std::sqrt(double(n));
  m.q = covariance(matrix(n, n, 2));
  m.h = matrix(p, n, 3);
  m.r = covariance(matrix(p, p, 4));
  if (k > 0) m.b = matrix(n, k, 5);
  m.mean0 = normal_tensor({n}, seed * 100 + 6);
  m.cov0 = covariance(normal_tensor({n, n}, seed * 100 + 7));
  return m;
}

// A fifth of the entries missing, and row 3 whole.
inline at::Tensor series_with_holes(int64_t steps, int64_t p, uint64_t seed) {
  at::Tensor y = 2 * normal_tensor({steps, p}, seed);
  const Random random(seed, 1);
  double* x = y.mutable_data_ptr<double>();
  for (int64_t i = 0; i < y.numel(); ++i) {
    if (random.uniform(static_cast<uint64_t>(i)) < 0.2 || i / p == 3) {
      x[i] = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return y;
}

// The states x_0 .. x_{T-1} as one Gaussian, and what observations tell about them. A diffuse start
// is a flat prior on the coefficients of its directions, solved by generalised least squares.
class DenseOracle {
  using Real = long double;
  using Matrix = Eigen::Matrix<Real, -1, -1>;
  using Vector = Eigen::Matrix<Real, -1, 1>;

 public:
  DenseOracle(const LinearModel& model, const at::Tensor& y, const at::Tensor& u = {})
      : v_(model, y, u) {
    const int64_t n = v_.states(), steps = v_.steps();
    mean_.resize(n * steps);
    cov_ = Matrix::Zero(n * steps, n * steps);
    reach_ = Matrix::Zero(n * steps, v_.diffuse().cols());
    for (int64_t t = 0; t < steps; ++t) {
      if (t == 0) {
        mean_.head(n) = v_.mean0().cast<Real>();
        cov_.topLeftCorner(n, n) = v_.cov0().cast<Real>();
        reach_.topRows(n) = v_.diffuse().cast<Real>();
        continue;
      }
      const Matrix f = v_.f(t - 1).cast<Real>();
      const int64_t now = n * t, before = n * (t - 1);
      mean_.segment(now, n) = f * mean_.segment(before, n) + v_.input(t - 1).cast<Real>();
      if (reach_.size() > 0) reach_.middleRows(now, n) = f * reach_.middleRows(before, n);
      cov_.block(now, 0, n, now) = f * cov_.block(before, 0, n, now);
      cov_.block(0, now, now, n) = cov_.block(now, 0, n, now).transpose();
      cov_.block(now, now, n, n) =
          f * cov_.block(before, before, n, n) * f.transpose() + v_.q(t - 1).cast<Real>();
    }
  }

  struct Posterior {
    VectorXd mean;
    MatrixXd cov;
    double log_likelihood;
  };
  // Of all states given y_0 .. y_last; in long double, so that differences are the recursion's.
  Posterior given(int64_t last) const {
    const int64_t n = v_.states();
    int64_t count = 0;
    for (int64_t t = 0; t <= last; ++t) count += int64_t(v_.present(t).size());
    Matrix h = Matrix::Zero(count, mean_.size()), r = Matrix::Zero(count, count);
    Vector y(count);
    for (int64_t t = 0, row = 0; t <= last; ++t) {
      const Observation o = observation_at(v_, t);
      h.block(row, n * t, o.h.rows(), n) = o.h.cast<Real>();
      r.block(row, row, o.r.rows(), o.r.rows()) = o.r.cast<Real>();
      y.segment(row, o.y.size()) = o.y.cast<Real>();
      row += o.y.size();
    }
    const Matrix cross = cov_ * h.transpose(), s = h * cross + r;
    const Eigen::LLT<Matrix> llt(s);
    const Matrix root = llt.matrixL();
    const int64_t m = reach_.cols();
    const Matrix seen = h * reach_, weighted = m > 0 ? Matrix(llt.solve(seen)) : seen;
    const Matrix information = seen.transpose() * weighted;
    const Vector residual = y - h * mean_;
    const Vector delta = information.ldlt().solve(weighted.transpose() * residual);
    const Vector left = residual - seen * delta, rest = llt.solve(left);
    const Matrix spread = reach_ - cross * weighted;
    const Real determinant = m > 0 ? information.determinant() : Real(1);
    const Vector mean = mean_ + reach_ * delta + cross * rest;
    const Matrix cov = cov_ - cross * llt.solve(cross.transpose()) +
                       spread * information.ldlt().solve(spread.transpose());
    const Real log_likelihood =
        Real(-0.5) *
        (Real(count - m) * std::log(2 * std::numbers::pi_v<Real>) +
         2 * root.diagonal().array().log().sum() + std::log(determinant) + left.dot(rest));
    return {mean.cast<double>(), cov.cast<double>(), double(log_likelihood)};
  }
  VectorXd mean_at(const Posterior& p, int64_t t) const {
    return p.mean.segment(v_.states() * t, v_.states());
  }
  MatrixXd cov_at(const Posterior& p, int64_t t, int64_t s) const {
    const int64_t n = v_.states();
    return p.cov.block(n * t, n * s, n, n);
  }

 private:
  ModelView v_;
  Vector mean_;
  Matrix cov_, reach_;
};

// The largest difference from b, relative to max(1, the largest entry of b).
inline double worst(const MatrixXd& a, const MatrixXd& b) {
  return (a - b).cwiseAbs().maxCoeff() / std::max(1.0, b.cwiseAbs().maxCoeff());
}

}  // namespace covary::filter
