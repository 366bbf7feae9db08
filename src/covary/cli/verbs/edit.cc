// covary edit RUN|SCENE... OUT, with operations
#include <algorithm>

#include "covary/cli/edit_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/scene_files.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/splat/render/edit.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/format.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Cameras in the frame of the capture, which is that of scene files.
std::vector<scene::Camera> in_capture(const scene::CameraFile& file) {
  const Eigen::Matrix4d back = file.scene_from_capture.inverse();
  std::vector<scene::Camera> cameras;
  for (const scene::NamedCamera& c : file.cameras)
    if (c.split != "test") cameras.push_back(scene::transformed(c.camera, back));
  return cameras;
}

std::vector<scene::Camera> cameras_of_capture(const std::string& capture) {
  scene::CaptureOptions options;
  options.photo_cache = 1;  // no photo is looked at
  return in_capture(scene::cameras_of(scene::load_capture(capture, options)));
}

render::EditScene read_scene(const fs::path& path, const scene::ReadOptions& how) {
  SceneInput in = read_scene_input(path, how);
  return {.cloud = std::move(in.cloud), .cameras = in_capture(in.cameras)};
}

}  // namespace

Result run_edit(const Job& job) {
  const InterruptGuard interrupts;
  const auto options = job.options<EditOptions>();
  std::vector<std::string> inputs = job.invocation.inputs;
  const std::vector<fs::path> outputs = take_outputs(job, "out.ply --sort", &inputs);
  const scene::ReadOptions reading{
      .axes = options.input_axes, .level = options.level, .not_finite = options.not_finite};
  const scene::WriteOptions writing{
      .axes = options.axes, .keep_order = options.keep_order, .seed = job.common.seed};
  // What cannot be is said before work.
  check_axes(options.axes, options.input_axes);
  for (const fs::path& out : outputs) {
    (void)scene::format_of_output(out, options.format);
    keep_scene_that_is_there(out, options.format, job.common.overwrite);
    if (!job.common.dry_run && out.has_extension()) AtomicFile probe(out);
  }
  std::vector<scene::EditStep> steps;
  for (const std::string& operation : options.operations)
    steps.push_back(scene::parse_edit_step(operation));
  if (!job.common.report.empty() && !job.common.dry_run) AtomicFile probe(job.common.report);

  Result result;
  json read = json::array();
  std::vector<scene::Camera> cameras;
  if (!options.capture.empty()) cameras = cameras_of_capture(options.capture);
  std::vector<std::function<render::EditScene()>> loaders;
  for (const std::string& input : inputs)
    loaders.emplace_back([&, input] {
      render::EditScene s = read_scene(input, reading);
      if (!cameras.empty()) s.cameras = cameras;
      read.push_back({{"file", input},
                      {"splats", s.cloud.size()},
                      {"sh_degree", s.cloud.sh_degree()},
                      {"cameras", s.cameras.size()}});
      result.text += input + ": " + count_text(s.cloud.size()) + " splats, SH degree " +
                     std::to_string(s.cloud.sh_degree()) + "\n";
      return s;
    });
  const render::EditContext context{
      .seed = static_cast<uint64_t>(job.common.seed),
      .views = options.views,
      .overwrite = job.common.overwrite,
      .dry_run = job.common.dry_run,
      .load = [&](const std::string& path) { return read_scene(path, reading).cloud; }};
  std::vector<render::EditReport> reports;
  const render::EditScene scene = render::edit_scenes(loaders, steps, context, &reports);

  Table figures;
  json done = json::array();
  for (const render::EditReport& r : reports) {
    done.push_back({{"step", r.step},
                    {"before", r.before},
                    {"after", r.after},
                    {"seconds", r.seconds},
                    {"facts", r.facts}});
    figures.add(
        {{"step", r.step}, {"before", r.before}, {"after", r.after}, {"seconds", r.seconds}});
    std::string line = r.before == r.after
                           ? count_text(r.after) + " splats"
                           : count_text(r.before) + " to " + count_text(r.after) + " splats";
    for (const auto& [name, fact] : r.facts.items())
      line += ", " + name + " " +
              (fact.is_number_float() ? number_text("%.4g", fact.get<double>())
               : fact.is_string()     ? fact.get<std::string>()
                                      : fact.dump());
    result.text += fact_line(r.step, line + number_text(", %.2f s", r.seconds));
  }
  json written = json::array();
  for (const fs::path& out : outputs) {
    if (const int code = interrupted()) throw Interrupted{code};
    const scene::SceneFormat& format = scene::format_of_output(out, options.format);
    const std::vector<std::string> lost = scene::losses(format, scene.cloud, writing);
    json w = {{"file", out.string()}, {"format", format.name}, {"lost", lost}};
    if (job.common.dry_run) {
      result.text += out.string() + ": " + format.name + ", not written\n";
    } else {
      scene::save_cloud(out, scene.cloud, writing, options.format);
      const int64_t bytes = scene::bytes_on_disk(out);
      w["bytes"] = bytes;
      result.text += out.string() + ": " + format.name + ", " + count_text(scene.cloud.size()) +
                     " splats, " + bytes_text(static_cast<double>(bytes)) + "\n";
    }
    for (const std::string& line : lost) result.text += fact_line("lost", line);
    written.push_back(std::move(w));
  }
  if (!job.common.report.empty() && !job.common.dry_run) figures.write(job.common.report);
  result.document = {{"inputs", read},
                     {"steps", done},
                     {"splats", scene.cloud.size()},
                     {"sh_degree", scene.cloud.sh_degree()},
                     {"outputs", written},
                     {"options", job.invocation.options}};
  return result;
}

}  // namespace covary::cli
