#include "covary/stat/mixture/em_accelerate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

int64_t matrices_of(const MixtureState& s) { return s.type == CovarianceType::kTied ? 1 : s.k; }
bool has_matrices(const MixtureState& s) {
  return s.type == CovarianceType::kTied || s.type == CovarianceType::kFull;
}

// All parameters as free numbers.
Vector free_of(const MixtureState& s, const Vector& scale) {
  std::vector<double> out(s.log_weights);
  for (size_t i = 0; i < s.means.size(); ++i)
    out.push_back(s.means[i] / scale(static_cast<int64_t>(i) % s.d));
  if (!has_matrices(s)) {
    for (const double v : s.covariances) out.push_back(std::log(v));
  } else {
    for (int64_t c = 0; c < matrices_of(s); ++c) {
      const Eigen::Map<const Matrix> m(s.covariances.data() + c * s.d * s.d, s.d, s.d);
      const Matrix scaled =
          scale.cwiseInverse().asDiagonal() * m * scale.cwiseInverse().asDiagonal();
      const Matrix l = Eigen::LLT<Matrix>(scaled).matrixL();
      for (int64_t i = 0; i < s.d; ++i) {
        for (int64_t j = 0; j <= i; ++j) out.push_back(i == j ? std::log(l(i, i)) : l(i, j));
      }
    }
  }
  return Eigen::Map<const Vector>(out.data(), static_cast<int64_t>(out.size()));
}

// Back; false when it is no mixture above the floor.
bool set_free(const Vector& free, const Vector& scale, const VarianceFloor& floor,
              MixtureState& s) {
  if (!free.allFinite()) return false;
  int64_t at = 0;
  const double top = free.head(s.k).maxCoeff();
  const double total = top + std::log((free.head(s.k).array() - top).exp().sum());
  for (double& w : s.log_weights) w = free(at++) - total;
  for (size_t i = 0; i < s.means.size(); ++i)
    s.means[i] = free(at++) * scale(static_cast<int64_t>(i) % s.d);
  if (!has_matrices(s)) {
    const double mean_floor = scale.squaredNorm() / static_cast<double>(s.d);
    for (size_t i = 0; i < s.covariances.size(); ++i) {
      const double v = std::exp(free(at++));
      const double whole =
          s.type == CovarianceType::kSpherical
              ? mean_floor
              : scale(static_cast<int64_t>(i) % s.d) * scale(static_cast<int64_t>(i) % s.d);
      if (!(v >= std::max(floor.share, 1e-14) * whole) || !std::isfinite(v)) return false;
      s.covariances[i] = v;
    }
  } else {
    for (int64_t c = 0; c < matrices_of(s); ++c) {
      Matrix l = Matrix::Zero(s.d, s.d);
      for (int64_t i = 0; i < s.d; ++i) {
        for (int64_t j = 0; j <= i; ++j, ++at) l(i, j) = i == j ? std::exp(free(at)) : free(at);
      }
      Matrix scaled = l * l.transpose();
      Matrix above = scaled;
      above.diagonal().array() -= floor.share;
      if (Eigen::LLT<Matrix>(above).info() != Eigen::Success) return false;
      Eigen::Map<Matrix> m(s.covariances.data() + c * s.d * s.d, s.d, s.d);
      m = scale.asDiagonal() * scaled * scale.asDiagonal();
    }
  }
  try {
    s.factorise();
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace

std::optional<MixtureState> extrapolate(const MixtureState& s0, const MixtureState& s1,
                                        const MixtureState& s2, const VarianceFloor& floor) {
  const Vector scale = Eigen::Map<const Vector>(floor.variance.data(), s0.d).cwiseSqrt();
  const Vector a = free_of(s0, scale), b = free_of(s1, scale), c = free_of(s2, scale);
  if (!a.allFinite() || !b.allFinite() || !c.allFinite()) return std::nullopt;
  const Vector r = b - a, v = c - b - r;
  const double bend = v.norm();
  if (!(bend > 0)) return std::nullopt;
  const double step = std::max(1.0, r.norm() / bend);
  MixtureState out = s2;
  if (!set_free(a + 2 * step * r + step * step * v, scale, floor, out)) return std::nullopt;
  return out;
}

void AndersonMixing::restart() {
  residual_.clear();
  residuals_.clear();
  points_.clear();
}

std::optional<MixtureState> AndersonMixing::next(const MixtureState& before,
                                                 const MixtureState& after,
                                                 const VarianceFloor& floor) {
  const Vector scale = Eigen::Map<const Vector>(floor.variance.data(), before.d).cwiseSqrt();
  const Vector g = free_of(after, scale), f = g - free_of(before, scale);
  if (!f.allFinite()) {
    restart();
    return std::nullopt;
  }
  const auto kept = [](const Vector& v) { return std::vector<double>(v.begin(), v.end()); };
  const auto view = [](const std::vector<double>& v) {
    return Eigen::Map<const Vector>(v.data(), static_cast<int64_t>(v.size()));
  };
  if (!residual_.empty()) {
    residuals_.push_back(kept(f - view(residual_)));
    points_.push_back(kept(g - view(point_)));
    if (static_cast<int64_t>(points_.size()) > depth_) {
      residuals_.erase(residuals_.begin());
      points_.erase(points_.begin());
    }
  }
  residual_ = kept(f);
  point_ = kept(g);
  if (points_.empty()) return std::nullopt;
  Eigen::MatrixXd differences(f.size(), static_cast<int64_t>(points_.size()));
  for (size_t i = 0; i < points_.size(); ++i)
    differences.col(static_cast<int64_t>(i)) = view(residuals_[i]);
  const Vector c = Eigen::ColPivHouseholderQR<Eigen::MatrixXd>(differences).solve(f);
  Vector to = g;
  for (size_t i = 0; i < points_.size(); ++i) to -= c(static_cast<int64_t>(i)) * view(points_[i]);
  MixtureState out = after;
  if (!set_free(to, scale, floor, out)) return std::nullopt;
  return out;
}

MixtureState tempered(const MixtureState& s, double power) {
  MixtureState t = s;
  const double base = -0.5 * static_cast<double>(s.d) * std::log(2 * std::numbers::pi);
  for (int64_t c = 0; c < s.k; ++c) {
    double log_determinant = 0;
    for (int64_t i = 0; i < s.d; ++i) {
      int64_t at = c;
      if (s.type == CovarianceType::kDiagonal) at = c * s.d + i;
      if (s.type == CovarianceType::kTied) at = i * s.d + i;
      if (s.type == CovarianceType::kFull) at = (c * s.d + i) * s.d + i;
      log_determinant += std::log(s.whiten[static_cast<size_t>(at)]);
    }
    double& w = t.log_weights[static_cast<size_t>(c)];
    w = power * w + (power - 1) * (base + log_determinant) -
        0.5 * static_cast<double>(s.d) * std::log(power);
  }
  for (double& w : t.whiten) w *= std::sqrt(power);
  return t;
}

}  // namespace covary::mixture
