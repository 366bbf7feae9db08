#include "covary/stat/mixture/split_merge.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

#include "covary/stat/mixture/missing.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

constexpr double kApart = 0.7;  // halves of a split lie so many deviations from the whole's mean
constexpr int64_t kRounds = 20;

Matrix covariance_of(const MixtureState& s, int64_t c) {
  const std::vector<double> v = s.covariance(c);
  return Eigen::Map<const Matrix>(v.data(), s.d, s.d);
}

void set_covariance(MixtureState& s, int64_t c, const Matrix& m) {
  switch (s.type) {
    case CovarianceType::kSpherical:
      s.covariances[static_cast<size_t>(c)] = m.trace() / static_cast<double>(s.d);
      break;
    case CovarianceType::kDiagonal:
      for (int64_t j = 0; j < s.d; ++j) s.covariances[static_cast<size_t>(c * s.d + j)] = m(j, j);
      break;
    case CovarianceType::kTied:
      break;
    case CovarianceType::kFull:
      Eigen::Map<Matrix>(s.covariances.data() + c * s.d * s.d, s.d, s.d) = m;
      break;
  }
}

double log_determinant(const Matrix& m) {
  const Matrix l = Eigen::LLT<Matrix>(m).matrixL();
  return 2 * l.diagonal().array().log().sum();
}

Vector mean_of(const MixtureState& s, int64_t c) {
  return Eigen::Map<const Vector>(s.means.data() + c * s.d, s.d);
}

void set_component(MixtureState& s, int64_t c, double weight, const Vector& mean,
                   const Matrix& covariance) {
  s.log_weights[static_cast<size_t>(c)] = std::log(weight);
  std::copy_n(mean.data(), s.d, s.means.begin() + c * s.d);
  set_covariance(s, c, covariance);
}

struct Whole {
  double weight;
  Vector mean;
  Matrix covariance;
};
Whole joined(const MixtureState& s, int64_t a, int64_t b) {
  const double wa = std::exp(s.log_weights[static_cast<size_t>(a)]);
  const double wb = std::exp(s.log_weights[static_cast<size_t>(b)]);
  const double share = wa + wb > 0 ? wb / (wa + wb) : 0.5;
  const Vector apart = mean_of(s, b) - mean_of(s, a);
  return {wa + wb, mean_of(s, a) + share * apart,
          (1 - share) * covariance_of(s, a) + share * covariance_of(s, b) +
              share * (1 - share) * apart * apart.transpose()};
}

// a and b become one in a's place; c becomes two, in c's and b's.
MixtureState exchanged(const MixtureState& s, int64_t a, int64_t b, int64_t c) {
  MixtureState out = s;
  const Whole whole = joined(s, a, b);
  set_component(out, a, whole.weight, whole.mean, whole.covariance);
  const Matrix covariance = covariance_of(s, c);
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(covariance);
  const Vector axis =
      kApart * std::sqrt(eigen.eigenvalues()(s.d - 1)) * eigen.eigenvectors().col(s.d - 1);
  const Matrix half = covariance - axis * axis.transpose();
  const double weight = std::max(std::exp(s.log_weights[static_cast<size_t>(c)]), 1e-300);
  set_component(out, c, weight / 2, mean_of(s, c) - axis, half);
  set_component(out, b, weight / 2, mean_of(s, c) + axis, half);
  out.rule_state = {};
  out.factorise();
  return out;
}

// Mean log p over the rows that each component is responsible for.
std::vector<double> density_under(const MixtureState& s, const Rows& rows) {
  std::vector<double> sum(static_cast<size_t>(s.k), 0.0), mass(sum);
  rows.visit([&](const double* x, const double* weights, int64_t n) {
    std::vector<double> r(static_cast<size_t>(n * s.k)), p(static_cast<size_t>(n));
    compute::mixture_scores(s.view(), x, n,
                            {.log_density = p.data(), .responsibilities = r.data()});
    for (int64_t i = 0; i < n; ++i) {
      // Rows with a hole are left out: they are few, or say little of where to split.
      if (!std::isfinite(p[static_cast<size_t>(i)])) continue;
      for (int64_t c = 0; c < s.k; ++c) {
        const double v = r[static_cast<size_t>(i * s.k + c)] * (weights ? weights[i] : 1.0);
        mass[static_cast<size_t>(c)] += v;
        sum[static_cast<size_t>(c)] += v * p[static_cast<size_t>(i)];
      }
    }
  });
  for (size_t c = 0; c < sum.size(); ++c) sum[c] = mass[c] > 0 ? sum[c] / mass[c] : 0;
  return sum;
}

struct Candidate {
  int64_t a, b, c;
};
std::vector<Candidate> candidates(const MixtureState& s, const Rows& rows, int64_t most) {
  struct Pair {
    double cost;
    int64_t a, b;
  };
  std::vector<Pair> pairs;
  for (int64_t a = 0; a < s.k; ++a) {
    for (int64_t b = a + 1; b < s.k; ++b) {
      const double wa = std::exp(s.log_weights[static_cast<size_t>(a)]);
      const double wb = std::exp(s.log_weights[static_cast<size_t>(b)]);
      const double cost = (wa + wb) * log_determinant(joined(s, a, b).covariance) -
                          wa * log_determinant(covariance_of(s, a)) -
                          wb * log_determinant(covariance_of(s, b));
      pairs.push_back({cost, a, b});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& u, const Pair& v) { return u.cost < v.cost; });
  const std::vector<double> density = density_under(s, rows);
  std::vector<int64_t> splits(static_cast<size_t>(s.k));
  std::iota(splits.begin(), splits.end(), int64_t{0});
  std::stable_sort(splits.begin(), splits.end(), [&](int64_t u, int64_t v) {
    return density[static_cast<size_t>(u)] < density[static_cast<size_t>(v)];
  });
  // Every pair of ranks in the order of their sum: neither list is run to its end before the other.
  std::vector<Candidate> out;
  for (size_t sum = 0; sum < pairs.size() + splits.size(); ++sum) {
    for (size_t i = 0; i <= sum && i < pairs.size(); ++i) {
      if (sum - i >= splits.size()) continue;
      const int64_t c = splits[sum - i];
      if (c == pairs[i].a || c == pairs[i].b) continue;
      out.push_back({pairs[i].a, pairs[i].b, c});
      if (static_cast<int64_t>(out.size()) >= most) return out;
    }
  }
  return out;
}

}  // namespace

int64_t split_and_merge(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
                        const GaussianMixtureOptions& options, MixtureState& state,
                        compute::MixtureSums& sums, EmTrace& trace) {
  GaussianMixtureOptions o = options;
  o.anneal = 0;
  int64_t kept = 0;
  for (int64_t round = 0; round < kRounds && state.k > 2; ++round) {
    bool better = false;
    for (const Candidate& candidate : candidates(state, rows, options.split_merge)) {
      MixtureState other = exchanged(state, candidate.a, candidate.b, candidate.c);
      compute::MixtureSums other_sums(state.type, state.k, state.d);
      EmTrace other_trace = run_em(rows, moments, floor, o, other, other_sums);
      if (!(other_trace.mean_log_likelihood.back() >
            trace.mean_log_likelihood.back() + std::max(1e-7, 10 * o.tolerance)))
        continue;
      state = std::move(other);
      sums = std::move(other_sums);
      other_trace.steps += trace.steps;
      other_trace.reseeded += trace.reseeded;
      trace = std::move(other_trace);
      better = true;
      ++kept;
      break;
    }
    if (!better) break;
  }
  return kept;
}

}  // namespace covary::mixture
