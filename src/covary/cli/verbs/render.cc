// covary render RUN|SCENE -o FOLDER|VIDEO|PICTURE
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "covary/cli/render_options.h"
#include "covary/cli/verbs/budget.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/data/image.h"
#include "covary/core/data/video.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/cameras_json.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The cameras that a scene comes with: of its run, or of the capture it was trained on. Empty for a bare file.
scene::CameraFile cameras_of_scene(const fit::LoadedScene& scene) {
  if (!scene.run.empty() && fs::exists(scene.run / "cameras.json"))
    return scene::read_cameras(scene.run / "cameras.json");
  if (scene.config.is_object() && scene.config.contains("inputs") &&
      scene.config["inputs"].is_array() && !scene.config["inputs"].empty() &&
      scene.config["inputs"][0].is_string()) {
    scene::CaptureOptions how = train_options_of(scene.config).capture;
    how.normalize = false;
    return scene::cameras_of(load_and_tell(scene.config["inputs"][0], how));
  }
  return {};
}

scene::CameraFile cameras_from(const std::string& source, const fit::LoadedScene& scene) {
  if (source == "auto" || source == "test" || source == "train" || source == "all") {
    scene::CameraFile file = cameras_of_scene(scene);
    if (file.cameras.empty() && source != "auto")
      throw Error(
          ExitCode::kUsage, "this scene comes without cameras", "--cameras " + source,
          "name a cameras.json or a capture: --cameras CAPTURE; or go round it: --path orbit");
    return file;
  }
  if (fs::is_regular_file(source) &&
      fs::path(source).filename().string().rfind("transforms", 0) != 0)
    return scene::read_cameras(source);
  if (is_run(source)) return scene::read_cameras(fs::path(source) / "cameras.json");
  scene::CaptureOptions how = train_options_of(scene.config).capture;
  how.normalize = false;
  how.cameras.clear();
  return scene::cameras_of(load_and_tell(source, how));
}

std::vector<scene::NamedCamera> split_of(const scene::CameraFile& file, const std::string& split) {
  std::vector<scene::NamedCamera> out;
  for (const auto& c : file.cameras)
    if (c.split == split) out.push_back(c);
  return out;
}

// Where most of the scene is: median centre, and the radius that holds this share of the Gaussians.
void ball_of(const scene::Cloud& cloud, double share, Eigen::Vector3d* centre, double* radius) {
  const at::Tensor means = cloud.means.to(at::kDouble);
  const at::Tensor middle = std::get<0>(means.median(0));
  const at::Tensor distance = (means - middle).norm(2, {1});
  const at::Tensor sorted = std::get<0>(distance.sort());
  for (int k = 0; k < 3; ++k) (*centre)[k] = middle[k].item<double>();
  *radius = sorted[std::lround(share * static_cast<double>(sorted.size(0) - 1))].item<double>();
}

std::vector<scene::NamedCamera> numbered(const std::vector<scene::Camera>& cameras) {
  std::vector<scene::NamedCamera> out;
  for (size_t i = 0; i < cameras.size(); ++i) {
    char name[32];
    std::snprintf(name, sizeof(name), "%05zu", i);
    out.push_back({name, "", cameras[i]});
  }
  return out;
}

// What to render: the cameras themselves, or a path by them.
std::vector<scene::NamedCamera> frames_of(const RenderOptions& o, const scene::CameraFile& file,
                                          const scene::Cloud& cloud) {
  std::vector<scene::NamedCamera> chosen;
  if (o.cameras == "test" || o.cameras == "train") {
    chosen = split_of(file, o.cameras);
    if (chosen.empty() && o.path.empty())
      throw Error(ExitCode::kData, "no view belongs to this split", "--cameras " + o.cameras,
                  "write --cameras all");
  } else if (o.cameras == "auto" && o.path.empty()) {
    chosen = split_of(file, "test");
  }
  if (chosen.empty()) chosen = file.cameras;

  if (o.path.empty()) {
    if (chosen.empty())
      throw Error(
          ExitCode::kUsage, "this scene comes without cameras", "--cameras",
          "name a cameras.json or a capture: --cameras CAPTURE; or go round it: --path orbit");
    return chosen;
  }
  const bool named = o.path == "spline" || o.path == "orbit" || o.path == "spiral";
  if (!named) {
    if (!fs::exists(o.path))
      throw Error(ExitCode::kUsage, "'" + o.path + "' is no path, nor a file", "--path",
                  "write spline, spiral, orbit, or a cameras.json to pass through");
    chosen = scene::read_cameras(o.path).cameras;
  }
  std::vector<scene::Camera> cameras;
  for (const auto& c : chosen) cameras.push_back(c.camera);
  if (cameras.empty()) {
    if (o.path != "orbit")
      throw Error(ExitCode::kUsage, "this scene comes without cameras", "--path " + o.path,
                  "name some: --cameras CAPTURE; or go round it: --path orbit");
    Eigen::Vector3d centre;
    double radius;
    ball_of(cloud, 0.6, &centre, &radius);
    cameras = {scene::camera_of_ball(centre, radius, {0, 0, 1}, 640, 480)};
    // One camera alone does not say what it looks at: the same from the other side does.
    scene::Camera other = scene::looking_at(
        cameras[0],
        Eigen::AngleAxisd(2.0, Eigen::Vector3d::UnitZ()) * (cameras[0].centre() - centre) + centre,
        centre, {0, 0, 1});
    cameras.push_back(other);
  }
  return numbered(scene::CameraPath(cameras).by_name(named ? o.path : "spline", o.frames));
}

at::Tensor background_of(const std::string& text, const scene::CameraFile& file) {
  std::vector<float> rgb = {file.background[0], file.background[1], file.background[2]};
  if (text == "black") rgb = {0, 0, 0};
  if (text == "white") rgb = {1, 1, 1};
  if (text != "auto" && text != "black" && text != "white") {
    rgb.clear();
    const char* p = text.c_str();
    for (char* end = nullptr; rgb.size() < 3; p = end + 1) {
      rgb.push_back(std::strtof(p, &end));
      if (end == p || !(rgb.back() >= 0 && rgb.back() <= 1) || (*end != ',' && *end != 0) ||
          (*end == 0 && rgb.size() < 3) || (rgb.size() == 3 && *end != 0))
        throw Error(ExitCode::kUsage, "'" + text + "' is no colour", "--background",
                    "write black, white, or R,G,B in 0..1");
    }
  }
  return at::tensor(rgb);
}

// A folder for each mode, one video, or one picture.
class Sink {
 public:
  Sink(fs::path out, const RenderOptions& options, bool overwrite)
      : out_(std::move(out)), options_(options) {
    video_ = data::is_video(out_);
    const std::string e = out_.extension().string();
    picture_ = e == ".png" || e == ".jpg" || e == ".jpeg";
    if (!video_ && !picture_ && !e.empty() && !fs::is_directory(out_))
      for (const char* other : {".ply", ".json", ".html", ".avi", ".webp", ".exr"})
        if (e == other)
          throw Error(ExitCode::kUsage, "cannot render to " + e, "-o " + out_.string(),
                      "name a folder, .mp4, .webm, .gif, .png or .jpg");
    if ((video_ || picture_) && fs::exists(out_) && !overwrite)
      throw Error(ExitCode::kData, "is there already", out_.string(),
                  "add --overwrite, or choose another name");
    if (!video_ && !picture_ && !overwrite && !is_empty_or_absent(out_))
      throw Error(ExitCode::kData, "the folder is not empty", out_.string(),
                  "add --overwrite, or choose another");
  }

  // Before anything is loaded: the place can be written.
  void open() {
    if (video_ || picture_) {
      AtomicFile probe(out_);
      return;
    }
    for (const std::string& mode : options_.modes) make_folder(out_ / mode);
  }

  void check(size_t frames) const {
    if (picture_ && frames != 1)
      throw Error(ExitCode::kUsage, std::to_string(frames) + " pictures do not fit in one file",
                  "-o " + out_.string(),
                  "name a folder or a video; or render one frame: --frames 1 --path orbit");
  }

  bool video() const { return video_; }

  // The pictures of a frame, in the order of the modes.
  void write(const std::string& name, const std::vector<data::Image8>& pictures,
             const data::Image16& depth) {
    if (!video_ && !picture_) {
      for (size_t k = 0; k < pictures.size(); ++k) {
        const fs::path file = out_ / options_.modes[k] / (fs::path(name).stem().string() + ".png");
        if (options_.modes[k] == "depth")
          data::write_image16(file, depth);
        else
          data::write_image(file, pictures[k]);
      }
      return;
    }
    data::Image8 wide(pictures[0].height, pictures[0].width * static_cast<int>(pictures.size()), 3);
    for (size_t k = 0; k < pictures.size(); ++k)
      for (int y = 0; y < wide.height; ++y)
        std::copy_n(pictures[k].at(y, 0), pictures[k].width * 3,
                    wide.at(y, static_cast<int>(k) * pictures[k].width));
    if (picture_) {
      data::write_image(out_, wide);
      return;
    }
    if (!writer_)
      writer_ = std::make_unique<data::VideoWriter>(
          out_, wide.width, wide.height,
          data::VideoOptions{options_.fps, static_cast<int>(options_.quality)});
    writer_->write(wide);
  }

  void finish(const json& record) {
    if (writer_) writer_->commit();
    if (!video_ && !picture_) write_file(out_ / "render.json", record.dump(2) + "\n");
  }

 private:
  fs::path out_;
  const RenderOptions& options_;
  bool video_ = false, picture_ = false;
  std::unique_ptr<data::VideoWriter> writer_;
};

// --time-budget, before anything is written: the seconds of a few frames times all of them.
void check_render_time(const Job& job, const render::Primitives& primitives,
                       const std::vector<scene::NamedCamera>& frames,
                       const render::PictureOptions& how) {
  render::pictures(primitives, frames.front().camera, how);  // the first one allocates
  const std::array<size_t, 3> timed = {0, frames.size() / 2, frames.size() - 1};
  const double begin = wall_seconds();
  for (const size_t i : timed) render::pictures(primitives, frames[i].camera, how);
  const double one = (wall_seconds() - begin) / static_cast<double>(timed.size());
  check_time(job.common, "rendering", one * static_cast<double>(frames.size()),
             "render fewer frames, or smaller ones: --scale 0.5");
}

}  // namespace

Result run_render(const Job& job) {
  const auto options = job.options<RenderOptions>();
  const Invocation& v = job.invocation;
  if (v.outputs.size() > 1)
    throw Error(ExitCode::kUsage, "two outputs", "-o " + v.outputs[1],
                "render takes one folder, video or picture");
  const fs::path out =
      v.outputs.empty() ? default_run(name_of(v.inputs[0]) + "-render") : fs::path(v.outputs[0]);
  if (v.outputs.empty() && !job.common.dry_run) log_info("writing to " + out.string());
  Sink sink(out, options, job.common.overwrite);
  (void)background_of(options.background, {});  // a wrong colour is said before work

  const fit::LoadedScene scene = fit::load_scene(v.inputs[0]);
  if (!scene.note.empty()) log_warning(v.inputs[0] + ": " + scene.note);
  const scene::CameraFile file = cameras_from(options.cameras, scene);
  std::vector<scene::NamedCamera> frames = frames_of(options, file, scene.cloud);
  sink.check(frames.size());
  double factor = options.scale;
  if (options.downscale > 0)
    factor *= static_cast<double>(train_options_of(scene.config).capture.downscale) /
              static_cast<double>(options.downscale);
  for (auto& f : frames) {
    // In a video every frame has the first one's size.
    const scene::Camera& like = sink.video() ? frames[0].camera : f.camera;
    const int w = &f == &frames[0] || !sink.video()
                      ? static_cast<int>(std::lround(like.width * factor))
                      : like.width;
    const int h = &f == &frames[0] || !sink.video()
                      ? static_cast<int>(std::lround(like.height * factor))
                      : like.height;
    if (w < 1 || h < 1 ||
        int64_t{w} * h * options.supersample * options.supersample > int64_t{1} << 28)
      throw Error(
          ExitCode::kUsage,
          "pictures of " + std::to_string(w) + "x" + std::to_string(h) + " px cannot be made",
          "--scale", "choose another factor");
    f.camera = f.camera.scaled(w, h);
  }

  Result result;
  result.document = {{"scene", scene.file.string()},      {"output", out.string()},
                     {"frames", frames.size()},           {"width", frames[0].camera.width},
                     {"height", frames[0].camera.height}, {"options", v.options}};
  if (job.common.dry_run) {
    result.text = result.document.dump(2) + "\nstages: load, render\nnothing was written\n";
    return result;
  }
  const bool in_double = job.common.precision == "double";
  double pixels = 0;
  for (const auto& f : frames)
    pixels = std::max(pixels, static_cast<double>(f.camera.width) * f.camera.height);
  pixels *= static_cast<double>(options.supersample * options.supersample);
  check_memory(job.common, "rendering", drawing_memory(scene.cloud, pixels, in_double),
               "make smaller pictures: --scale 0.5");
  if (!job.common.report.empty()) AtomicFile probe(job.common.report);

  const InterruptGuard interrupts;
  const at::NoGradGuard no_grad;
  const render::Primitives primitives =
      render::primitives_of(in_double ? scene::in_double(scene.cloud) : scene.cloud);
  render::PictureOptions how;
  how.background = background_of(options.background, file);
  how.supersample = static_cast<int>(options.supersample);
  how.antialiased =
      options.antialias == "auto" ? scene.cloud.antialiased : options.antialias == "mip";
  how.depth = std::find(options.modes.begin(), options.modes.end(), "depth") != options.modes.end();
  how.normal =
      std::find(options.modes.begin(), options.modes.end(), "normal") != options.modes.end();
  // Depth pictures share one scale: the farthest point of the middle 90% from any camera.
  Eigen::Vector3d centre;
  double radius;
  ball_of(scene.cloud, 0.9, &centre, &radius);
  double depth_far = 1e-9;
  for (const auto& f : frames)
    depth_far = std::max(depth_far, (f.camera.centre() - centre).norm() + 1.5 * radius);

  if (job.common.time_budget > 0) check_render_time(job, primitives, frames, how);
  sink.open();
  Table figures;
  Progress progress("render", static_cast<int64_t>(frames.size()), "frames");
  const double begin = wall_seconds();
  json cameras = json::array();
  for (size_t i = 0; i < frames.size(); ++i) {
    if (const int code = interrupted()) throw Interrupted{code};
    const double began = wall_seconds();
    const render::Pictures p = render::pictures(primitives, frames[i].camera, how);
    const double drawn_s = wall_seconds() - began;
    std::vector<data::Image8> shown;
    data::Image16 depth;
    for (const std::string& mode : options.modes) {
      if (mode == "rgb") shown.push_back(render::color_picture(p.color));
      if (mode == "alpha") shown.push_back(render::gray_picture(p.alpha));
      if (mode == "normal") shown.push_back(render::normal_picture(p.normal, p.alpha));
      if (mode == "depth") {
        shown.push_back(render::depth_picture(p.depth, p.alpha, depth_far));
        depth = render::depth_image16(p.depth, p.alpha, depth_far);
      }
    }
    sink.write(frames[i].name, shown, depth);
    cameras.push_back(frames[i].name);
    if (!job.common.report.empty())
      figures.add({{"frame", i},
                   {"name", frames[i].name},
                   {"width", frames[i].camera.width},
                   {"height", frames[i].camera.height},
                   {"seconds", drawn_s},
                   {"mean_alpha", p.alpha.mean().item<double>()}});
    progress.update(static_cast<int64_t>(i) + 1);
  }
  progress.finish();
  const double seconds = wall_seconds() - begin;
  result.document["names"] = cameras;
  result.document["seconds"] = seconds;
  if (how.depth)
    result.document["depth_unit"] =
        depth_far / 65535;  // capture units a step of 16-bit depth pictures
  sink.finish(result.document);
  if (!job.common.report.empty()) figures.write(job.common.report);
  result.text =
      out.string() + ": " + std::to_string(frames.size()) +
      (frames.size() == 1 ? " frame, " : " frames, ") + std::to_string(frames[0].camera.width) +
      "x" + std::to_string(frames[0].camera.height) + " px, " + number_text("%.2f s\n", seconds);
  return result;
}

}  // namespace covary::cli
