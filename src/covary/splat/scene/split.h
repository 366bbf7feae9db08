// Which views of a capture are loaded, which of them train, and how large the scene is for training: one rule for captures
// on disk and for those that are made.
//
//   const ViewChoice chosen = choose_views(count, {}, options, capture.notes);
//   for (const ChosenView& v : chosen.loaded) load(v.index, v.held_out);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture_options.h"

namespace covary::scene {

struct ChosenView {
  int64_t index = 0;  // among all views
  bool held_out = false;
};

struct ViewChoice {
  std::vector<int64_t> training;   // all that train, whether loaded or not: they give the extent
  std::vector<ChosenView> loaded;  // ascending by index
};

// own_test: whether each view is held out, where the capture says so itself; empty = every options.test_every-th of `count`.
// What is not as asked is added to notes. Error(kData) when options.split leaves nothing to load.
ViewChoice choose_views(int64_t count, const std::vector<bool>& own_test,
                        const CaptureOptions& options, std::vector<std::string>& notes);

// 1.1 * the largest distance of these cameras from their mean, scene units; 0 when they stand at one place.
double extent_of(const std::vector<Camera>& cameras, const Eigen::Matrix4d& scene_from_capture);

}  // namespace covary::scene
