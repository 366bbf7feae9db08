#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::compute {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// log w_c + log N(x | c) of every component; the log-density of the mixture.
double joint_of(const GaussianMixtureView& m, const double* x, double* joint) {
  double top = -kInfinity;
  for (int64_t c = 0; c < m.k; ++c) {
    joint[c] = m.log_weights[c] + log_gaussian_reference(m, c, x);
    top = std::max(top, joint[c]);
  }
  if (top == -kInfinity) return top;
  double sum = 0;
  for (int64_t c = 0; c < m.k; ++c) sum += std::exp(joint[c] - top);
  return top + std::log(sum);
}

double responsibility(double joint, double log_density) {
  return log_density == -kInfinity ? 0.0 : std::exp(joint - log_density);
}

}  // namespace

int64_t covariance_size(CovarianceType type, int64_t k, int64_t d) {
  switch (type) {
    case CovarianceType::kSpherical:
      return k;
    case CovarianceType::kDiagonal:
      return k * d;
    case CovarianceType::kTied:
      return d * d;
    case CovarianceType::kFull:
      return k * d * d;
  }
  return 0;
}

double log_gaussian_reference(const GaussianMixtureView& m, int64_t c, const double* x) {
  const double* mean = m.means + c * m.d;
  double square = 0, log_determinant = 0;
  for (int64_t i = 0; i < m.d; ++i) {
    double z = 0, diagonal = 0;
    if (m.type == CovarianceType::kSpherical) {
      diagonal = m.whiten[c];
      z = diagonal * (x[i] - mean[i]);
    } else if (m.type == CovarianceType::kDiagonal) {
      diagonal = m.whiten[c * m.d + i];
      z = diagonal * (x[i] - mean[i]);
    } else {
      const double* row =
          m.whiten + (m.type == CovarianceType::kFull ? c * m.d * m.d : 0) + i * m.d;
      for (int64_t j = 0; j <= i; ++j) z += row[j] * (x[j] - mean[j]);
      diagonal = row[i];
    }
    square += z * z;
    log_determinant += std::log(diagonal);
  }
  return -0.5 * (static_cast<double>(m.d) * std::log(2 * std::numbers::pi) + square) +
         log_determinant;
}

void mixture_scores_reference(const GaussianMixtureView& m, const double* x, int64_t n,
                              const MixtureScores& out) {
  std::vector<double> joint(static_cast<size_t>(m.k));
  for (int64_t i = 0; i < n; ++i) {
    const double log_density = joint_of(m, x + i * m.d, joint.data());
    if (out.log_density) out.log_density[i] = log_density;
    if (out.labels) out.labels[i] = std::max_element(joint.begin(), joint.end()) - joint.begin();
    for (int64_t c = 0; c < m.k; ++c) {
      const double j = joint[static_cast<size_t>(c)];
      if (out.joint) out.joint[i * m.k + c] = j;
      if (out.responsibilities) out.responsibilities[i * m.k + c] = responsibility(j, log_density);
    }
  }
}

MixtureSums::MixtureSums(CovarianceType type, int64_t k, int64_t d)
    : mass(static_cast<size_t>(k)),
      shift(static_cast<size_t>(k * d)),
      scatter(static_cast<size_t>(covariance_size(type, k, d))) {
  clear();
}

void MixtureSums::clear() {
  for (auto* v : {&mass, &shift, &scatter}) std::fill(v->begin(), v->end(), 0.0);
  log_likelihood = entropy = rows = weight = 0;
  lowest = kInfinity;
  lowest_row = -1;
}

void MixtureSums::add(const MixtureSums& other) {
  const auto sum = [](std::vector<double>& to, const std::vector<double>& from) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  sum(mass, other.mass);
  sum(shift, other.shift);
  sum(scatter, other.scatter);
  if (other.lowest < lowest) {
    lowest = other.lowest;
    lowest_row = static_cast<int64_t>(rows) + other.lowest_row;
  }
  log_likelihood += other.log_likelihood;
  entropy += other.entropy;
  rows += other.rows;
  weight += other.weight;
}

void accumulate_mixture_reference(const GaussianMixtureView& m, const double* x,
                                  const double* weights, int64_t n, MixtureSums& sums) {
  const int64_t d = m.d;
  std::vector<double> joint(static_cast<size_t>(m.k));
  for (int64_t i = 0; i < n; ++i, sums.rows += 1) {
    const double u = weights ? weights[i] : 1.0;
    if (u == 0) continue;
    const double log_density = joint_of(m, x + i * d, joint.data());
    sums.log_likelihood += u * log_density;
    sums.weight += u;
    if (log_density < sums.lowest) {
      sums.lowest = log_density;
      sums.lowest_row = static_cast<int64_t>(sums.rows);
    }
    for (int64_t c = 0; c < m.k; ++c) {
      const double r = responsibility(joint[static_cast<size_t>(c)], log_density);
      if (r == 0) continue;
      sums.entropy -= u * r * std::log(r);
      sums.mass[static_cast<size_t>(c)] += u * r;
      for (int64_t a = 0; a < d; ++a) {
        const double ya = u * r * (x[i * d + a] - m.means[c * d + a]);
        sums.shift[static_cast<size_t>(c * d + a)] += ya;
        for (int64_t b = 0; b <= a; ++b) {
          const double yab = ya * (x[i * d + b] - m.means[c * d + b]);
          if (m.type == CovarianceType::kFull) {
            sums.scatter[static_cast<size_t>((c * d + a) * d + b)] += yab;
          } else if (m.type == CovarianceType::kTied) {
            sums.scatter[static_cast<size_t>(a * d + b)] += yab;
          } else if (a == b) {
            sums.scatter[static_cast<size_t>(
                m.type == CovarianceType::kSpherical ? c : c * d + a)] += yab;
          }
        }
      }
    }
  }
}

}  // namespace covary::compute
