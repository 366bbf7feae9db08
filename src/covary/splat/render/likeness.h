// How alike two clouds look: PSNR of one against the other over views around the scene.
//
//   Likeness l = likeness(before, after, sample_views(before, 8, 640, 480));
//   l.worst, l.mean                                   // dB; 100 for pictures that agree to the bit
//
// A view each time is drawn of both, each as it is meant to be (with the antialiasing filter or not), on
// black.
#pragma once

#include <vector>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

// `count` cameras on a circle around the middle of the scene, above and below its equator in turn, which
// see the middle 80 % of the splats. The scene has our axes: its up is -y.
std::vector<scene::Camera> sample_views(const scene::Cloud& cloud, int64_t count, int width,
                                        int height);

struct Likeness {
  double worst = 0, mean = 0;   // dB
  std::vector<double> of_view;  // dB
};
Likeness likeness(const scene::Cloud& truth, const scene::Cloud& other,
                  const std::vector<scene::Camera>& views);

}  // namespace covary::render
