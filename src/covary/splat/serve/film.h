// A video of a scene along a camera path, for a page: what `covary render --path FILE --frames N -o x.mp4` makes.
//
//   const FilmRequest request = film_request(body);
//   const std::vector<uint8_t> mp4 = film(primitives, antialiased, request, [&](int64_t done) { return !left; });
//
// A request is a JSON object: {"path": a covary-cameras/1 document (scene/cameras_json.h), whose first camera gives the
// size; "frames": 240, "fps": 30, "quality": 18, "background": [0, 0, 0]}.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"

namespace covary::serve {

constexpr int64_t kMostFilmFrames = 3600;
constexpr int64_t kMostFilmPixels = int64_t{3840} * 2160;  // of a frame
constexpr int64_t kMostFilmCameras = 1000;                 // of the path
constexpr int64_t kMostFilmBytes = int64_t{1} << 30;

struct FilmRequest {
  std::vector<scene::Camera> path;  // through which it goes
  int64_t frames = 240;             // 1 .. kMostFilmFrames
  double fps = 30;                  // 1 .. 120
  int quality = 18;                 // constant rate factor, 0 .. 51
  std::array<float, 3> background = {0, 0, 0};
};

// Error(kUsage) naming the field that is missing, of another kind or out of range.
FilmRequest film_request(const nlohmann::json& body);

// The bytes of an mp4 file. go_on: asked after each frame, with the number of those that are done; false ends the work, and
// nothing is returned. Error(kData) without ffmpeg, Error(kFailed) when it fails or the file, looked at every few frames, is
// larger than most_bytes.
std::vector<uint8_t> film(const render::Primitives& primitives, bool antialiased,
                          const FilmRequest& request,
                          const std::function<bool(int64_t done)>& go_on,
                          int64_t most_bytes = kMostFilmBytes);

}  // namespace covary::serve
