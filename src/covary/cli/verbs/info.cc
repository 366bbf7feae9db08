// covary info [FILE|CAPTURE|RUN]
#include <algorithm>
#include <cmath>

#include "covary/cli/info_options.h"
#include "covary/cli/verbs/cloud_facts.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/table_facts.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/image.h"
#include "covary/core/data/model.h"
#include "covary/core/data/table_samples.h"
#include "covary/core/data/video.h"
#include "covary/splat/capture/make_capture.h"
#include "covary/splat/capture/photos.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/noun.h"
#include "covary/splat/scene/photo_cache.h"
#include "covary/splat/scene/statistics.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string size_text(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

Result about_this_build() {
  Result r;
  json j = machine_description();
  j["providers"] = {{"ffmpeg", nullptr}};
  const std::string ffmpeg = data::find_program("ffmpeg");
  if (!ffmpeg.empty()) j["providers"]["ffmpeg"] = ffmpeg;
  j["devices"] = {"cpu"};
  r.document = j;
  r.text = "Covary " + std::string(version()) + "\n";
  const auto text = [&](const char* key) {
    return j[key].is_string() ? j[key].get<std::string>() : j[key].dump();
  };
  r.text +=
      fact_line("devices", "cpu (this build has no CUDA)") + fact_line("cpu", text("cpu")) +
      fact_line("cores", text("cores") + ", " + text("threads") + " threads in use") +
      fact_line("memory", bytes_text(static_cast<double>(total_memory_bytes()))) +
      fact_line("SIMD target", text("simd")) + fact_line("libtorch", text("torch")) +
      fact_line("compiler", text("compiler")) + fact_line("system", text("os")) +
      fact_line("ffmpeg",
                ffmpeg.empty() ? "not found: videos need it (apt-get install ffmpeg)" : ffmpeg);
  return r;
}

Result about_samples() {
  Result r;
  r.document = json::array();
  for (const scene::SampleSource& s : scene::samples()) {
    r.document.push_back({{"name", s.name}, {"help", s.help}});
    r.text += fact_line("sample:" + s.name, s.help);
  }
  for (const data::TableSample& s : data::table_samples()) {
    r.document.push_back({{"name", s.name}, {"help", s.help + "; " + s.parameters()}});
    r.text += fact_line("sample:" + s.name, s.help + "; " + s.parameters());
  }
  return r;
}

// in_full: with the figures of every column, for --json.
Result about_cloud(const scene::Cloud& cloud, const fs::path& file, const InfoOptions& options,
                   bool in_full) {
  Result r;
  const scene::Noun noun = scene::noun_of(cloud.footprint);
  if (options.index >= cloud.size())
    throw Error(ExitCode::kUsage, "there are " + count_text(cloud.size()) + " " + noun.many,
                "--index", "count from 0");
  const CloudFacts f = facts_of(cloud);
  const int64_t bytes = scene::bytes_on_disk(file);
  const scene::SceneFormat* format = scene::format_of(file);
  const std::string kind = format ? format->name : "";
  r.document = f.to_json();
  r.document["kind"] = "scene";
  r.document["file"] = file.string();
  r.document["bytes"] = bytes;
  r.document["format"] = kind;
  r.document["axes"] = cloud.source_axes.empty() ? "rdf" : cloud.source_axes;
  r.document["flat"] = cloud.flat;
  const std::vector<double> energy = scene::sh_energy(cloud);
  r.document["sh_energy"] = energy;
  if (in_full) r.document["column_statistics"] = column_facts_of(cloud);
  if (options.index >= 0) r.document["gaussian"] = row_of(cloud, options.index);
  const auto vec = [](const Eigen::Vector3d& v) {
    return "(" + number_text("%.4g", v[0]) + ", " + number_text("%.4g", v[1]) + ", " +
           number_text("%.4g", v[2]) + ")";
  };
  r.text = file.string() + ": scene of " + count_text(f.count) + " " + noun.many + "\n";
  r.text += fact_line(
      "size", bytes_text(static_cast<double>(bytes)) +
                  (f.count ? number_text(", %.0f bytes a ", static_cast<double>(bytes) /
                                                                static_cast<double>(f.count)) +
                                 noun.one
                           : ""));
  if (format)
    r.text += fact_line("format",
                        kind + ", axes " +
                            (cloud.source_axes.empty() ? std::string("as they are (rdf is taken)")
                                                       : cloud.source_axes + ", turned to rdf"));
  if (cloud.antialiased || cloud.flat)
    r.text += fact_line("drawn", cloud.flat ? "as flat discs" : "with the antialiasing filter");
  if (f.hull_points > 0)
    r.text += fact_line("hulls", "of " + std::to_string(f.hull_points) + " points" +
                                     number_text(", median delta %.3g", f.delta_median) +
                                     number_text(" and sigma %.3g", f.sigma_median));
  std::string bands;
  for (const double e : energy) bands += number_text(bands.empty() ? "%.3g" : ", %.3g", e);
  r.text += fact_line("SH degree", std::to_string(f.sh_degree) + ", energy by band " + bands);
  r.text += fact_line("bounds", vec(f.low) + " to " + vec(f.high));
  r.text += fact_line("middle 90%", vec(f.low90) + " to " + vec(f.high90));
  r.text += fact_line("opacity", histogram_text(f.opacity));
  r.text += fact_line("scale (log10)", histogram_text(f.scale));
  r.text += fact_line("elongation", number_text("median %.2f, ", f.elongation_median) +
                                        number_text("99%% below %.1f", f.elongation_99));
  r.text += fact_line("not finite", f.not_finite == 0 ? "none"
                                                      : count_text(f.not_finite) + " " + noun.many +
                                                            " hold NaN or infinity");
  if (!f.columns.empty()) {
    std::string names;
    for (const std::string& c : f.columns) names += (names.empty() ? "" : ", ") + c;
    r.text += fact_line("extra columns", names);
  }
  if (options.index >= 0)
    r.text +=
        fact_line(noun.one + " " + std::to_string(options.index), r.document["gaussian"].dump());
  return r;
}

Result about_run(const fs::path& path, const InfoOptions& options, bool in_full) {
  const fit::LoadedScene scene = fit::load_scene(path);
  Result r = about_cloud(scene.cloud, scene.file, options, in_full);
  json run = {{"config", scene.config}};
  std::string text =
      path.string() + ": run of covary " +
      (scene.config.contains("verb") ? scene.config.value("verb", std::string("train")) : "train") +
      "\n";
  if (scene.config.contains("inputs") && scene.config["inputs"].is_array() &&
      !scene.config["inputs"].empty())
    text += fact_line("capture", scene.config["inputs"][0].is_string()
                                     ? scene.config["inputs"][0].get<std::string>()
                                     : "?");
  const fit::TrainOptions o = train_options_of(scene.config);
  text +=
      fact_line("options", count_text(o.steps) + " steps, strategy " + o.strategy + ", SH degree " +
                               std::to_string(o.sh_degree) + ", downscale " +
                               std::to_string(o.capture.downscale) + ", antialias " + o.antialias);
  text += fact_line("state", scene.note.empty() ? "finished" : scene.note);
  if (fs::exists(path / "metrics.json")) {
    const json metrics = json::parse(read_file(path / "metrics.json"), nullptr, false);
    run["metrics"] = metrics;
    if (metrics.is_object() && metrics.contains("eval"))
      for (const auto& [split, e] : metrics["eval"].items()) {
        std::string figures;
        for (const char* key : {"psnr", "ssim", "lpips"}) {
          const json v =
              e.contains(key)
                  ? (e[key].is_object() && e[key].contains("value") ? e[key]["value"] : e[key])
                  : json();
          if (v.is_number())
            figures += (figures.empty() ? "" : ", ") + std::string(key) +
                       number_text(" %.4g", v.get<double>());
        }
        text += fact_line(split + " views", figures);
      }
  }
  run["scene"] = r.document;
  run["kind"] = "run";
  run["note"] = scene.note;
  r.document = run;
  r.text = text + r.text;
  return r;
}

// Photos, a video or an archive, whose cameras are yet to be found.
Result about_photos(const std::string& where) {
  const capture::InputKind kind = capture::kind_of(where);
  Result r;
  r.document = {{"kind", "photos"}, {"input", where}};
  r.text = where + ": " +
           (kind == capture::InputKind::kVideo ? "a video"
            : kind == capture::InputKind::kZip ? "an archive"
                                               : "photos") +
           " without cameras\n";
  if (kind == capture::InputKind::kFolder) {
    const capture::PhotoSet set = capture::list_photos(capture::folder_of_photos(where));
    json sizes = json::object();
    for (const capture::Photo& p : set.photos) {
      json& n = sizes[size_text(p.width, p.height)];
      n = n.is_null() ? 1 : n.get<int>() + 1;
    }
    r.document["photos"] = set.photos.size();
    r.document["sizes"] = sizes;
    r.document["notes"] = set.notes;
    std::string text;
    for (const auto& [size, n] : sizes.items())
      text += (text.empty() ? "" : ", ") + n.dump() + " of " + size + " px";
    r.text += fact_line("photos", text.empty() ? "none" : text);
    for (const std::string& note : set.notes) r.text += fact_line("note", note);
  }
  r.text += "next: covary train " + where + " -o out/" + name_of(where) +
            " (cameras are found first), or covary capture " + where + " -o DIR\n";
  return r;
}

std::string photos_text(double all, double held) {
  return bytes_text(all) + " in memory" +
         (held < all ? ", of which " + bytes_text(held) + " are held at once" : std::string());
}

double held_bytes(const scene::Capture& c) {
  return static_cast<double>(c.photos ? c.photos->most_bytes() : c.picture_bytes());
}

// Into what is said of a capture: a line a size of its photos.
void add_plans(const std::string& where, const CommonOptions& common, Result* r) {
  r->document["plan"] = json::array();
  for (const TrainingPlan& p : training_plans(where, common)) {
    const auto seconds = [&](double steps) { return steps * 0.5 * (p.step_s + p.step_s_late); };
    r->document["plan"].push_back({{"downscale", p.downscale},
                                   {"width", p.width},
                                   {"height", p.height},
                                   {"memory_bytes", p.memory},
                                   {"photo_bytes", p.photos},
                                   {"photo_bytes_held", p.held},
                                   {"step_s", p.step_s},
                                   {"step_s_late", p.step_s_late},
                                   {"seconds_7000_steps", seconds(7000)},
                                   {"seconds_30000_steps", seconds(30000)}});
    r->text += fact_line("--downscale " + std::to_string(p.downscale),
                         size_text(p.width, p.height) + " px: " + bytes_text(p.memory) +
                             " of memory (photos " + photos_text(p.photos, p.held) + "), about " +
                             number_text("%.0f", seconds(7000) / 60) + " min for 7,000 steps, " +
                             number_text("%.0f", seconds(30000) / 60) + " min for 30,000");
  }
}

Result about_capture(const std::string& where, const InfoOptions& options) {
  const scene::Capture c = scene::load_capture(where, {});
  Result r;
  json sizes = json::object();
  int64_t alphas = 0, masks = 0, depths = 0, normals = 0, sightings = 0;
  for (size_t i = 0; i < c.views.size(); ++i) {
    const scene::View& v = c.views[i];
    const scene::ViewParts parts = c.parts(static_cast<int64_t>(i));
    json& n = sizes[size_text(v.camera.width, v.camera.height)];
    n = n.is_null() ? 1 : n.get<int>() + 1;
    alphas += parts.alpha;
    masks += parts.mask;
    depths += parts.depth;
    normals += parts.normal;
    sightings += static_cast<int64_t>(v.seen_points.size());
  }
  r.document = {{"kind", "capture"},
                {"name", c.name},
                {"views", c.views.size()},
                {"train", c.train.size()},
                {"test", c.test.size()},
                {"sizes", sizes},
                {"points", c.points.positions.size()},
                {"seen_points", sightings},
                {"photo_bytes", c.picture_bytes()},
                {"photos_all_held", !c.photos},
                {"extent", c.extent},
                {"alpha", alphas},
                {"masks", masks},
                {"depth", depths},
                {"normals", normals},
                {"notes", c.notes},
                {"files", json::object()}};
  for (const auto& [name, sum] : c.files) r.document["files"][name] = sum;
  r.text = where + ": capture of " + std::to_string(c.views.size()) + " views\n";
  std::string text;
  for (const auto& [size, n] : sizes.items())
    text += (text.empty() ? "" : ", ") + n.dump() + " of " + size + " px";
  r.text += fact_line(
      "photos",
      text + " (" + photos_text(static_cast<double>(c.picture_bytes()), held_bytes(c)) + ")");
  r.text += fact_line("split", std::to_string(c.train.size()) + " for training, " +
                                   std::to_string(c.test.size()) + " held out");
  r.text += fact_line(
      "points", count_text(static_cast<int64_t>(c.points.positions.size())) +
                    (sightings > 0 ? ", seen " + count_text(sightings) + " times" : std::string()));
  text.clear();
  for (const auto& [name, n] : {std::pair<const char*, int64_t>{"alpha", alphas},
                                {"masks", masks},
                                {"depth", depths},
                                {"normals", normals}})
    if (n)
      text +=
          (text.empty() ? "" : ", ") + std::string(name) + " on " + std::to_string(n) + " views";
  if (!text.empty()) r.text += fact_line("also", text);
  for (const auto& [name, sum] : c.files)
    r.text += fact_line(fs::path(name).filename().string(), "sha256 " + sum.substr(0, 16));
  for (const std::string& note : c.notes) r.text += fact_line("note", note);
  if (options.index >= 0) {
    if (options.index >= static_cast<int64_t>(c.views.size()))
      throw Error(ExitCode::kUsage, "there are " + std::to_string(c.views.size()) + " views",
                  "--index", "count from 0");
    const scene::View& v = c.views[static_cast<size_t>(options.index)];
    const Eigen::Vector3d at = v.camera.centre();
    r.document["view"] = {{"name", v.name},
                          {"width", v.camera.width},
                          {"height", v.camera.height},
                          {"fx", v.camera.fx},
                          {"fy", v.camera.fy},
                          {"cx", v.camera.cx},
                          {"cy", v.camera.cy},
                          {"centre", {at[0], at[1], at[2]}}};
    r.text += fact_line("view " + std::to_string(options.index), r.document["view"].dump());
  }
  r.text += "next: covary train " + where + " -o out/" + name_of(where) + "\n";
  return r;
}

Result about_arrays(const fs::path& path) {
  Result r;
  std::map<std::string, data::Array> arrays;
  r.document = {{"kind", "arrays"}, {"file", path.string()}};
  if (path.extension() == ".npy") {
    arrays[path.stem().string()] = data::read_npy(path);
  } else if (path.extension() == ".npz") {
    arrays = data::read_npz(path);
  } else {
    const data::CovReader reader(path);
    r.document["model"] = reader.json();
    for (const std::string& name : reader.names()) arrays[name] = reader.array(name);
  }
  r.text = path.string() + ": " + std::to_string(arrays.size()) + " arrays\n";
  static const char* kTypes[] = {"float32", "float64", "int32", "int64", "uint8", "uint16", "bool"};
  for (const auto& [name, a] : arrays) {
    std::string shape;
    for (const int64_t n : a.shape) shape += (shape.empty() ? "" : " x ") + std::to_string(n);
    const char* type = kTypes[static_cast<size_t>(a.dtype)];
    r.document["arrays"][name] = {{"type", type}, {"shape", a.shape}};
    r.text += fact_line(name, std::string(type) + " " + (shape.empty() ? "scalar" : shape));
  }
  return r;
}

Result about(const Job& job, const InfoOptions& options) {
  if (job.invocation.inputs.empty()) return about_this_build();
  const std::string& what = job.invocation.inputs[0];
  const bool in_full = job.invocation.json;
  if (what == "sample:") return about_samples();
  if (data::is_table_sample(what)) return about_table(data::sample_table(what), what);
  if (is_sample(what)) return about_capture(what, options);

  const fs::path path = what;
  if (!fs::exists(path))
    throw Error(ExitCode::kData, "is not there", what,
                "check the spelling; covary info sample: lists built-in inputs");
  if (capture::needs_cameras(path) && !is_scene(path)) return about_photos(what);
  if (scene::is_scene_file(path))
    return about_cloud(fit::load_scene(path).cloud, path, options, in_full);
  if (fs::is_directory(path))
    return is_scene(path) ? about_run(path, options, in_full) : about_capture(what, options);
  const std::string e = path.extension().string();
  if (e == ".ply") return about_cloud(fit::load_scene(path).cloud, path, options, in_full);
  if ((e == ".cov" || e == ".json") && data::is_model(path)) return about_model(path);
  if (e == ".csv" || e == ".arff") return about_table(data::read_table(path), what);
  if (e == ".npy" || e == ".npz" || e == ".cov") return about_arrays(path);
  if (e == ".png" || e == ".jpg" || e == ".jpeg" || e == ".PNG" || e == ".JPG") {
    const data::ImageInfo i = data::image_info(path);
    Result r;
    r.document = {{"kind", "image"},    {"file", what},           {"width", i.width},
                  {"height", i.height}, {"channels", i.channels}, {"bits", i.bits}};
    r.text = what + ": picture, " + size_text(i.width, i.height) + " px, " +
             std::to_string(i.channels) + " channels of " + std::to_string(i.bits) + " bits\n";
    return r;
  }
  if (e == ".json") {
    if (path.filename().string().rfind("transforms", 0) == 0) return about_capture(what, options);
    const json j = json::parse(read_file(path), nullptr, false);
    if (j.is_object() && j.value("schema", json()) == "covary-cameras/1") {
      const scene::CameraFile f = scene::read_cameras(path);
      Result r;
      r.document = {{"kind", "cameras"}, {"file", what}, {"cameras", f.cameras.size()}};
      r.text = what + ": " + std::to_string(f.cameras.size()) + " cameras\n";
      return r;
    }
    if (j.is_object()) {
      Result r;
      r.document = {{"kind", "json"}, {"file", what}, {"keys", json::array()}};
      std::string keys;
      for (const auto& [key, value] : j.items()) {
        r.document["keys"].push_back(key);
        keys += (keys.empty() ? "" : ", ") + key;
      }
      r.text = what + ": JSON with " + keys + "\n";
      return r;
    }
  }
  throw Error(
      ExitCode::kData, "is of no kind that this version reads", what,
      "captures (COLMAP folder, transforms.json), runs, scene files, .csv, .arff, .cov, .npy, "
      ".npz, .png, .jpg are");
}

}  // namespace

Result run_info(const Job& job) {
  const auto options = job.options<InfoOptions>();
  if (!job.invocation.outputs.empty())
    throw Error(ExitCode::kUsage, "info writes no output", "-o", "for a file of it: --json=FILE");
  Result r = about(job, options);
  if (!options.plan) return r;
  if (!r.document.is_object() || r.document.value("kind", "") != "capture")
    throw Error(ExitCode::kUsage, "a plan is made of a capture with cameras", "--plan",
                "covary info data/fox --plan");
  add_plans(job.invocation.inputs[0], job.common, &r);
  return r;
}

}  // namespace covary::cli
