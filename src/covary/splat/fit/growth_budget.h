// How many Gaussians there may be, as training goes on: a curve whose bend follows the loss.
//
//   budget_at(1, a, n, m)        // n, the count at the start of refinement
//   budget_at(100, a, n, m)      // m, the cap, at its end
//
//   Convergence loss({.window = 0.1, .smoothing = 0.99}, views, steps);
//   for each view: loss.add(step, value);
//   a = a_base + 0.5 * std::tanh(loss.deviation(step));
//
// The curve: B(t) = n + (t^a - 1) / (100^a - 1) (m - n), t the percent of refinement from 1 to 100; a near 0 is its limit
// ln t / ln 100. Loss falls like a power of the step: the decay is minus the slope of ln loss over ln step. deviation is the
// decay of late less that of all the run: positive, fast still, bends the curve to later growth.
// Source: Dhiman et al. 2024 (Turbo-GS), convergence-aware budget. Ours: losses are means over an epoch of views, as views
// differ; ln loss and ln step are smoothed alike, which leaves a power law what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::fit {

double budget_at(double percent, double exponent, double first, double last);

struct LossPoint {
  double log_step = 0, log_loss = 0;
};
// Minus the slope of the least squares line; nothing of fewer than 3 points, or where all steps are the same.
std::optional<double> power_law_decay(std::span<const LossPoint> points);

class Convergence {
 public:
  struct Options {
    double window = 0.1;      // of the steps
    double smoothing = 0.99;  // a view
    int64_t mask = 300;       // steps around a reset that are left out
  };
  // Means are over `views` losses, or a multiple, so that a run has a few hundred of them.
  Convergence(const Options& options, int64_t views, int64_t steps);

  void add(int64_t step, double loss);  // of a view; steps do not fall
  void reset_at(int64_t step) { resets_.push_back(step); }
  // 0 where the run is too short to say: fewer than 5 means.
  double deviation(int64_t step, int64_t steps) const;

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  struct Mean {
    int64_t first = 0, last = 0;  // steps
    double loss = 0;
  };
  bool masked(const Mean& mean) const;

  Options options_;
  int64_t views_;
  int64_t begun_ = 0, count_ = 0;  // of the mean under way
  double sum_ = 0;
  std::vector<Mean> means_;
  std::vector<int64_t> resets_;
};

}  // namespace covary::fit
