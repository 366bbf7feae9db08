// Whether photos agree with their poses: corners are matched between neighbours by name, and where a
// match lies off the line on which its partner's ray projects, the poses do not hold. Cheap (8 pairs of
// small pictures, about 0.1 s) and blind to how good poses are: it finds those that were read in a wrong
// convention, which no geometry of the poses alone tells (a ring of cameras read as its inverse is
// a ring of cameras).
//
//   const PoseCheck check = check_poses(photo, cameras, {PoseDirection::kCamFromWorld,
//                                                         CameraAxes::kOpenCV});
//   if (std::string doubt = check.doubt(); !doubt.empty()) notes.push_back(doubt);
//
// Within scene only. Source: Hartley and Zisserman, "Multiple View Geometry", section 9.6 (the essential
// matrix of two calibrated cameras).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture_source.h"

namespace covary::scene {

struct PoseCheck {
  PoseReading as_read;
  size_t matches = 0;
  // Matches within 1.5 px (at 320 px) of their line, had the file been read as: camera from world in
  // OpenCV axes, in OpenGL axes, world from camera in OpenCV axes, in OpenGL axes.
  std::array<size_t, 4> agree{};

  size_t agree_as_read() const;
  // A sentence for notes when another reading fits two fifths of the matches, and twice as many as the one taken; else empty, also when
  // there are too few matches to tell.
  std::string doubt() const;
};

// Photos with their cameras, in order of names; poses in the file's own frame, as they were read. photo(i) is asked for those
// that are looked at, two at a time.
using PhotoOf = std::function<std::shared_ptr<const data::Image8>(size_t)>;
PoseCheck check_poses(const PhotoOf& photo, const std::vector<Camera>& cameras,
                      PoseReading as_read);

}  // namespace covary::scene
