#include "covary/stat/process/hyper_sample.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/sampling/nuts.h"
#include "covary/stat/process/marginal.h"
#include "covary/stat/process/model_parts.h"
#include "covary/stat/process/priors.h"

namespace covary::stat {
namespace {

using nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kSideBySide = 2000;  // rows up to which chains and draws run beside each other
constexpr double kMostRHat = 1.01, kLeastEffective = 400;

struct Stopped {};

// Tells options.watch of all chains how far they are; throws Stopped where it wants no more.
class Watcher {
 public:
  Watcher(const SampleWatch& watch, int64_t total) : watch_(watch), now_{.total = total} {}
  void step() {
    const std::lock_guard lock(mutex_);
    ++now_.done;
  }
  void look() {
    if (!watch_) return;
    const std::lock_guard lock(mutex_);
    if (!watch_(now_)) throw Stopped{};
  }
  void met(double log_density) {
    const std::lock_guard lock(mutex_);
    now_.log_density = log_density;
  }

 private:
  const SampleWatch& watch_;
  std::mutex mutex_;
  SampleStep now_;
};

// The log density of the packed parameters. One object a chain: the likelihood's buffer is one.
class Posterior {
 public:
  Posterior(const GpData& data, const Kernel& kernel, int64_t memory_limit, Watcher* watcher)
      : kernel_(kernel),
        likelihood_(data, memory_limit),
        watcher_(watcher),
        slopes_(kernel.parameters().size()) {
    kernel_.bounds(&lower_, &upper_);
    for (const KernelParameter* p : kernel_.free_parameters()) real_.push_back(p->real);
  }

  double operator()(std::span<const double> x, std::span<double> slope) {
    watcher_->look();
    for (size_t i = 0; i < x.size(); ++i) {
      if (!(x[i] >= lower_[i] && x[i] <= upper_[i])) return -kInfinity;
    }
    kernel_.unpack(x);
    double value = 0;
    try {
      const MarginalValue v = likelihood_.evaluate(kernel_, slopes_, MeanCoefficients::kIntegrated);
      if (!v.report.done) return -kInfinity;
      value = v.log_likelihood;
    } catch (const Error&) {  // the mean's equations have no solution there
      return -kInfinity;
    }
    value += kernel_.log_prior(slopes_);
    const std::vector<double> packed = kernel_.pack_gradient(slopes_);
    for (size_t i = 0; i < x.size(); ++i) {
      slope[i] = packed[i] + (real_[i] ? 0 : 1);
      if (!real_[i]) value += x[i];  // the Jacobian of the logarithm
    }
    watcher_->met(value);
    return value;
  }

  // A start for a chain: the parameters moved at random, less and less far until the density is not
  // 0 there.
  std::vector<double> start(const std::vector<double>& from, uint64_t seed, int64_t chain) {
    const Random random(seed, stream_of("process.chains", static_cast<uint64_t>(chain)));
    std::vector<double> trial(from.size()), slope(from.size());
    double reach = 0.5;
    for (int turn = 0; turn < 12; ++turn, reach *= 0.5) {
      for (size_t i = 0; i < from.size(); ++i) {
        const double width = upper_[i] - lower_[i];
        const double unit = real_[i] ? std::min(std::isfinite(width) ? 0.25 * width : 1, 1e300) : 1;
        trial[i] = std::clamp(from[i] + reach * unit * random.normal(i), lower_[i], upper_[i]);
      }
      if (std::isfinite((*this)(trial, slope))) return trial;
    }
    return from;
  }

 private:
  Kernel kernel_;
  MarginalLikelihood likelihood_;
  Watcher* watcher_;
  std::vector<double> slopes_, lower_, upper_;
  std::vector<bool> real_;
};

// Calls body(k, process) for the process with the parameters of each mixed draw, k from 0.
template <class F>
void over_draws(const GaussianProcess& gp, const HyperSample& sample,
                const std::vector<int64_t>& draws, const F& body) {
  static constexpr const char* kMeans[] = {"zero", "const", "linear", "quadratic"};
  const GpData& data = gp.data();
  if (data.outputs != 1) {
    throw Error(ExitCode::kUsage, "predictions of sampled parameters are of one output", "process");
  }
  const auto one = [&](int64_t k) {
    Kernel kernel = sample.at(gp.kernel(), draws[static_cast<size_t>(k)]);
    for (KernelParameter& p : kernel.parameters()) p.given = true;
    GpOptions o;
    o.mean = kMeans[static_cast<size_t>(data.mean)];
    o.fit = false;
    o.constant_columns = true;
    body(k,
         GaussianProcess(data.x, data.y.squeeze(1).contiguous(), std::move(kernel), o, data.noise));
  };
  const auto count = static_cast<int64_t>(draws.size());
  if (data.n <= kSideBySide) {
    parallel_tasks(count, one);
  } else {
    for (int64_t k = 0; k < count; ++k) one(k);
  }
}

// `wanted` of `count` things in a row, each in the middle of an equal share of them.
std::vector<int64_t> evenly_of(int64_t count, int64_t wanted) {
  std::vector<int64_t> out;
  for (int64_t k = 0; k < wanted; ++k) out.push_back((2 * k + 1) * count / (2 * wanted));
  return out;
}

void put_row(const at::Tensor& values, int64_t row, const at::Tensor& to) {
  const at::Tensor c = values.contiguous();
  std::copy_n(c.const_data_ptr<double>(), c.numel(), to.data_ptr<double>() + row * to.size(1));
}

}  // namespace

std::vector<double> HyperSample::of(int64_t parameter) const {
  std::vector<double> out;
  for (int64_t i = 0; i < count(); ++i)
    out.push_back(values[static_cast<size_t>(i * free() + parameter)]);
  return out;
}

std::vector<HyperParameterSummary> HyperSample::summaries() const {
  std::vector<HyperParameterSummary> out;
  for (int64_t p = 0; p < free(); ++p) {
    const std::vector<double> v = of(p);
    out.push_back({names[static_cast<size_t>(p)], numeric::chain_quality(v, chains),
                   numeric::sample_quantile(v, 0.05), numeric::sample_quantile(v, 0.5),
                   numeric::sample_quantile(v, 0.95)});
  }
  return out;
}

std::vector<int64_t> HyperSample::mixed() const {
  return evenly_of(count(), options.mixed > 0 ? std::min(options.mixed, count()) : count());
}

Kernel HyperSample::at(Kernel kernel, int64_t draw) const {
  std::vector<double> packed;
  const std::vector<const KernelParameter*> all = kernel.free_parameters();
  for (size_t i = 0; i < all.size(); ++i) {
    const double v = values[static_cast<size_t>(draw * free()) + i];
    packed.push_back(all[i]->real ? v : std::log(v));
  }
  kernel.unpack(packed);
  return kernel;
}

std::string HyperSample::warning() const {
  std::string bad;
  bool short_of = false;
  for (const HyperParameterSummary& s : summaries()) {
    const numeric::ChainQuality& q = s.quality;
    const bool apart = !(q.r_hat <= kMostRHat);
    const bool few = !(std::min(q.bulk, q.tail) >= kLeastEffective);
    short_of = short_of || apart || few;
    if (apart || few) bad += (bad.empty() ? "" : ", ") + s.name;
  }
  std::string out;
  if (short_of) {
    out = "R-hat above 1.01 or fewer than 400 effective draws of " + bad + ": take longer chains";
  }
  if (divergences > 0) {
    out += (out.empty() ? "" : "; ") + std::to_string(divergences) +
           " steps diverged: a part of the posterior may be missing, raise the acceptance";
  }
  return out;
}

std::string HyperSample::text() const {
  char line[200];
  std::snprintf(
      line, sizeof line,
      "posterior       %lld chains of %lld draws after %lld, %lld evaluations; predictions "
      "mix %zu draws\n",
      static_cast<long long>(chains), static_cast<long long>(draws),
      static_cast<long long>(options.warm_up), static_cast<long long>(evaluations), mixed().size());
  std::string s = line;
  std::snprintf(line, sizeof line,
                "chains          mean acceptance %.2f, %lld divergences, %lld steps cut at the "
                "deepest tree\n",
                acceptance, static_cast<long long>(divergences), static_cast<long long>(deepest));
  s += line;
  std::snprintf(line, sizeof line, "  %-26s %10s %10s %10s %10s %10s %7s %7s %7s\n", "", "mean",
                "sd", "5 %", "50 %", "95 %", "R-hat", "bulk", "tail");
  s += line;
  for (const HyperParameterSummary& p : summaries()) {
    const numeric::ChainQuality& q = p.quality;
    std::snprintf(line, sizeof line,
                  "  %-26.60s %10.4g %10.4g %10.4g %10.4g %10.4g %7.3f %7.0f %7.0f\n",
                  p.name.c_str(), q.mean, q.sd, p.low, p.median, p.high, q.r_hat, q.bulk, q.tail);
    s += line;
  }
  const std::string warned = warning();
  if (!warned.empty()) s += "warning         " + warned + "\n";
  return s;
}

json HyperSample::to_json() const {
  json parameters = json::object();
  for (const HyperParameterSummary& p : summaries()) {
    const numeric::ChainQuality& q = p.quality;
    parameters[p.name] = {{"mean", q.mean},
                          {"sd", q.sd},
                          {"q05", p.low},
                          {"q50", p.median},
                          {"q95", p.high},
                          {"r_hat", finite_or_null(q.r_hat)},
                          {"ess_bulk", finite_or_null(q.bulk)},
                          {"ess_tail", finite_or_null(q.tail)},
                          {"mean_error", finite_or_null(q.mean_error)}};
  }
  const std::string warned = warning();
  return {{"parameters", parameters},
          {"chains", chains},
          {"draws", draws},
          {"warm_up", options.warm_up},
          {"mixed", static_cast<int64_t>(mixed().size())},
          {"priors", options.priors},
          {"divergences", divergences},
          {"deepest", deepest},
          {"acceptance", acceptance},
          {"evaluations", evaluations},
          {"warning", warned.empty() ? json() : json(warned)}};
}

void HyperSample::put(data::Model* model) const {
  model->fields["posterior"] = {{"names", names},
                                {"warm_up", options.warm_up},
                                {"mixed", options.mixed},
                                {"acceptance", options.acceptance},
                                {"priors", options.priors},
                                {"divergences", divergences},
                                {"deepest", deepest},
                                {"evaluations", evaluations},
                                {"mean_acceptance", acceptance}};
  model->put("posterior_draws", values, {chains, draws, free()});
}

bool HyperSample::is_in(const data::Model& model) { return model.fields.contains("posterior"); }

HyperSample HyperSample::of_model(const data::Model& model, const Kernel& kernel) {
  const std::vector<const KernelParameter*> all = kernel.free_parameters();
  HyperSample s;
  const auto parameters = static_cast<int64_t>(all.size());
  s.values = model.doubles("posterior_draws", {-1, -1, parameters});
  s.chains = model.size("posterior_draws", 0);
  s.draws = model.size("posterior_draws", 1);
  if (s.chains < 1 || s.draws < 4 || parameters < 1)
    model.refuse("posterior_draws", "needs a chain, four draws and a parameter at least");
  for (const KernelParameter* p : all) s.names.push_back(p->name);
  for (size_t i = 0; i < s.values.size(); ++i) {
    const double v = s.values[i];
    if (!std::isfinite(v) || !(v > 0 || all[i % all.size()]->real))
      model.refuse("posterior_draws", "must be finite, and positive but for real parameters");
  }
  try {
    const json& j = model.fields.at("posterior");
    if (j.at("names").get<std::vector<std::string>>() != s.names)
      model.refuse("posterior", "names parameters that are not those of its kernel");
    s.options.chains = s.chains;
    s.options.draws = s.draws;
    s.options.warm_up = j.at("warm_up").get<int64_t>();
    s.options.mixed = j.at("mixed").get<int64_t>();
    s.options.acceptance = j.at("acceptance").get<double>();
    s.options.priors = j.at("priors").get<std::string>();
    s.divergences = j.at("divergences").get<int64_t>();
    s.deepest = j.at("deepest").get<int64_t>();
    s.evaluations = j.at("evaluations").get<int64_t>();
    s.acceptance = j.at("mean_acceptance").get<double>();
    s.options.check();
  } catch (const json::exception& e) {
    model.refuse("posterior", std::string("is none: ") + e.what());
  } catch (const Error& e) {
    if (e.code() == ExitCode::kData) throw;
    model.refuse("posterior", e.what());
  }
  return s;
}

HyperSampleCost sampling_cost(const HyperSampleOptions& o, int64_t n) {
  const auto rows = static_cast<double>(n), chains = static_cast<double>(o.chains);
  HyperSampleCost c;
  c.evaluations = 10 * chains * static_cast<double>(o.warm_up + o.draws);
  c.entries = (2e-5 + 2e-8 * rows * rows) / threads();
  c.bytes = 8 * rows * rows * (n <= kSideBySide ? chains : 1);
  return c;
}

HyperSample sample_hyperparameters(const GaussianProcess& gp, const HyperSampleOptions& o) {
  o.check();
  const GpData& data = gp.data();
  Kernel kernel = gp.kernel();
  const DataScales scales = scales_of(data);
  set_priors(&kernel, o.priors, scales);
  if (o.priors != "none") set_proper_priors(&kernel, scales);
  HyperSample out;
  for (const KernelParameter* p : kernel.free_parameters()) {
    if (p->prior.flat()) {
      throw Error(ExitCode::kUsage,
                  "has a flat prior: where the data say nothing its posterior has no integral",
                  "parameter " + p->name, "write --priors gamma or dim-scaled, or fix it");
    }
    out.names.push_back(p->name);
  }
  if (out.names.empty()) {
    throw Error(ExitCode::kUsage, "has no free parameter to sample", "kernel " + kernel.text(),
                "leave fixed out, or --inference nuts");
  }
  // Adapted bounds of the priors hold the start too.
  std::vector<double> lower, upper, mode = kernel.pack();
  kernel.bounds(&lower, &upper);
  for (size_t i = 0; i < mode.size(); ++i) mode[i] = std::clamp(mode[i], lower[i], upper[i]);

  const auto bytes = 8.0 * static_cast<double>(data.n) * static_cast<double>(data.n);
  const bool beside = data.n <= kSideBySide &&
                      bytes * static_cast<double>(o.chains) < static_cast<double>(o.memory_limit);
  out.options = o;
  out.options.watch = {};
  std::vector<std::vector<double>> starts;
  Watcher watcher(o.watch, o.chains * (o.warm_up + o.draws));
  Posterior first(data, kernel, o.memory_limit, &watcher);
  const numeric::NutsOptions how{.warm_up = o.warm_up,
                                 .draws = o.draws,
                                 .acceptance = o.acceptance,
                                 .seed = o.seed,
                                 .stepped = [&](int64_t) { watcher.step(); }};
  numeric::NutsSample sampled;
  try {
    for (int64_t c = 0; c < o.chains; ++c) {
      starts.push_back(first.start(mode, static_cast<uint64_t>(o.seed), c));
    }
    if (beside) {
      sampled = numeric::sample_nuts(
          [&](int64_t) -> numeric::LogDensity {
            return
                [posterior = std::make_shared<Posterior>(data, kernel, o.memory_limit, &watcher)](
                    std::span<const double> x, std::span<double> slope) {
                  return (*posterior)(x, slope);
                };
          },
          starts, how);
    } else {
      sampled = numeric::sample_nuts(numeric::LogDensity(std::ref(first)), starts, how);
    }
  } catch (const Stopped&) {
    out.stopped = true;
    return out;
  }
  out.chains = o.chains;
  out.draws = o.draws;
  out.divergences = sampled.divergences();
  out.deepest = sampled.deepest();
  out.evaluations = sampled.evaluations();
  const std::vector<const KernelParameter*> all = kernel.free_parameters();
  for (const numeric::NutsChain& c : sampled.chains) {
    out.acceptance += c.acceptance / static_cast<double>(o.chains);
    for (size_t i = 0; i < c.draws.size(); ++i) {
      out.values.push_back(all[i % all.size()]->real ? c.draws[i] : std::exp(c.draws[i]));
    }
  }
  return out;
}

PredictiveMixture mix_predictions(const GaussianProcess& gp, const HyperSample& sample,
                                  const at::Tensor& points, bool noise) {
  const std::vector<int64_t> draws = sample.mixed();
  const at::Tensor xs = checked_points(points, gp.data().dims, "points");
  PredictiveMixture m;
  m.mean = at::empty({static_cast<int64_t>(draws.size()), xs.size(0)}, at::kDouble);
  m.variance = at::empty_like(m.mean);
  over_draws(gp, sample, draws, [&](int64_t k, const GaussianProcess& one) {
    const Prediction p = one.predict(xs, {.noise = noise});
    put_row(p.mean, k, m.mean);
    put_row(p.variance, k, m.variance);
  });
  return m;
}

PredictiveMixture mix_predictions(const GaussianProcess& gp, const HyperSample& sample,
                                  const at::Tensor& points, const RowNoise& rows) {
  const at::Tensor xs = checked_points(points, gp.data().dims, "points");
  rows.check(xs.size(0));
  PredictiveMixture m = mix_predictions(gp, sample, xs, false);
  at::Tensor white = at::empty_like(m.variance);
  const std::vector<int64_t> draws = sample.mixed();
  for (size_t k = 0; k < draws.size(); ++k) {
    const std::vector<double> own =
        white_diagonal(sample.at(gp.kernel(), draws[k]), xs.const_data_ptr<double>(), xs.size(0));
    std::copy(own.begin(), own.end(),
              white.data_ptr<double>() + static_cast<int64_t>(k) * white.size(1));
  }
  if (rows.weights.defined()) white = white / rows.weights;
  m.variance = m.variance + white;
  if (rows.variances.defined()) m.variance = m.variance + rows.variances;
  m.variance =
      at::where(at::isinf(m.variance), std::numeric_limits<double>::quiet_NaN(), m.variance);
  return m;
}

PredictiveMixture mix_left_out(const GaussianProcess& gp, const HyperSample& sample) {
  const std::vector<int64_t> draws = sample.mixed();
  const int64_t n = gp.data().n;
  PredictiveMixture m;
  m.mean = at::empty({static_cast<int64_t>(draws.size()), n}, at::kDouble);
  m.variance = at::empty_like(m.mean);
  over_draws(gp, sample, draws, [&](int64_t k, const GaussianProcess& one) {
    const Prediction p = one.leave_one_out();
    put_row(p.mean, k, m.mean);
    put_row(p.variance, k, m.variance);
  });
  const at::Tensor y = gp.data().y.squeeze(1);
  // By the logarithm of the inverse density, the largest taken off; rows without a value stay NaN.
  const at::Tensor inverse = 0.5 * (m.variance.log() + (y - m.mean).square() / m.variance);
  m.weight = at::softmax(inverse, 0);
  return m;
}

at::Tensor mix_samples(const GaussianProcess& gp, const HyperSample& sample,
                       const at::Tensor& points, int64_t count, uint64_t seed) {
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "count");
  const at::Tensor xs = checked_points(points, gp.data().dims, "points");
  at::Tensor out = at::empty({count, xs.size(0)}, at::kDouble);
  std::vector<int64_t> draws = sample.mixed();
  const auto many = static_cast<int64_t>(draws.size());
  // Fewer functions than draws: evenly over them.
  if (count < many) {
    std::vector<int64_t> some;
    for (const int64_t k : evenly_of(many, count)) some.push_back(draws[static_cast<size_t>(k)]);
    draws = std::move(some);
  }
  const auto used = static_cast<int64_t>(draws.size());
  over_draws(gp, sample, draws, [&](int64_t k, const GaussianProcess& one) {
    const int64_t own = (count - k + used - 1) / used;  // functions k, k + used, ..
    const at::Tensor drawn =
        one.sample(xs, own, seed + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(k + 1));
    for (int64_t i = 0; i < own; ++i) put_row(drawn[i], k + i * used, out);
  });
  return out;
}

}  // namespace covary::stat
