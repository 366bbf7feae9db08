#include "covary/splat/serve/film.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <system_error>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/video.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/serve/request_fields.h"

namespace covary::serve {
namespace {

constexpr int64_t kLookedAtEvery = 8;  // frames

// What ffmpeg has written so far lies in the folder under a name of its own.
uintmax_t bytes_in(const std::filesystem::path& folder) {
  uintmax_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::error_code gone;
    const uintmax_t bytes = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) sum += bytes;
  }
  return sum;
}

}  // namespace

using nlohmann::json;

FilmRequest film_request(const json& body) {
  const RequestFields fields(body);
  FilmRequest r;
  r.frames = static_cast<int64_t>(
      fields.number("frames", static_cast<double>(r.frames), 1, kMostFilmFrames));
  r.fps = fields.number("fps", r.fps, 1, 120);
  r.quality = static_cast<int>(fields.number("quality", r.quality, 0, 51));
  if (const json* b = fields.find("background"))
    r.background = fields.three<float>(*b, "background");
  const json* path = fields.find("path");
  if (!path) fields.refuse("path", "is missing");
  try {
    for (const scene::NamedCamera& c : scene::cameras_from_json(*path, "path").cameras)
      r.path.push_back(c.camera);
  } catch (const Error& e) {
    fields.refuse(e.where(), e.message());
  }
  if (r.path.size() < 2 || r.path.size() > static_cast<size_t>(kMostFilmCameras))
    fields.refuse("path", "goes through fewer than 2 or more than 1000 cameras");
  const scene::Camera& first = r.path.front();
  if (int64_t{first.width} * first.height > kMostFilmPixels || first.width < 2 || first.height < 2)
    fields.refuse("path", "is of a size that no video has: 2x2 to 3840x2160 px");
  return r;
}

std::vector<uint8_t> film(const render::Primitives& primitives, bool antialiased,
                          const FilmRequest& request, const std::function<bool(int64_t)>& go_on,
                          int64_t most_bytes) {
  const at::NoGradGuard no_grad;
  const std::vector<scene::Camera> frames = scene::CameraPath(request.path).spline(request.frames);
  const TemporaryFolder folder("film");
  const std::filesystem::path file = folder.path() / "film.mp4";
  data::VideoWriter writer(file, frames[0].width, frames[0].height,
                           {.fps = request.fps, .quality = request.quality});
  render::PictureOptions how;
  how.antialiased = antialiased;
  how.background =
      at::tensor({request.background[0], request.background[1], request.background[2]});
  const auto check_size = [&] {
    if (bytes_in(folder.path()) > static_cast<uintmax_t>(most_bytes))
      throw Error(ExitCode::kFailed, "the video is larger than a page is sent", "",
                  "make a shorter or smaller one, or use covary render");
  };
  int64_t done = 0;
  for (const scene::Camera& camera : frames) {
    writer.write(render::color_picture(render::pictures(primitives, camera, how).color));
    if (!go_on(++done)) return {};
    if (done % kLookedAtEvery == 0) check_size();
  }
  writer.commit();
  check_size();
  const std::string bytes = read_file(file);
  return {bytes.begin(), bytes.end()};
}

}  // namespace covary::serve
