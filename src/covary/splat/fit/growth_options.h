// What the default strategy goes by beyond the screen gradient when it grows and prunes; all of it is off by default.
//
//   --set growth.appearance=true     // colours that are wrong let a Gaussian grow, too
//   --set growth.budget=true         // and how many there may be follows how fast the loss falls
//   --set growth.visits=true         // where few views look nothing grows
//   --set growth.prune_schedule=0.5:0.6   // at half of the steps the 60 % that pictures depend on least go
//
// growth.h and growth_budget.h say how. Source: Dhiman et al. 2024 (Turbo-GS), sections of the same names; numbers that the
// paper does not give are ours: budget_exponent, budget_window, budget_smoothing, reset_mask, least_visits, visits_share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::fit {

struct GrowthOptions {
  bool appearance = false;  // grow where the gradient by the colour is large, too
  double appearance_threshold =
      0.01;                        // of that gradient, over the threshold of the screen gradient
  double appearance_share = 0.2;   // of the refinements that look at colours
  bool budget = false;             // a cap that rises to max_gaussians while refinement lasts
  double budget_exponent = 1;      // a of the curve where the loss falls as it always did
  double budget_gain = 0.5;        // most that convergence changes a by; 0: a fixed curve
  double budget_window = 0.1;      // share of the steps that recent convergence is measured over
  double budget_smoothing = 0.99;  // decay of the smoothed loss, a view
  int64_t reset_mask = 300;        // steps around a reset of opacities whose losses are left out
  bool visits = false;             // only what enough views saw since the last refinement grows
  double least_visits = 2;         // views
  double visits_share = 0.5;       // of the median of the visits
  std::string prune_schedule =
      "none";  // none | AT:SHARE,...: shares of the steps, and of the Gaussians that go

  bool guides() const { return appearance || budget || visits; }
  void describe(OptionList& o);
  void check() const;
};

struct PruneEvent {
  double at = 0;     // share of the steps
  double share = 0;  // of the Gaussians that go
};
// Error(kUsage) naming growth.prune_schedule.
std::vector<PruneEvent> prune_events(const std::string& schedule);
// Whether the event's step (from 1) of so many has come.
bool due(const PruneEvent& event, int64_t step, int64_t steps);

}  // namespace covary::fit
