#include "covary/splat/fit/growth_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "covary/core/base/error.h"

namespace covary::fit {
namespace {

[[noreturn]] void refuse(const std::string& field, const std::string& what,
                         const std::string& hint) {
  throw Error(ExitCode::kUsage, what, "growth." + field, hint);
}

double share_of(std::string_view text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value > 0 && value < 1))
    refuse("prune_schedule", "'" + std::string(text) + "' is no share between 0 and 1",
           "write none, or AT:SHARE,... as in 0.5:0.6");
  return value;
}

}  // namespace

void GrowthOptions::describe(OptionList& o) {
  o.add("appearance", &appearance,
        "at some refinements a large gradient by its colour lets a Gaussian grow, too");
  o.add("appearance_threshold", &appearance_threshold,
        "of the gradient by the colour, over grad_threshold")
      .range(1e-9, 1e3);
  o.add("appearance_share", &appearance_share, "of the refinements that look at colours")
      .range(0, 1);
  o.add("budget", &budget,
        "a cap that rises from the first count to max_gaussians, later while the loss falls fast");
  o.add("budget_exponent", &budget_exponent,
        "of the rise where the loss falls as before; 1: a line, more: later growth")
      .range(-3, 3);
  o.add("budget_gain", &budget_gain, "most that the fall of the loss changes the exponent by")
      .range(0, 3);
  o.add("budget_window", &budget_window, "share of the steps whose fall of the loss is the recent")
      .range(1e-3, 1);
  o.add("budget_smoothing", &budget_smoothing, "decay of the smoothed loss, a view")
      .range(0, 0.999999);
  o.add("reset_mask", &reset_mask, "steps around a reset of opacities whose loss is not looked at")
      .range(0, 1e9)
      .unit("steps");
  o.add("visits", &visits, "only Gaussians that enough views saw since the last refinement grow");
  o.add("least_visits", &least_visits, "views that must have seen a Gaussian that grows, at least")
      .range(0, 1e9);
  o.add("visits_share", &visits_share, "of the median of these views, which must have seen it")
      .range(0, 1e3);
  o.add("prune_schedule", &prune_schedule,
        "none, or AT:SHARE,...: at that share of the steps that share of the Gaussians goes, those "
        "that pictures depend on least")
      .suggestions({"none"});
}

void GrowthOptions::check() const {
  if (!(appearance_threshold > 0)) refuse("appearance_threshold", "is not above 0", "use 0.01");
  if (!(budget_window > 0 && budget_window <= 1))
    refuse("budget_window", "is no share of the steps", "use 0.1");
  if (!(budget_smoothing >= 0 && budget_smoothing < 1))
    refuse("budget_smoothing", "is not in [0, 1)", "use 0.99");
  if (reset_mask < 0) refuse("reset_mask", "is negative", "use 300");
  prune_events(prune_schedule);
}

std::vector<PruneEvent> prune_events(const std::string& schedule) {
  std::vector<PruneEvent> events;
  if (schedule == "none") return events;
  std::string_view rest = schedule;
  for (bool more = true; more;) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
    const size_t colon = part.find(':');
    if (colon == std::string_view::npos)
      refuse("prune_schedule", "'" + std::string(part) + "' has no colon",
             "write none, or AT:SHARE,... as in 0.5:0.6");
    const PruneEvent event{.at = share_of(part.substr(0, colon)),
                           .share = share_of(part.substr(colon + 1))};
    if (!events.empty() && event.at <= events.back().at)
      refuse("prune_schedule", "shares of the steps must rise", "as in 0.3:0.5,0.5:0.6");
    events.push_back(event);
  }
  return events;
}

bool due(const PruneEvent& event, int64_t step, int64_t steps) {
  return step >= std::max<int64_t>(1, std::llround(event.at * static_cast<double>(steps)));
}

}  // namespace covary::fit
