// Marginals, conditionals and merging of Gaussian mixtures.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/stat/mixture/gaussian_mixture.h"

namespace covary::mixture {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

Matrix covariance_of(const MixtureState& s, int64_t c) {
  const std::vector<double> v = s.covariance(c);
  return Eigen::Map<const Matrix>(v.data(), s.d, s.d);
}

Matrix block(const Matrix& m, const std::vector<int64_t>& rows, const std::vector<int64_t>& cols) {
  Matrix out(rows.size(), cols.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < cols.size(); ++j) {
      out(static_cast<int64_t>(i), static_cast<int64_t>(j)) = m(rows[i], cols[j]);
    }
  }
  return out;
}

Vector pick(const double* mean, const std::vector<int64_t>& columns) {
  Vector v(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) v(static_cast<int64_t>(i)) = mean[columns[i]];
  return v;
}

// The other columns, in order.
std::vector<int64_t> rest_of(const std::vector<int64_t>& columns, int64_t d) {
  std::vector<bool> taken(static_cast<size_t>(d), false);
  for (const int64_t j : columns) {
    if (j < 0 || j >= d || taken[static_cast<size_t>(j)])
      throw Error(ExitCode::kUsage,
                  "column " + std::to_string(j) + " is not there, or is named twice", "columns");
    taken[static_cast<size_t>(j)] = true;
  }
  std::vector<int64_t> rest;
  for (int64_t j = 0; j < d; ++j) {
    if (!taken[static_cast<size_t>(j)]) rest.push_back(j);
  }
  return rest;
}

void append(MixtureState& s, double log_weight, const Vector& mean, const Matrix& covariance) {
  s.log_weights.push_back(log_weight);
  s.means.insert(s.means.end(), mean.data(), mean.data() + mean.size());
  const Matrix symmetric = 0.5 * (covariance + covariance.transpose());
  s.covariances.insert(s.covariances.end(), symmetric.data(), symmetric.data() + symmetric.size());
  ++s.k;
  s.d = mean.size();
}

double log_determinant(const Matrix& m) {
  const Matrix l = Eigen::LLT<Matrix>(m).matrixL();
  return 2 * l.diagonal().array().log().sum();
}

}  // namespace

GaussianMixture GaussianMixture::marginal(const std::vector<int64_t>& columns) const {
  need_fit();
  if (columns.empty()) throw Error(ExitCode::kUsage, "no column named", "columns");
  rest_of(columns, state_.d);
  MixtureState out;
  for (int64_t c = 0; c < state_.k; ++c) {
    append(out, state_.log_weights[static_cast<size_t>(c)],
           pick(state_.means.data() + c * state_.d, columns),
           block(covariance_of(state_, c), columns, columns));
  }
  return of_state(std::move(out));
}

GaussianMixture GaussianMixture::conditional(const std::vector<int64_t>& columns,
                                             const at::Tensor& values) const {
  need_fit();
  const std::vector<int64_t> rest = rest_of(columns, state_.d);
  if (columns.empty() || rest.empty())
    throw Error(ExitCode::kUsage, "some columns must be given and some left", "columns");
  const at::Tensor given = values.detach().to(at::kCPU, at::kDouble).contiguous();
  if (given.dim() != 1 || given.size(0) != static_cast<int64_t>(columns.size()) ||
      !given.isfinite().all().item<bool>())
    throw Error(ExitCode::kData, "there must be one finite value a column", "values");
  const Vector x = Eigen::Map<const Vector>(given.data_ptr<double>(), given.size(0));
  MixtureState out;
  for (int64_t c = 0; c < state_.k; ++c) {
    const Matrix s = covariance_of(state_, c);
    const double* mean = state_.means.data() + c * state_.d;
    const Eigen::LLT<Matrix> factor(block(s, columns, columns));
    const Vector difference = x - pick(mean, columns);
    const Matrix across = block(s, rest, columns);
    const Matrix l = factor.matrixL();
    // log N of the given values, less what all components share.
    const double evidence =
        -0.5 * factor.matrixL().solve(difference).squaredNorm() - l.diagonal().array().log().sum();
    append(out, state_.log_weights[static_cast<size_t>(c)] + evidence,
           pick(mean, rest) + across * factor.solve(difference),
           block(s, rest, rest) - across * factor.solve(across.transpose()));
  }
  const double top = *std::max_element(out.log_weights.begin(), out.log_weights.end());
  double sum = 0;
  for (const double w : out.log_weights) sum += std::exp(w - top);
  for (double& w : out.log_weights) w -= top + std::log(sum);
  return of_state(std::move(out));
}

GaussianMixture GaussianMixture::merged(int64_t components) const {
  need_fit();
  if (components < 1 || components > state_.k)
    throw Error(ExitCode::kUsage, "must be at least 1 and at most what there are", "components");
  struct Part {
    double weight = 0;
    Vector mean;
    Matrix covariance;
    double log_determinant = 0;
  };
  std::vector<Part> parts;
  for (int64_t c = 0; c < state_.k; ++c) {
    const double w = std::exp(state_.log_weights[static_cast<size_t>(c)]);
    const Matrix s = covariance_of(state_, c);
    parts.push_back({w, Eigen::Map<const Vector>(state_.means.data() + c * state_.d, state_.d), s,
                     log_determinant(s)});
  }
  const auto join = [](const Part& a, const Part& b) {
    const double w = a.weight + b.weight;
    // Two components of no weight are one of no weight.
    const double share = w > 0 ? b.weight / w : 0.5;
    const Vector apart = b.mean - a.mean;
    const Matrix s = (1 - share) * a.covariance + share * b.covariance +
                     share * (1 - share) * apart * apart.transpose();
    return Part{w, a.mean + share * apart, s, log_determinant(s)};
  };
  while (static_cast<int64_t>(parts.size()) > components) {
    double least = std::numeric_limits<double>::infinity();
    size_t first = 0, second = 1;
    Part best;
    for (size_t i = 0; i < parts.size(); ++i) {
      for (size_t j = i + 1; j < parts.size(); ++j) {
        Part both = join(parts[i], parts[j]);
        const double cost =
            0.5 * (both.weight * both.log_determinant - parts[i].weight * parts[i].log_determinant -
                   parts[j].weight * parts[j].log_determinant);
        if (cost < least || (i == 0 && j == 1)) {
          least = cost;
          first = i;
          second = j;
          best = std::move(both);
        }
      }
    }
    parts[first] = std::move(best);
    parts.erase(parts.begin() + static_cast<int64_t>(second));
  }
  MixtureState out;
  for (const Part& p : parts) append(out, std::log(p.weight), p.mean, p.covariance);
  return of_state(std::move(out));
}

}  // namespace covary::mixture
