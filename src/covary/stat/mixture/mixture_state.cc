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

double MixtureState::log_prior() const {
  if (prior.rows == 0) return 0;
  const double dd = static_cast<double>(d);
  const auto square = [](double v) { return v * v; };
  double sum = 0;
  for (int64_t c = 0; c < k; ++c) {
    const double* mean = means.data() + c * d;
    if (type == CovarianceType::kDiagonal) {
      for (int64_t j = 0; j < d; ++j) {
        const size_t at = static_cast<size_t>(j);
        const double v = covariances[static_cast<size_t>(c * d + j)];
        sum -= 0.5 * (prior.degrees - dd + 4) * std::log(v) +
               0.5 * (prior.scale[at] + prior.rows * square(mean[j] - prior.mean[at])) / v;
      }
      continue;
    }
    // |W (m - m_0)|^2 and tr(S_0 W'W), from the whitening W.
    const double* w = whiten.data() + c * d * d;
    for (int64_t i = 0; i < d; ++i) {
      double z = 0, trace = 0;
      for (int64_t j = 0; j <= i; ++j) {
        const size_t at = static_cast<size_t>(j);
        z += w[i * d + j] * (mean[j] - prior.mean[at]);
        trace += square(w[i * d + j]) * prior.scale[at];
      }
      sum += (prior.degrees + dd + 2) * std::log(w[i * d + i]) - 0.5 * trace -
             0.5 * prior.rows * z * z;
    }
  }
  return sum;
}

namespace {

// The component's most probable mean and covariance, given its own maxima of the likelihood.
void apply_prior(const MixturePrior& p, int64_t c, double mass, MixtureState& s) {
  const int64_t d = s.d;
  const double dd = static_cast<double>(d), pull = p.rows * mass / (p.rows + mass);
  double* mean = s.means.data() + c * d;
  std::vector<double> apart(static_cast<size_t>(d));
  for (int64_t j = 0; j < d; ++j)
    apart[static_cast<size_t>(j)] = mean[j] - p.mean[static_cast<size_t>(j)];
  if (s.type == CovarianceType::kDiagonal) {
    for (int64_t j = 0; j < d; ++j) {
      const size_t at = static_cast<size_t>(j);
      double& v = s.covariances[static_cast<size_t>(c * d + j)];
      v = (mass * v + p.scale[at] + pull * apart[at] * apart[at]) / (mass + p.degrees - dd + 4);
    }
  } else {
    for (int64_t i = 0; i < d; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const size_t a = static_cast<size_t>(i), b = static_cast<size_t>(j);
        double& v = s.covariances[static_cast<size_t>((c * d + i) * d + j)];
        v = (mass * v + (i == j ? p.scale[a] : 0) + pull * apart[a] * apart[b]) /
            (mass + p.degrees + dd + 2);
        s.covariances[static_cast<size_t>((c * d + j) * d + i)] = v;
      }
    }
  }
  for (int64_t j = 0; j < d; ++j)
    mean[j] -= p.rows / (p.rows + mass) * apart[static_cast<size_t>(j)];
}

// Each component's own covariance about its new mean, lower triangles; means move.
void set_moments(const compute::MixtureSums& sums, int64_t c, double mass, MixtureState& s) {
  const int64_t d = s.d;
  const double* shift = sums.shift.data() + c * d;
  if (s.type == CovarianceType::kFull) {
    MatrixMap out(s.covariances.data() + c * d * d, d, d);
    for (int64_t i = 0; i < d; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        out(i, j) = out(j, i) =
            (sums.scatter[static_cast<size_t>((c * d + i) * d + j)] - shift[i] * shift[j] / mass) /
            mass;
      }
    }
  } else if (s.type == CovarianceType::kDiagonal) {
    for (int64_t j = 0; j < d; ++j) {
      const size_t at = static_cast<size_t>(c * d + j);
      s.covariances[at] = (sums.scatter[at] - shift[j] * shift[j] / mass) / mass;
    }
  } else if (s.type == CovarianceType::kSpherical) {
    double trace = sums.scatter[static_cast<size_t>(c)];
    for (int64_t j = 0; j < d; ++j) trace -= shift[j] * shift[j] / mass;
    s.covariances[static_cast<size_t>(c)] = trace / (mass * static_cast<double>(d));
  }
  for (int64_t j = 0; j < d; ++j) s.means[static_cast<size_t>(c * d + j)] += shift[j] / mass;
}

// Raises what is below the floor; true when something was.
bool apply_floor(const VarianceFloor& floor, double mean_floor, int64_t c, MixtureState& s) {
  const int64_t d = s.d;
  if (s.type == CovarianceType::kFull)
    return raise_to_floor(floor, MatrixMap(s.covariances.data() + c * d * d, d, d));
  if (s.type == CovarianceType::kDiagonal) {
    bool raised = false;
    for (int64_t j = 0; j < d; ++j) {
      double& v = s.covariances[static_cast<size_t>(c * d + j)];
      const double variance = floor.variance[static_cast<size_t>(j)],
                   least = floor.share * variance;
      raised = raised || v < least;
      v = std::max({v, least, 1e-14 * variance});
    }
    return raised;
  }
  double& v = s.covariances[static_cast<size_t>(c)];
  const bool raised = v < floor.share * mean_floor;
  v = std::max({v, floor.share * mean_floor, 1e-14 * mean_floor});
  return raised;
}

}  // namespace

MStep maximise(const compute::MixtureSums& sums, const VarianceFloor& floor, double least_weight,
               MixtureState& s) {
  MStep step;
  const int64_t k = s.k, d = s.d;
  double total = 0;
  for (const double m : sums.mass) total += m;
  double mean_floor = 0;
  for (const double v : floor.variance) mean_floor += v / static_cast<double>(d);
  std::vector<double> masses(sums.mass);
  for (int64_t c = 0; c < k; ++c) {
    double& mass = masses[static_cast<size_t>(c)];
    s.log_weights[static_cast<size_t>(c)] = std::log(mass / total);  // -inf for none
    if (mass > least_weight * total) continue;
    step.starved.push_back(c);
    mass = 0;  // its mean and covariance stay as they were
  }
  // A rule with common axes goes on from those that the covariances have, which are about to be lost.
  if ((s.rule == CovarianceRule::kAxes || s.rule == CovarianceRule::kAxesOwnShape) &&
      s.rule_state.axes.empty()) {
    Matrix sum = Matrix::Zero(d, d);
    for (int64_t c = 0; c < k; ++c) sum += ConstMatrixMap(s.covariances.data() + c * d * d, d, d);
    const Matrix axes = Eigen::SelfAdjointEigenSolver<Matrix>(sum).eigenvectors();
    s.rule_state.axes.assign(axes.data(), axes.data() + d * d);
  }
  if (s.type == CovarianceType::kTied) {
    double pooled_mass = 0;
    s.covariances = sums.scatter;
    for (int64_t c = 0; c < k; ++c) {
      const double mass = sums.mass[static_cast<size_t>(c)];
      pooled_mass += mass;
      if (!(mass > 0)) continue;
      const double* shift = sums.shift.data() + c * d;
      for (int64_t i = 0; i < d; ++i) {
        for (int64_t j = 0; j <= i; ++j)
          s.covariances[static_cast<size_t>(i * d + j)] -= shift[i] * shift[j] / mass;
      }
    }
    for (double& v : s.covariances) v /= pooled_mass;
  }
  for (int64_t c = 0; c < k; ++c) {
    const double mass = masses[static_cast<size_t>(c)];
    if (!(mass > 0)) continue;
    set_moments(sums, c, mass, s);
    if (s.prior.rows > 0) apply_prior(s.prior, c, mass, s);
  }
  if (s.rule != CovarianceRule::kFree) {
    std::vector<double> least(floor.variance);
    for (double& v : least) v *= floor.share;
    constrain(s.rule, k, d, s.factors, masses, least, s.covariances, s.rule_state);
  }
  if (s.type == CovarianceType::kTied) {
    step.floored += raise_to_floor(floor, MatrixMap(s.covariances.data(), d, d));
  } else {
    for (int64_t c = 0; c < k; ++c) {
      if (masses[static_cast<size_t>(c)] > 0) step.floored += apply_floor(floor, mean_floor, c, s);
    }
  }
  s.factorise();
  return step;
}

void add_row(const MixtureState& s, int64_t c, double w, const double* x,
             compute::MixtureSums& sums) {
  const int64_t d = s.d;
  const double* mean = s.means.data() + c * d;
  sums.mass[static_cast<size_t>(c)] += w;
  for (int64_t a = 0; a < d; ++a) {
    const double za = x[a] - mean[a], wa = w * za;
    sums.shift[static_cast<size_t>(c * d + a)] += w * za;
    if (s.type == CovarianceType::kSpherical) {
      sums.scatter[static_cast<size_t>(c)] += wa * za;
    } else if (s.type == CovarianceType::kDiagonal) {
      sums.scatter[static_cast<size_t>(c * d + a)] += wa * za;
    } else {
      const int64_t base = s.type == CovarianceType::kFull ? c * d * d : 0;
      for (int64_t b = 0; b <= a; ++b)
        sums.scatter[static_cast<size_t>(base + a * d + b)] += wa * (x[b] - mean[b]);
    }
  }
}

void move_sums(CovarianceType type, int64_t k, int64_t d, const std::vector<double>& from,
               const std::vector<double>& to, compute::MixtureSums& s) {
  std::vector<double> move(static_cast<size_t>(d)), old(move);
  for (int64_t c = 0; c < k; ++c) {
    const double mass = s.mass[static_cast<size_t>(c)];
    double* shift = s.shift.data() + c * d;
    old.assign(shift, shift + d);
    for (int64_t j = 0; j < d; ++j) {
      const size_t at = static_cast<size_t>(c * d + j);
      move[static_cast<size_t>(j)] = to[at] - from[at];
      shift[j] -= mass * move[static_cast<size_t>(j)];
    }
    for (int64_t a = 0; a < d; ++a) {
      for (int64_t b = 0; b <= a; ++b) {
        const size_t i = static_cast<size_t>(a), j = static_cast<size_t>(b);
        const double change = mass * move[i] * move[j] - old[i] * move[j] - move[i] * old[j];
        if (type == CovarianceType::kFull) {
          s.scatter[static_cast<size_t>((c * d + a) * d + b)] += change;
        } else if (type == CovarianceType::kTied) {
          s.scatter[static_cast<size_t>(a * d + b)] += change;
        } else if (a == b) {
          s.scatter[static_cast<size_t>(type == CovarianceType::kSpherical ? c : c * d + a)] +=
              change;
        }
      }
    }
  }
}

}  // namespace covary::mixture
