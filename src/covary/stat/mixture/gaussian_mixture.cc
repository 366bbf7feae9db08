#include "covary/stat/mixture/gaussian_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/missing.h"
#include "covary/stat/mixture/split_merge.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;

at::Tensor to_tensor(const std::vector<double>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<double*>(values.data()), shape, at::kDouble).clone();
}

std::vector<double> to_vector(const at::Tensor& t) {
  const at::Tensor c = t.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* p = c.data_ptr<double>();
  return {p, p + c.numel()};
}

std::vector<int64_t> shape_of(CovarianceType type, int64_t k, int64_t d) {
  switch (type) {
    case CovarianceType::kSpherical:
      return {k};
    case CovarianceType::kDiagonal:
      return {k, d};
    case CovarianceType::kTied:
      return {d, d};
    case CovarianceType::kFull:
      return {k, d, d};
  }
  return {};
}

const char* name_of(CovarianceType type) {
  switch (type) {
    case CovarianceType::kSpherical:
      return "spherical";
    case CovarianceType::kDiagonal:
      return "diagonal";
    case CovarianceType::kTied:
      return "tied";
    case CovarianceType::kFull:
      return "full";
  }
  return "";
}

double log_sum_exp(const double* v, int64_t n) {
  const double top = *std::max_element(v, v + n);
  if (!std::isfinite(top)) return top;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(v[i] - top);
  return top + std::log(sum);
}

}  // namespace

GaussianMixture::GaussianMixture(GaussianMixtureOptions options) : options_(std::move(options)) {
  options_.check();
}

void GaussianMixture::need_fit() const {
  if (state_.k == 0)
    throw Error(ExitCode::kFailed, "the mixture has no parameters", "mixture",
                "call fit or set_parameters first");
}

at::Tensor GaussianMixture::checked_query(const at::Tensor& x) const {
  need_fit();
  const at::Tensor rows = checked_rows(x, "data", true);
  if (rows.size(1) != state_.d)
    throw Error(ExitCode::kData,
                "the data have " + std::to_string(rows.size(1)) + " columns, the mixture " +
                    std::to_string(state_.d),
                "data");
  return rows;
}

GaussianMixture& GaussianMixture::fit(const at::Tensor& x, const at::Tensor& weights) {
  return fit_rows(Rows(x, weights));
}

GaussianMixture& GaussianMixture::fit_chunks(const ChunkSource& source) {
  return fit_rows(Rows(source));
}

GaussianMixture& GaussianMixture::fit_rows(const Rows& rows) {
  const ColumnMoments moments = column_moments(rows);
  if (moments.rows < static_cast<double>(options_.components))
    throw Error(ExitCode::kData,
                std::to_string(static_cast<int64_t>(moments.rows)) + " rows cannot make " +
                    std::to_string(options_.components) + " components",
                "components", "ask for at most as many components as there are rows");
  FitReport report;
  VarianceFloor floor{moments.variance, options_.floor};
  report.constant_columns = replace_constant(moments.mean, floor.variance);
  if (options_.init == "given") {
    need_fit();
    if (state_.d != rows.columns())
      throw Error(ExitCode::kData, "the given means have other columns than the data", "means");
    MixtureState given = empty_state(options_, moments, floor);
    state_.rule = given.rule;
    state_.factors = given.factors;
    state_.prior = std::move(given.prior);
  } else {
    state_ = first_state(rows, moments, floor, options_, &report.start);
  }
  compute::MixtureSums sums(state_.type, state_.k, state_.d);
  GaussianMixtureOptions o = options_;
  if (!report.start.mean_log_likelihood.empty()) o.anneal = 0;  // its starts were annealed
  report.trace = run_em(rows, moments, floor, o, state_, sums);
  if (o.split_merge > 0)
    report.trace.exchanges = split_and_merge(rows, moments, floor, o, state_, sums, report.trace);
  report.log_likelihood = sums.log_likelihood;
  report.entropy = std::max(0.0, sums.entropy);
  report.rows = sums.rows;
  report.weight = sums.weight;
  report.parameters = free_parameters(state_.type, state_.k, state_.d, state_.rule, state_.factors);
  report.criteria =
      criteria(report.log_likelihood, report.parameters, report.weight, report.entropy);
  report_ = std::move(report);
  floor_ = std::move(floor);
  running_.clear();
  batches_ = 0;
  return *this;
}

GaussianMixture& GaussianMixture::set_parameters(const at::Tensor& weights, const at::Tensor& means,
                                                 const at::Tensor& covariances) {
  if (!means.defined() || means.dim() != 2 || means.numel() == 0)
    throw Error(ExitCode::kData, "must be [k,d]", "means");
  MixtureState s;
  s.type = base_type(options_.covariance);
  s.k = means.size(0);
  s.d = means.size(1);
  if (!weights.defined() || weights.dim() != 1 || weights.size(0) != s.k)
    throw Error(ExitCode::kData, "there must be one weight a component", "weights");
  if (!covariances.defined() || covariances.sizes() != at::IntArrayRef(shape_of(s.type, s.k, s.d)))
    throw Error(ExitCode::kData,
                "the shape does not fit " + options_.covariance + " covariances of " +
                    std::to_string(s.k) + " components in " + std::to_string(s.d) + " dimensions",
                "covariances");
  s.means = to_vector(means);
  s.covariances = to_vector(covariances);
  const std::vector<double> w = to_vector(weights);
  double total = 0;
  for (const double v : w) {
    if (!(v >= 0) || !std::isfinite(v))
      throw Error(ExitCode::kData, "a weight is negative or not finite", "weights");
    total += v;
  }
  if (!(total > 0)) throw Error(ExitCode::kData, "all weights are 0", "weights");
  for (const double v : w) s.log_weights.push_back(std::log(v / total));
  for (const auto* values : {&s.means, &s.covariances}) {
    if (!std::all_of(values->begin(), values->end(), [](double v) { return std::isfinite(v); }))
      throw Error(ExitCode::kData, "a value is not finite",
                  values == &s.means ? "means" : "covariances");
  }
  s.factorise();
  options_.components = s.k;
  state_ = std::move(s);
  running_.clear();
  batches_ = 0;
  return *this;
}

at::Tensor GaussianMixture::score_samples(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  const int64_t n = rows.size(0);
  at::Tensor out = at::empty({n}, at::kDouble);
  compute::mixture_scores(state_.view(), rows.data_ptr<double>(), n,
                          {.log_density = out.data_ptr<double>()});
  for (const MissingPattern& p : missing_patterns(rows.data_ptr<double>(), n, state_.d)) {
    const std::vector<double> joint = missing_joint(state_, p, rows.data_ptr<double>());
    for (size_t i = 0; i < p.rows.size(); ++i) {
      out.data_ptr<double>()[p.rows[i]] =
          log_sum_exp(joint.data() + static_cast<int64_t>(i) * state_.k, state_.k);
    }
  }
  return out;
}

double GaussianMixture::score(const at::Tensor& x, const at::Tensor& weights) const {
  const at::Tensor s = score_samples(x);
  const at::Tensor w = checked_weights(weights, s.size(0));
  if (!w.defined()) return s.mean().item<double>();
  return (s * w).sum().item<double>() / w.sum().item<double>();
}

at::Tensor GaussianMixture::predict_proba(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  const int64_t n = rows.size(0), k = state_.k;
  at::Tensor out = at::empty({n, k}, at::kDouble);
  double* r = out.data_ptr<double>();
  compute::mixture_scores(state_.view(), rows.data_ptr<double>(), n, {.responsibilities = r});
  for (const MissingPattern& p : missing_patterns(rows.data_ptr<double>(), n, state_.d)) {
    const std::vector<double> joint = missing_joint(state_, p, rows.data_ptr<double>());
    for (size_t i = 0; i < p.rows.size(); ++i) {
      const double* own = joint.data() + static_cast<int64_t>(i) * k;
      const double total = log_sum_exp(own, k);
      for (int64_t c = 0; c < k; ++c) r[p.rows[i] * k + c] = std::exp(own[c] - total);
    }
  }
  return out;
}

at::Tensor GaussianMixture::predict(const at::Tensor& x) const {
  const at::Tensor rows = checked_query(x);
  const int64_t n = rows.size(0);
  at::Tensor out = at::empty({n}, at::kLong);
  compute::mixture_scores(state_.view(), rows.data_ptr<double>(), n,
                          {.labels = out.data_ptr<int64_t>()});
  for (const MissingPattern& p : missing_patterns(rows.data_ptr<double>(), n, state_.d)) {
    const std::vector<double> joint = missing_joint(state_, p, rows.data_ptr<double>());
    for (size_t i = 0; i < p.rows.size(); ++i) {
      const auto own = joint.begin() + static_cast<int64_t>(i) * state_.k;
      out.data_ptr<int64_t>()[p.rows[i]] = std::max_element(own, own + state_.k) - own;
    }
  }
  return out;
}

at::Tensor GaussianMixture::sample(int64_t n, int64_t seed) const {
  at::Tensor labels;
  return sample(n, seed, labels);
}

at::Tensor GaussianMixture::sample(int64_t n, int64_t seed, at::Tensor& labels) const {
  need_fit();
  if (n < 0) throw Error(ExitCode::kUsage, "must not be negative", "n");
  const int64_t d = state_.d;
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  std::vector<Matrix> factors;
  for (int64_t c = 0; c < state_.k; ++c) {
    const std::vector<double> s = state_.covariance(c);
    factors.push_back(Eigen::LLT<Matrix>(Eigen::Map<const Matrix>(s.data(), d, d)).matrixL());
  }
  const Random which(static_cast<uint64_t>(seed), stream_of("mixture.which"));
  const Random where(static_cast<uint64_t>(seed), stream_of("mixture.where"));
  at::Tensor out = at::empty({n, d}, at::kDouble);
  labels = at::empty({n}, at::kLong);
  Eigen::VectorXd z(d);
  for (int64_t i = 0; i < n; ++i) {
    double left = which.uniform(static_cast<uint64_t>(i));
    int64_t c = 0;
    while (c + 1 < state_.k) {
      left -= std::exp(state_.log_weights[static_cast<size_t>(c)]);
      if (left < 0) break;
      ++c;
    }
    for (int64_t j = 0; j < d; ++j) z(j) = where.normal(static_cast<uint64_t>(i * d + j));
    const Eigen::VectorXd y = factors[static_cast<size_t>(c)] * z;
    for (int64_t j = 0; j < d; ++j) {
      out.data_ptr<double>()[i * d + j] = state_.means[static_cast<size_t>(c * d + j)] + y(j);
    }
    labels.data_ptr<int64_t>()[i] = c;
  }
  return out;
}

GaussianMixture GaussianMixture::of_state(MixtureState state) {
  GaussianMixture m({.components = state.k});
  state.factorise();
  m.state_ = std::move(state);
  return m;
}

at::Tensor GaussianMixture::weights() const {
  need_fit();
  return to_tensor(state_.log_weights, {state_.k}).exp();
}
at::Tensor GaussianMixture::means() const {
  need_fit();
  return to_tensor(state_.means, {state_.k, state_.d});
}
at::Tensor GaussianMixture::covariances() const {
  need_fit();
  return to_tensor(state_.covariances, shape_of(state_.type, state_.k, state_.d));
}
at::Tensor GaussianMixture::full_covariances() const {
  need_fit();
  std::vector<double> all;
  for (int64_t c = 0; c < state_.k; ++c) {
    const std::vector<double> one = state_.covariance(c);
    all.insert(all.end(), one.begin(), one.end());
  }
  return to_tensor(all, {state_.k, state_.d, state_.d});
}

data::Model GaussianMixture::model() const {
  need_fit();
  data::Model m{.schema = "covary.mixture",
                .version = 1,
                .fields = {{"family", "gaussian"}, {"covariance", name_of(state_.type)}}};
  m.put("log_weights", state_.log_weights, {state_.k});
  m.put("means", state_.means, {state_.k, state_.d});
  m.put("covariances", state_.covariances, shape_of(state_.type, state_.k, state_.d));
  return m;
}

GaussianMixture GaussianMixture::of_model(const data::Model& m) {
  m.text("family", {"gaussian"});
  GaussianMixtureOptions options;
  options.covariance = m.text("covariance", {"spherical", "diagonal", "tied", "full"});
  MixtureState s;
  s.type = base_type(options.covariance);
  s.k = m.size("means", 0);
  s.d = m.size("means", 1);
  s.means = m.doubles("means", {s.k, s.d});
  if (s.k == 0 || s.d == 0) m.refuse("means", "there are none");
  s.log_weights = m.doubles("log_weights", {s.k});
  const std::vector<int64_t> shape = shape_of(s.type, s.k, s.d);
  s.covariances = m.doubles("covariances", shape);
  double total = 0;
  for (const double v : s.log_weights) total += std::exp(v);
  if (!(std::abs(total - 1) < 1e-6)) m.refuse("log_weights", "the weights do not sum to 1");
  for (const auto* values : {&s.means, &s.covariances}) {
    if (!std::all_of(values->begin(), values->end(), [](double v) { return std::isfinite(v); }))
      m.refuse(values == &s.means ? "means" : "covariances", "a value is not finite");
  }
  try {
    s.factorise();
  } catch (const Error& e) {
    m.refuse("covariances", e.message() + " (" + e.where() + ")");
  }
  options.components = s.k;
  GaussianMixture g(options);
  g.state_ = std::move(s);
  return g;
}

Selection select_mixture(const at::Tensor& x, const std::vector<int64_t>& components,
                         const std::vector<std::string>& covariances, const std::string& criterion,
                         const GaussianMixtureOptions& options, const at::Tensor& weights) {
  if (criterion != "bic" && criterion != "aic" && criterion != "icl")
    throw Error(ExitCode::kUsage, "is bic, aic or icl, not '" + criterion + "'", "criterion");
  if (components.empty() || covariances.empty())
    throw Error(ExitCode::kUsage, "nothing to choose from", "components");
  Selection s;
  double least = std::numeric_limits<double>::infinity();
  bool least_floored = true;
  for (const std::string& covariance : covariances) {
    for (const int64_t k : components) {
      GaussianMixtureOptions o = options;
      o.components = k;
      o.covariance = covariance;
      GaussianMixture m(o);
      m.fit(x, weights);
      const Criteria& c = m.report().criteria;
      const double value = criterion == "bic" ? c.bic : criterion == "aic" ? c.aic : c.icl;
      const bool floored = m.report().trace.floored > 0;
      s.rows.push_back({k, covariance, m.report()});
      // A likelihood that leans on the floor loses to any that does not.
      if (s.rows.size() == 1 || std::pair(floored, value) < std::pair(least_floored, least)) {
        least = value;
        least_floored = floored;
        s.best = s.rows.size() - 1;
        s.model = std::move(m);
      }
    }
  }
  return s;
}

}  // namespace covary::mixture
