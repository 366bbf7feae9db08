#include "covary/splat/fit/growth_budget.h"

#include <algorithm>
#include <cmath>

namespace covary::fit {
namespace {

constexpr int64_t kMostMeans = 400;  // of a run
constexpr size_t kLeastMeans = 5, kLeastRecent = 3;
constexpr double kFlat = 1e-3;  // an exponent nearer to 0 takes the limit

}  // namespace

double budget_at(double percent, double exponent, double first, double last) {
  const double t = std::clamp(percent, 1.0, 100.0);
  const double share = std::abs(exponent) < kFlat ? std::log(t) / std::log(100.0)
                                                  : std::expm1(exponent * std::log(t)) /
                                                        std::expm1(exponent * std::log(100.0));
  return first + share * (last - first);
}

std::optional<double> power_law_decay(std::span<const LossPoint> points) {
  if (points.size() < 3) return {};
  const auto n = static_cast<double>(points.size());
  double x = 0, y = 0, xx = 0, xy = 0;
  for (const LossPoint& p : points) {
    x += p.log_step / n;
    y += p.log_loss / n;
  }
  for (const LossPoint& p : points) {
    xx += (p.log_step - x) * (p.log_step - x);
    xy += (p.log_step - x) * (p.log_loss - y);
  }
  if (!(xx > 0)) return {};
  return -xy / xx;
}

Convergence::Convergence(const Options& options, int64_t views, int64_t steps)
    : options_(options), views_(views * std::max<int64_t>(1, steps / (kMostMeans * views))) {}

void Convergence::add(int64_t step, double loss) {
  if (count_ == 0) begun_ = step;
  sum_ += loss;
  if (++count_ < views_) return;
  means_.push_back({begun_, step, sum_ / static_cast<double>(count_)});
  count_ = 0;
  sum_ = 0;
}

bool Convergence::masked(const Mean& mean) const {
  return std::any_of(resets_.begin(), resets_.end(), [&](int64_t reset) {
    return mean.first <= reset + options_.mask && mean.last >= reset - options_.mask;
  });
}

double Convergence::deviation(int64_t step, int64_t steps) const {
  std::vector<LossPoint> points;
  const double since = static_cast<double>(step) - options_.window * static_cast<double>(steps);
  size_t recent = 0;
  const double decay = std::pow(options_.smoothing, static_cast<double>(views_));
  double weight = 0, log_step = 0, log_loss = 0;
  for (const Mean& m : means_) {
    if (masked(m) || !(m.loss > 0)) continue;
    const double middle = 0.5 * static_cast<double>(m.first + m.last);
    weight = decay * weight + 1 - decay;
    log_step = decay * log_step + (1 - decay) * std::log(middle);
    log_loss = decay * log_loss + (1 - decay) * std::log(m.loss);
    points.push_back({log_step / weight, log_loss / weight});
    recent += static_cast<double>(m.last) > since;
  }
  if (points.size() < kLeastMeans) return 0;
  recent = std::max(recent, kLeastRecent);
  const auto late = power_law_decay(std::span(points).last(std::min(recent, points.size()))),
             always = power_law_decay(points);
  return late && always ? *late - *always : 0;
}

nlohmann::json Convergence::state() const {
  nlohmann::json means = nlohmann::json::array();
  for (const Mean& m : means_) means.push_back({m.first, m.last, m.loss});
  return {{"views", views_}, {"begun", begun_}, {"count", count_},
          {"sum", sum_},     {"means", means},  {"resets", resets_}};
}

void Convergence::restore(const nlohmann::json& state) {
  views_ = state.at("views").get<int64_t>();
  begun_ = state.at("begun").get<int64_t>();
  count_ = state.at("count").get<int64_t>();
  sum_ = state.at("sum").get<double>();
  resets_ = state.at("resets").get<std::vector<int64_t>>();
  means_.clear();
  for (const nlohmann::json& m : state.at("means"))
    means_.push_back({m.at(0).get<int64_t>(), m.at(1).get<int64_t>(), m.at(2).get<double>()});
}

}  // namespace covary::fit
