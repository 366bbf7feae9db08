#include "covary/stat/mixture/variational_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/em.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

// psi(x), x > 0: the recurrence up to 10, then the asymptotic series (error below 1e-15).
double digamma(double x) {
  double sum = 0;
  for (; x < 10; x += 1) sum -= 1 / x;
  const double s = 1 / (x * x);
  const double series =
      s *
      (1.0 / 12 -
       s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s * (1.0 / 132 - s * 691.0 / 32760)))));
  return sum + std::log(x) - 0.5 / x - series;
}

double log_beta(double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); }

double beta_divergence(double a, double b, double a0, double b0) {
  return log_beta(a0, b0) - log_beta(a, b) + (a - a0) * digamma(a) + (b - b0) * digamma(b) +
         (a0 - a + b0 - b) * digamma(a + b);
}

double expected_log_determinant(double nu, double log_determinant_of_scale, int64_t d) {
  double sum = static_cast<double>(d) * std::numbers::ln2 + log_determinant_of_scale;
  for (int64_t i = 0; i < d; ++i) sum += digamma((nu - static_cast<double>(i)) / 2);
  return sum;
}

// log of the Wishart's normaliser B(W, nu).
double log_normaliser(double nu, double log_determinant_of_scale, int64_t d) {
  const double dd = static_cast<double>(d);
  double v = -nu / 2 * log_determinant_of_scale - nu * dd / 2 * std::numbers::ln2 -
             dd * (dd - 1) / 4 * std::log(std::numbers::pi);
  for (int64_t i = 0; i < d; ++i) v -= std::lgamma((nu - static_cast<double>(i)) / 2);
  return v;
}

double log_determinant(const Eigen::LLT<Matrix>& factor) {
  const Matrix l = factor.matrixL();
  return 2 * l.diagonal().array().log().sum();
}

// In units of a diagonal, so that columns of very different sizes do not spoil the factor.
struct ScaledFactor {
  explicit ScaledFactor(const Matrix& m) : scale(m.diagonal().cwiseSqrt()) {
    const Vector inverse = scale.cwiseInverse();
    factor.compute(Matrix(inverse.asDiagonal() * m * inverse.asDiagonal()));
    log_determinant_of = log_determinant(factor) + 2 * scale.array().log().sum();
  }
  // x' M^-1 x
  double quadratic(const Vector& x) const {
    return factor.matrixL().solve(x.cwiseQuotient(scale)).squaredNorm();
  }
  Vector scale;
  Eigen::LLT<Matrix> factor;
  double log_determinant_of = 0;
};

// The order of the sticks that makes sum log B(1 + N_k, gamma + sum_{j>k} N_j) largest. Exchanging
// neighbours shows that all but the last fall in N; the last stick has no Beta of its own, so each
// component is tried there.
std::vector<int64_t> best_order(const std::vector<double>& mass, double gamma) {
  std::vector<int64_t> falling(mass.size());
  std::iota(falling.begin(), falling.end(), int64_t{0});
  std::stable_sort(falling.begin(), falling.end(), [&](int64_t a, int64_t b) {
    return mass[static_cast<size_t>(a)] > mass[static_cast<size_t>(b)];
  });
  if (gamma <= 1) return falling;
  const double total = std::accumulate(mass.begin(), mass.end(), 0.0);
  const auto value = [&](const std::vector<int64_t>& order) {
    double sum = 0, rest = total;
    for (size_t c = 0; c + 1 < order.size(); ++c) {
      const double own = mass[static_cast<size_t>(order[c])];
      rest = std::max(0.0, rest - own);
      sum += log_beta(1 + own, gamma + rest);
    }
    return sum;
  };
  std::vector<int64_t> best = falling;
  double most = value(falling);
  for (size_t last = 0; last + 1 < falling.size(); ++last) {
    std::vector<int64_t> order = falling;
    std::rotate(order.begin() + static_cast<int64_t>(last),
                order.begin() + static_cast<int64_t>(last) + 1, order.end());
    const double v = value(order);
    if (v > most) most = v, best = std::move(order);
  }
  return best;
}

// Numbers of clusters that runs begin with.
std::vector<int64_t> first_sizes(int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t k = 1; k < most; k += std::max<int64_t>(1, k / 4)) sizes.push_back(k);
  sizes.push_back(most);
  return sizes;
}

}  // namespace

VariationalMixture::VariationalMixture(VariationalMixtureOptions options)
    : options_(std::move(options)) {
  options_.check();
}

VariationalMixture::Posterior VariationalMixture::posterior(
    const NormalWishart& prior, const compute::MixtureSums& sums,
    const std::vector<double>& about) const {
  const int64_t k = options_.components, d = d_;
  const std::vector<int64_t> order =
      best_order(sums.mass, options_.prior == "process" ? options_.concentration : 1.0);
  Posterior q;
  q.order = order;
  q.mean.resize(static_cast<size_t>(k * d));
  q.inverse_scale.assign(static_cast<size_t>(k * d * d), 0.0);
  const Eigen::Map<const Vector> m0(prior.mean.data(), d);
  double prior_log_determinant = 0;  // of W_0
  for (const double v : prior.inverse_scale) prior_log_determinant -= std::log(v);
  const double dd = static_cast<double>(d);
  for (int64_t c = 0; c < k; ++c) {
    const int64_t from = order[static_cast<size_t>(c)];
    const double mass = sums.mass[static_cast<size_t>(from)];
    const double beta = prior.beta + mass, nu = prior.nu + mass;
    Vector mean = m0;
    Matrix inverse = Matrix::Zero(d, d);
    for (int64_t j = 0; j < d; ++j) inverse(j, j) = prior.inverse_scale[static_cast<size_t>(j)];
    if (mass > 0) {
      const Eigen::Map<const Vector> shift(sums.shift.data() + from * d, d);
      const Vector centre = Eigen::Map<const Vector>(about.data() + from * d, d) + shift / mass;
      Matrix scatter = Eigen::Map<const Matrix>(sums.scatter.data() + from * d * d, d, d);
      scatter.triangularView<Eigen::StrictlyUpper>() = scatter.transpose();
      scatter.noalias() -= shift * shift.transpose() / mass;
      // Rounding may leave a direction a little below nothing.
      for (int64_t j = 0; j < d; ++j) scatter(j, j) = std::max(scatter(j, j), 0.0);
      const Vector apart = centre - m0;
      inverse += scatter + (prior.beta * mass / beta) * apart * apart.transpose();
      mean = (prior.beta * m0 + mass * centre) / beta;
    }
    const ScaledFactor factor(inverse);
    const double log_scale = -factor.log_determinant_of;  // log |W_k|
    double trace = 0;                                     // of W_0^-1 W_k
    for (int64_t j = 0; j < d; ++j) {
      trace += prior.inverse_scale[static_cast<size_t>(j)] * factor.quadratic(Vector::Unit(d, j));
    }
    q.divergence += 0.5 * (dd * (prior.beta / beta - 1 + std::log(beta / prior.beta)) +
                           prior.beta * nu * factor.quadratic(mean - m0));
    q.divergence += log_normaliser(nu, log_scale, d) -
                    log_normaliser(prior.nu, prior_log_determinant, d) +
                    (nu - prior.nu) / 2 * expected_log_determinant(nu, log_scale, d) - nu * dd / 2 +
                    nu * trace / 2;
    q.mass.push_back(mass);
    q.beta.push_back(beta);
    q.nu.push_back(nu);
    std::copy_n(mean.data(), d, q.mean.begin() + c * d);
    std::copy_n(inverse.data(), d * d, q.inverse_scale.begin() + c * d * d);
  }
  const double total = std::accumulate(q.mass.begin(), q.mass.end(), 0.0);
  if (options_.prior == "dirichlet") {
    const double a0 = options_.concentration, kk = static_cast<double>(k);
    const double sum = kk * a0 + total;
    q.divergence += std::lgamma(sum) - std::lgamma(kk * a0) + kk * std::lgamma(a0);
    for (const double mass : q.mass) {
      const double expected = digamma(a0 + mass) - digamma(sum);
      q.log_weight.push_back(expected);
      q.divergence += mass * expected - std::lgamma(a0 + mass);
    }
    return q;
  }
  double rest = total, left = 0;  // mass of later sticks; E log of what earlier ones leave
  for (int64_t c = 0; c < k; ++c) {
    rest -= q.mass[static_cast<size_t>(c)];
    if (c + 1 == k) {
      q.log_weight.push_back(left);
      break;
    }
    const double a = 1 + q.mass[static_cast<size_t>(c)];
    const double b = options_.concentration + std::max(rest, 0.0);
    q.log_weight.push_back(left + digamma(a) - digamma(a + b));
    left += digamma(b) - digamma(a + b);
    q.divergence += beta_divergence(a, b, 1, options_.concentration);
  }
  return q;
}

MixtureState VariationalMixture::expected_mixture(const Posterior& q) const {
  const int64_t k = options_.components, d = d_;
  MixtureState s;
  s.k = k;
  s.d = d;
  s.means = q.mean;
  s.covariances = q.inverse_scale;
  for (int64_t c = 0; c < k; ++c) {
    const double nu = q.nu[static_cast<size_t>(c)];
    const Eigen::Map<const Matrix> inverse(q.inverse_scale.data() + c * d * d, d, d);
    const double log_scale = -ScaledFactor(inverse).log_determinant_of;
    for (int64_t e = 0; e < d * d; ++e) s.covariances[static_cast<size_t>(c * d * d + e)] /= nu;
    // What E log N has beyond the log-density of N(m_k, W_k^-1 / nu_k).
    s.log_weights.push_back(q.log_weight[static_cast<size_t>(c)] +
                            0.5 * (expected_log_determinant(nu, log_scale, d) -
                                   (log_scale + static_cast<double>(d) * std::log(nu))) -
                            static_cast<double>(d) / (2 * q.beta[static_cast<size_t>(c)]));
  }
  s.factorise();
  return s;
}

compute::MixtureSums VariationalMixture::sums_of(const Posterior& q,
                                                 const compute::MixtureSums& sums,
                                                 const std::vector<double>& about,
                                                 double weight) const {
  const int64_t k = options_.components, d = d_;
  compute::MixtureSums out(compute::CovarianceType::kFull, k, d);
  std::vector<double> centres(static_cast<size_t>(k * d));
  for (int64_t c = 0; c < k; ++c) {
    const int64_t from = q.order[static_cast<size_t>(c)];
    out.mass[static_cast<size_t>(c)] = sums.mass[static_cast<size_t>(from)];
    std::copy_n(sums.shift.begin() + from * d, d, out.shift.begin() + c * d);
    std::copy_n(sums.scatter.begin() + from * d * d, d * d, out.scatter.begin() + c * d * d);
    std::copy_n(about.begin() + from * d, d, centres.begin() + c * d);
  }
  for (std::vector<double>* part : {&out.mass, &out.shift, &out.scatter})
    for (double& v : *part) v /= weight;
  move_sums(compute::CovarianceType::kFull, k, d, centres, q.mean, out);
  return out;
}

VariationalMixture& VariationalMixture::fit(const at::Tensor& x, const at::Tensor& weights) {
  const at::Tensor complete = checked_rows(x, "data", false);
  const Rows rows(complete, weights);
  const ColumnMoments moments = column_moments(rows);
  d_ = rows.columns();
  VarianceFloor floor{moments.variance, 1e-6};
  replace_constant(moments.mean, floor.variance);
  VariationalReport base;
  prior_ = normal_wishart(moments, options_.mean_strength, options_.degrees, options_.prior_share,
                          base.constant_columns);
  double most = -std::numeric_limits<double>::infinity();
  const std::vector<int64_t> sizes =
      first_sizes(std::min(options_.components, static_cast<int64_t>(moments.rows)));
  for (int64_t run = 0; run < options_.starts * static_cast<int64_t>(sizes.size()); ++run) {
    const int64_t size = sizes[static_cast<size_t>(run % static_cast<int64_t>(sizes.size()))];
    const GaussianMixtureOptions o{.components = size, .starts = 1, .seed = options_.seed + run};
    // Responsibilities of clusters found by k-means; components beyond the rows begin empty.
    const MixtureState first = first_state(rows, moments, floor, o);
    compute::MixtureSums sums(first.type, first.k, d_);
    expect(first, rows, false, sums);
    std::vector<double> about = first.means;
    about.resize(static_cast<size_t>(options_.components * d_), 0.0);
    sums.mass.resize(static_cast<size_t>(options_.components), 0.0);
    sums.shift.resize(static_cast<size_t>(options_.components * d_), 0.0);
    sums.scatter.resize(static_cast<size_t>(options_.components * d_ * d_), 0.0);
    Posterior q = posterior(prior_, sums, about);
    compute::MixtureSums behind = sums_of(q, sums, about, moments.weight);
    VariationalReport report = base;
    MixtureState state;
    for (;;) {
      state = expected_mixture(q);
      expect(state, rows, false, sums);
      report.bounds.push_back(sums.log_likelihood - q.divergence);
      const size_t at = report.bounds.size();
      report.converged = at > 1 && report.bounds[at - 1] - report.bounds[at - 2] <
                                       options_.tolerance * sums.weight;
      if (report.converged || report.steps >= options_.steps) break;
      q = posterior(prior_, sums, state.means);
      behind = sums_of(q, sums, state.means, moments.weight);
      ++report.steps;
    }
    report.bound = report.bounds.back();
    if (report.bound > most) {
      most = report.bound;
      report_ = std::move(report);
      q_ = std::move(q);
      state_ = std::move(state);
      sums_ = std::move(behind);
    }
  }
  if (!std::isfinite(most))
    throw Error(ExitCode::kFailed, "the bound is not finite", "mixture",
                "scale the columns, or raise prior_share");
  seen_ = report_.first_rows = report_.stream_rows = moments.weight;
  report_.batches = 1;
  return *this;
}

VariationalMixture& VariationalMixture::partial_fit(const at::Tensor& x,
                                                    const at::Tensor& weights) {
  if (state_.k == 0) return fit(x, weights);
  const Rows rows(checked_query(x), weights);
  compute::MixtureSums batch(state_.type, state_.k, d_);
  expect(state_, rows, false, batch);
  if (!(batch.weight > 0)) throw Error(ExitCode::kData, "all weights are 0", "weights");
  if (!std::isfinite(batch.log_likelihood))
    throw Error(ExitCode::kFailed, "the bound is not finite", "mixture",
                "drop rows far from all others");
  seen_ += batch.weight;
  const bool forgets = options_.stream_gain > 0;
  const double gain = forgets
                          ? options_.stream_gain
                          : std::pow(static_cast<double>(report_.batches) + options_.stream_offset,
                                     -options_.stream_power);
  const double stands_for = options_.stream_rows > 0 ? options_.stream_rows
                            : forgets                ? std::min(seen_, batch.weight / gain)
                                                     : seen_;
  report_.batch_bounds.push_back(batch.log_likelihood / batch.weight - q_.divergence / stands_for);
  const auto mix = [&](std::vector<double>& to, const std::vector<double>& from) {
    for (size_t i = 0; i < to.size(); ++i)
      to[i] = stands_for * ((1 - gain) * to[i] + gain * (from[i] / batch.weight));
  };
  // Both are about the state's means, which are q's.
  mix(sums_->mass, batch.mass);
  mix(sums_->shift, batch.shift);
  mix(sums_->scatter, batch.scatter);
  Posterior q = posterior(prior_, *sums_, state_.means);
  sums_ = sums_of(q, *sums_, state_.means, stands_for);
  q_ = std::move(q);
  state_ = expected_mixture(q_);
  ++report_.batches;
  report_.stream_rows = stands_for;
  return *this;
}

void VariationalMixture::need_fit() const {
  if (state_.k == 0)
    throw Error(ExitCode::kFailed, "the mixture has no parameters", "mixture", "call fit first");
}

at::Tensor VariationalMixture::checked_query(const at::Tensor& x) const {
  need_fit();
  const at::Tensor rows = checked_rows(x, "data", false);
  if (rows.size(1) != d_)
    throw Error(ExitCode::kData,
                "the data have " + std::to_string(rows.size(1)) + " columns, the mixture " +
                    std::to_string(d_),
                "data");
  return rows;
}

at::Tensor VariationalMixture::score_samples(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  const int64_t n = rows.size(0), k = options_.components, d = d_;
  const double dd = static_cast<double>(d);
  const at::Tensor w = weights();
  std::vector<ScaledFactor> factors;
  std::vector<double> constants, freedoms, ratios;
  for (int64_t c = 0; c < k; ++c) {
    const double beta = q_.beta[static_cast<size_t>(c)];
    const double freedom = q_.nu[static_cast<size_t>(c)] + 1 - dd;
    const double ratio = freedom * beta / (1 + beta);  // precision = ratio W
    factors.emplace_back(
        Matrix(Eigen::Map<const Matrix>(q_.inverse_scale.data() + c * d * d, d, d)));
    constants.push_back(std::log(w.data_ptr<double>()[c]) + std::lgamma((freedom + dd) / 2) -
                        std::lgamma(freedom / 2) -
                        0.5 * (dd * std::log(freedom * std::numbers::pi / ratio) +
                               factors.back().log_determinant_of));
    freedoms.push_back(freedom);
    ratios.push_back(ratio);
  }
  at::Tensor out = at::empty({n}, at::kDouble);
  parallel_for(n, 64, [&](int64_t begin, int64_t end) {
    std::vector<double> joint(static_cast<size_t>(k));
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Map<const Vector> point(rows.data_ptr<double>() + i * d, d);
      for (int64_t c = 0; c < k; ++c) {
        const size_t at = static_cast<size_t>(c);
        const Vector apart = point - Eigen::Map<const Vector>(q_.mean.data() + c * d, d);
        joint[at] = constants[at] -
                    0.5 * (freedoms[at] + dd) *
                        std::log1p(ratios[at] / freedoms[at] * factors[at].quadratic(apart));
      }
      const double top = *std::max_element(joint.begin(), joint.end());
      double sum = 0;
      for (const double j : joint) sum += std::exp(j - top);
      out.data_ptr<double>()[i] = top + std::log(sum);
    }
  });
  return out;
}

double VariationalMixture::score(const at::Tensor& x) const {
  return score_samples(x).mean().item<double>();
}

at::Tensor VariationalMixture::predict(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  at::Tensor out = at::empty({rows.size(0)}, at::kLong);
  compute::mixture_scores(state_.view(), rows.data_ptr<double>(), rows.size(0),
                          {.labels = out.data_ptr<int64_t>()});
  return out;
}

at::Tensor VariationalMixture::predict_proba(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  at::Tensor out = at::empty({rows.size(0), options_.components}, at::kDouble);
  compute::mixture_scores(state_.view(), rows.data_ptr<double>(), rows.size(0),
                          {.responsibilities = out.data_ptr<double>()});
  return out;
}

at::Tensor VariationalMixture::weights() const {
  need_fit();
  const int64_t k = options_.components;
  at::Tensor out = at::empty({k}, at::kDouble);
  double* w = out.data_ptr<double>();
  double rest = std::accumulate(q_.mass.begin(), q_.mass.end(), 0.0), left = 1;
  const double total = rest;
  for (int64_t c = 0; c < k; ++c) {
    const double mass = q_.mass[static_cast<size_t>(c)];
    if (options_.prior == "dirichlet") {
      w[c] = (options_.concentration + mass) /
             (static_cast<double>(k) * options_.concentration + total);
      continue;
    }
    rest = std::max(0.0, rest - mass);
    const double share = c + 1 == k ? 1 : (1 + mass) / (1 + mass + options_.concentration + rest);
    w[c] = left * share;
    left *= 1 - share;
  }
  return out;
}

at::Tensor VariationalMixture::means() const {
  need_fit();
  return at::tensor(q_.mean, at::kDouble).view({options_.components, d_});
}

at::Tensor VariationalMixture::covariances() const {
  need_fit();
  const at::Tensor degrees = at::tensor(q_.nu, at::kDouble) - static_cast<double>(d_) - 1;
  return at::tensor(q_.inverse_scale, at::kDouble).view({options_.components, d_, d_}) /
         degrees.view({-1, 1, 1});
}

int64_t VariationalMixture::effective(double share) const {
  need_fit();
  const double total = std::accumulate(q_.mass.begin(), q_.mass.end(), 0.0);
  return std::count_if(q_.mass.begin(), q_.mass.end(),
                       [&](double mass) { return mass > share * total; });
}

}  // namespace covary::mixture
