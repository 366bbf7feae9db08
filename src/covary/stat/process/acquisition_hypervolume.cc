#include "covary/stat/process/acquisition_hypervolume.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/improvement/improvement.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/expected_hypervolume.h"
#include "covary/stat/process/joint_draws.h"
#include "covary/stat/process/sampled_hypervolume.h"

namespace covary::stat {
namespace {

constexpr double kJitter =
    1e-12;  // of the prior's variance, added to that of every point of a batch

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kUsage, what, where);
}

double prior_variance(const GaussianProcess& gp) {
  double v = 0;
  const std::vector<double> origin(static_cast<size_t>(gp.kernel().dims()), 0.5);
  gp.kernel().diagonal(origin.data(), 1, false, &v);
  return v;
}

// One point by closed forms: normals of the objectives, then of the constraints over their limits.
class OnePoint : public Acquisition::Worker {
 public:
  OnePoint(const std::deque<JointPosterior>& posteriors, const std::vector<double>& limits,
           std::shared_ptr<const BoxDecomposition> front)
      : objectives_(static_cast<size_t>(front->objectives())), limits_(limits), gain_(front) {
    for (const JointPosterior& p : posteriors) at_.emplace_back(p, 1);
    for (auto* v : {&mean_, &sd_, &by_mean_, &by_sd_}) v->resize(at_.size());
  }

  double value(std::span<const double> x, std::span<double> gradient) override {
    for (size_t k = 0; k < at_.size(); ++k) {
      at_[k].move(x.data());
      mean_[k] = at_[k].mean()[0] - (k < objectives_ ? 0 : limits_[k - objectives_]);
      sd_[k] = std::sqrt(at_[k].covariance()[0]);
    }
    const size_t m = objectives_, limits = at_.size() - m;
    const auto part = [](std::vector<double>& v, size_t begin, size_t count) {
      return std::span(v).subspan(begin, count);
    };
    const double value = gain_.log_value(part(mean_, 0, m), part(sd_, 0, m), part(by_mean_, 0, m),
                                         part(by_sd_, 0, m)) +
                         log_feasibility(part(mean_, m, limits), part(sd_, m, limits),
                                         part(by_mean_, m, limits), part(by_sd_, m, limits));
    if (gradient.empty()) return value;
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (size_t k = 0; k < at_.size(); ++k) {
      // At a deviation of 0, a point that is known, the slope by the variance has no use.
      const double by_variance = sd_[k] > 0 ? by_sd_[k] / (2 * sd_[k]) : 0;
      at_[k].add_gradient(&by_mean_[k], &by_variance, gradient.data());
    }
    return value;
  }

 private:
  size_t objectives_;
  const std::vector<double>& limits_;
  ExpectedHypervolume gain_;
  std::vector<JointPosterior::At> at_;
  std::vector<double> mean_, sd_, by_mean_, by_sd_;
};

class HypervolumeGain : public Acquisition {
 public:
  explicit HypervolumeGain(HypervolumeModel model) : model_(std::move(model)) {
    const size_t m = model_.objectives.size();
    std::vector<double> observed;  // of noisy: [m, n, draws]
    for (size_t j = 0; j < m; ++j) {
      const GaussianProcess& gp = *model_.objectives[j];
      jitters_.push_back(kJitter * prior_variance(gp));
      if (!model_.noisy) {
        posteriors_.emplace_back(gp);
        continue;
      }
      noise_free_.push_back(
          noise_free(gp, model_.draws, stream_of("hypervolume.observed", model_.seed + (j << 32))));
      const GaussianProcess& by_draw = noise_free_.back().process;
      std::vector<int64_t> outputs(static_cast<size_t>(model_.draws));
      std::iota(outputs.begin(), outputs.end(), int64_t{0});
      posteriors_.emplace_back(by_draw, outputs);
      const at::Tensor y = by_draw.data().y.contiguous();  // [n, draws]
      observed.insert(observed.end(), y.const_data_ptr<double>(),
                      y.const_data_ptr<double>() + y.numel());
    }
    for (const AcquisitionModel::Limit& c : model_.constraints) {
      posteriors_.emplace_back(*c.process);
      jitters_.push_back(kJitter * prior_variance(*c.process));
      limits_.push_back(c.upper);
    }
    if (model_.noisy) {
      noisy_ = std::make_unique<SampledHypervolume>(observed, model_.reference, 1, model_.draws);
    } else {
      front_ = std::make_shared<BoxDecomposition>(model_.observed, model_.reference);
    }
  }

  // For workers made from now on.
  void add_pending(const std::vector<double>& points) {
    model_.pending.insert(model_.pending.end(), points.begin(), points.end());
  }

  int64_t dims() const override { return posteriors_[0].dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    if (points < 1) refuse("must be at least 1", "number of points");
    if (points == 1 && model_.pending.empty() && !model_.noisy) {
      return std::make_unique<OnePoint>(posteriors_, limits_, front_);
    }
    return std::make_unique<Batch>(*this, points);
  }

 private:
  // [processes * count, draws], the same for every batch of a size.
  const std::vector<double>& normals(int64_t count) const {
    const std::lock_guard lock(mutex_);
    std::vector<double>& out = normals_[count];
    if (out.empty()) {
      const int64_t rows = count * static_cast<int64_t>(posteriors_.size()), draws = model_.draws;
      const std::vector<double> by_draw = numeric::Sobol(rows, model_.seed).normals(draws);
      out.resize(by_draw.size());
      for (int64_t s = 0; s < draws; ++s) {
        for (int64_t r = 0; r < rows; ++r) {
          out[static_cast<size_t>(r * draws + s)] = by_draw[static_cast<size_t>(s * rows + r)];
        }
      }
    }
    return out;
  }

  class Batch : public Worker {
   public:
    Batch(const HypervolumeGain& a, int64_t points)
        : a_(a),
          count_(points + static_cast<int64_t>(a.model_.pending.size()) / a.dims()),
          gain_(a.noisy_ ? a.noisy_->for_batch(count_)
                         : SampledHypervolume(a.front_, count_, a.model_.draws)) {
      const std::vector<double>& normals = a.normals(count_);
      const int64_t draws = a.model_.draws;
      for (size_t k = 0; k < a.posteriors_.size(); ++k) {
        draws_.emplace_back(a.posteriors_[k], count_, draws,
                            normals.data() + static_cast<int64_t>(k) * count_ * draws,
                            a.jitters_[k]);
      }
      x_.resize(static_cast<size_t>(count_ * a.dims()));
      std::copy(a.model_.pending.begin(), a.model_.pending.end(), x_.begin() + points * a.dims());
      gradient_.resize(x_.size());
      const size_t cells = static_cast<size_t>(count_ * draws), m = a.model_.objectives.size();
      for (auto* v : {&samples_, &slopes_}) v->resize(m * cells);
      if (!a.limits_.empty()) {
        for (auto* v : {&weights_, &weight_slopes_, &room_}) v->resize(cells);
        steps_.assign(a.limits_.size(), std::vector<double>(cells));
      }
    }

    double value(std::span<const double> x, std::span<double> gradient) override {
      const size_t m = a_.model_.objectives.size(), limits = a_.limits_.size(),
                   cells = samples_.size() / m;
      std::copy(x.begin(), x.end(), x_.begin());
      for (size_t k = 0; k < m; ++k) {
        const std::vector<double>& f = draws_[k].move(x_.data());
        std::copy(f.begin(), f.end(), samples_.begin() + static_cast<std::ptrdiff_t>(k * cells));
      }
      std::fill(weights_.begin(), weights_.end(), 0.0);
      for (size_t k = 0; k < limits; ++k) {  // logarithms of the steps
        const std::vector<double>& f = draws_[m + k].move(x_.data());
        for (size_t c = 0; c < cells; ++c) room_[c] = a_.limits_[k] - f[c];
        compute::fat_log_step(room_.data(), static_cast<int64_t>(cells),
                              a_.model_.constraint_softness, room_.data(), steps_[k].data());
        for (size_t c = 0; c < cells; ++c) weights_[c] += room_[c];
      }
      for (double& w : weights_) w = std::min(std::exp(w), 1.0);
      const bool wanted = !gradient.empty();
      const double value = gain_.log_value(
          samples_, wanted ? std::span<double>(slopes_) : std::span<double>(), weights_,
          wanted ? std::span<double>(weight_slopes_) : std::span<double>());
      if (!wanted) return value;
      std::fill(gradient_.begin(), gradient_.end(), 0.0);
      for (size_t k = 0; k < m; ++k) {
        draws_[k].add_gradient(slopes_.data() + k * cells, gradient_.data());
      }
      for (size_t k = 0; k < limits; ++k) {
        for (size_t c = 0; c < cells; ++c) {
          steps_[k][c] *= -weight_slopes_[c] * weights_[c];
        }
        draws_[m + k].add_gradient(steps_[k].data(), gradient_.data());
      }
      std::copy_n(gradient_.begin(), gradient.size(), gradient.begin());
      return value;
    }

   private:
    const HypervolumeGain& a_;
    int64_t count_;  // of the batch with the pending points
    SampledHypervolume gain_;
    std::vector<JointDraws> draws_;  // a process each
    std::vector<double> x_, gradient_, samples_, slopes_;
    std::vector<double> weights_, weight_slopes_, room_;  // [count, draws]
    std::vector<std::vector<double>> steps_;              // a constraint: slopes of its step
  };

  HypervolumeModel model_;
  std::vector<NoiseFree> noise_free_;
  std::deque<JointPosterior> posteriors_;  // the objectives, then the constraints
  std::vector<double> jitters_, limits_;
  std::shared_ptr<const BoxDecomposition> front_;
  std::unique_ptr<SampledHypervolume> noisy_;  // its fronts are shared by the workers
  mutable std::mutex mutex_;
  mutable std::map<int64_t, std::vector<double>> normals_;
};

void check_process(const GaussianProcess* gp, int64_t dims, const char* what) {
  if (gp == nullptr || gp->data().outputs != 1 || gp->data().dims != dims) {
    refuse("must have one output and the columns of the first objective", what);
  }
}

std::unique_ptr<HypervolumeGain> checked_gain(HypervolumeModel model) {
  if (model.objectives.empty() || model.objectives[0] == nullptr) {
    refuse("are missing", "objectives");
  }
  const GpData& first = model.objectives[0]->data();
  const int64_t d = first.dims;
  for (const GaussianProcess* gp : model.objectives) {
    check_process(gp, d, "objective");
    if (model.noisy && (gp->data().groups[0].count() != first.groups[0].count() ||
                        gp->data().groups[0].x != first.groups[0].x)) {
      refuse("must have the same training rows when the front is noisy", "objectives");
    }
  }
  if (model.objectives.size() > 8) refuse("are more than 8", "objectives");
  if (model.reference.size() != model.objectives.size()) {
    refuse("must have an entry an objective", "reference point");
  }
  for (const AcquisitionModel::Limit& c : model.constraints) {
    check_process(c.process, d, "constraint");
    if (!std::isfinite(c.upper)) refuse("has no finite limit", "constraint");
  }
  if (model.noisy && !model.constraints.empty()) {
    refuse("knows no constraints", "noisy hypervolume");
  }
  if (static_cast<int64_t>(model.pending.size()) % d != 0) refuse("are no whole points", "pending");
  for (const double v : model.pending) {
    if (!std::isfinite(v)) refuse("hold a value that is not finite", "pending");
  }
  if (model.draws < 1) refuse("must be at least 1", "draws");
  if (!(model.constraint_softness > 0)) refuse("must be positive", "constraint_softness");
  return std::make_unique<HypervolumeGain>(std::move(model));
}

}  // namespace

std::unique_ptr<Acquisition> hypervolume_acquisition(HypervolumeModel model) {
  return checked_gain(std::move(model));
}

Candidates find_hypervolume_batch(HypervolumeModel model, const SearchSpace& space, int64_t count,
                                  const CandidateOptions& options, uint64_t seed,
                                  const std::vector<double>& incumbents) {
  if (count < 1) refuse("must be at least 1", "number of points");
  const std::unique_ptr<HypervolumeGain> gain = checked_gain(std::move(model));
  Candidates batch;
  for (int64_t k = 0; k < count; ++k) {
    const Candidates next = find_candidates(
        *gain, space, 1, options, stream_of("hypervolume.batch", seed) + static_cast<uint64_t>(k),
        incumbents);
    gain->add_pending(next.points);
    batch.points.insert(batch.points.end(), next.points.begin(), next.points.end());
    batch.value = next.value;
    batch.evaluations += next.evaluations;
  }
  return batch;
}

}  // namespace covary::stat
