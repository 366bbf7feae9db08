#include "covary/splat/fit/pace.h"

#include <algorithm>
#include <cmath>

namespace covary::fit {
namespace {

constexpr double kMostChange = 0.2;  // of the planned steps at a time
constexpr double kLooksPerRun = 60;  // so often the cost is measured
constexpr int64_t kLeastLook = 10;   // steps between two measurements
constexpr double kFixedFrom = 0.95;  // of the run: from there on the plan stays
constexpr double kGrowsUntil = 0.5;  // of the run: where refinement ends
constexpr size_t kWindow = 4;        // measurements that a cost is taken over
constexpr double kMostGrowth =
    3;  // the cost of a step at most grows to this while it is carried forward

}  // namespace

Pace::Pace(double seconds, int64_t most_steps)
    : budget_(seconds), most_(most_steps), marks_{{0, 0}} {}

// Seconds from `step` to `total` when a step costs `cost` now and `growth` more each step until refinement ends.
double Pace::rest(int64_t step, int64_t total, double cost, double growth) const {
  const auto left = static_cast<double>(total - step);
  const double growing =
      std::clamp(kGrowsUntil * static_cast<double>(total) - static_cast<double>(step), 0.0, left);
  const double most = kMostGrowth * cost;
  const double end = std::min(most, cost + growth * growing);
  return 0.5 * (cost + end) * growing + end * (left - growing);
}

int64_t Pace::steps(int64_t step, double seconds, int64_t planned) {
  const Mark& last = marks_.back();
  const auto look =
      std::max(kLeastLook, static_cast<int64_t>(static_cast<double>(planned) / kLooksPerRun));
  if (step - last.step < look ||
      static_cast<double>(step) > kFixedFrom * static_cast<double>(planned))
    return planned;
  marks_.push_back({step, seconds});
  const auto cost_between = [&](size_t a, size_t b) {
    return std::max(1e-9, (marks_[b].seconds - marks_[a].seconds) /
                              static_cast<double>(marks_[b].step - marks_[a].step));
  };
  const size_t n = marks_.size() - 1, window = std::min(n, kWindow), from = n - window;
  const double cost = cost_between(from, n);
  double growth = 0;  // seconds a step, a step
  if (from >= window) {
    const double before = cost_between(from - window, from);
    growth =
        std::max(0.0, (cost - before) /
                          (0.5 * static_cast<double>(marks_[n].step - marks_[from - window].step)));
  }
  // More steps take longer: bisection.
  const double left = budget_ - seconds;
  int64_t low = step + 1, high = std::max(low, most_);
  if (rest(step, high, cost, growth) <= left) {
    low = high;
  } else {
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (rest(step, middle, cost, growth) <= left ? low : high) = middle;
    }
  }
  const auto p = static_cast<double>(planned);
  const auto least = static_cast<int64_t>((1 - kMostChange) * p),
             most = static_cast<int64_t>((1 + kMostChange) * p) + 1;
  return std::max(step + 1, std::min(most_, std::clamp(low, least, most)));
}

}  // namespace covary::fit
