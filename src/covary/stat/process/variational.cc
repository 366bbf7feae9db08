#include "covary/stat/process/variational.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/sparse.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kRowsAtOnce = 1024;
constexpr int64_t kMostPasses = 30;

// Adam, with values in a box.
class Mover {
 public:
  Mover(Vector lower, Vector upper)
      : lower_(std::move(lower)),
        upper_(std::move(upper)),
        first_(lower_.size()),
        second_(lower_.size()) {}
  void step(double rate, const Vector& gradient, Vector* x) {
    constexpr double kFirst = 0.9, kSecond = 0.999;
    first_power_ *= kFirst;
    second_power_ *= kSecond;
    for (size_t i = 0; i < x->size(); ++i) {
      first_[i] += (1 - kFirst) * (gradient[i] - first_[i]);
      second_[i] += (1 - kSecond) * (gradient[i] * gradient[i] - second_[i]);
      const double size = std::sqrt(second_[i] / (1 - second_power_)) + 1e-12;
      (*x)[i] =
          std::clamp((*x)[i] + rate * first_[i] / (1 - first_power_) / size, lower_[i], upper_[i]);
    }
  }

 private:
  Vector lower_, upper_, first_, second_;
  double first_power_ = 1, second_power_ = 1;
};

// The rows of a batch: shuffled epoch by epoch, the last batch of one the first of the next.
class Batches {
 public:
  Batches(int64_t n, int64_t batch, uint64_t seed) : n_(n), batch_(batch), seed_(seed) {}
  const std::vector<int64_t>& next() {
    rows_.clear();
    while (static_cast<int64_t>(rows_.size()) < batch_) {
      if (at_ == static_cast<int64_t>(order_.size())) {
        order_ = Random(seed_, stream_of("variational.batch", epoch_++)).permutation(n_);
        at_ = 0;
      }
      rows_.push_back(order_[static_cast<size_t>(at_++)]);
    }
    return rows_;
  }

 private:
  int64_t n_, batch_, at_ = 0;
  uint64_t seed_, epoch_ = 0;
  std::vector<int64_t> order_, rows_;
};

// Greedy among so many rows that the choice costs less than a few steps.
Vector choose_inducing(const LatentProblem& p, int64_t m, uint64_t seed) {
  const int64_t n = p.count(), d = p.dims, some = std::min(n, std::max<int64_t>(10 * m, 2000));
  Vector sample;
  const std::vector<int64_t> order = Random(seed, stream_of("variational.start")).permutation(n);
  for (int64_t i = 0; i < some; ++i) {
    const auto row = p.x.begin() + order[static_cast<size_t>(i)] * d;
    sample.insert(sample.end(), row, row + d);
  }
  Vector z;
  for (const int64_t row : greedy_inducing(p.kernel, sample, m))
    z.insert(z.end(), sample.begin() + row * d, sample.begin() + (row + 1) * d);
  return z;
}

[[noreturn]] void refuse_factor() {
  throw Error(
      ExitCode::kFailed,
      "the bound is not finite: the kernel of the inducing points has no factor, or a value "
      "is infinitely unlikely",
      "process", "use fewer inducing points, or check the values");
}

}  // namespace

VariationalProcess::VariationalProcess(const at::Tensor& x, const at::Tensor& y,
                                       const VariationalOptions& options,
                                       const at::Tensor& weights) {
  options.check();
  LatentProblem p = latent_problem(x, y, options.kernel, options.likelihood, options.mean,
                                   static_cast<uint64_t>(options.seed), weights);
  if (p.kernel.has(ParameterRole::kNoise)) {
    throw Error(ExitCode::kUsage, "has white: inducing points know none of it", "kernel",
                "leave white out; the likelihood has the noise");
  }
  z_ = choose_inducing(p, options.inducing, static_cast<uint64_t>(options.seed));
  report_.inducing = static_cast<int64_t>(z_.size()) / p.dims;
  report_.batch = std::min(options.batch, p.count());
  if (options.precision == "float") {
    run<float>(&p, options);
  } else {
    run<double>(&p, options);
  }
}

template <class Real>
void VariationalProcess::run(LatentProblem* problem, const VariationalOptions& options) {
  LatentProblem& p = *problem;
  const int64_t d = p.dims, n = p.count(), m = report_.inducing;
  const auto dims = static_cast<size_t>(d);
  VariationalStep<Real> step(m);
  const bool moves = options.fit && options.move_inducing;
  Vector lower, upper, at;
  if (options.fit) {
    p.bounds(&lower, &upper);
    at = p.pack();
  }
  const size_t own = at.size();
  for (size_t i = 0; moves && i < z_.size(); ++i) {
    at.push_back(z_[i] / p.spread[i % dims]);
    // A point far outside says nothing about the data, and nothing calls it back.
    lower.push_back(at.back() - 5);
    upper.push_back(at.back() + 5);
  }
  Mover mover(lower, upper);
  Batches batches(n, report_.batch, static_cast<uint64_t>(options.seed));
  const double scale = static_cast<double>(n) / static_cast<double>(report_.batch);
  const int64_t steps = options.fit ? options.steps : 0;
  int64_t done = 0;
  const bool conjugate = p.likelihood.kind() == LikelihoodKind::kGaussian;
  Vector x, y, w, z = z_;
  VariationalGradient gradient;
  report_.trace.assign(steps >= 10 ? 10 : 0, 0.0);
  Vector tenth_counts(report_.trace.size());
  for (int64_t s = 0; s < steps && !report_.stopped; ++s) {
    x.clear();
    y.clear();
    w.clear();
    for (const int64_t row : batches.next()) {
      x.insert(x.end(), p.x.begin() + row * d, p.x.begin() + (row + 1) * d);
      y.push_back(p.y[static_cast<size_t>(row)]);
      if (!p.weights.empty()) w.push_back(p.weights[static_cast<size_t>(row)]);
    }
    const BoundParts bound = step.evaluate(p, z, x, y, scale, &gradient, w);
    if (!std::isfinite(bound.expected)) refuse_factor();
    if (!report_.trace.empty()) {
      const auto tenth = static_cast<size_t>(s * 10 / steps);
      report_.trace[tenth] += scale * bound.expected - bound.divergence;
      ++tenth_counts[tenth];
    }
    // The first natural steps of a likelihood that is not conjugate start from far away.
    step.follow(options.natural_rate *
                (conjugate ? 1 : std::min(1.0, 0.1 * static_cast<double>(s + 1))));
    p.log_prior(&gradient);
    Vector packed = p.pack_gradient(gradient);
    for (size_t i = 0; moves && i < z.size(); ++i)
      packed.push_back(gradient.inducing[i] * p.spread[i % dims]);
    if (options.watch) {
      double norm = 0;
      for (const double g : packed) norm = std::max(norm, std::abs(g));
      report_.stopped = !options.watch({s + 1, bound.divergence - scale * bound.expected, norm});
    }
    ++done;
    const double through = static_cast<double>(s) / static_cast<double>(steps);
    mover.step(options.rate * (0.01 + 0.99 * 0.5 * (1 + std::cos(std::numbers::pi * through))),
               packed, &at);
    p.unpack(std::span(at).first(own));
    for (size_t i = 0; moves && i < z.size(); ++i) z[i] = at[own + i] * p.spread[i % dims];
  }
  for (size_t k = 0; k < tenth_counts.size(); ++k)
    report_.trace[k] /= std::max(tenth_counts[k], 1.0);
  z_ = z;
  report_.fitted = options.fit;
  report_.steps = done;
  model_ = p;
  finish(p.x, p.y, p.weights, step.state());
}

// Whole passes of q in double, then the bound of all rows. A natural step of rate 1 is Newton's for
// it; one that lowers the bound is taken back and halved.
void VariationalProcess::finish(std::span<const double> x, std::span<const double> y,
                                std::span<const double> weights, const VariationalState& start) {
  step_ = VariationalStep<double>(report_.inducing);
  step_.set_state(start);
  const auto bound_of_all = [&] {
    const BoundParts b = step_.pass(model_, z_, x, y, kRowsAtOnce, weights);
    report_.divergence = b.divergence;
    return b.expected - b.divergence;
  };
  double now = bound_of_all(), rate = 1;
  if (!std::isfinite(now)) refuse_factor();
  for (int64_t pass = 0; pass < kMostPasses && rate > 1e-3; ++pass) {
    const VariationalState before = step_.state();
    if (!step_.follow(rate)) break;
    const double next = bound_of_all();
    if (!(next >= now - 1e-9 * std::abs(now))) {
      step_.set_state(before);
      now = bound_of_all();
      rate *= 0.5;
      continue;
    }
    report_.passes = pass + 1;
    report_.last_gain = next - now;
    now = next;
    if (report_.last_gain < 1e-7 * (1 + std::abs(now))) break;
  }
  report_.bound = now;
  report_.jitter = step_.relative_jitter();
}

VariationalProcess::VariationalProcess(const at::Tensor& x, const at::Tensor& y, LatentModel model,
                                       const at::Tensor& inducing, const at::Tensor& weights)
    : model_(std::move(model)) {
  const GpData data = GpData::from(x, y, {}, Mean::kZero);
  const at::Tensor z = checked_points(inducing, data.dims, "inducing");
  if (data.outputs != 1 || model_.kernel.dims() != data.dims || z.size(0) == 0) {
    throw Error(ExitCode::kUsage,
                "needs one output, a kernel for the columns of X, and inducing points",
                "variational process");
  }
  model_.likelihood.check(data.groups[0].y);
  z_.assign(z.const_data_ptr<double>(), z.const_data_ptr<double>() + z.numel());
  report_.inducing = z.size(0);
  const std::vector<double> own = checked_weights(weights, data.n, data.groups[0].rows);
  finish(data.groups[0].x, data.groups[0].y, own,
         VariationalStep<double>(report_.inducing).state());
}

VariationalProcess::VariationalProcess(LatentModel model, const at::Tensor& inducing,
                                       const VariationalState& state,
                                       const VariationalReport& report)
    : model_(std::move(model)), report_(report) {
  const at::Tensor z = checked_points(inducing, model_.kernel.dims(), "inducing");
  const auto m = static_cast<size_t>(z.size(0));
  if (m == 0 || state.precision.size() != m * m || state.shift.size() != m) {
    throw Error(ExitCode::kUsage, "needs inducing points, and q over them", "variational process");
  }
  z_.assign(z.const_data_ptr<double>(), z.const_data_ptr<double>() + z.numel());
  report_.inducing = z.size(0);
  step_ = VariationalStep<double>(z.size(0), report.jitter);
  step_.set_state(state);
  if (!step_.factor(model_, z_)) refuse_factor();
}

LatentPrediction VariationalProcess::predict(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, model_.kernel.dims(), "points");
  const int64_t s = xs.size(0), d = model_.kernel.dims();
  LatentPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  for (int64_t begin = 0; begin < s; begin += kRowsAtOnce) {
    step_.predict(model_, z_, xs.const_data_ptr<double>() + begin * d,
                  std::min(kRowsAtOnce, s - begin), out.mean.data_ptr<double>() + begin,
                  out.variance.data_ptr<double>() + begin);
  }
  return out;
}

at::Tensor VariationalProcess::covariance(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, model_.kernel.dims(), "points");
  at::Tensor c = at::empty({xs.size(0), xs.size(0)}, at::kDouble);
  step_.covariance(model_, z_, xs.const_data_ptr<double>(), xs.size(0), c.data_ptr<double>());
  return c;
}

at::Tensor VariationalProcess::inducing() const {
  at::Tensor z = at::empty({report_.inducing, model_.kernel.dims()}, at::kDouble);
  std::copy(z_.begin(), z_.end(), z.data_ptr<double>());
  return z;
}

}  // namespace covary::stat
