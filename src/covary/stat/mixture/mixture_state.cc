#include "covary/stat/mixture/mixture_state.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

#include "covary/core/base/error.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixMap = Eigen::Map<Matrix>;
using ConstMatrixMap = Eigen::Map<const Matrix>;

// Raises eigenvalues of D^-1/2 C D^-1/2 that are below the share; true when one was. C is filled
// from its lower triangle.
bool raise_to_floor(const VarianceFloor& floor, MatrixMap c) {
  const int64_t d = c.rows();
  c.triangularView<Eigen::StrictlyUpper>() = c.transpose();
  const Eigen::VectorXd scale =
      Eigen::Map<const Eigen::VectorXd>(floor.variance.data(), d).cwiseSqrt();
  const Eigen::VectorXd inverse = scale.cwiseInverse();
  Matrix scaled = inverse.asDiagonal() * c * inverse.asDiagonal();
  // A factor of what lies above the floor shows that nothing lies below it.
  Matrix above = scaled;
  above.diagonal().array() -= floor.share;
  const Eigen::LLT<Matrix> test(above);
  if (test.info() == Eigen::Success) return false;
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(scaled);
  // Rounding of the product below must not undo the floor where it is near nothing.
  const double least = std::max(floor.share, 1e-14 * std::max(eigen.eigenvalues().maxCoeff(), 1.0));
  const Eigen::VectorXd values = eigen.eigenvalues().cwiseMax(least);
  scaled = eigen.eigenvectors() * values.asDiagonal() * eigen.eigenvectors().transpose();
  c = scale.asDiagonal() * scaled * scale.asDiagonal();
  c = (0.5 * (c + c.transpose())).eval();
  return true;
}

// L^-1 of a covariance, row-major with zeros above the diagonal; false when there is none.
bool inverse_factor(const double* covariance, int64_t d, double* out) {
  // Scaled to a unit diagonal first: columns may differ by many powers of ten.
  const ConstMatrixMap c(covariance, d, d);
  const Eigen::VectorXd inverse = c.diagonal().cwiseSqrt().cwiseInverse();
  if (!inverse.allFinite()) return false;
  const Matrix scaled = inverse.asDiagonal() * c * inverse.asDiagonal();
  const Eigen::LLT<Matrix> factor(scaled);
  if (factor.info() != Eigen::Success) return false;
  MatrixMap w(out, d, d);
  w.setIdentity();
  factor.matrixL().solveInPlace(w);
  w = (w * inverse.asDiagonal()).eval();
  w.triangularView<Eigen::StrictlyUpper>().setZero();
  return w.allFinite();
}

}  // namespace

std::vector<double> MixtureState::covariance(int64_t component) const {
  if (type == CovarianceType::kFull || type == CovarianceType::kTied) {
    const auto from = covariances.begin() + (type == CovarianceType::kFull ? component * d * d : 0);
    return {from, from + d * d};
  }
  std::vector<double> full(static_cast<size_t>(d * d), 0.0);
  for (int64_t j = 0; j < d; ++j) {
    full[static_cast<size_t>(j * d + j)] = covariances[static_cast<size_t>(
        type == CovarianceType::kSpherical ? component : component * d + j)];
  }
  return full;
}

void MixtureState::factorise() {
  whiten.assign(covariances.size(), 0.0);
  if (type == CovarianceType::kSpherical || type == CovarianceType::kDiagonal) {
    for (size_t i = 0; i < covariances.size(); ++i) {
      if (!(covariances[i] > 0) || !std::isfinite(covariances[i]))
        throw Error(ExitCode::kData, "a variance is not positive",
                    "component " + std::to_string(type == CovarianceType::kSpherical
                                                      ? static_cast<int64_t>(i)
                                                      : static_cast<int64_t>(i) / d));
      whiten[i] = 1 / std::sqrt(covariances[i]);
    }
    return;
  }
  const int64_t count = type == CovarianceType::kFull ? k : 1;
  for (int64_t c = 0; c < count; ++c) {
    if (inverse_factor(covariances.data() + c * d * d, d, whiten.data() + c * d * d)) continue;
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(
        ConstMatrixMap(covariances.data() + c * d * d, d, d), Eigen::EigenvaluesOnly);
    throw Error(ExitCode::kData,
                "the covariance is not positive definite (smallest eigenvalue " +
                    std::to_string(eigen.eigenvalues()(0)) + ")",
                "component " + std::to_string(c), "raise the option floor");
  }
}

int64_t replace_constant(const std::vector<double>& mean, std::vector<double>& variance) {
  int64_t replaced = 0;
  for (size_t j = 0; j < variance.size(); ++j) {
    const double least = std::pow(std::ldexp(mean[j], -26), 2);
    if (variance[j] > least && variance[j] > std::numeric_limits<double>::min()) continue;
    variance[j] = least > std::numeric_limits<double>::min() ? least : 1.0;
    ++replaced;
  }
  return replaced;
}

MStep maximise(const compute::MixtureSums& sums, const VarianceFloor& floor, double least_weight,
               MixtureState& s) {
  MStep step;
  const int64_t k = s.k, d = s.d;
  double total = 0;
  for (const double m : sums.mass) total += m;
  double mean_floor = 0;
  for (const double v : floor.variance) mean_floor += v / static_cast<double>(d);
  std::vector<double> pooled;
  if (s.type == CovarianceType::kTied) pooled = sums.scatter;
  double pooled_mass = 0;
  for (int64_t c = 0; c < k; ++c) {
    const double mass = sums.mass[static_cast<size_t>(c)];
    s.log_weights[static_cast<size_t>(c)] = std::log(mass / total);  // -inf for none
    if (!(mass > least_weight * total)) step.starved.push_back(c);
    pooled_mass += mass;
    if (!(mass > 0)) continue;
    const double* shift = sums.shift.data() + c * d;
    const auto starved = !(mass > least_weight * total);
    if (s.type == CovarianceType::kTied) {
      for (int64_t i = 0; i < d; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          pooled[static_cast<size_t>(i * d + j)] -= shift[i] * shift[j] / mass;
        }
      }
    } else if (s.type == CovarianceType::kFull && !starved) {
      MatrixMap out(s.covariances.data() + c * d * d, d, d);
      for (int64_t i = 0; i < d; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          out(i, j) = (sums.scatter[static_cast<size_t>((c * d + i) * d + j)] -
                       shift[i] * shift[j] / mass) /
                      mass;
        }
      }
      step.floored += raise_to_floor(floor, out);
    } else if (s.type == CovarianceType::kDiagonal && !starved) {
      bool raised = false;
      for (int64_t j = 0; j < d; ++j) {
        const size_t at = static_cast<size_t>(c * d + j);
        const double v = (sums.scatter[at] - shift[j] * shift[j] / mass) / mass;
        const double least = floor.share * floor.variance[static_cast<size_t>(j)];
        raised = raised || v < least;
        s.covariances[at] = std::max({v, least, 1e-14 * floor.variance[static_cast<size_t>(j)]});
      }
      step.floored += raised;
    } else if (s.type == CovarianceType::kSpherical && !starved) {
      double trace = sums.scatter[static_cast<size_t>(c)];
      for (int64_t j = 0; j < d; ++j) trace -= shift[j] * shift[j] / mass;
      const double v = trace / (mass * static_cast<double>(d));
      step.floored += v < floor.share * mean_floor;
      s.covariances[static_cast<size_t>(c)] =
          std::max({v, floor.share * mean_floor, 1e-14 * mean_floor});
    }
    if (starved) continue;
    for (int64_t j = 0; j < d; ++j) s.means[static_cast<size_t>(c * d + j)] += shift[j] / mass;
  }
  if (s.type == CovarianceType::kTied) {
    for (double& v : pooled) v /= pooled_mass;
    s.covariances = pooled;
    step.floored += raise_to_floor(floor, MatrixMap(s.covariances.data(), d, d));
  }
  s.factorise();
  return step;
}

}  // namespace covary::mixture
