#include "covary/stat/mixture/covariance_rule.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

#include "covary/stat/mixture/common_axes.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixMap = Eigen::Map<Matrix>;
using Vector = Eigen::VectorXd;

// Steps of volumes and the shape that they share, and the change of a volume's log that ends them.
constexpr int kVolumeSteps = 500;
constexpr double kVolumeSettled = 1e-13;

constexpr int kFactorSteps = 5;  // of the analysers' own EM, a step

double geometric_mean(const Vector& v) { return std::exp(v.array().log().mean()); }
// Directions without any spread keep a value above 0; the floor lifts them later.
Vector above_nothing(const Vector& v) { return v.cwiseMax(1e-14 * std::max(v.maxCoeff(), 1e-300)); }

std::vector<int64_t> with_mass(int64_t k, const std::vector<double>& masses) {
  std::vector<int64_t> parts;
  for (int64_t i = 0; i < k; ++i) {
    if (masses[static_cast<size_t>(i)] > 0) parts.push_back(i);
  }
  return parts;
}

// The shape that parts share and the volume of each, in turn: take_shape forms the shape from the parts
// over their volumes, volume_of(i) is the part's volume with that shape.
template <class TakeShape, class VolumeOf>
std::vector<double> own_volumes(size_t parts, TakeShape&& take_shape, VolumeOf&& volume_of) {
  std::vector<double> volume(parts, 1.0);
  for (int step = 0; step < kVolumeSteps; ++step) {
    take_shape(volume);
    double change = 0;
    for (size_t i = 0; i < parts; ++i) {
      const double v = std::max(volume_of(i), 1e-300);
      change = std::max(change, std::abs(std::log(v / volume[i])));
      volume[i] = v;
    }
    if (change < kVolumeSettled) break;
  }
  return volume;
}

// One value or diagonal for all, weighted by mass.
void pool(int64_t k, int64_t width, const std::vector<double>& masses, std::vector<double>& c) {
  std::vector<double> sum(static_cast<size_t>(width), 0.0);
  double total = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double m = masses[static_cast<size_t>(i)];
    total += m;
    for (int64_t j = 0; j < width; ++j)
      sum[static_cast<size_t>(j)] += m * c[static_cast<size_t>(i * width + j)];
  }
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < width; ++j)
      c[static_cast<size_t>(i * width + j)] = sum[static_cast<size_t>(j)] / total;
  }
}

void one_shape(bool own_volume, int64_t k, int64_t d, const std::vector<double>& masses,
               std::vector<double>& c) {
  struct Part {
    int64_t component;
    double mass;
    Vector values;  // of the scatter, so times mass
    Matrix axes;
  };
  std::vector<Part> parts;
  double total = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double m = masses[static_cast<size_t>(i)];
    if (!(m > 0)) continue;
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(MatrixMap(c.data() + i * d * d, d, d));
    parts.push_back({i, m, m * eigen.eigenvalues().cwiseMax(0.0), eigen.eigenvectors()});
    total += m;
  }
  if (parts.empty()) return;
  Vector shape = Vector::Zero(d);
  for (const Part& p : parts) shape += p.values;
  shape /= total;
  std::vector<double> volume(parts.size(), 1.0);
  if (own_volume) {
    // Directions without any spread keep a shape above 0; the floor lifts them later.
    const double least = 1e-14 * std::max(shape.maxCoeff(), 1e-300);
    volume = own_volumes(
        parts.size(),
        [&](const std::vector<double>& volumes) {
          shape.setZero();
          for (size_t i = 0; i < parts.size(); ++i) shape += parts[i].values / volumes[i];
          shape = shape.cwiseMax(least);
          shape /= geometric_mean(shape);
        },
        [&](size_t i) {
          return (parts[i].values.array() / shape.array()).sum() /
                 (static_cast<double>(d) * parts[i].mass);
        });
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    MatrixMap out(c.data() + parts[i].component * d * d, d, d);
    out = volume[i] * parts[i].axes * shape.asDiagonal() * parts[i].axes.transpose();
    out = (0.5 * (out + out.transpose())).eval();
  }
}

void factor_analysis(int64_t k, int64_t d, int64_t q, const std::vector<double>& masses,
                     const std::vector<double>& least, std::vector<double>& c, RuleState& f) {
  const bool first = f.loadings.empty();
  if (first) {
    f.loadings.assign(static_cast<size_t>(k * d * q), 0.0);
    f.noise.assign(static_cast<size_t>(k * d), 0.0);
  }
  const Eigen::Map<const Vector> floor(least.data(), d);
  for (int64_t i = 0; i < k; ++i) {
    if (!(masses[static_cast<size_t>(i)] > 0)) continue;
    MatrixMap s(c.data() + i * d * d, d, d), l(f.loadings.data() + i * d * q, d, q);
    Eigen::Map<Vector> noise(f.noise.data() + i * d, d);
    if (!(noise.array() > 0).all()) {
      // Principal axes in units of the columns' own spread; the least noise takes the rest.
      const Vector scale = s.diagonal().cwiseMax(floor).cwiseMax(1e-300).cwiseSqrt();
      const Matrix scaled =
          scale.cwiseInverse().asDiagonal() * s * scale.cwiseInverse().asDiagonal();
      const Eigen::SelfAdjointEigenSolver<Matrix> eigen(scaled);
      const double rest = d > q ? std::max(0.0, eigen.eigenvalues().head(d - q).mean()) : 0.0;
      for (int64_t j = 0; j < q; ++j) {
        const double v = std::max(0.0, eigen.eigenvalues()(d - 1 - j) - rest);
        l.col(j) = std::sqrt(v) * (scale.asDiagonal() * eigen.eigenvectors().col(d - 1 - j));
      }
      noise = (s.diagonal() - l.rowwise().squaredNorm())
                  .cwiseMax(floor)
                  .cwiseMax(1e-14 * scale.cwiseAbs2());
    }
    for (int step = 0; step < kFactorSteps; ++step) {
      const Matrix weighted = noise.cwiseInverse().asDiagonal() * l;  // P^-1 L
      Matrix inner = l.transpose() * weighted;
      inner.diagonal().array() += 1;
      const Matrix beta = Eigen::LLT<Matrix>(inner).solve(weighted.transpose());  // [q,d]
      const Matrix cross = s * beta.transpose();                                  // [d,q]
      Matrix second = beta * cross - beta * l;
      second.diagonal().array() += 1;
      second = (0.5 * (second + second.transpose())).eval();
      l = Eigen::LLT<Matrix>(second).solve(cross.transpose()).transpose();
      noise = (s.diagonal() - (l.array() * cross.array()).rowwise().sum().matrix())
                  .cwiseMax(floor)
                  .cwiseMax(1e-14 * s.diagonal());
    }
    s = l * l.transpose();
    s.diagonal() += noise;
  }
}

// The parts' own(i) by mass over volume.
template <class Own, class Sum>
void add_up(const std::vector<int64_t>& parts, const std::vector<double>& masses,
            const std::vector<double>& volumes, Own&& own, Sum* sum) {
  sum->setZero();
  for (size_t i = 0; i < parts.size(); ++i)
    *sum += masses[static_cast<size_t>(parts[i])] / volumes[i] * own(i);
}

// VEI: one diagonal, its size each component's own.
void diagonals_of_one_shape(int64_t k, int64_t d, const std::vector<double>& masses,
                            std::vector<double>& c) {
  const std::vector<int64_t> parts = with_mass(k, masses);
  if (parts.empty()) return;
  const auto own = [&](size_t i) { return Eigen::Map<Vector>(c.data() + parts[i] * d, d); };
  Vector shape(d);
  const std::vector<double> volume = own_volumes(
      parts.size(),
      [&](const std::vector<double>& volumes) {
        add_up(parts, masses, volumes, own, &shape);
        shape = above_nothing(shape);
        shape /= geometric_mean(shape);
      },
      [&](size_t i) { return (own(i).array() / shape.array()).mean(); });
  for (size_t i = 0; i < parts.size(); ++i) own(i) = volume[i] * shape;
}

// VEE: one matrix, its size each component's own.
void matrices_of_one_shape(int64_t k, int64_t d, const std::vector<double>& masses,
                           std::vector<double>& c) {
  const std::vector<int64_t> parts = with_mass(k, masses);
  if (parts.empty()) return;
  const auto own = [&](size_t i) { return MatrixMap(c.data() + parts[i] * d * d, d, d); };
  Matrix shape(d, d), inverse(d, d);
  const std::vector<double> volume = own_volumes(
      parts.size(),
      [&](const std::vector<double>& volumes) {
        add_up(parts, masses, volumes, own, &shape);
        const Eigen::SelfAdjointEigenSolver<Matrix> eigen(shape);
        const Vector values = above_nothing(eigen.eigenvalues());
        const double size = geometric_mean(values);
        const Matrix axes = eigen.eigenvectors();
        shape = axes * (values / size).asDiagonal() * axes.transpose();
        inverse = axes * (size * values.cwiseInverse()).asDiagonal() * axes.transpose();
      },
      [&](size_t i) { return own(i).cwiseProduct(inverse).sum() / static_cast<double>(d); });
  for (size_t i = 0; i < parts.size(); ++i) own(i) = 0.5 * volume[i] * (shape + shape.transpose());
}

// EVI and EVV: their own shapes, of one size. width: d for diagonals, d d for matrices.
void one_volume(bool matrices, int64_t k, int64_t d, const std::vector<double>& masses,
                std::vector<double>& c) {
  std::vector<double> size(static_cast<size_t>(k), 0.0);
  double total = 0, volume = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double mass = masses[static_cast<size_t>(i)];
    if (!(mass > 0)) continue;
    double& own = size[static_cast<size_t>(i)];
    if (matrices) {
      MatrixMap m(c.data() + i * d * d, d, d);
      const Eigen::SelfAdjointEigenSolver<Matrix> eigen(m);
      const Vector values = above_nothing(eigen.eigenvalues());
      own = geometric_mean(values);
      m = eigen.eigenvectors() * values.asDiagonal() * eigen.eigenvectors().transpose();
      m = (0.5 * (m + m.transpose())).eval();
    } else {
      Eigen::Map<Vector> v(c.data() + i * d, d);
      v = above_nothing(v);
      own = geometric_mean(v);
    }
    total += mass;
    volume += mass * own;
  }
  const int64_t width = matrices ? d * d : d;
  for (int64_t i = 0; i < k; ++i) {
    if (!(masses[static_cast<size_t>(i)] > 0)) continue;
    Eigen::Map<Vector>(c.data() + i * width, width) *=
        volume / total / size[static_cast<size_t>(i)];
  }
}

struct Name {
  const char* name;
  CovarianceType type;
  CovarianceRule rule;
};
constexpr Name kNames[] = {
    {"spherical", CovarianceType::kSpherical, CovarianceRule::kFree},
    {"diagonal", CovarianceType::kDiagonal, CovarianceRule::kFree},
    {"diag", CovarianceType::kDiagonal, CovarianceRule::kFree},  // as users of other libraries say
    {"tied", CovarianceType::kTied, CovarianceRule::kFree},
    {"full", CovarianceType::kFull, CovarianceRule::kFree},
    {"EII", CovarianceType::kSpherical, CovarianceRule::kOneVariance},
    {"VII", CovarianceType::kSpherical, CovarianceRule::kFree},
    {"EEI", CovarianceType::kDiagonal, CovarianceRule::kOneDiagonal},
    {"VEI", CovarianceType::kDiagonal, CovarianceRule::kDiagonalOwnVolume},
    {"EVI", CovarianceType::kDiagonal, CovarianceRule::kDiagonalOwnShape},
    {"VVI", CovarianceType::kDiagonal, CovarianceRule::kFree},
    {"EEE", CovarianceType::kTied, CovarianceRule::kFree},
    {"VEE", CovarianceType::kFull, CovarianceRule::kMatrixOwnVolume},
    {"EVE", CovarianceType::kFull, CovarianceRule::kAxesOwnShape},
    {"VVE", CovarianceType::kFull, CovarianceRule::kAxes},
    {"EEV", CovarianceType::kFull, CovarianceRule::kEqualShape},
    {"VEV", CovarianceType::kFull, CovarianceRule::kOwnVolume},
    {"EVV", CovarianceType::kFull, CovarianceRule::kMatrixOwnShape},
    {"VVV", CovarianceType::kFull, CovarianceRule::kFree},
    {"factors", CovarianceType::kFull, CovarianceRule::kFactors},
};

const Name& named(const std::string& name) {
  for (const Name& n : kNames) {
    if (name == n.name) return n;
  }
  return kNames[3];
}

}  // namespace

CovarianceRule rule_of(const std::string& name) { return named(name).rule; }
CovarianceType base_type(const std::string& name) { return named(name).type; }

double covariance_parameters(CovarianceRule rule, CovarianceType type, int64_t k, int64_t d,
                             int64_t factors) {
  const double kk = static_cast<double>(k), dd = static_cast<double>(d);
  const double q = static_cast<double>(factors), rotations = dd * (dd - 1) / 2;
  switch (rule) {
    case CovarianceRule::kOneVariance:
      return 1;
    case CovarianceRule::kOneDiagonal:
      return dd;
    case CovarianceRule::kDiagonalOwnVolume:
      return kk + dd - 1;
    case CovarianceRule::kDiagonalOwnShape:
      return 1 + kk * (dd - 1);
    case CovarianceRule::kMatrixOwnVolume:
      return kk + dd - 1 + rotations;
    case CovarianceRule::kMatrixOwnShape:
      return 1 + kk * (dd - 1 + rotations);
    case CovarianceRule::kAxesOwnShape:
      return 1 + kk * (dd - 1) + rotations;
    case CovarianceRule::kAxes:
      return kk * dd + rotations;
    case CovarianceRule::kEqualShape:
      return dd + kk * rotations;
    case CovarianceRule::kOwnVolume:
      return kk + dd - 1 + kk * rotations;
    case CovarianceRule::kFactors:
      return kk * (dd * q - q * (q - 1) / 2 + dd);
    case CovarianceRule::kFree:
      break;
  }
  switch (type) {
    case CovarianceType::kSpherical:
      return kk;
    case CovarianceType::kDiagonal:
      return kk * dd;
    case CovarianceType::kTied:
      return dd + rotations;
    case CovarianceType::kFull:
      return kk * (dd + rotations);
  }
  return 0;
}

void constrain(CovarianceRule rule, int64_t k, int64_t d, int64_t factors,
               const std::vector<double>& masses, const std::vector<double>& least,
               std::vector<double>& covariances, RuleState& rule_state) {
  switch (rule) {
    case CovarianceRule::kFree:
      return;
    case CovarianceRule::kOneVariance:
      return pool(k, 1, masses, covariances);
    case CovarianceRule::kOneDiagonal:
      return pool(k, d, masses, covariances);
    case CovarianceRule::kDiagonalOwnVolume:
      return diagonals_of_one_shape(k, d, masses, covariances);
    case CovarianceRule::kMatrixOwnVolume:
      return matrices_of_one_shape(k, d, masses, covariances);
    case CovarianceRule::kDiagonalOwnShape:
    case CovarianceRule::kMatrixOwnShape:
      return one_volume(rule == CovarianceRule::kMatrixOwnShape, k, d, masses, covariances);
    case CovarianceRule::kAxesOwnShape:
    case CovarianceRule::kAxes:
      return common_axes(k, d, rule == CovarianceRule::kAxes, masses, covariances, rule_state.axes);
    case CovarianceRule::kEqualShape:
    case CovarianceRule::kOwnVolume:
      return one_shape(rule == CovarianceRule::kOwnVolume, k, d, masses, covariances);
    case CovarianceRule::kFactors:
      return factor_analysis(k, d, factors, masses, least, covariances, rule_state);
  }
}

}  // namespace covary::mixture
