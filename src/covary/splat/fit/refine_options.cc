#include "covary/splat/fit/refine_options.h"

#include <algorithm>

namespace covary::fit {
namespace {

// The first rate times the steps that see a camera, or a lens; and its bounds.
constexpr double kPoseWay = 1, kFastestPose = 5e-3;
constexpr double kIntrinsicsWay = 1.2, kFastestIntrinsics = 5e-4;
constexpr double kSlowest = 1e-5;

double rate_of(const std::optional<double>& given, double way, double fastest, double steps_seen) {
  return given.value_or(std::clamp(way / std::max(1.0, steps_seen), kSlowest, fastest));
}

}  // namespace

void RefineOptions::describe(OptionList& o) {
  o.add("pose_opt", &pose_opt, "move the training cameras together with the scene").common();
  o.add("intrinsics_opt", &intrinsics_opt,
        "move focal lengths and principal points, shared by the photos of a lens")
      .common();
  o.add("pose_rate", &pose_rate,
        "first rate of poses; none: 1 over the steps that see a camera, from 1e-5 to 5e-3")
      .range(0, 1)
      .unit("rad and extent");
  o.add("intrinsics_rate", &intrinsics_rate,
        "first rate of intrinsics; none: 1.2 over the steps that see a lens, from 1e-5 to 5e-4")
      .range(0, 1)
      .unit("share of focal length and sides");
  o.add("rate_final_factor", &rate_final_factor, "last rate of cameras over the first")
      .range(1e-9, 1);
  o.add("weight_decay", &weight_decay, "pull toward the given cameras, added to the gradient")
      .range(0, 1e3);
}

void RefineOptions::check() const {}

double RefineOptions::pose_rate_of(double steps_seen) const {
  return rate_of(pose_rate, kPoseWay, kFastestPose, steps_seen);
}

double RefineOptions::intrinsics_rate_of(double steps_seen) const {
  return rate_of(intrinsics_rate, kIntrinsicsWay, kFastestIntrinsics, steps_seen);
}

}  // namespace covary::fit
