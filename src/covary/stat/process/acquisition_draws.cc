// Acquisition functions of batches: means over draws of the joint values at the batch and the pending points.
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/compute/improvement/improvement.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/joint_draws.h"
#include "covary/stat/process/joint_posterior.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kJitter = 1e-12;  // of the prior's variance, added to that of every point

double prior_variance(const GaussianProcess& gp) {
  double v = 0;
  const std::vector<double> origin(static_cast<size_t>(gp.kernel().dims()), 0.5);
  gp.kernel().diagonal(origin.data(), 1, false, &v);
  return v;
}

class MonteCarlo : public Acquisition {
 public:
  MonteCarlo(const AcquisitionOptions& options, const AcquisitionModel& model)
      : options_(options),
        pending_(model.pending),
        seed_(model.seed),
        draws_(options.draws),
        bests_{model.best} {
    std::vector<int64_t> outputs{0};
    if (options.acquisition == "noisy-ei") {
      draws_ = std::max<int64_t>(options.draws / 4, 1);
      noise_free_ = std::make_unique<NoiseFree>(noise_free(*model.objective, draws_, model.seed));
      bests_ = noise_free_->best;
      for (int64_t s = 1; s < draws_; ++s) outputs.push_back(s);
    }
    parts_.push_back({std::make_unique<JointPosterior>(
                          noise_free_ ? noise_free_->process : *model.objective, outputs),
                      0, kJitter * prior_variance(*model.objective)});
    for (const AcquisitionModel::Limit& c : model.constraints) {
      parts_.push_back({std::make_unique<JointPosterior>(*c.process), c.upper,
                        kJitter * prior_variance(*c.process)});
    }
    if (model.log_cost) cost_ = std::make_unique<JointPosterior>(*model.log_cost);
  }
  int64_t dims() const override { return parts_[0].posterior->dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    if (points < 1) throw Error(ExitCode::kUsage, "must be at least 1", "number of points");
    return std::make_unique<Batch>(
        *this, points, normals(points + static_cast<int64_t>(pending_.size()) / dims()));
  }

 private:
  struct Part {
    std::unique_ptr<JointPosterior> posterior;
    double upper, jitter;
  };

  // [parts * count, draws], the same for every batch of a size.
  const std::vector<double>& normals(int64_t count) const {
    const std::lock_guard lock(mutex_);
    std::vector<double>& out = normals_[count];
    if (out.empty()) {
      const int64_t rows = count * static_cast<int64_t>(parts_.size());
      const std::vector<double> by_draw = numeric::Sobol(rows, seed_).normals(draws_);
      out.resize(by_draw.size());
      for (int64_t s = 0; s < draws_; ++s) {
        for (int64_t r = 0; r < rows; ++r) {
          out[static_cast<size_t>(r * draws_ + s)] = by_draw[static_cast<size_t>(s * rows + r)];
        }
      }
    }
    return out;
  }

  class Batch : public Worker {
   public:
    Batch(const MonteCarlo& a, int64_t points, const std::vector<double>& normals)
        : a_(a),
          points_(points),
          count_(points + static_cast<int64_t>(a.pending_.size()) / a.dims()) {
      for (size_t k = 0; k < a.parts_.size(); ++k) {
        draws_.emplace_back(*a.parts_[k].posterior, count_, a.draws_,
                            normals.data() + static_cast<int64_t>(k) * count_ * a.draws_,
                            a.parts_[k].jitter);
      }
      if (a.cost_) cost_.emplace_back(*a.cost_, points);
      x_.resize(static_cast<size_t>(count_ * a.dims()));
      std::copy(a.pending_.begin(), a.pending_.end(), x_.begin() + points * a.dims());
      gradient_.resize(x_.size());
      const auto cells = static_cast<size_t>(count_ * a.draws_);
      for (auto* v : {&terms_, &weights_}) v->resize(cells);
      slopes_.resize(a.parts_.size(), std::vector<double>(cells));
      by_mean_.resize(static_cast<size_t>(count_));
      values_.resize(a.parts_.size());
    }

    double value(std::span<const double> x, std::span<double> gradient) override {
      std::copy(x.begin(), x.end(), x_.begin());
      std::fill(by_mean_.begin(), by_mean_.end(), 0.0);
      for (size_t k = 0; k < draws_.size(); ++k) values_[k] = draws_[k].move(x_.data()).data();
      const std::string& kind = a_.options_.acquisition;
      double value = kind == "ei"    ? improvement()
                     : kind == "ucb" ? upper_bound()
                                     : log_improvement();
      if (!gradient.empty()) {
        std::fill(gradient_.begin(), gradient_.end(), 0.0);
        for (size_t k = 0; k < draws_.size(); ++k) {
          draws_[k].add_gradient(slopes_[k].data(), gradient_.data(),
                                 k == 0 ? by_mean_.data() : nullptr);
        }
        std::copy_n(gradient_.begin(), gradient.size(), gradient.begin());
      }
      for (JointPosterior::At& cost : cost_) {  // the mean of the logarithms of a batch
        cost.move(x.data());
        const double share = a_.options_.cost_power / static_cast<double>(points_);
        double log_cost = 0;
        for (const double c : cost.mean()) log_cost += share * c;
        const double factor = kind == "ei" ? std::exp(-log_cost) : 1;
        if (kind == "ei")
          value *= factor;
        else
          value -= log_cost;
        if (gradient.empty()) continue;
        const std::vector<double> by_mean(static_cast<size_t>(points_),
                                          kind == "ei" ? -share * value : -share),
            none(static_cast<size_t>(points_ * points_), 0.0);
        for (double& g : gradient) g *= factor;
        cost.add_gradient(by_mean.data(), none.data(), gradient.data());
      }
      return value;
    }

   private:
    double best(int64_t draw) const {
      return a_.bests_[a_.bests_.size() == 1 ? 0 : static_cast<size_t>(draw)];
    }

    double log_improvement() {
      const int64_t n = a_.draws_, cells = count_ * n;
      std::vector<double>& first = slopes_[0];
      if (best(0) == -kInfinity) {  // only whether a point is feasible counts
        std::fill(terms_.begin(), terms_.end(), 0.0);
        std::fill(first.begin(), first.end(), 0.0);
      } else {
        for (int64_t i = 0; i < count_; ++i) {
          for (int64_t s = 0; s < n; ++s)
            terms_[static_cast<size_t>(i * n + s)] = values_[0][i * n + s] - best(s);
        }
        compute::fat_log_positive(terms_.data(), cells, a_.options_.improvement_softness,
                                  terms_.data(), first.data());
      }
      for (size_t k = 1; k < draws_.size(); ++k) {
        std::vector<double>&room = weights_, &slope = slopes_[k];
        for (int64_t c = 0; c < cells; ++c)
          room[static_cast<size_t>(c)] = a_.parts_[k].upper - values_[k][c];
        compute::fat_log_step(room.data(), cells, a_.options_.constraint_softness, room.data(),
                              slope.data());
        for (size_t c = 0; c < room.size(); ++c) terms_[c] += room[c];
      }
      const double value = compute::fat_log_mean_max(terms_.data(), count_, n,
                                                     a_.options_.max_softness, weights_.data());
      for (size_t k = 0; k < draws_.size(); ++k) {
        const double sign = k == 0 ? 1 : -1;
        for (size_t c = 0; c < weights_.size(); ++c) slopes_[k][c] *= sign * weights_[c];
      }
      return value;
    }

    // A point counts where all constraints hold: the slope by the constraints is 0 almost everywhere, so that their
    // steps are softened.
    double improvement() {
      const int64_t n = a_.draws_;
      double sum = 0;
      for (std::vector<double>& s : slopes_) std::fill(s.begin(), s.end(), 0.0);
      for (int64_t s = 0; s < n; ++s) {
        double most = 0, hold_of_most = 1;
        int64_t which = -1;
        for (int64_t i = 0; i < count_; ++i) {
          const double hold = feasibility(i * n + s);
          const double gain = std::max(values_[0][i * n + s] - best(s), 0.0) * hold;
          if (gain > most) {
            most = gain;
            which = i;
            hold_of_most = hold;
          }
        }
        if (which < 0) continue;
        sum += most;
        const auto cell = static_cast<size_t>(which * n + s);
        slopes_[0][cell] = hold_of_most / static_cast<double>(n);
        for (size_t k = 1; k < draws_.size(); ++k) {
          double l, slope;
          const double room = a_.parts_[k].upper - values_[k][which * n + s];
          compute::fat_log_step_reference(&room, 1, a_.options_.constraint_softness, &l, &slope);
          slopes_[k][cell] = -most * slope / static_cast<double>(n);
        }
      }
      return sum / static_cast<double>(n);
    }
    double feasibility(int64_t cell) const {
      double l = 0;
      for (size_t k = 1; k < draws_.size(); ++k) {
        double one, slope;
        const double room = a_.parts_[k].upper - values_[k][cell];
        compute::fat_log_step_reference(&room, 1, a_.options_.constraint_softness, &one, &slope);
        l += one;
      }
      return std::exp(l);
    }

    // Mean over draws of the largest mean_j + sqrt(beta pi / 2) |f_j - mean_j|.
    double upper_bound() {
      const int64_t n = a_.draws_;
      const double reach = std::sqrt(a_.options_.beta * std::numbers::pi / 2);
      std::fill(slopes_[0].begin(), slopes_[0].end(), 0.0);
      double sum = 0;
      for (int64_t s = 0; s < n; ++s) {
        double most = -kInfinity, slope = 0;
        int64_t which = 0;
        for (int64_t i = 0; i < count_; ++i) {
          const double mean = draws_[0].mean(i, s), off = values_[0][i * n + s] - mean;
          const double bound = mean + reach * std::abs(off);
          if (bound > most) {
            most = bound;
            which = i;
            slope = off > 0 ? reach : -reach;
          }
        }
        sum += most;
        slopes_[0][static_cast<size_t>(which * n + s)] = slope / static_cast<double>(n);
        by_mean_[static_cast<size_t>(which)] += (1 - slope) / static_cast<double>(n);
      }
      return sum / static_cast<double>(n);
    }

    const MonteCarlo& a_;
    int64_t points_, count_;  // of the batch; with the pending ones
    std::vector<JointDraws> draws_;
    std::vector<JointPosterior::At> cost_;
    std::vector<double> x_, gradient_, terms_, weights_, by_mean_;
    std::vector<std::vector<double>> slopes_;  // a part
    std::vector<const double*> values_;        // a part: [count, draws]
  };

  AcquisitionOptions options_;
  std::vector<double> pending_;
  uint64_t seed_;
  int64_t draws_;
  std::vector<double> bests_;
  std::unique_ptr<NoiseFree> noise_free_;
  std::vector<Part> parts_;  // the objective, then the constraints
  std::unique_ptr<JointPosterior> cost_;
  mutable std::mutex mutex_;
  mutable std::map<int64_t, std::vector<double>> normals_;
};

}  // namespace

std::unique_ptr<Acquisition> monte_carlo_acquisition(const AcquisitionOptions& options,
                                                     const AcquisitionModel& model) {
  return std::make_unique<MonteCarlo>(options, model);
}

}  // namespace covary::stat
