// What the default strategy's refinement goes by beyond the screen gradient: colours that are wrong, views that have been
// there, and a budget that follows the loss.
//
//   Growth growth(options);                  // options.growth.guides()
//   growth.init(table);                      // or resume(table, state, facts)
//   for each view, behind its backward pass: growth.add(view);
//   growth.begin(step);                      // of a refinement
//   growth.ratio(i)                          // the colour gradient of row i over its threshold; 0 where it does not count
//   growth.may_grow(i);  growth.cap(step, cap);
//   growth.end();                            // statistics begin anew
//
// P, the mean screen gradient, and A, the mean of |d loss / d colour| as blended (before spherical harmonics), are means over
// the views that saw the row; a row grows where P is above grad_threshold or, at a share of the refinements, A above
// appearance_threshold times that. Refinements just behind a new degree of colour look at P alone, since colours jump there.
// A visit is a view that was drawn in which the row's weight is above 1/255 at some pixel that was; a view
// that is drawn twice counts twice. What grows has at least max(least_visits, visits_share x median) of them. Source: Dhiman et al. 2024 (Turbo-GS).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/fit/growth_budget.h"
#include "covary/splat/fit/strategy.h"

namespace covary::fit {

class Growth {
 public:
  // The window of refinement, steps.
  struct Window {
    int64_t start = 0, stop = 0;
  };

  explicit Growth(const TrainOptions& options) : options_(options) {}

  void init(nn::RowTable& table, const SceneFacts& scene);
  void resume(nn::RowTable& table, const SceneFacts& scene, const nlohmann::json& state);
  void retime(int64_t steps) { options_.steps = steps; }

  bool reads_colors() const { return options_.growth.appearance; }
  bool reads_weights() const { return options_.growth.visits; }

  void add(const ViewFacts& view);
  void reset_at(int64_t step);

  void begin(int64_t step);
  double ratio(int64_t row, double seen) const {
    return colors_ ? colors_[row] / std::max(seen, 1.0) / color_threshold_ : 0;
  }
  bool may_grow(int64_t row) const { return !visits_ || visits_[row] >= least_visits_; }
  // At most `cap`, which max_gaussians is; never falls while that stays.
  int64_t cap(int64_t step, int64_t cap, Window window);
  void end();

  nlohmann::json state() const;
  nlohmann::json figures()
      const;  // of the last refinement, for the log: exponent, budget, least_visits

 private:
  bool looks_at_colors(int64_t step) const;
  void watch_losses(const SceneFacts& scene, bool watched);

  TrainOptions options_;
  nn::RowTable* table_ = nullptr;
  uint64_t seed_ = 42;
  std::optional<Convergence> losses_;
  int64_t first_count_ = 0;
  // of the refinement under way
  const float* colors_ = nullptr;  // sums, where they are looked at
  const float* visits_ = nullptr;
  double color_threshold_ = 1, least_visits_ = 0;
  // of the last one
  double exponent_ = 0;
  int64_t budget_ = 0;
};

}  // namespace covary::fit
