// Whether two models of the same photos are the same scene.
//
//   const Agreement a = compare_poses(poses_of(incremental), poses_of(global));
//   if (a.share < 0.9) doubt(a.differing);
//
// A model can be folded: every photo registered, a low reprojection error, and half of the cameras in the wrong place. A
// second mapping by another method rarely makes the same fault. Models are brought together by the similarity on which
// most photos agree (hypotheses from pairs of photos, then least squares on those that agree), so that a part that has
// moved does not drag the rest along.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "covary/splat/scene/colmap.h"

namespace covary::capture {

using Poses = std::map<std::string, Eigen::Matrix4d>;  // cam_from_world by the photo's name
Poses poses_of(const scene::ColmapModel& model);

struct AgreementOptions {
  double rotation_deg = 2;  // a photo agrees within this angle,
  double centre = 0.02;     // and within this share of the diagonal of the box around b's cameras
};

struct Agreement {
  int64_t common = 0;                  // photos in both
  double share = 0;                    // of them that agree, 0..1; 0 with fewer than 3 in common
  double median_rotation_deg = 0;      // over all in common
  double median_centre = 0;            // over the box's diagonal
  std::vector<std::string> differing;  // names of those that do not
  Eigen::Matrix4d b_from_a = Eigen::Matrix4d::Identity();  // similarity of worlds
};

Agreement compare_poses(const Poses& a, const Poses& b, const AgreementOptions& options = {});

}  // namespace covary::capture
