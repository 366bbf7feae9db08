#include "covary/splat/fit/growth.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/log.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/rasterize/footprints.h"
#include "covary/core/numeric/median.h"

namespace covary::fit {
namespace {

constexpr const char* kColors = "growth.colors";  // [N] sums of |gradient by the colour|
constexpr const char* kVisits = "growth.visits";  // [N] views with a weight above 1/255
constexpr int64_t kLeastSteps = 2000;             // of a run whose losses say how they fall

}  // namespace

void Growth::init(nn::RowTable& table, const SceneFacts& scene) {
  const auto counter = [&] { return at::zeros({table.rows()}, at::kFloat); };
  if (options_.growth.appearance) table.add_statistic(kColors, counter());
  if (options_.growth.visits) table.add_statistic(kVisits, counter());
  table_ = &table;
  seed_ = scene.seed;
  first_count_ = table.rows();
  budget_ = 0;
  exponent_ = options_.growth.budget_exponent;
  const GrowthOptions& o = options_.growth;
  // A run of few steps has no history that recent losses could be held against.
  watch_losses(scene, o.budget && o.budget_gain > 0 && options_.steps >= kLeastSteps);
  if (options_.growth.budget && !losses_)
    log_info("fewer than " + std::to_string(kLeastSteps) +
             " steps say little of how the loss falls: the budget rises along its curve");
}

void Growth::watch_losses(const SceneFacts& scene, bool watched) {
  losses_.reset();
  const GrowthOptions& o = options_.growth;
  if (watched)
    losses_.emplace(
        Convergence::Options{
            .window = o.budget_window, .smoothing = o.budget_smoothing, .mask = o.reset_mask},
        scene.views, options_.steps);
}

void Growth::resume(nn::RowTable& table, const SceneFacts& scene, const nlohmann::json& state) {
  table_ = &table;
  seed_ = scene.seed;
  watch_losses(scene, state.contains("losses"));  // a clock may have changed the number of steps
  first_count_ = state.at("first_count").get<int64_t>();
  budget_ = state.at("budget").get<int64_t>();
  exponent_ = state.at("exponent").get<double>();
  least_visits_ = state.value("least_visits", 0.0);
  if (losses_) losses_->restore(state.at("losses"));
}

void Growth::add(const ViewFacts& view) {
  if (losses_) losses_->add(view.step, view.loss.item<double>());
  const render::Footprints& f = view.footprints;
  const int64_t m = f.ids.size(0);
  const int64_t* ids = f.ids.const_data_ptr<int64_t>();
  if (options_.growth.appearance && f.colors.defined() && f.colors.grad().defined()) {
    const at::Tensor gradients = f.colors.grad().to(at::kFloat).contiguous();
    const float* g = gradients.const_data_ptr<float>();
    float* sums = table_->statistic(kColors).data_ptr<float>();
    const int64_t c = gradients.size(1);
    parallel_for(m, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float square = 0;
        for (int64_t k = 0; k < c; ++k) square += g[c * i + k] * g[c * i + k];
        sums[ids[i]] += std::sqrt(square);
      }
    });
  }
  if (options_.growth.visits && f.largest_weights.defined()) {
    const float* weights = f.largest_weights.const_data_ptr<float>();
    float* visits = table_->statistic(kVisits).data_ptr<float>();
    parallel_for(m, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        visits[ids[i]] += weights[i] > static_cast<float>(compute::kMinAlpha);
    });
  }
}

void Growth::reset_at(int64_t step) {
  if (losses_) losses_->reset_at(step);
}

bool Growth::looks_at_colors(int64_t step) const {
  if (!options_.growth.appearance) return false;
  const int64_t every = options_.sh_every_of(), degree = every > 0 ? step / every : 0;
  if (degree >= 1 && degree <= options_.sh_degree &&
      step - degree * every < options_.default_strategy.every)
    return false;
  return Random(seed_, stream_of("growth.appearance")).uniform(static_cast<uint64_t>(step)) <
         options_.growth.appearance_share;
}

void Growth::begin(int64_t step) {
  const DefaultStrategyOptions& d = options_.default_strategy;
  color_threshold_ = std::max(1e-300, options_.growth.appearance_threshold * d.grad_threshold);
  colors_ = looks_at_colors(step) ? table_->statistic(kColors).const_data_ptr<float>() : nullptr;
  if (!options_.growth.visits) return;
  visits_ = table_->statistic(kVisits).const_data_ptr<float>();
  const std::vector<float> all(visits_, visits_ + table_->rows());
  least_visits_ = options_.growth.least_visits;
  if (!all.empty())
    least_visits_ = std::max(least_visits_, options_.growth.visits_share *
                                                static_cast<double>(numeric::upper_median(all)));
}

int64_t Growth::cap(int64_t step, int64_t cap, Window window) {
  const GrowthOptions& o = options_.growth;
  if (!o.budget) return cap;
  const double length = static_cast<double>(std::max<int64_t>(1, window.stop - window.start));
  exponent_ = o.budget_exponent;
  if (losses_) exponent_ += o.budget_gain * std::tanh(losses_->deviation(step, options_.steps));
  const double b =
      budget_at(1 + 99 * static_cast<double>(step - window.start) / length, exponent_,
                static_cast<double>(std::min(first_count_, cap)), static_cast<double>(cap));
  budget_ = std::min(cap, std::max(budget_, static_cast<int64_t>(std::llround(b))));
  return budget_;
}

void Growth::end() {
  colors_ = visits_ = nullptr;
  if (options_.growth.appearance) table_->statistic(kColors).zero_();
  if (options_.growth.visits) table_->statistic(kVisits).zero_();
}

nlohmann::json Growth::state() const {
  nlohmann::json s = {{"first_count", first_count_}, {"budget", budget_}, {"exponent", exponent_}};
  if (options_.growth.visits) s["least_visits"] = least_visits_;
  if (losses_) s["losses"] = losses_->state();
  return s;
}

nlohmann::json Growth::figures() const {
  nlohmann::json f = nlohmann::json::object();
  if (options_.growth.budget) {
    f["exponent"] = exponent_;
    f["budget"] = budget_;
  }
  if (options_.growth.visits) f["least_visits"] = least_visits_;
  return f;
}

}  // namespace covary::fit
