#include "covary/splat/fit/convex_options.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"

namespace covary::fit {
namespace {

constexpr double kNoLimit = 1e12;

int64_t resolved_steps(const std::optional<double>& field, int64_t most, double share,
                       int64_t steps) {
  if (field) return static_cast<int64_t>(std::llround(*field));
  return std::max<int64_t>(
      1, std::min(most, static_cast<int64_t>(share * static_cast<double>(steps))));
}

}  // namespace

void ConvexOptions::describe(OptionList& o) {
  o.add("settings", &settings,
        "published settings of convexes: default, indoor, outdoor, light (default, and points as "
        "whole numbers of 16 bits in the scene file)")
      .choices({"default", "indoor", "outdoor", "light"})
      .common();
  o.add("points", &points, "points of a convex").range(4, 8);
  o.add("start_radius", &start_radius,
        "radius of the points at the start over the distance to the 3 nearest")
      .range(1e-3, 1e3);
  o.add("start_delta", &start_delta, "smoothness at the start times that distance")
      .range(1e-9, 1e9);
  o.add("start_sigma", &start_sigma,
        "sharpness at the start, of extent 5 and focal length 1000 px; none: the settings'")
      .range(1e-9, 1e9);
  o.add("lr_points", &lr_points, "first rate of the points; none: the settings'")
      .range(0, 1)
      .unit("extent");
  o.add("lr_points_final_factor", &lr_points_final_factor, "last rate of the points over the first")
      .range(1e-9, 1);
  o.add("lr_delta", &lr_delta, "rate of the log smoothness").range(0, 10);
  o.add("lr_sigma", &lr_sigma, "rate of the log sharpness; none: the settings'").range(0, 10);
  o.add("lr_opacities", &lr_opacities, "rate of the opacity logits").range(0, 10);
  o.add("lr_mask", &lr_mask, "rate of the mask logits").range(0, 10);
  o.add("mask_weight", &mask_weight, "weight of the mean mask in the loss").range(0, 1e3);
  o.add("start", &start, "first step of refinement; none: 500, or steps/10 when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("stop", &stop, "last step that splits; none: 9000, or 3/10 of steps when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("every", &every, "steps between refinements; none: 200, or steps/40 when that is less")
      .range(1, kNoLimit)
      .unit("steps");
  o.add("split_threshold", &split_threshold,
        "mean gradient by the sharpness that splits; none: the settings'")
      .range(0, 1e6);
  o.add("most_split", &most_split,
        "most rows that one refinement adds, over the count (a split adds points - 1)")
      .range(0, 1);
  o.add("prune_opacity", &prune_opacity, "less opaque convexes go").range(0, 1);
  o.add("prune_size", &prune_size, "larger convexes go, after the first reset")
      .range(0, 1e6)
      .unit("extent");
  o.add("reset_every", &reset_every,
        "steps between resets of the opacities; none: 3000, or steps/10 when that is less")
      .range(1, kNoLimit)
      .unit("steps");
  o.add("reset_opacity", &reset_opacity, "most opacity after a reset").range(1e-6, 1 - 1e-6);
}

void ConvexOptions::check() const {
  if (settings != "default" && settings != "indoor" && settings != "outdoor" && settings != "light")
    throw Error(ExitCode::kUsage, "is neither default, indoor, outdoor nor light",
                "convex.settings", "use default");
  if (points < 4 || points > 8)
    throw Error(ExitCode::kUsage, "is not in 4..8", "convex.points", "use 6");
  if (start && stop && *start > *stop)
    throw Error(ExitCode::kUsage, "is after convex.stop", "convex.start",
                "give a start before the stop");
}

ConvexOptions::Settings ConvexOptions::resolved() const {
  Settings s{9.5e-4, 1e-4, 4.5e-3, 2.5e-5, 0.63, 0.88, 0.01};
  if (settings == "indoor") s = {9e-4, 0.8e-4, 4.5e-3, 6e-6, 0.7, 0.85, 0.02};
  if (settings == "outdoor") s = {1e-3, 1e-4, 4e-3, 1e-6, 0.6, 0.88, 0.01};
  s.start_sigma = start_sigma.value_or(s.start_sigma);
  s.lr_points = lr_points.value_or(s.lr_points);
  s.lr_sigma = lr_sigma.value_or(s.lr_sigma);
  s.split_threshold = split_threshold.value_or(s.split_threshold);
  return s;
}

int64_t ConvexOptions::start_of(int64_t steps) const {
  return resolved_steps(start, 500, 0.1, steps);
}
int64_t ConvexOptions::stop_of(int64_t steps) const {
  return resolved_steps(stop, 9000, 0.3, steps);
}
int64_t ConvexOptions::every_of(int64_t steps) const {
  return resolved_steps(every, 200, 1.0 / 40, steps);
}
int64_t ConvexOptions::reset_every_of(int64_t steps) const {
  return resolved_steps(reset_every, 3000, 0.1, steps);
}

}  // namespace covary::fit
