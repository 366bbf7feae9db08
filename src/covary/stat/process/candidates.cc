#include "covary/stat/process/candidates.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/core/numeric/sobol.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMostSobol = 1000;  // coordinates; with more, trials are random
constexpr double kNear =
    0.05;                    // standard deviation of a step from an incumbent, of the cube's side
constexpr int kRounds = 4;   // climbs and moves in turn
constexpr int kMoves = 100;  // of one turn
// Weight of a standard deviation of the values in the choice of starts.
constexpr double kSharpness = 2;

struct Batch {
  std::vector<double> x;
  double value = -kInfinity;
  int64_t evaluations = 0;
};

class Search {
 public:
  Search(const Acquisition& acquisition, const SearchSpace& space, int64_t count,
         const CandidateOptions& options, const CandidateBox& box)
      : space_(space), count_(count), options_(options) {
    const auto width = static_cast<size_t>(space.width());
    lower_ = box.lower.empty() ? std::vector<double>(width, 0.0) : box.lower;
    upper_ = box.upper.empty() ? std::vector<double>(width, 1.0) : box.upper;
    for (int64_t p = 0; p < space.size(); ++p) {
      const bool real =
          space.parameters()[static_cast<size_t>(p)].kind == SearchParameter::Kind::kReal;
      if (space.columns(p) == 0) continue;
      if (real)
        climbed_.push_back(space.column(p));
      else
        discrete_.push_back(p);
    }
    for (int i = 0; i < threads(); ++i) workers_.push_back(acquisition.worker(count));
  }

  // Into the box, and to an allowed row. A discrete column follows the box as far as its values allow.
  void settle(double* x) const {
    for (int64_t i = 0; i < count_; ++i) {
      double* code = x + i * space_.width();
      for (size_t k = 0; k < lower_.size(); ++k)
        code[k] = std::clamp(code[k], lower_[k], upper_[k]);
      space_.round(code);
      for (const int64_t k : climbed_) {
        code[k] =
            std::clamp(code[k], lower_[static_cast<size_t>(k)], upper_[static_cast<size_t>(k)]);
      }
    }
  }

  std::vector<Batch> trials(uint64_t seed, const std::vector<double>& incumbents) const {
    const int64_t width = space_.width(), size = space_.size(), all = count_ * size;
    const int64_t known = static_cast<int64_t>(incumbents.size()) / width;
    const int64_t near = known > 0 ? options_.near : 0;
    std::vector<Batch> out(static_cast<size_t>(options_.trials + near));
    const Random random(seed, stream_of("candidates.trials"));
    std::unique_ptr<numeric::Sobol> sobol;
    if (all <= kMostSobol) sobol = std::make_unique<numeric::Sobol>(all, seed);
    std::vector<double> unit(static_cast<size_t>(all));
    for (int64_t t = 0; t < options_.trials; ++t) {
      if (sobol) {
        sobol->point(static_cast<uint64_t>(t), unit);
      } else {
        for (int64_t k = 0; k < all; ++k)
          unit[static_cast<size_t>(k)] = random.uniform(static_cast<uint64_t>(t * all + k));
      }
      std::vector<double>& x = out[static_cast<size_t>(t)].x;
      for (int64_t i = 0; i < count_; ++i) {
        std::vector<double> code = space_.code_of_unit(unit.data() + i * size);
        for (size_t k = 0; k < code.size(); ++k)
          code[k] = lower_[k] + (upper_[k] - lower_[k]) * code[k];
        x.insert(x.end(), code.begin(), code.end());
      }
      settle(x.data());
    }
    // Near an incumbent: some 20 columns moved, at least one, the first point of a batch always near.
    const Random noise(seed, stream_of("candidates.near"));
    const double share = std::min(1.0, 20.0 / static_cast<double>(width));
    for (int64_t t = 0; t < near; ++t) {
      Batch& batch = out[static_cast<size_t>(options_.trials + t)];
      batch.x = out[static_cast<size_t>(t % options_.trials)].x;
      for (int64_t i = 0; i < count_; ++i) {
        const auto e = static_cast<uint64_t>(t * count_ + i) * static_cast<uint64_t>(3 * width + 3);
        if (i > 0 && noise.uniform(e) < 0.25) continue;
        const auto which = static_cast<int64_t>(noise.below(static_cast<uint64_t>(known), e + 1));
        const auto always = static_cast<int64_t>(noise.below(static_cast<uint64_t>(width), e + 2));
        // Steps of several sizes, the smallest for the last digits of an optimum.
        const double step = kNear * std::pow(10.0, -static_cast<double>(t % 4));
        for (int64_t k = 0; k < width; ++k) {
          const auto place = e + 3 + static_cast<uint64_t>(3 * k);
          double v = incumbents[static_cast<size_t>(which * width + k)];
          if (k == always || noise.uniform(place) < share) v += step * noise.normal(place + 1);
          batch.x[static_cast<size_t>(i * width + k)] = v;
        }
      }
      settle(batch.x.data());
    }
    parallel_tasks(static_cast<int64_t>(out.size()), [&](int64_t t, int worker) {
      Batch& b = out[static_cast<size_t>(t)];
      b.value = value(b.x, {}, worker);
      b.evaluations = 1;
    });
    return out;
  }

  void climb(Batch* batch, int worker) const {
    for (int round = 0; round < kRounds; ++round) {
      const double before = batch->value;
      if (!climbed_.empty()) climb_columns(batch, worker);
      const bool moved = !discrete_.empty() && move(batch, worker);
      if (!moved || !(batch->value > before) || climbed_.empty()) break;
    }
  }

 private:
  double value(std::span<const double> x, std::span<double> gradient, int worker) const {
    const double v = workers_[static_cast<size_t>(worker)]->value(x, gradient);
    return std::isnan(v) ? -kInfinity : v;
  }

  void climb_columns(Batch* batch, int worker) const {
    const size_t per = climbed_.size(), n = per * static_cast<size_t>(count_);
    const int64_t width = space_.width();
    std::vector<double> x = batch->x, gradient(x.size()), start(n), low(n), high(n);
    const auto place = [&](size_t v) {
      return static_cast<size_t>(static_cast<int64_t>(v / per) * width + climbed_[v % per]);
    };
    for (size_t v = 0; v < n; ++v) {
      const auto k = static_cast<size_t>(climbed_[v % per]);
      start[v] = x[place(v)];
      low[v] = lower_[k];
      high[v] = upper_[k];
    }
    const auto objective = [&](std::span<const double> at, std::span<double> by) {
      for (size_t v = 0; v < n; ++v) x[place(v)] = at[v];
      const double f = value(x, gradient, worker);
      for (size_t v = 0; v < n; ++v) by[v] = -gradient[place(v)];
      return -f;
    };
    const numeric::Optimum o = numeric::minimise(
        objective, start, low, high,
        {.iterations = options_.iterations, .gradient_tolerance = 1e-6, .value_tolerance = 1e-10});
    batch->evaluations += o.evaluations;
    if (!(-o.value > batch->value)) return;
    for (size_t v = 0; v < n; ++v) batch->x[place(v)] = o.x[v];
    batch->value = -o.value;
  }

  // To the best neighbour while it gains; whether any did.
  bool move(Batch* batch, int worker) const {
    const int64_t width = space_.width();
    bool any = false;
    for (int step = 0; step < kMoves; ++step) {
      std::vector<double> best;
      double most = batch->value;
      for (int64_t i = 0; i < count_; ++i) {
        for (const int64_t p : discrete_) {
          for (const std::vector<double>& other :
               space_.neighbours(batch->x.data() + i * width, p)) {
            if (!inside(other, p)) continue;
            std::vector<double> trial = batch->x;
            std::copy(other.begin(), other.end(), trial.begin() + i * width);
            const double v = value(trial, {}, worker);
            ++batch->evaluations;
            if (v > most) {
              most = v;
              best = std::move(trial);
            }
          }
        }
      }
      if (best.empty()) break;
      batch->x = std::move(best);
      batch->value = most;
      any = true;
    }
    return any;
  }
  // Categories are free of the box.
  bool inside(const std::vector<double>& code, int64_t parameter) const {
    if (space_.parameters()[static_cast<size_t>(parameter)].kind ==
        SearchParameter::Kind::kCategorical)
      return true;
    const auto k = static_cast<size_t>(space_.column(parameter));
    return code[k] >= lower_[k] && code[k] <= upper_[k];
  }

  const SearchSpace& space_;
  int64_t count_;
  CandidateOptions options_;
  std::vector<double> lower_, upper_;
  std::vector<int64_t> climbed_;                               // columns
  std::vector<int64_t> discrete_;                              // parameters
  std::vector<std::unique_ptr<Acquisition::Worker>> workers_;  // a thread
};

// The best and others by Boltzmann weights, without repetition; indices.
std::vector<size_t> choose(const std::vector<Batch>& trials, int64_t starts, uint64_t seed) {
  std::vector<size_t> order(trials.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return trials[a].value > trials[b].value; });
  while (!order.empty() && !(trials[order.back()].value > -kInfinity)) order.pop_back();
  if (static_cast<int64_t>(order.size()) <= starts) return order;
  // The scale of the better half: values far below would make all others alike.
  const size_t half = std::max<size_t>(order.size() / 2, 2);
  double mean = 0, square = 0;
  for (size_t i = 0; i < half; ++i) mean += trials[order[i]].value / static_cast<double>(half);
  for (size_t i = 0; i < half; ++i)
    square += std::pow(trials[order[i]].value - mean, 2) / static_cast<double>(half);
  const double sd = square > 0 ? std::sqrt(square) : 1;
  // Gumbel noise on the logarithms of weights: the largest are a draw without repetition.
  const Random random(seed, stream_of("candidates.starts"));
  std::vector<std::pair<double, size_t>> keys;
  for (size_t i = 1; i < order.size(); ++i) {
    const double u = (random.uniform(i) + 0x1p-54);
    keys.emplace_back(-(kSharpness * trials[order[i]].value / sd - std::log(-std::log(u))),
                      order[i]);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<size_t> chosen{order[0]};
  for (size_t i = 0; static_cast<int64_t>(chosen.size()) < starts; ++i)
    chosen.push_back(keys[i].second);
  return chosen;
}

}  // namespace

Candidates find_candidates(const Acquisition& acquisition, const SearchSpace& space, int64_t count,
                           const CandidateOptions& options, uint64_t seed,
                           const std::vector<double>& incumbents, const CandidateBox& box) {
  options.check();
  const auto width = static_cast<size_t>(space.width());
  if (count < 1) throw Error(ExitCode::kUsage, "must be at least 1", "number of candidates");
  if (acquisition.dims() != space.width() || incumbents.size() % width != 0 ||
      (!box.lower.empty() && box.lower.size() != width) || box.lower.size() != box.upper.size()) {
    throw Error(ExitCode::kUsage, "have not the columns of the search space",
                "acquisition, incumbents or box");
  }
  const Search search(acquisition, space, count, options, box);
  std::vector<Batch> trials = search.trials(seed, incumbents);
  const std::vector<size_t> chosen = choose(trials, options.starts, seed);
  if (chosen.empty()) {
    throw Error(ExitCode::kFailed, "has no finite value anywhere", "acquisition function",
                "check the scale of the values that were told");
  }
  parallel_tasks(static_cast<int64_t>(chosen.size()), [&](int64_t i, int worker) {
    search.climb(&trials[chosen[static_cast<size_t>(i)]], worker);
  });
  size_t best = chosen[0];
  Candidates out;
  for (const Batch& b : trials) out.evaluations += b.evaluations;
  for (const size_t i : chosen) {
    if (trials[i].value > trials[best].value) best = i;
  }
  out.points = trials[best].x;
  out.value = trials[best].value;
  return out;
}

}  // namespace covary::stat
