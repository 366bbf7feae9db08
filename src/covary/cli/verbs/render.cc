// covary render RUN|SCENE -o FOLDER|VIDEO|PICTURE
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "covary/cli/render_options.h"
#include "covary/cli/verbs/budget.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/render_sink.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/image.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/render/fast.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/middle.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The cameras that a scene comes with: of its run, or of the capture it was trained on. Empty for a bare file.
scene::CameraFile cameras_of_scene(const fit::LoadedScene& scene) {
  if (auto own = cameras_of_run(scene)) return std::move(*own);
  if (scene.config.is_object() && scene.config.contains("inputs") &&
      scene.config["inputs"].is_array() && !scene.config["inputs"].empty() &&
      scene.config["inputs"][0].is_string()) {
    scene::CaptureOptions how = train_options_of(scene.config).capture;
    how.normalize = false;
    how.photo_cache = 0;  // no photo is looked at
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
  how.photo_cache = 0;
  return scene::cameras_of(load_and_tell(source, how));
}

std::vector<scene::NamedCamera> split_of(const scene::CameraFile& file, const std::string& split) {
  std::vector<scene::NamedCamera> out;
  for (const auto& c : file.cameras)
    if (c.split == split) out.push_back(c);
  return out;
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
    const auto [centre, radius] = scene::middle_ball(cloud.means, 0.6);
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

// Before the output is made, what no frame could be drawn from.
void check_lenses(const std::vector<scene::NamedCamera>& frames, const scene::Cloud& cloud) {
  if (cloud.footprint != "convex") return;
  for (const auto& f : frames)
    if (f.camera.projection != scene::Projection::kPinhole)
      throw Error(ExitCode::kUsage, "sees no convexes: they are made for pinhole cameras",
                  "camera " + f.name,
                  "name pinhole cameras: --cameras CAMERAS.json, or render the Gaussians that "
                  "covary convert writes: gaussians.spz");
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

using Draw = std::function<render::Pictures(const scene::Camera&)>;

// Frames' worth of work: --fast prepares by contributions of up to 24 views and exact pictures of up
// to 12, and draws the frames in about half the time.
double work_of(const RenderOptions& o, size_t frames) {
  const auto n = static_cast<double>(frames);
  return o.fast ? std::min(n, 24.0) + std::min(n, 12.0) + 0.5 * n : n;
}

// --time-budget, before anything is written: the seconds of a few frames times all of them.
void check_render_time(const Job& job, const std::vector<scene::NamedCamera>& frames, double work,
                       const Draw& draw) {
  draw(frames.front().camera);  // the first one allocates
  const std::array<size_t, 3> timed = {0, frames.size() / 2, frames.size() - 1};
  const double begin = wall_seconds();
  for (const size_t i : timed) draw(frames[i].camera);
  const double one = (wall_seconds() - begin) / static_cast<double>(timed.size());
  check_time(job.common, "rendering", one * work,
             "render fewer frames, or smaller ones: --scale 0.5");
}

double most_pixels(const std::vector<scene::NamedCamera>& frames) {
  double most = 0;
  for (const auto& f : frames)
    most = std::max(most, static_cast<double>(f.camera.width) * f.camera.height);
  return most;
}

// Frames are drawn one after the other, each on all threads, and encoded a batch at a time, each on
// one thread: so many that no thread waits long for the last, within 256 MB of pictures.
struct Batch {
  int64_t frames;
  double bytes;  // of the drawn pictures that wait
};
Batch batch_of(const RenderOptions& o, const std::vector<scene::NamedCamera>& frames,
               size_t number_bytes) {
  const double one = most_pixels(frames) * static_cast<double>(number_bytes) *
                     (4 + 4 * static_cast<double>(o.modes.size()));
  const double room = std::max(1.0, std::floor(256e6 / one));
  const auto n = std::min({static_cast<int64_t>(frames.size()), int64_t{4} * threads(),
                           static_cast<int64_t>(std::min(room, 1e6))});
  return {n, static_cast<double>(n) * one};
}

// What drawing took, encoding and writing left out.
struct DrawTime {
  double wall_s = 0, cpu_s = 0;  // cpu: of all threads
};
template <class F>
auto timed(DrawTime* time, F&& f) {
  const double wall = wall_seconds(), cpu = cpu_seconds();
  auto out = f();
  *time = {wall_seconds() - wall, cpu_seconds() - cpu};
  return out;
}

void poll_interrupt() {
  if (const int code = interrupted()) throw Interrupted{code};
}

// --benchmark: the median of each frame over so many rounds.
void benchmark(int64_t rounds, const std::vector<scene::NamedCamera>& frames, const Draw& draw,
               std::vector<DrawTime>* times) {
  Progress progress("benchmark", rounds * static_cast<int64_t>(frames.size()), "frames");
  std::vector<std::vector<double>> wall(frames.size()), cpu(frames.size());
  for (int64_t round = 0; round < rounds; ++round)
    for (size_t i = 0; i < frames.size(); ++i) {
      poll_interrupt();
      DrawTime t;
      timed(&t, [&] { return draw(frames[i].camera); });
      wall[i].push_back(t.wall_s);
      cpu[i].push_back(t.cpu_s);
      progress.update(round * static_cast<int64_t>(frames.size()) + static_cast<int64_t>(i) + 1);
    }
  for (size_t i = 0; i < frames.size(); ++i)
    (*times)[i] = {numeric::upper_median(std::move(wall[i])),
                   numeric::upper_median(std::move(cpu[i]))};
}

// Means over the frames. The first frame of several also wakes threads and takes memory, and is left
// out where it was drawn once.
json drawing_figures(const std::vector<DrawTime>& times, int64_t rounds) {
  const size_t first = rounds == 0 && times.size() > 1 ? 1 : 0;
  double wall = 0, cpu = 0;
  for (size_t i = first; i < times.size(); ++i) {
    wall += times[i].wall_s;
    cpu += times[i].cpu_s;
  }
  const auto n = static_cast<double>(times.size() - first);
  return {{"frames_timed", times.size() - first},
          {"rounds", std::max<int64_t>(rounds, 1)},
          {"threads", threads()},
          {"frames_per_second", n / std::max(wall, 1e-9)},
          {"ms_per_frame", 1e3 * wall / n},
          {"cpu_ms_per_frame", 1e3 * cpu / n}};
}

std::string drawing_text(const json& d) {
  return "drawing " + number_text("%.1f ms a frame", d["ms_per_frame"].get<double>()) +
         number_text(" (%.3g frames/s", d["frames_per_second"].get<double>()) + " on " +
         std::to_string(d["threads"].get<int>()) +
         (d["threads"].get<int>() == 1 ? " thread" : " threads") +
         number_text(", %.1f ms of CPU)", d["cpu_ms_per_frame"].get<double>());
}

// --fast: what was left out, and what it gained.
json fast_figures(const render::FastFacts& f) {
  return {{"gaussians", f.gaussians},
          {"kept", f.kept},
          {"threshold", f.threshold},
          {"share", f.share},
          {"psnr", f.psnr},
          {"psnr_mean", f.psnr_mean},
          {"psnr_packed", f.psnr_packed},
          {"views_judged", f.judged},
          {"views_compared", f.compared},
          {"views_checked", f.checked},
          {"exact_cpu_ms_per_frame", 1e3 * f.exact_cpu_s},
          {"fast_cpu_ms_per_frame", 1e3 * f.fast_cpu_s},
          {"bytes", f.bytes},
          {"seconds", f.seconds}};
}

std::string fast_text(const render::FastFacts& f) {
  return "fast: " + count_text(f.kept) + " of " + count_text(f.gaussians) +
         number_text(" Gaussians stay (contribution of %.2g or more), ", f.threshold) +
         number_text("%.1f dB to the exact picture ", f.psnr) + "at the worst of " +
         std::to_string(f.compared + f.checked) +
         number_text(" views, %.2f times less CPU a frame; ", f.exact_cpu_s / f.fast_cpu_s) +
         number_text("prepared in %.1f s\n", f.seconds);
}

// Bytes that preparation adds: the exact pictures to compare with, the packed scene twice.
double fast_bytes(const scene::Cloud& cloud, double pixels, size_t frames) {
  const double bands = (cloud.sh_degree() + 1.0) * (cloud.sh_degree() + 1.0);
  return std::min(static_cast<double>(std::min<size_t>(frames, 12)) * 12 * pixels, 384e6) +
         static_cast<double>(cloud.size()) * 4 * (12 + 3 * bands);
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
  if (job.typed("fast_psnr") && !options.fast)
    throw Error(ExitCode::kUsage, "belongs to --fast", "--fast-psnr", "add --fast");
  if (options.fast && job.common.precision == "double")
    throw Error(ExitCode::kUsage, "the double reference draws everything", "--fast",
                "leave --fast or --precision double out");
  Sink sink(out, options, job.common.overwrite);
  (void)background_of(options.background, {});  // a wrong colour is said before work

  const fit::LoadedScene scene = fit::load_scene(v.inputs[0]);
  if (!scene.note.empty()) log_warning(v.inputs[0] + ": " + scene.note);
  const scene::CameraFile file = cameras_from(options.cameras, scene);
  std::vector<scene::NamedCamera> frames = frames_of(options, file, scene.cloud);
  sink.check(frames.size());
  check_lenses(frames, scene.cloud);
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
  const double pixels =
      most_pixels(frames) * static_cast<double>(options.supersample * options.supersample);
  const Batch batch = batch_of(options, frames, in_double ? sizeof(double) : sizeof(float));
  MemoryEstimate estimate = drawing_memory(scene.cloud, pixels, in_double);
  estimate.gaussians += batch.bytes;
  if (options.fast) estimate.gaussians += fast_bytes(scene.cloud, pixels, frames.size());
  check_memory(job.common, "rendering", estimate, "make smaller pictures: --scale 0.5");
  if (!job.common.report.empty()) AtomicFile probe(job.common.report);

  const InterruptGuard interrupts;
  const at::NoGradGuard no_grad;
  render::Primitives primitives =
      render::primitives_of(in_double ? scene::in_double(scene.cloud) : scene.cloud);
  if (options.antialias == "analytic") {
    if (primitives.footprint != "gaussian" && primitives.footprint != "analytic")
      throw Error(ExitCode::kUsage, "pixels integrate Gaussians, and these are of another shape",
                  "--antialias analytic", "use --antialias mip, or leave it out");
    primitives.footprint = "analytic";
  } else if (options.antialias == "mip" && primitives.footprint == "convex") {
    throw Error(ExitCode::kUsage, "is of Gaussians, and these are convexes", "--antialias mip",
                "leave it out; --supersample smooths what is small");
  } else if (options.antialias != "auto" && primitives.footprint == "analytic") {
    primitives.footprint = "gaussian";
  }
  render::PictureOptions how;
  how.background = background_of(options.background, file);
  how.supersample = static_cast<int>(options.supersample);
  how.antialiased =
      options.antialias == "auto" ? scene.cloud.antialiased : options.antialias == "mip";
  how.depth = std::find(options.modes.begin(), options.modes.end(), "depth") != options.modes.end();
  how.normal =
      std::find(options.modes.begin(), options.modes.end(), "normal") != options.modes.end();
  // Depth pictures share one scale: the farthest point of the middle 90% from any camera.
  const scene::Ball ball = scene::middle_ball(scene.cloud.means, 0.9);
  double depth_far = 1e-9;
  for (const auto& f : frames)
    depth_far = std::max(depth_far, (f.camera.centre() - ball.centre).norm() + 1.5 * ball.radius);

  std::optional<render::FastScene> fast;
  const Draw draw = [&](const scene::Camera& camera) {
    return fast ? render::pictures(*fast, camera, how) : render::pictures(primitives, camera, how);
  };
  const auto shown_of = [&](const std::string& name, const render::Pictures& p) {
    Shown shown{name, {}, {}};
    for (const std::string& mode : options.modes) {
      if (mode == "rgb") shown.pictures.push_back(render::color_picture(p.color));
      if (mode == "alpha") shown.pictures.push_back(render::gray_picture(p.alpha));
      if (mode == "normal") shown.pictures.push_back(render::normal_picture(p.normal, p.alpha));
      if (mode == "depth") {
        shown.pictures.push_back(render::depth_picture(p.depth, p.alpha, depth_far));
        shown.depth = render::depth_image16(p.depth, p.alpha, depth_far);
      }
    }
    return shown;
  };

  if (job.common.time_budget > 0)
    check_render_time(job, frames, work_of(options, frames.size()), draw);
  sink.open();
  if (options.fast) {
    std::vector<scene::Camera> cameras;
    for (const auto& f : frames)
      cameras.push_back(
          f.camera.scaled(f.camera.width * how.supersample, f.camera.height * how.supersample));
    fast.emplace(primitives, cameras,
                 render::FastOptions{.psnr = options.fast_psnr,
                                     .antialiased = how.antialiased,
                                     .background = how.background});
  }
  Table figures;
  std::vector<DrawTime> times(frames.size());
  Progress progress("render", static_cast<int64_t>(frames.size()), "frames");
  const double begin = wall_seconds();
  double writing_s = 0;
  json cameras = json::array();
  const auto count = static_cast<int64_t>(frames.size());
  for (int64_t first = 0; first < count; first += batch.frames) {
    std::vector<render::Pictures> drawn;
    for (int64_t i = first; i < std::min(count, first + batch.frames); ++i) {
      poll_interrupt();
      const auto& frame = frames[static_cast<size_t>(i)];
      DrawTime& time = times[static_cast<size_t>(i)];
      drawn.push_back(timed(&time, [&] { return draw(frame.camera); }));
      cameras.push_back(frame.name);
      if (!job.common.report.empty())
        figures.add({{"frame", i},
                     {"name", frame.name},
                     {"width", frame.camera.width},
                     {"height", frame.camera.height},
                     {"seconds", time.wall_s},
                     {"mean_alpha", drawn.back().alpha.mean().item<double>()}});
    }
    const double drawn_at = wall_seconds();
    sink.write(static_cast<int64_t>(drawn.size()), [&](int64_t i) {
      return shown_of(frames[static_cast<size_t>(first + i)].name, drawn[static_cast<size_t>(i)]);
    });
    writing_s += wall_seconds() - drawn_at;
    progress.update(first + static_cast<int64_t>(drawn.size()));
  }
  progress.finish();
  const double seconds = wall_seconds() - begin;
  result.document["names"] = cameras;
  result.document["seconds"] = seconds;
  if (options.benchmark > 0) benchmark(options.benchmark, frames, draw, &times);
  result.document["drawing"] = drawing_figures(times, options.benchmark);
  result.document["writing_seconds"] = writing_s;
  if (fast) result.document["fast"] = fast_figures(fast->facts());
  if (how.depth)
    result.document["depth_unit"] =
        depth_far / 65535;  // capture units a step of 16-bit depth pictures
  sink.finish(result.document);
  if (!job.common.report.empty()) figures.write(job.common.report);
  result.text =
      out.string() + ": " + std::to_string(frames.size()) +
      (frames.size() == 1 ? " frame, " : " frames, ") + std::to_string(frames[0].camera.width) +
      "x" + std::to_string(frames[0].camera.height) + " px, " + number_text("%.2f s; ", seconds) +
      drawing_text(result.document["drawing"]) + "\n" + (fast ? fast_text(fast->facts()) : "");
  return result;
}

}  // namespace covary::cli
