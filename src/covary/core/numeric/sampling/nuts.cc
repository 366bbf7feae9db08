#include "covary/core/numeric/sampling/nuts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::numeric {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double s = 0;
  for (size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}

double log_of_sum(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return low == -kInfinity ? high : high + std::log1p(std::exp(low - high));
}

// The inverse of the mass matrix: the covariance that the density is thought to have.
class Metric {
 public:
  Metric(size_t dims, bool dense) : dims_(dims), dense_(dense) {
    values_.assign(dense ? dims * dims : dims, dense ? 0.0 : 1.0);
    for (size_t i = 0; dense && i < dims; ++i) values_[i * dims + i] = 1;
    factorise();
  }

  const Vector& values() const { return values_; }
  void set(Vector values) {
    std::swap(values_, values);
    // Shrunk towards the identity it is positive definite but for rounding.
    if (!factorise()) {
      std::swap(values_, values);
      factorise();
    }
  }

  // velocity = metric momentum
  void velocity(const Vector& momentum, Vector* out) const {
    for (size_t i = 0; i < dims_; ++i) {
      if (!dense_) {
        (*out)[i] = values_[i] * momentum[i];
        continue;
      }
      double s = 0;
      for (size_t j = 0; j < dims_; ++j) s += values_[i * dims_ + j] * momentum[j];
      (*out)[i] = s;
    }
  }

  // Standard normals to a momentum with covariance metric^-1: L^-T z.
  void momentum(Vector* z) const {
    for (size_t i = dims_; i-- > 0;) {
      double s = (*z)[i];
      for (size_t j = i + 1; dense_ && j < dims_; ++j) s -= factor_[j * dims_ + i] * (*z)[j];
      (*z)[i] = s / (dense_ ? factor_[i * dims_ + i] : factor_[i]);
    }
  }

 private:
  // values = L L', or roots of a diagonal.
  bool factorise() {
    factor_.assign(values_.size(), 0.0);
    if (!dense_) {
      for (size_t i = 0; i < dims_; ++i) {
        if (!(values_[i] > 0) || std::isinf(values_[i])) return false;
        factor_[i] = std::sqrt(values_[i]);
      }
      return true;
    }
    for (size_t i = 0; i < dims_; ++i) {
      for (size_t j = 0; j <= i; ++j) {
        double s = values_[i * dims_ + j];
        for (size_t k = 0; k < j; ++k) s -= factor_[i * dims_ + k] * factor_[j * dims_ + k];
        if (i == j && (!(s > 0) || std::isinf(s))) return false;
        factor_[i * dims_ + j] = i == j ? std::sqrt(s) : s / factor_[j * dims_ + j];
      }
    }
    return true;
  }

  size_t dims_;
  bool dense_;
  Vector values_, factor_;
};

// Mean and (co)variance of draws as they come (Welford).
class Spread {
 public:
  Spread(size_t dims, bool dense)
      : dims_(dims),
        dense_(dense),
        mean_(dims),
        shift_(dims),
        squares_(dense ? dims * dims : dims) {}
  void add(const Vector& x) {
    ++count_;
    for (size_t i = 0; i < dims_; ++i) {
      shift_[i] = x[i] - mean_[i];
      mean_[i] += shift_[i] / count_;
    }
    for (size_t i = 0; i < dims_; ++i) {
      if (!dense_) squares_[i] += shift_[i] * (x[i] - mean_[i]);
      for (size_t j = 0; dense_ && j < dims_; ++j)
        squares_[i * dims_ + j] += shift_[i] * (x[j] - mean_[j]);
    }
  }
  // Shrunk towards a small multiple of the identity, as five draws more would; then forgotten.
  Vector take() {
    Vector out = squares_;
    const double weight = count_ / (count_ + 5), small = 1e-3 * 5 / (count_ + 5);
    for (double& v : out) v *= weight / std::max(count_ - 1, 1.0);
    for (size_t i = 0; i < dims_; ++i) out[dense_ ? i * dims_ + i : i] += small;
    if (dense_) {  // rounding of the update is not symmetric
      for (size_t i = 0; i < dims_; ++i) {
        for (size_t j = 0; j < i; ++j) out[j * dims_ + i] = out[i * dims_ + j];
      }
    }
    count_ = 0;
    std::fill(mean_.begin(), mean_.end(), 0.0);
    std::fill(squares_.begin(), squares_.end(), 0.0);
    return out;
  }
  bool enough() const { return count_ > 1; }

 private:
  size_t dims_;
  bool dense_;
  double count_ = 0;
  Vector mean_, shift_, squares_;
};

// The step size by dual averaging: Hoffman and Gelman 2014, section 3.2, with their constants.
class StepSize {
 public:
  explicit StepSize(double target) : target_(target) {}
  void begin(double step) {
    step_ = step;
    centre_ = std::log(10 * step);
    error_ = averaged_ = turn_ = 0;
  }
  void learn(double acceptance) {
    constexpr double kGain = 0.05, kDelay = 10, kDecay = 0.75;
    ++turn_;
    error_ += (target_ - acceptance - error_) / (turn_ + kDelay);
    const double log_step = centre_ - std::sqrt(turn_) / kGain * error_;
    averaged_ += std::pow(turn_, -kDecay) * (log_step - averaged_);
    step_ = std::exp(log_step);
  }
  void settle() {
    if (turn_ > 0) step_ = std::exp(averaged_);
  }
  double step() const { return step_; }

 private:
  double target_, step_ = 1, centre_ = 0, error_ = 0, averaged_ = 0, turn_ = 0;
};

// Where the metric is learnt: steps [begin, end) of the warm-up, in windows that double. The first
// and last steps adapt the step size alone.
class Windows {
 public:
  explicit Windows(int64_t warm_up) {
    const bool roomy = warm_up >= 150;
    begin_ = roomy ? 75 : warm_up * 15 / 100;
    end_ = warm_up - (roomy ? 50 : warm_up / 10);
    width_ = roomy ? 25 : end_ - begin_;
    close_ = begin_ + width_;
    stretch();
  }
  bool learns(int64_t step) const { return step >= begin_ && step < end_; }
  // Whether a window ends after this step.
  bool closes(int64_t step) {
    if (!learns(step) || step + 1 != close_) return false;
    width_ *= 2;
    close_ += width_;
    stretch();
    return true;
  }

 private:
  // A window that leaves too little room for the one after it takes that room.
  void stretch() {
    if (close_ + 2 * width_ > end_) close_ = end_;
  }
  int64_t begin_, end_, width_, close_;
};

// A point of phase space.
struct State {
  Vector x, momentum, gradient;
  double log_density = 0;
};

// A piece of a path, in the order in which it was walked.
struct Span {
  Vector near_momentum, near_velocity, far_momentum, far_velocity;
  Vector momentum;     // summed over its points
  Vector x, gradient;  // the point that stands for it
  double log_density = 0;
  double log_weight = -kInfinity;  // of all its points, against the start of the step
  explicit Span(size_t n)
      : near_momentum(n),
        near_velocity(n),
        far_momentum(n),
        far_velocity(n),
        momentum(n),
        x(n),
        gradient(n) {}
};

class Chain {
 public:
  Chain(const LogDensity& density, std::vector<double> start, int64_t chain, const NutsOptions& o)
      : density_(density),
        options_(o),
        chain_(chain),
        dims_(start.size()),
        random_(static_cast<uint64_t>(o.seed), stream_of("nuts", static_cast<uint64_t>(chain))),
        metric_(dims_, o.dense),
        scratch_(dims_),
        path_(dims_),
        whole_(dims_) {
    now_.x = std::move(start);
    now_.momentum.resize(dims_);
    now_.gradient.resize(dims_);
    now_.log_density = evaluate(now_.x, now_.gradient);
    if (!std::isfinite(now_.log_density)) {
      throw Error(ExitCode::kFailed, "the density is 0, or has no gradient, at the start",
                  "chain " + std::to_string(chain), "start where the density is positive");
    }
    ends_[0] = ends_[1] = now_;
    trial_ = now_;
    for (int64_t d = 0; d < o.depth; ++d) pieces_.emplace_back(dims_);
  }

  NutsChain run() {
    NutsChain out;
    StepSize size(options_.acceptance);
    Spread spread(dims_, options_.dense);
    Windows windows(options_.warm_up);
    step_ = reasonable_step(1);
    size.begin(step_);
    for (int64_t i = 0; i < options_.warm_up; ++i) {
      move();
      size.learn(acceptance_);
      step_ = size.step();
      if (!windows.learns(i)) continue;
      spread.add(now_.x);
      if (windows.closes(i) && spread.enough()) {
        metric_.set(spread.take());
        step_ = reasonable_step(step_);
        size.begin(step_);
      }
    }
    size.settle();
    step_ = size.step();
    out.draws.reserve(static_cast<size_t>(options_.draws) * dims_);
    out.log_density.reserve(static_cast<size_t>(options_.draws));
    for (int64_t i = 0; i < options_.draws; ++i) {
      move();
      out.draws.insert(out.draws.end(), now_.x.begin(), now_.x.end());
      out.log_density.push_back(now_.log_density);
      out.acceptance += acceptance_ / static_cast<double>(options_.draws);
      out.divergences += diverged_;
      out.deepest += cut_;
    }
    out.step = step_;
    out.metric = metric_.values();
    out.evaluations = evaluations_;
    return out;
  }

 private:
  // -infinity where the density or a slope is no number.
  double evaluate(const Vector& x, Vector& gradient) {
    ++evaluations_;
    const double value = density_(x, gradient);
    if (!std::isfinite(value)) return -kInfinity;
    for (const double g : gradient) {
      if (!std::isfinite(g)) return -kInfinity;
    }
    return value;
  }

  double uniform() { return random_.uniform(element_++); }

  void draw_momentum(State* s) {
    for (double& p : s->momentum) p = random_.normal(element_++);
    metric_.momentum(&s->momentum);
  }

  double energy(const State& s) {
    metric_.velocity(s.momentum, &scratch_);
    return 0.5 * dot(s.momentum, scratch_) - s.log_density;
  }

  // One leapfrog step; where the density ends the state is left with log density -infinity.
  void leap(double step, State* s) {
    for (size_t i = 0; i < dims_; ++i) s->momentum[i] += 0.5 * step * s->gradient[i];
    metric_.velocity(s->momentum, &scratch_);
    for (size_t i = 0; i < dims_; ++i) s->x[i] += step * scratch_[i];
    s->log_density = evaluate(s->x, s->gradient);
    if (s->log_density == -kInfinity) return;
    for (size_t i = 0; i < dims_; ++i) s->momentum[i] += 0.5 * step * s->gradient[i];
  }

  // A step of which one leap is taken with a probability of about 0.8, to a factor of 2.
  double reasonable_step(double step) {
    if (!(step > 0) || std::isinf(step)) step = 1;
    const double least = std::log(0.8);
    const auto gain = [&](double size) {
      trial_ = now_;
      draw_momentum(&trial_);
      const double before = energy(trial_);
      leap(size, &trial_);
      const double change = before - energy(trial_);
      return std::isnan(change) ? -kInfinity : change;
    };
    const bool up = gain(step) > least;
    for (int turn = 0; turn < 60; ++turn) {
      const double next = up ? 2 * step : 0.5 * step;
      const bool good = gain(next) > least;
      if (up && !good) break;
      step = next;
      if (!up && good) break;
    }
    return step;
  }

  static bool turns(const Vector& near_velocity, const Vector& far_velocity,
                    const Vector& momentum) {
    return !(dot(momentum, near_velocity) > 0 && dot(momentum, far_velocity) > 0);
  }
  // Whether two pieces, the second walked after the first, have turned back: as a whole, or one of
  // them with the first point of the other.
  bool turn(const Span& first, const Span& second) {
    add(first.momentum, second.momentum, &scratch_);
    if (turns(first.near_velocity, second.far_velocity, scratch_)) return true;
    add(first.momentum, second.near_momentum, &scratch_);
    if (turns(first.near_velocity, second.near_velocity, scratch_)) return true;
    add(first.far_momentum, second.momentum, &scratch_);
    return turns(first.far_velocity, second.far_velocity, scratch_);
  }
  static void add(const Vector& a, const Vector& b, Vector* out) {
    for (size_t i = 0; i < a.size(); ++i) (*out)[i] = a[i] + b[i];
  }

  // Walks 2^depth leaps on from the state; false when the piece turned or diverged.
  bool walk(int64_t depth, double step, State* s, Span* out) {
    if (depth == 0) {
      leap(step, s);
      const double lost = energy(*s) - start_energy_;
      ++leaps_;
      const bool finite = s->log_density > -kInfinity && !std::isnan(lost);
      if (finite) accepted_ += std::min(1.0, std::exp(-lost));
      if (!finite || lost > options_.divergence) {
        diverged_ = true;
        return false;
      }
      out->log_weight = -lost;
      out->x = s->x;
      out->gradient = s->gradient;
      out->log_density = s->log_density;
      out->momentum = out->near_momentum = out->far_momentum = s->momentum;
      out->near_velocity = out->far_velocity = scratch_;  // energy() left it there
      return true;
    }
    Span& second = pieces_[static_cast<size_t>(depth)];
    if (!walk(depth - 1, step, s, out) || !walk(depth - 1, step, s, &second)) return false;
    const bool over = turn(*out, second);
    const double both = log_of_sum(out->log_weight, second.log_weight);
    if (std::log(uniform()) < second.log_weight - both) represent(&second, out);
    out->log_weight = both;
    add(out->momentum, second.momentum, &out->momentum);
    std::swap(out->far_momentum, second.far_momentum);
    std::swap(out->far_velocity, second.far_velocity);
    return !over;
  }
  static void represent(Span* from, Span* to) {
    std::swap(to->x, from->x);
    std::swap(to->gradient, from->gradient);
    to->log_density = from->log_density;
  }

  // One step of the chain.
  void move() {
    draw_momentum(&now_);
    start_energy_ = energy(now_);
    accepted_ = 0;
    leaps_ = 0;
    diverged_ = cut_ = false;
    ends_[0] = ends_[1] = now_;
    whole_.near_momentum = whole_.far_momentum = whole_.momentum = now_.momentum;
    whole_.near_velocity = whole_.far_velocity = scratch_;
    whole_.log_weight = 0;
    for (int64_t depth = 0;; ++depth) {
      if (depth == options_.depth) {
        cut_ = true;
        break;
      }
      const bool forward = uniform() < 0.5;
      // The criterion is the same with time turned round: what there is so far is taken as walked
      // towards the new piece.
      if (forward != forward_) {
        std::swap(whole_.near_momentum, whole_.far_momentum);
        std::swap(whole_.near_velocity, whole_.far_velocity);
        forward_ = forward;
      }
      if (!walk(depth, forward ? step_ : -step_, &ends_[forward], &path_)) break;
      // The later half is preferred, which moves the chain further.
      if (std::log(uniform()) < path_.log_weight - whole_.log_weight) {
        std::swap(now_.x, path_.x);
        std::swap(now_.gradient, path_.gradient);
        now_.log_density = path_.log_density;
      }
      whole_.log_weight = log_of_sum(whole_.log_weight, path_.log_weight);
      const bool over = turn(whole_, path_);
      add(whole_.momentum, path_.momentum, &whole_.momentum);
      std::swap(whole_.far_momentum, path_.far_momentum);
      std::swap(whole_.far_velocity, path_.far_velocity);
      if (over) break;
    }
    acceptance_ = leaps_ > 0 ? accepted_ / static_cast<double>(leaps_) : 0;
    if (options_.stepped) options_.stepped(chain_);
  }

  const LogDensity& density_;
  const NutsOptions& options_;
  int64_t chain_;
  size_t dims_;
  Random random_;
  uint64_t element_ = 0;  // of the random numbers, the next
  Metric metric_;
  Vector scratch_;  // energy() leaves the velocity here
  double step_ = 1;
  int64_t evaluations_ = 0;

  // Of the step that is made: where the chain stands, both ends of the path, and the path.
  State now_, ends_[2], trial_;
  Span path_, whole_;
  std::vector<Span> pieces_;  // the later half of a piece, by depth
  bool forward_ = true;       // whether whole_ is told as walked forward
  double start_energy_ = 0, accepted_ = 0, acceptance_ = 0;
  int64_t leaps_ = 0;
  bool diverged_ = false, cut_ = false;
};

void check_starts(const std::vector<std::vector<double>>& starts) {
  if (starts.empty() || starts[0].empty()) {
    throw Error(ExitCode::kUsage, "needs a start a chain, and a coordinate at least", "sampler");
  }
  for (const auto& s : starts) {
    if (s.size() != starts[0].size()) {
      throw Error(ExitCode::kUsage, "has starts of different sizes", "sampler");
    }
  }
}

}  // namespace

std::vector<double> NutsSample::values(int64_t coordinate) const {
  std::vector<double> out;
  for (const NutsChain& c : chains) {
    for (int64_t i = 0; i < draws; ++i)
      out.push_back(c.draws[static_cast<size_t>(i * dims + coordinate)]);
  }
  return out;
}

int64_t NutsSample::divergences() const {
  int64_t sum = 0;
  for (const NutsChain& c : chains) sum += c.divergences;
  return sum;
}

int64_t NutsSample::deepest() const {
  int64_t sum = 0;
  for (const NutsChain& c : chains) sum += c.deepest;
  return sum;
}

int64_t NutsSample::evaluations() const {
  int64_t sum = 0;
  for (const NutsChain& c : chains) sum += c.evaluations;
  return sum;
}

NutsChain sample_nuts_chain(const LogDensity& density, std::vector<double> start, int64_t chain,
                            const NutsOptions& options) {
  options.check();
  check_starts({start});
  return Chain(density, std::move(start), chain, options).run();
}

NutsSample sample_nuts(const LogDensity& density, const std::vector<std::vector<double>>& starts,
                       const NutsOptions& options) {
  check_starts(starts);
  NutsSample out{.dims = static_cast<int64_t>(starts[0].size()), .draws = options.draws};
  for (size_t c = 0; c < starts.size(); ++c) {
    out.chains.push_back(sample_nuts_chain(density, starts[c], static_cast<int64_t>(c), options));
  }
  return out;
}

NutsSample sample_nuts(const std::function<LogDensity(int64_t chain)>& density_of,
                       const std::vector<std::vector<double>>& starts, const NutsOptions& options) {
  options.check();
  check_starts(starts);
  NutsSample out{.dims = static_cast<int64_t>(starts[0].size()), .draws = options.draws};
  out.chains.resize(starts.size());
  parallel_tasks(static_cast<int64_t>(starts.size()), [&](int64_t c) {
    const auto chain = static_cast<size_t>(c);
    out.chains[chain] = sample_nuts_chain(density_of(c), starts[chain], c, options);
  });
  return out;
}

}  // namespace covary::numeric
