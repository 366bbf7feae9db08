#include "covary/stat/mixture/missing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include <Eigen/Cholesky>
#include <Eigen/Dense>

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

// A component as a pattern sees it: the observed part's density, and the missing part given it.
struct Conditioned {
  Eigen::LLT<Matrix> factor;  // of Sigma_oo
  double constant = 0;        // log w - o/2 log 2 pi - 1/2 log det Sigma_oo
  Matrix gain;                // Sigma_mo Sigma_oo^-1
  Matrix rest;                // Sigma_mm - gain Sigma_om
};

Conditioned conditioned(const MixtureState& s, int64_t c, const MissingPattern& p, bool moments) {
  const std::vector<double> full = s.covariance(c);
  const auto block = [&](const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
    Matrix m(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      for (size_t j = 0; j < b.size(); ++j) {
        m(static_cast<int64_t>(i), static_cast<int64_t>(j)) =
            full[static_cast<size_t>(a[i] * s.d + b[j])];
      }
    }
    return m;
  };
  Conditioned out;
  out.constant = s.log_weights[static_cast<size_t>(c)];
  if (!p.observed.empty()) {
    out.factor.compute(block(p.observed, p.observed));
    out.constant -= 0.5 * static_cast<double>(p.observed.size()) * std::log(2 * std::numbers::pi);
    const Matrix l = out.factor.matrixL();
    out.constant -= l.diagonal().array().log().sum();
  }
  if (!moments) return out;
  const Matrix across = block(p.missing, p.observed);
  out.gain = p.observed.empty() ? across : Matrix(out.factor.solve(across.transpose()).transpose());
  out.rest = block(p.missing, p.missing) - out.gain * across.transpose();
  return out;
}

Vector observed_difference(const MixtureState& s, int64_t c, const MissingPattern& p,
                           const double* row) {
  Vector v(p.observed.size());
  for (size_t i = 0; i < p.observed.size(); ++i) {
    v(static_cast<int64_t>(i)) =
        row[p.observed[i]] - s.means[static_cast<size_t>(c * s.d + p.observed[i])];
  }
  return v;
}

double joint_of(const Conditioned& c, const Vector& difference) {
  if (difference.size() == 0) return c.constant;
  return c.constant - 0.5 * c.factor.matrixL().solve(difference).squaredNorm();
}

}  // namespace

std::vector<MissingPattern> missing_patterns(const double* x, int64_t n, int64_t d) {
  std::map<std::vector<bool>, MissingPattern> found;
  std::vector<bool> holes(static_cast<size_t>(d));
  for (int64_t i = 0; i < n; ++i) {
    bool any = false;
    for (int64_t j = 0; j < d; ++j) {
      holes[static_cast<size_t>(j)] = std::isnan(x[i * d + j]);
      any = any || holes[static_cast<size_t>(j)];
    }
    if (any) found[holes].rows.push_back(i);
  }
  std::vector<MissingPattern> patterns;
  for (auto& [key, pattern] : found) {
    for (int64_t j = 0; j < d; ++j) {
      (key[static_cast<size_t>(j)] ? pattern.missing : pattern.observed).push_back(j);
    }
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

std::vector<double> missing_joint(const MixtureState& s, const MissingPattern& p, const double* x) {
  std::vector<double> joint(p.rows.size() * static_cast<size_t>(s.k));
  for (int64_t c = 0; c < s.k; ++c) {
    const Conditioned part = conditioned(s, c, p, false);
    for (size_t i = 0; i < p.rows.size(); ++i) {
      joint[i * static_cast<size_t>(s.k) + static_cast<size_t>(c)] =
          joint_of(part, observed_difference(s, c, p, x + p.rows[i] * s.d));
    }
  }
  return joint;
}

void accumulate_missing(const MixtureState& s, const MissingPattern& p, const double* x,
                        const double* weights, compute::MixtureSums& sums) {
  if (p.observed.empty()) return;
  const int64_t k = s.k, d = s.d;
  std::vector<double> r = missing_joint(s, p, x);
  for (size_t i = 0; i < p.rows.size(); ++i) {
    const double u = weights ? weights[p.rows[i]] : 1.0;
    double* own = r.data() + i * static_cast<size_t>(k);
    const double top = *std::max_element(own, own + k);
    double sum = 0;
    for (int64_t c = 0; c < k; ++c) sum += std::exp(own[c] - top);
    const double log_density = top + std::log(sum);
    sums.rows += 1;
    if (u > 0) {
      sums.weight += u;
      sums.log_likelihood += u * log_density;
    }
    for (int64_t c = 0; c < k; ++c) {
      const double log_r = own[c] - log_density;
      own[c] = u * std::exp(log_r);
      if (own[c] > 0) sums.entropy -= own[c] * log_r;
    }
  }
  Vector z(d);
  for (int64_t c = 0; c < k; ++c) {
    const Conditioned part = conditioned(s, c, p, true);
    double mass = 0;
    Matrix scatter = Matrix::Zero(d, d);
    for (size_t i = 0; i < p.rows.size(); ++i) {
      const double w = r[i * static_cast<size_t>(k) + static_cast<size_t>(c)];
      if (w == 0) continue;
      const Vector difference = observed_difference(s, c, p, x + p.rows[i] * d);
      const Vector filled = part.gain * difference;
      for (size_t j = 0; j < p.observed.size(); ++j) {
        z(p.observed[j]) = difference(static_cast<int64_t>(j));
      }
      for (size_t j = 0; j < p.missing.size(); ++j) {
        z(p.missing[j]) = filled(static_cast<int64_t>(j));
      }
      mass += w;
      for (int64_t j = 0; j < d; ++j) sums.shift[static_cast<size_t>(c * d + j)] += w * z(j);
      scatter.noalias() += w * z * z.transpose();
    }
    sums.mass[static_cast<size_t>(c)] += mass;
    for (size_t i = 0; i < p.missing.size(); ++i) {
      for (size_t j = 0; j < p.missing.size(); ++j) {
        scatter(p.missing[i], p.missing[j]) +=
            mass * part.rest(static_cast<int64_t>(i), static_cast<int64_t>(j));
      }
    }
    for (int64_t i = 0; i < d; ++i) {
      if (s.type == CovarianceType::kSpherical) {
        sums.scatter[static_cast<size_t>(c)] += scatter(i, i);
      } else if (s.type == CovarianceType::kDiagonal) {
        sums.scatter[static_cast<size_t>(c * d + i)] += scatter(i, i);
      } else {
        const int64_t base = s.type == CovarianceType::kFull ? c * d * d : 0;
        for (int64_t j = 0; j <= i; ++j) {
          sums.scatter[static_cast<size_t>(base + i * d + j)] += scatter(i, j);
        }
      }
    }
  }
}

}  // namespace covary::mixture
