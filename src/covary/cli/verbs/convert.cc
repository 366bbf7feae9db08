// covary convert RUN|SCENE... OUT, covary convert CAPTURE OUT
#include <algorithm>

#include "covary/cli/convert_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/scene_files.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/scene/camera_export.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/stream.h"
#include "covary/splat/serve/export_html.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kWidth = 640, kHeight = 480;  // of the views that are compared, px

std::string axes_of(const std::string& asked, const scene::SceneFormat& format) {
  return asked == "auto" ? format.axes : asked == "as-is" ? "rdf" : asked;
}

// What was read of an input, for people and as a document.
void tell_input(const std::string& input, const std::string& format, const scene::Cloud& like,
                int64_t splats, int64_t bytes, double seconds, json& read, std::string& text) {
  read.push_back({{"file", input},
                  {"format", format},
                  {"bytes", bytes},
                  {"splats", splats},
                  {"sh_degree", like.sh_degree()},
                  {"axes", like.source_axes.empty() ? "rdf" : like.source_axes},
                  {"seconds", seconds}});
  text +=
      input + ": " + format + ", " + count_text(splats) + " splats, SH degree " +
      std::to_string(like.sh_degree()) + ", " + bytes_text(static_cast<double>(bytes)) +
      (like.source_axes.empty() ? std::string() : ", axes " + like.source_axes + " turned to rdf") +
      "\n";
}

// What was written, likewise.
void tell_output(const fs::path& out, const std::string& format, const std::string& axes,
                 int64_t splats, int64_t input_bytes, double seconds, json& w, std::string& text) {
  const int64_t bytes = scene::bytes_on_disk(out);
  const double each = splats > 0 ? static_cast<double>(bytes) / static_cast<double>(splats) : 0;
  w["bytes"] = bytes;
  w["bytes_per_splat"] = each;
  w["seconds"] = seconds;
  text += out.string() + ": " + format + ", " + bytes_text(static_cast<double>(bytes)) +
          number_text(" (%.1f bytes a splat", each) +
          number_text(", %.1f %% of the input)",
                      100 * static_cast<double>(bytes) /
                          static_cast<double>(std::max<int64_t>(1, input_bytes))) +
          ", axes " + axes + number_text(", %.2f s\n", seconds);
}

// A page that holds the scene is written, and not read back.
bool is_page(const fs::path& out, const std::string& format) {
  return format.empty() ? out.extension() == ".html" : format == "html";
}

json write_page(const Job& job, const fs::path& out, const scene::Cloud& cloud,
                const scene::CameraFile& cameras, int64_t sh_degree, std::string* text) {
  json w = {{"file", out.string()}, {"format", "html"}};
  if (job.common.dry_run) {
    *text += out.string() + ": html, not written\n";
    return w;
  }
  const double begin = wall_seconds();
  serve::export_html(scene::with_degree(cloud, sh_degree), out,
                     {.name = out.stem().string(), .cameras = cameras});
  w["seconds"] = wall_seconds() - begin;
  w["bytes"] = scene::bytes_on_disk(out);
  *text += out.string() + ": html, " + bytes_text(w["bytes"].get<double>()) +
           ", opens from disk in any browser\n";
  if (!cloud.columns.empty()) {
    w["lost"] = json::array({"named columns"});
    *text += fact_line("lost", "named columns");
  }
  return w;
}

// A capture's cameras: to transforms.json, or to a COLMAP folder.
Result convert_cameras(const Job& job, const std::string& input, const fs::path& out,
                       const std::string& format) {
  const bool transforms = out.extension() == ".json";
  if (!format.empty() && format != "colmap" && format != "colmap-text" && format != "transforms")
    throw Error(ExitCode::kUsage, "cameras are not written as '" + format + "'", "--format",
                "write colmap, colmap-text or transforms");
  if (!format.empty() && transforms != (format == "transforms"))
    throw Error(ExitCode::kUsage, "the output's name says another kind", "--format " + format,
                "transforms.json is a file, COLMAP's model a folder");
  if (!transforms && out.has_extension() && scene::can_write(out))
    throw Error(ExitCode::kUsage, "a capture has no splats yet", input,
                "train it first: covary train " + input + " -o " + out.string());
  Result r;
  r.document = {{"capture", input}, {"output", out.string()}};
  if (job.common.dry_run) {
    r.text = out.string() + ": not written\n";
    return r;
  }
  const scene::ExportedCameras e =
      scene::export_cameras(input, out,
                            transforms                ? scene::CameraFiles::kTransforms
                            : format == "colmap-text" ? scene::CameraFiles::kColmapText
                                                      : scene::CameraFiles::kColmapBinary);
  r.document["photos"] = e.photos;
  r.document["lenses"] = e.lenses;
  r.document["points"] = e.points;
  r.document["notes"] = e.notes;
  r.text = out.string() + ": cameras of " + count_text(e.photos) + " photos, " +
           count_text(e.lenses) + (e.lenses == 1 ? " lens, " : " lenses, ") + count_text(e.points) +
           " points\n";
  for (const std::string& note : e.notes) r.text += fact_line("note", note);
  return r;
}

// Row by row, with the memory of a few: one input and outputs that can be so, and nothing that asks for the whole.
bool by_rows(const Job& job, const ConvertOptions& options, const std::vector<std::string>& inputs,
             const std::vector<fs::path>& outputs) {
  return inputs.size() == 1 && job.common.report.empty() && !job.common.dry_run &&
         std::all_of(outputs.begin(), outputs.end(), [&](const fs::path& out) {
           std::error_code ignored;  // an input that is overwritten is read whole, once
           return !is_page(out, options.format) &&
                  (outputs.size() == 1 || !fs::equivalent(inputs[0], out, ignored)) &&
                  scene::can_stream(inputs[0], out, options.format);
         });
}

Result convert_by_rows(const Job& job, const ConvertOptions& options, const std::string& input,
                       const std::vector<fs::path>& outputs, const scene::ReadOptions& reading,
                       const scene::WriteOptions& writing) {
  Result result;
  json read = json::array(), written = json::array();
  int64_t splats = 0;
  scene::Cloud like;
  const int64_t input_bytes = scene::bytes_on_disk(input);
  for (const fs::path& out : outputs) {
    const scene::SceneFormat& format = scene::format_of_output(out, options.format);
    const std::string from = scene::format_of(input)->name, axes = axes_of(options.axes, format);
    const double begin = wall_seconds();
    const scene::Streamed s = scene::stream_scene(input, reading, out, writing, options.format);
    const double seconds = wall_seconds() - begin;
    if (read.empty())
      tell_input(input, from, s.read, s.rows_read, input_bytes, 0, read, result.text);
    splats = s.rows_written;
    like = s.read;
    json w = {{"file", out.string()}, {"format", format.name}, {"axes", axes}, {"lost", s.lost}};
    tell_output(out, format.name, axes, splats, input_bytes, seconds, w, result.text);
    for (const std::string& line : s.lost) result.text += fact_line("lost", line);
    written.push_back(std::move(w));
  }
  result.document = {{"inputs", read},
                     {"splats", splats},
                     {"sh_degree", like.sh_degree()},
                     {"antialiased", like.antialiased},
                     {"outputs", written},
                     {"options", job.invocation.options}};
  return result;
}

}  // namespace

Result run_convert(const Job& job) {
  const InterruptGuard interrupts;
  const auto options = job.options<ConvertOptions>();
  std::vector<std::string> inputs = job.invocation.inputs;
  const std::vector<fs::path> outputs = take_outputs(job, "scene.spz", &inputs);
  const scene::ReadOptions reading{
      .axes = options.input_axes, .level = options.level, .not_finite = options.not_finite};
  const scene::WriteOptions writing{.axes = options.axes,
                                    .sh_degree = options.sh_degree,
                                    .keep_order = options.keep_order,
                                    .spz_version = options.spz_version,
                                    .spz_sh_bits = options.spz_sh_bits,
                                    .gltf_spz = options.gltf_spz,
                                    .ksplat_level = options.ksplat_level,
                                    .sog_sweeps = options.sog_sweeps,
                                    .webp_effort = options.webp_effort,
                                    .seed = job.common.seed};
  // What cannot be is said before work.
  check_axes(options.axes, options.input_axes);
  const bool cameras = inputs.size() == 1 && outputs.size() == 1 && !is_scene(inputs[0]) &&
                       scene::has_cameras(inputs[0]);
  for (const fs::path& out : outputs) {
    if (!cameras && !is_page(out, options.format))
      keep_scene_that_is_there(out, options.format, job.common.overwrite);
    else if (!is_empty_or_absent(out))
      keep_what_is_there(out, job.common.overwrite);
  }
  if (cameras) return convert_cameras(job, inputs[0], outputs[0], options.format);
  if (by_rows(job, options, inputs, outputs))
    return convert_by_rows(job, options, inputs[0], outputs, reading, writing);
  if (!job.common.report.empty() && !job.common.dry_run) AtomicFile probe(job.common.report);

  Result result;
  std::vector<scene::Cloud> clouds;
  scene::CameraFile seen_from;  // cameras of a run, for a page
  int64_t input_bytes = 0;
  json read = json::array();
  for (const std::string& input : inputs) {
    const double begin = wall_seconds();
    SceneInput r = read_scene_input(input, reading);
    input_bytes += r.bytes;
    tell_input(input, r.format, r.cloud, r.cloud.size(), r.bytes, wall_seconds() - begin, read,
               result.text);
    clouds.push_back(std::move(r.cloud));
    if (inputs.size() == 1) seen_from = std::move(r.cameras);
  }
  const scene::Cloud cloud = scene::merged(clouds);
  clouds.clear();

  const std::string against = options.against.empty() ? "the input" : options.against;
  const bool compares = !job.common.report.empty() && options.views > 0 && cloud.size() > 0;
  const scene::Cloud truth =
      options.against.empty() || !compares ? cloud : read_scene_input(options.against, {}).cloud;
  Table figures;
  json written = json::array();
  for (const fs::path& out : outputs) {
    if (const int code = interrupted()) throw Interrupted{code};
    if (is_page(out, options.format)) {
      written.push_back(write_page(job, out, cloud, seen_from, options.sh_degree, &result.text));
      continue;
    }
    const scene::SceneFormat& format = scene::format_of_output(out, options.format);
    const std::vector<std::string> lost = scene::losses(format, cloud, writing);
    json w = {{"file", out.string()},
              {"format", format.name},
              {"axes", axes_of(options.axes, format)},
              {"lost", lost}};
    if (job.common.dry_run) {
      result.text += out.string() + ": " + format.name + ", not written\n";
    } else {
      const double begin = wall_seconds();
      scene::save_cloud(out, cloud, writing, options.format);
      const double seconds = wall_seconds() - begin;
      tell_output(out, format.name, axes_of(options.axes, format), cloud.size(), input_bytes,
                  seconds, w, result.text);
      if (compares) {
        // In the axes that were asked for, so that it is compared as it was.
        const scene::Cloud back =
            scene::load_cloud(out, {.axes = options.axes, .not_finite = options.not_finite});
        const render::Likeness l = render::likeness(
            truth, back, render::sample_views(truth, options.views, kWidth, kHeight));
        w["psnr"] = l.mean;
        w["psnr_worst"] = l.worst;
        w["psnr_of_view"] = l.of_view;
        result.text +=
            fact_line("likeness", number_text("PSNR %.2f dB", l.mean) +
                                      number_text(" (worst %.2f) against ", l.worst) + against +
                                      " over " + std::to_string(l.of_view.size()) + " views");
      }
      figures.add({{"file", out.string()},
                   {"format", format.name},
                   {"splats", cloud.size()},
                   {"bytes", w["bytes"]},
                   {"bytes_per_splat", w["bytes_per_splat"]},
                   {"input_bytes", input_bytes},
                   {"psnr", w.value("psnr", json())},
                   {"psnr_worst", w.value("psnr_worst", json())},
                   {"seconds", seconds}});
    }
    for (const std::string& line : lost) result.text += fact_line("lost", line);
    written.push_back(std::move(w));
  }
  if (!job.common.report.empty() && !job.common.dry_run) figures.write(job.common.report);
  result.document = {{"inputs", read},
                     {"splats", cloud.size()},
                     {"sh_degree", cloud.sh_degree()},
                     {"antialiased", cloud.antialiased},
                     {"outputs", written},
                     {"options", job.invocation.options}};
  return result;
}

}  // namespace covary::cli
