#include "covary/stat/mixture/mixture_algebra.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

// A component with what its formulas need.
struct Component {
  double log_weight;
  Vector mean;
  Matrix covariance;
  Eigen::LLT<Matrix> factor;

  double log_determinant() const {
    return 2 * Matrix(factor.matrixL()).diagonal().array().log().sum();
  }
};

Component component(double log_weight, Vector mean, Matrix covariance) {
  Eigen::LLT<Matrix> factor(covariance);
  if (factor.info() != Eigen::Success)
    throw Error(ExitCode::kData, "a covariance is not positive definite", "mixture");
  return {log_weight, std::move(mean), std::move(covariance), std::move(factor)};
}

std::vector<Component> components_of(const GaussianMixture& m) {
  const at::Tensor w = m.weights(), means = m.means().contiguous();
  const at::Tensor all = m.full_covariances();
  const int64_t d = m.columns();
  std::vector<Component> out;
  for (int64_t c = 0; c < m.components(); ++c) {
    out.push_back(component(std::log(w[c].item<double>()),
                            Eigen::Map<const Vector>(means.data_ptr<double>() + c * d, d),
                            Eigen::Map<const Matrix>(all.data_ptr<double>() + c * d * d, d, d)));
  }
  return out;
}

void check_columns(const GaussianMixture& a, const GaussianMixture& b) {
  a.weights();
  b.weights();
  if (a.columns() != b.columns())
    throw Error(ExitCode::kUsage,
                "the mixtures have " + std::to_string(a.columns()) + " and " +
                    std::to_string(b.columns()) + " columns",
                "mixture");
}

double kl(const Component& a, const Component& b) {
  const Vector apart = b.mean - a.mean;
  const double trace = b.factor.solve(a.covariance).trace();
  const double distance = apart.dot(b.factor.solve(apart));
  return 0.5 * (trace + distance - static_cast<double>(a.mean.size()) + b.log_determinant() -
                a.log_determinant());
}

GaussianMixture mixture_of(const std::vector<double>& log_weights, const std::vector<Vector>& means,
                           const std::vector<Matrix>& covariances) {
  const int64_t k = static_cast<int64_t>(means.size()), d = means[0].size();
  const double top = *std::max_element(log_weights.begin(), log_weights.end());
  at::Tensor w = at::empty({k}, at::kDouble), m = at::empty({k, d}, at::kDouble);
  at::Tensor s = at::empty({k, d, d}, at::kDouble);
  for (int64_t c = 0; c < k; ++c) {
    const size_t i = static_cast<size_t>(c);
    w.data_ptr<double>()[c] = std::exp(log_weights[i] - top);
    std::copy_n(means[i].data(), d, m.data_ptr<double>() + c * d);
    Eigen::Map<Matrix>(s.data_ptr<double>() + c * d * d, d, d) =
        0.5 * (covariances[i] + covariances[i].transpose());
  }
  GaussianMixture out({.components = k});
  out.set_parameters(w, m, s);
  return out;
}

double log_sum(const std::vector<double>& v) {
  const double top = *std::max_element(v.begin(), v.end());
  if (!std::isfinite(top)) return top;
  double sum = 0;
  for (const double x : v) sum += std::exp(x - top);
  return top + std::log(sum);
}

}  // namespace

GaussianMixture product(const GaussianMixture& a, const GaussianMixture& b, double* log_mass) {
  check_columns(a, b);
  const std::vector<Component> left = components_of(a), right = components_of(b);
  const double base = -0.5 * static_cast<double>(a.columns()) * std::log(2 * std::numbers::pi);
  std::vector<double> weights;
  std::vector<Vector> means;
  std::vector<Matrix> covariances;
  for (const Component& u : left) {
    for (const Component& v : right) {
      // With K = S_a (S_a + S_b)^-1: mean m_a + K (m_b - m_a), covariance K S_b.
      const Component both = component(0, v.mean - u.mean, u.covariance + v.covariance);
      const Matrix gain = both.factor.solve(u.covariance).transpose();
      means.push_back(u.mean + gain * both.mean);
      covariances.push_back(gain * v.covariance);
      weights.push_back(u.log_weight + v.log_weight + base - 0.5 * both.log_determinant() -
                        0.5 * both.mean.dot(both.factor.solve(both.mean)));
    }
  }
  if (log_mass) *log_mass = log_sum(weights);
  return mixture_of(weights, means, covariances);
}

double kl_gaussian(const at::Tensor& mean_a, const at::Tensor& covariance_a,
                   const at::Tensor& mean_b, const at::Tensor& covariance_b) {
  const int64_t d = mean_a.numel();
  const auto one = [&](const at::Tensor& mean, const at::Tensor& covariance) {
    const at::Tensor m = mean.to(at::kCPU, at::kDouble).contiguous();
    const at::Tensor s = covariance.to(at::kCPU, at::kDouble).contiguous();
    if (m.numel() != d || s.numel() != d * d)
      throw Error(ExitCode::kUsage, "means must be [d], covariances [d,d]", "kl_gaussian");
    return component(0, Eigen::Map<const Vector>(m.data_ptr<double>(), d),
                     Eigen::Map<const Matrix>(s.data_ptr<double>(), d, d));
  };
  return kl(one(mean_a, covariance_a), one(mean_b, covariance_b));
}

double kl_variational(const GaussianMixture& a, const GaussianMixture& b) {
  check_columns(a, b);
  const std::vector<Component> left = components_of(a), right = components_of(b);
  double total = 0;
  for (const Component& u : left) {
    if (!std::isfinite(u.log_weight)) continue;
    std::vector<double> own, other;
    for (const Component& v : left) own.push_back(v.log_weight - kl(u, v));
    for (const Component& v : right) other.push_back(v.log_weight - kl(u, v));
    total += std::exp(u.log_weight) * (log_sum(own) - log_sum(other));
  }
  return total;
}

double kl_upper(const GaussianMixture& a, const GaussianMixture& b) {
  check_columns(a, b);
  const std::vector<Component> left = components_of(a), right = components_of(b);
  const size_t n = left.size(), m = right.size();
  std::vector<double> divergence(n * m), phi(n * m), psi(n * m);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < m; ++j) {
      divergence[i * m + j] = kl(left[i], right[j]);
      phi[i * m + j] = psi[i * m + j] = std::exp(left[i].log_weight + right[j].log_weight);
    }
  }
  double bound = std::numeric_limits<double>::infinity();
  for (int step = 0; step < 1000; ++step) {
    // psi_ij = w_b phi_ij / sum_i phi_ij;  phi_ij = w_a psi_ij e^-KL / sum_j psi_ij e^-KL.
    for (size_t j = 0; j < m; ++j) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += phi[i * m + j];
      for (size_t i = 0; i < n; ++i)
        psi[i * m + j] = sum > 0 ? std::exp(right[j].log_weight) * phi[i * m + j] / sum : 0;
    }
    for (size_t i = 0; i < n; ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (size_t j = 0; j < m; ++j)
        if (psi[i * m + j] > 0) least = std::min(least, divergence[i * m + j]);
      double sum = 0;
      for (size_t j = 0; j < m; ++j)
        sum += psi[i * m + j] * std::exp(least - divergence[i * m + j]);
      for (size_t j = 0; j < m; ++j)
        phi[i * m + j] =
            std::exp(left[i].log_weight + least - divergence[i * m + j]) * psi[i * m + j] / sum;
    }
    double value = 0;
    for (size_t e = 0; e < n * m; ++e)
      if (phi[e] > 0) value += phi[e] * (std::log(phi[e] / psi[e]) + divergence[e]);
    const double gain = bound - value;
    if (step > 0 && !(gain > 1e-13 * std::max(1.0, std::abs(value)))) return std::min(value, bound);
    bound = value;
  }
  return bound;
}

Estimate kl_monte_carlo(const GaussianMixture& a, const GaussianMixture& b, int64_t n,
                        int64_t seed) {
  check_columns(a, b);
  if (n < 2) throw Error(ExitCode::kUsage, "must be at least 2", "n");
  const at::Tensor x = a.sample(n, seed);
  const at::Tensor ratio = a.score_samples(x) - b.score_samples(x);
  return {ratio.mean().item<double>(),
          ratio.std().item<double>() / std::sqrt(static_cast<double>(n))};
}

std::vector<int64_t> least_assignment(const std::vector<double>& cost, int64_t n) {
  if (static_cast<int64_t>(cost.size()) != n * n)
    throw Error(ExitCode::kUsage, "must be n by n", "cost");
  const double far = std::numeric_limits<double>::infinity();
  std::vector<double> row_price(static_cast<size_t>(n + 1), 0.0), column_price(row_price);
  std::vector<int64_t> row_of(static_cast<size_t>(n + 1), 0), from(row_of);  // 1-based; 0 = none
  for (int64_t row = 1; row <= n; ++row) {
    row_of[0] = row;
    int64_t column = 0;
    std::vector<double> least(static_cast<size_t>(n + 1), far);
    std::vector<bool> done(static_cast<size_t>(n + 1), false);
    do {
      done[static_cast<size_t>(column)] = true;
      const int64_t own = row_of[static_cast<size_t>(column)];
      double step = far;
      int64_t next = 0;
      for (int64_t j = 1; j <= n; ++j) {
        const size_t at = static_cast<size_t>(j);
        if (done[at]) continue;
        const double reduced = cost[static_cast<size_t>((own - 1) * n + j - 1)] -
                               row_price[static_cast<size_t>(own)] - column_price[at];
        if (reduced < least[at]) least[at] = reduced, from[at] = column;
        if (least[at] < step || next == 0) step = least[at], next = j;
      }
      for (int64_t j = 0; j <= n; ++j) {
        const size_t at = static_cast<size_t>(j);
        if (done[at]) {
          row_price[static_cast<size_t>(row_of[at])] += step;
          column_price[at] -= step;
        } else {
          least[at] -= step;
        }
      }
      column = next;
    } while (row_of[static_cast<size_t>(column)] != 0);
    while (column != 0) {
      const int64_t previous = from[static_cast<size_t>(column)];
      row_of[static_cast<size_t>(column)] = row_of[static_cast<size_t>(previous)];
      column = previous;
    }
  }
  std::vector<int64_t> out(static_cast<size_t>(n));
  for (int64_t j = 1; j <= n; ++j)
    out[static_cast<size_t>(row_of[static_cast<size_t>(j)] - 1)] = j - 1;
  return out;
}

std::vector<int64_t> matched_components(const GaussianMixture& a, const GaussianMixture& b) {
  check_columns(a, b);
  if (a.components() != b.components())
    throw Error(ExitCode::kUsage, "the mixtures have different numbers of components", "mixture",
                "merge the larger one: merged(k)");
  const std::vector<Component> left = components_of(a), right = components_of(b);
  std::vector<double> cost;
  for (const Component& u : left) {
    for (const Component& v : right) cost.push_back(kl(u, v) + kl(v, u));
  }
  return least_assignment(cost, a.components());
}

Regression regress(const GaussianMixture& joint, const std::vector<int64_t>& columns,
                   const at::Tensor& values) {
  const std::vector<Component> parts = components_of(joint);
  const int64_t d = joint.columns(), q = static_cast<int64_t>(columns.size());
  std::vector<int64_t> rest;
  for (int64_t j = 0; j < d; ++j)
    if (std::find(columns.begin(), columns.end(), j) == columns.end()) rest.push_back(j);
  const int64_t r = static_cast<int64_t>(rest.size());
  if (q == 0 || r == 0 || q + r != d ||
      std::any_of(columns.begin(), columns.end(), [&](int64_t j) { return j < 0 || j >= d; }))
    throw Error(ExitCode::kUsage, "name some columns, each once, and leave some", "columns");
  const at::Tensor x = checked_rows(values, "values", false);
  if (x.size(1) != q)
    throw Error(ExitCode::kData, "there must be one value a named column", "values");
  // Once a component: the regression's slope, the covariance that is left, the factor of the rest.
  struct Line {
    Vector given_mean, rest_mean;
    Matrix slope, left;  // [r,q], [r,r]
    Component given;
  };
  std::vector<Line> lines;
  for (const Component& c : parts) {
    const Matrix across = c.covariance(rest, columns);
    Component given =
        component(c.log_weight, Vector(c.mean(columns)), Matrix(c.covariance(columns, columns)));
    const Matrix slope = given.factor.solve(across.transpose()).transpose();
    const Matrix left = Matrix(c.covariance(rest, rest)) - slope * across.transpose();
    lines.push_back({given.mean, Vector(c.mean(rest)), slope, left, std::move(given)});
  }
  std::vector<double> constants;
  for (const Line& l : lines)
    constants.push_back(l.given.log_weight - 0.5 * l.given.log_determinant());
  const int64_t n = x.size(0);
  Regression out{at::zeros({n, r}, at::kDouble), at::zeros({n, r, r}, at::kDouble)};
  double* means = out.mean.data_ptr<double>();
  double* covariances = out.covariance.data_ptr<double>();
  const double* rows = x.data_ptr<double>();
  parallel_for(n, 64, [&](int64_t begin, int64_t end) {
    std::vector<double> joint_log(lines.size());
    std::vector<Vector> at(lines.size());
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Map<const Vector> given(rows + i * q, q);
      for (size_t c = 0; c < lines.size(); ++c) {
        const Vector apart = given - lines[c].given_mean;
        joint_log[c] = constants[c] - 0.5 * apart.dot(lines[c].given.factor.solve(apart));
        at[c] = lines[c].rest_mean + lines[c].slope * apart;
      }
      const double total = log_sum(joint_log);
      Eigen::Map<Vector> mean(means + i * r, r);
      Eigen::Map<Matrix> covariance(covariances + i * r * r, r, r);
      for (size_t c = 0; c < lines.size(); ++c) mean += std::exp(joint_log[c] - total) * at[c];
      for (size_t c = 0; c < lines.size(); ++c) {
        const Vector apart = at[c] - mean;
        covariance += std::exp(joint_log[c] - total) * (lines[c].left + apart * apart.transpose());
      }
    }
  });
  return out;
}

}  // namespace covary::mixture
