// Acquisition functions of one point in closed form.
#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/joint_posterior.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Below this share of the prior's variance a variance is rounding.
constexpr double kFloor = 1e-16;

double prior_variance(const GaussianProcess& gp) {
  double v = 0;
  const std::vector<double> origin(static_cast<size_t>(gp.kernel().dims()), 0.5);
  gp.kernel().diagonal(origin.data(), 1, false, &v);
  return v;
}

// A value with its slopes by mean and variance.
struct Valued {
  double value, by_mean, by_variance;
};

struct Moment {
  double mean, variance, floor;
  double sd() const { return std::sqrt(std::max(variance, floor)); }
  // d sd / d variance
  double sd_slope() const { return variance > floor ? 0.5 / sd() : 0; }
};

Valued log_expected_improvement(const Moment& m, double best) {
  const double sd = m.sd(), u = (m.mean - best) / sd;
  double slope;
  const double value = std::log(sd) + numeric::log_improvement(u, &slope);
  return {value, slope / sd, (1 - slope * u) / sd * m.sd_slope()};
}

// log Phi((mean - level) / sd) for side = 1, log Phi((level - mean) / sd) for side = -1.
Valued log_probability(const Moment& m, double level, double side) {
  const double sd = m.sd(), u = side * (m.mean - level) / sd;
  double slope;
  const double value = numeric::log_normal_cdf(u, &slope);
  return {value, side * slope / sd, -slope * u / sd * m.sd_slope()};
}

class Analytic : public Acquisition {
 public:
  Analytic(const AcquisitionOptions& options, const AcquisitionModel& model)
      : options_(options),
        best_(model.best),
        objective_(*model.objective),
        floor_(kFloor * prior_variance(*model.objective)) {
    for (const AcquisitionModel::Limit& c : model.constraints) {
      constraints_.push_back({std::make_unique<JointPosterior>(*c.process), c.upper,
                              kFloor * prior_variance(*c.process)});
    }
    if (model.log_cost) cost_ = std::make_unique<JointPosterior>(*model.log_cost);
    if (options.acquisition == "noisy-ei") {
      NoiseFree draws =
          noise_free(*model.objective, std::max<int64_t>(options.draws / 4, 1), model.seed);
      std::vector<int64_t> all(draws.best.size());
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
      noisy_ = std::make_unique<JointPosterior>(draws.process, all);
      bests_ = draws.best;
    }
  }
  int64_t dims() const override { return objective_.dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    if (points != 1) {
      throw Error(ExitCode::kUsage, "takes one point at a time", options_.acquisition,
                  "choose logei for batches");
    }
    return std::make_unique<One>(*this);
  }

 private:
  struct Constraint {
    std::unique_ptr<JointPosterior> posterior;
    double upper, floor;
  };

  class One : public Worker {
   public:
    explicit One(const Analytic& a) : a_(a), objective_(a.noisy_ ? *a.noisy_ : a.objective_, 1) {
      for (const Constraint& c : a.constraints_) constraints_.emplace_back(*c.posterior, 1);
      if (a.cost_) cost_.emplace_back(*a.cost_, 1);
      by_mean_.resize(objective_.mean().size());
      values_.resize(by_mean_.size());
    }

    double value(std::span<const double> x, std::span<double> gradient) override {
      std::fill(gradient.begin(), gradient.end(), 0.0);
      objective_.move(x.data());
      const bool plain = a_.options_.acquisition == "ei";
      double value = 0;
      if (a_.noisy_) {
        value = noisy(gradient);
      } else if (a_.options_.acquisition == "ucb" || a_.best_ > -kInfinity) {
        const Valued v =
            of_objective({objective_.mean()[0], objective_.covariance()[0], a_.floor_});
        value = v.value;
        if (!gradient.empty()) objective_.add_gradient(&v.by_mean, &v.by_variance, gradient.data());
      }
      for (size_t c = 0; c < constraints_.size(); ++c) {
        constraints_[c].move(x.data());
        const Constraint& of = a_.constraints_[c];
        const Valued v = log_probability(
            {constraints_[c].mean()[0], constraints_[c].covariance()[0], of.floor}, of.upper, -1);
        value += v.value;
        if (!gradient.empty())
          constraints_[c].add_gradient(&v.by_mean, &v.by_variance, gradient.data());
      }
      for (JointPosterior::At& cost : cost_) {
        cost.move(x.data());
        const double power = a_.options_.cost_power, by_mean = -power, none = 0;
        value -= power * cost.mean()[0];
        if (!gradient.empty()) cost.add_gradient(&by_mean, &none, gradient.data());
      }
      if (plain) {
        value = std::exp(value);
        for (double& g : gradient) g *= value;
      }
      return value;
    }

   private:
    Valued of_objective(const Moment& m) const {
      const std::string& kind = a_.options_.acquisition;
      if (kind == "pi") return log_probability(m, a_.best_, 1);
      if (kind == "ucb") {
        const double root = std::sqrt(a_.options_.beta);
        return {m.mean + root * m.sd(), 1, root * m.sd_slope()};
      }
      return log_expected_improvement(m, a_.best_);
    }

    double noisy(std::span<double> gradient) {
      const size_t draws = values_.size();
      double most = -kInfinity, by_variance = 0;
      std::vector<double>& by_mean = by_mean_;
      variances_.resize(draws);
      for (size_t s = 0; s < draws; ++s) {
        const Valued v = log_expected_improvement(
            {objective_.mean()[s], objective_.covariance()[0], a_.floor_}, a_.bests_[s]);
        values_[s] = v.value;
        by_mean[s] = v.by_mean;
        variances_[s] = v.by_variance;
        most = std::max(most, v.value);
      }
      double sum = 0;
      for (double& v : values_) sum += v = std::exp(v - most);
      for (size_t s = 0; s < draws; ++s) {
        by_mean[s] *= values_[s] / sum;
        by_variance += variances_[s] * values_[s] / sum;
      }
      if (!gradient.empty()) objective_.add_gradient(by_mean.data(), &by_variance, gradient.data());
      return most + std::log(sum / static_cast<double>(draws));
    }

    const Analytic& a_;
    JointPosterior::At objective_;
    std::vector<JointPosterior::At> constraints_, cost_;
    std::vector<double> by_mean_, values_, variances_;
  };

  AcquisitionOptions options_;
  double best_;
  JointPosterior objective_;
  double floor_;
  std::vector<Constraint> constraints_;
  std::unique_ptr<JointPosterior> cost_, noisy_;
  std::vector<double> bests_;
};

}  // namespace

std::unique_ptr<Acquisition> analytic_acquisition(const AcquisitionOptions& options,
                                                  const AcquisitionModel& model) {
  return std::make_unique<Analytic>(options, model);
}

}  // namespace covary::stat
