// Pictures of a scene for a page that does not draw it itself: by the rasteriser of `covary render`, at the page's camera.
//
//   const FramePainter painter(cloud);
//   const FrameRequest request = frame_request(body);        // what the page sent
//   Frame frame = painter.draw(request);                      // frame.bytes: a JPEG, or a PNG when request.exact
//   Picked hit = painter.pick(request, 120, 80);              // the Gaussian that a pixel shows
//
// A request is a JSON object:
//   {"camera": {width, height, fx, fy, cx, cy, cam_from_world, projection}   as in a cameras.json
//    "mode": "colour" | "depth" | "normal" | "column NAME",
//    "degree": 3, "scale": 1, "background": [0, 0, 0], "crop": [[low], [high]], "selected": -1, "exact": false,
//    "quality": 80}
// All but the camera may be absent. Colours of depth and of columns are those of the page (web/src/ramp.ts): of each
// Gaussian, by its depth or its number, blended.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::serve {

constexpr int64_t kMostFramePixels = int64_t{7680} * 4320;
constexpr int64_t kMostTrainingPixels =
    int64_t{3840} * 2400;  // while a training holds the memory; or its largest photo

struct FrameRequest {
  scene::Camera camera;
  std::string mode = "colour";  // or depth, normal, "column NAME"
  int degree = 4;               // of the spherical harmonics, at most
  double scale = 1;             // of the standard deviations, 0.01 .. 10
  std::array<float, 3> background = {0, 0, 0};
  bool cropped = false;  // only means inside the box are shown
  std::array<double, 3> low = {}, high = {};
  int64_t selected =
      -1;              // a row that is marked by its colour; -1 and rows that are not there: none
  bool exact = false;  // PNG instead of JPEG
  int quality = 80;    // of JPEG, 10 .. 95
};

// Error(kUsage) naming the field that is missing, of another kind or out of range. most_pixels: of the camera's picture.
FrameRequest frame_request(const nlohmann::json& body, int64_t most_pixels = kMostFramePixels);

struct Frame {
  std::vector<uint8_t> bytes;
  std::string type;                  // image/jpeg or image/png
  bool ranged = false;               // depth or a column: the colours go from low to high
  std::array<double, 2> range = {};  // of it
};

struct Picked {
  int64_t row = -1;                                // -1: next to nothing is there
  double weight = 0;                               // of the pixel
  double depth = 0;                                // camera z
  std::array<double, 3> mean{}, scale{}, color{};  // color: of degree 0
  std::array<double, 4> quat{};                    // wxyz, unit
  double opacity = 0;
};

class FramePainter {
 public:
  explicit FramePainter(const scene::Cloud& cloud);  // shares its tensors

  // On any thread; each draw uses all of that thread's loops. Error(kData) for a column that is not there.
  Frame draw(const FrameRequest& request) const;
  // At a place of the request's picture, px from its corner. Error(kUsage) outside.
  Picked pick(const FrameRequest& request, double x, double y) const;

  const render::Primitives& primitives() const { return primitives_; }
  bool antialiased() const { return cloud_.antialiased; }

 private:
  struct Column {
    at::Tensor values;  // f32 [N]
    std::array<double, 2> range;
  };
  render::Primitives shown(const FrameRequest& request) const;
  at::Tensor share_of_selected(const render::Primitives& p, const FrameRequest& request) const;
  Column column(const std::string& name) const;

  scene::Cloud cloud_;
  render::Primitives primitives_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Column> columns_;
};

}  // namespace covary::serve
