// covary eval RUN|SCENE... [CAPTURE]
#include <map>

#include "covary/cli/eval_options.h"
#include "covary/cli/verbs/budget.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/sample_name.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/report.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/colmap.h"
#include "covary/splat/scene/photo_cache.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

scene::View scaled(scene::View v, double factor) {
  const int w = std::max(1, static_cast<int>(std::lround(v.camera.width * factor)));
  const int h = std::max(1, static_cast<int>(std::lround(v.camera.height * factor)));
  v.camera = v.camera.scaled(w, h);
  if (!v.image.empty()) v.image = data::resize_area(v.image, w, h);
  if (!v.alpha.empty()) v.alpha = data::resize_area(v.alpha, w, h);
  if (!v.mask.empty()) v.mask = data::resize_nearest(v.mask, w, h);
  v.depth = {};
  v.normal = {};
  return v;
}

// The views of a capture at a factor of their size; truth by area average, masks by nearest pixel. What is decoded by need is
// decoded anew, and not kept beside the whole photos.
scene::Capture scaled(const scene::Capture& capture, double factor) {
  scene::Capture out = capture;
  for (scene::View& v : out.views) v = scaled(std::move(v), factor);
  if (!capture.photos) return out;
  out.photos = std::make_shared<scene::PhotoCache>(
      0,
      scene::resized_pictures(out,
                              [](const scene::Camera& c) { return std::pair(c.width, c.height); }),
      [photos = capture.photos, factor](int64_t i) { return scaled(photos->load(i), factor); });
  return out;
}

std::string lpips_file(const std::string& source) {
  if (source == "off") return "";
  const std::string file = source.rfind("torchscript:", 0) == 0 ? source.substr(12) : source;
  if (!fs::is_regular_file(file))
    throw Error(ExitCode::kData, "there is no such file", "--lpips " + file,
                "export the network to TorchScript: torch.jit.trace(net, (a, b)).save('lpips.pt')");
  return file;
}

struct Row {
  std::string scene;
  double scale;
  fit::Evaluation evaluation;
};

std::string table_of(const std::vector<Row>& rows) {
  size_t width = 5;
  bool scales = false, lpips = false;
  for (const Row& r : rows) {
    width = std::max(width, r.scene.size());
    scales = scales || r.scale != 1;
    lpips = lpips || r.evaluation.lpips.has_value();
  }
  const auto pad = [](std::string s, size_t n) {
    s.resize(std::max(n, s.size()), ' ');
    return s;
  };
  std::string out = pad("scene", width) + (scales ? "  scale" : "") +
                    "  views   PSNR dB     SSIM    LPIPS  ms/image" + "      count      size\n";
  for (const Row& r : rows) {
    const fit::Evaluation& e = r.evaluation;
    out += pad(r.scene, width);
    if (scales) out += number_text("  %5.3g", r.scale);
    out += number_text("  %5.0f", static_cast<double>(e.views.size())) +
           number_text("  %8.2f", e.psnr) + number_text("  %7.4f", e.ssim) +
           (e.lpips ? number_text("  %7.4f", *e.lpips) : "   absent") +
           number_text("  %8.1f", 1e3 * e.seconds_per_image);
    std::string count = count_text(e.count), size = bytes_text(static_cast<double>(e.bytes));
    out += "  " + std::string(count.size() < 9 ? 9 - count.size() : 0, ' ') + count + "  " +
           std::string(size.size() < 8 ? 8 - size.size() : 0, ' ') + size + "\n";
    for (const auto& [name, score] : e.adjusted)
      out += number_text("  PSNR %.2f dB", score.psnr) + number_text(", SSIM %.4f: ", score.ssim) +
             fit::adjustment_text(name) + "\n";
  }
  return out;
}

// A scene with the views that it is compared on.
struct Subject {
  std::string name, source;  // of the scene, of the capture
  fit::LoadedScene scene;
  fit::TrainOptions trained;  // as the run says; defaults for a bare file
  scene::CaptureOptions how;
  const scene::Capture& capture;
};

// Reference cameras are read by the capture's reader where they are a model of their own, with their
// lenses; a cameras.json holds ideal cameras of the photos as we load them.
bool is_camera_file(const fs::path& path) {
  return is_run(path) ||
         (fs::is_regular_file(path) && path.filename().string().rfind("transforms", 0) != 0);
}

scene::Capture load_views(const std::string& source, scene::CaptureOptions how,
                          const std::string& reference) {
  if (reference.empty()) return load_and_tell(source, how);
  if (!fs::exists(reference))
    throw Error(ExitCode::kData, "there is no such file", "--reference-cameras " + reference,
                "name a cameras.json, a run, or a COLMAP model");
  if (!is_camera_file(reference)) {
    if (is_sample(source))
      throw Error(ExitCode::kUsage, "a sample has no photos that a model could name",
                  "--reference-cameras " + reference, "name a cameras.json, or a run");
    std::vector<std::string> notes;
    fs::path model = reference;
    if (fs::is_directory(model) && !scene::is_colmap_model(model))
      model = scene::find_colmap_model(reference, notes);  // of a capture
    if (model.empty())
      throw Error(ExitCode::kData, "holds no cameras", "--reference-cameras " + reference,
                  "name a cameras.json, a run, a COLMAP model or a transforms.json");
    how.cameras = fs::absolute(model).string();
    return load_and_tell(source, how);
  }
  const fs::path file =
      is_run(reference) ? fs::path(reference) / "cameras.json" : fs::path(reference);
  scene::Capture capture = load_and_tell(source, how);
  scene::take_cameras(capture, scene::read_cameras(file), file.string());
  return capture;
}

MemoryEstimate memory_of(const Job& job, const scene::Cloud& cloud, const scene::Capture& capture) {
  MemoryEstimate memory =
      drawing_memory(cloud, largest_picture(capture).pixels(), job.common.precision == "double");
  memory.photos = photo_bytes(capture);
  return memory;
}

// Loads one scene after another with its views; f(subject). Photos get what --max-memory leaves beside the scene.
template <class F>
void for_each_scene(const Job& job, const EvalOptions& options,
                    const std::vector<std::string>& scenes, const std::string& capture_name,
                    F&& f) {
  std::map<std::string, scene::Capture>
      captures;  // by name and options: runs of one capture share it
  for (const std::string& name : scenes) {
    fit::LoadedScene scene = fit::load_scene(name);
    if (!scene.note.empty()) log_warning(name + ": " + scene.note);
    std::string source = capture_name;
    if (source.empty()) source = capture_of(scene);
    if (source.empty())
      throw Error(ExitCode::kUsage, "no capture to compare with", name,
                  "name it last: covary eval " + name + " CAPTURE");

    const fit::TrainOptions trained = train_options_of(scene.config);
    scene::CaptureOptions how = trained.capture;
    how.normalize = false;  // a scene on disk is in the capture's frame
    how.split = options.split;
    how.max_views = 0;
    if (options.downscale > 0) how.downscale = options.downscale;
    if (options.background != "auto") how.background = options.background;
    // A run that moved its cameras is looked at from them.
    const bool refined = (trained.refine.pose_opt || trained.refine.intrinsics_opt) &&
                         options.reference_cameras.empty();
    const std::string key =
        source + OptionList(how).to_json().dump() + how.split + (refined ? name : "");
    if (captures.find(key) == captures.end()) {
      captures.clear();  // one at a time in memory
      scene::Capture capture =
          load_views(source, undecided(job.common, how), options.reference_cameras);
      if (refined) fit::take_refined_cameras(capture, scene);
      captures.emplace(key, std::move(capture));
    }
    scene::Capture& capture = captures.at(key);
    if (job.common.max_memory > 0 && !how.photo_cache) {
      const MemoryEstimate e = memory_of(job, scene.cloud, capture);
      divide_photos(capture, static_cast<double>(capture.picture_bytes()),
                    static_cast<double>(job.common.max_memory) - (e.total() - e.photos));
    }
    f(Subject{name, source, std::move(scene), trained, how, capture});
  }
}

std::vector<double> scales_of(const EvalOptions& options) {
  std::vector<double> scales = {1};
  for (const double s : options.scales)
    if (s != 1) scales.push_back(s);
  return scales;
}

fit::EvaluateOptions evaluate_options(const Job& job, const EvalOptions& options,
                                      const Subject& subject, const std::string& lpips) {
  fit::EvaluateOptions e;
  e.split = options.split;
  e.mask_mode = subject.how.mask_mode;
  e.lpips = lpips;
  e.precision = job.common.precision;
  e.fit_poses = subject.trained.refine.pose_opt && options.split != "train";
  e.correct_colours = subject.trained.exposure != "none";
  return e;
}

// --max-memory and --time-budget, before anything is written: the memory of each scene, and the
// seconds of a few of its views times those of all.
void check_limits(const Job& job, const EvalOptions& options,
                  const std::vector<std::string>& scenes, const std::string& capture_name,
                  const std::string& lpips) {
  constexpr int64_t kTimedViews = 3;
  double seconds = 0;
  for_each_scene(job, options, scenes, capture_name, [&](const Subject& subject) {
    const MemoryEstimate memory = memory_of(job, subject.scene.cloud, subject.capture);
    check_memory(job.common, "evaluating " + subject.name, memory,
                 "use smaller photos: --downscale 2");
    if (job.common.time_budget <= 0) return;
    fit::EvaluateOptions e = evaluate_options(job, options, subject, lpips);
    e.progress = false;
    e.max_views = 1;
    fit::evaluate(subject.scene.cloud, subject.capture, e);  // the first one allocates
    e.max_views = kTimedViews;
    const double begin = wall_seconds();
    const fit::Evaluation timed = fit::evaluate(subject.scene.cloud, subject.capture, e);
    const double one = (wall_seconds() - begin) / static_cast<double>(timed.views.size());
    double sizes = 0;  // pixels of all scales over those of full size
    for (const double s : scales_of(options)) sizes += s * s;
    seconds += one * sizes * static_cast<double>(subject.capture.views.size());
  });
  check_time(job.common, "evaluating", seconds, "use smaller photos: --downscale 2");
}

// --report and --plot.
void write_extras(const CommonOptions& common, const std::vector<Row>& rows) {
  std::vector<fit::ScoredScene> scenes;
  std::vector<fit::ViewPictures> pictures;
  for (const Row& r : rows)
    if (r.scale == 1) {
      scenes.push_back({r.scene, r.evaluation});
      pictures.insert(pictures.end(), r.evaluation.pictures.begin(), r.evaluation.pictures.end());
    }
  if (const fs::path file = common.report; file.extension() == ".html") {
    fit::write_evaluation(file, scenes, true);
  } else if (!file.empty()) {
    Table table;
    for (const Row& r : rows)
      for (const fit::ViewScore& v : r.evaluation.views) {
        nlohmann::ordered_json row = {
            {"scene", r.scene},    {"split", r.evaluation.split},
            {"scale", r.scale},    {"name", v.name},
            {"psnr", v.psnr},      {"psnr_8bit", v.psnr_8bit},
            {"ssim", v.ssim},      {"lpips", v.lpips ? json(*v.lpips) : json()},
            {"seconds", v.seconds}};
        for (const auto& [name, score] : v.adjusted) {
          row["psnr_" + name] = score.psnr;
          row["ssim_" + name] = score.ssim;
        }
        table.add(row);
      }
    table.write(file);
  }
  if (const fs::path file = common.plot; file.extension() == ".html")
    fit::write_evaluation(file, scenes, false);
  else if (!file.empty())
    data::write_image(file, fit::contact_sheet(pictures));
}

}  // namespace

Result run_eval(const Job& job) {
  const auto options = job.options<EvalOptions>();
  std::vector<std::string> scenes = job.invocation.inputs;
  std::string capture_name;
  if (scenes.size() > 1 && !is_scene(scenes.back())) {
    capture_name = scenes.back();
    scenes.pop_back();
  }
  const std::string lpips = lpips_file(options.lpips);
  Result result;
  if (job.common.dry_run) {
    result.document = {{"verb", "eval"},
                       {"scenes", scenes},
                       {"capture", capture_name},
                       {"options", job.invocation.options}};
    result.text =
        result.document.dump(2) + "\nstages: load, render and compare\nnothing was written\n";
    return result;
  }

  for (const std::string& file : {job.common.report, job.common.plot})
    if (!file.empty()) AtomicFile probe(file);  // a place that cannot be written is said first
  const bool limited = job.common.max_memory > 0 || job.common.time_budget > 0;
  if (limited) check_limits(job, options, scenes, capture_name, lpips);

  const bool page = fs::path(job.common.report).extension() == ".html" || !job.common.plot.empty();
  std::vector<Row> rows;
  result.document = {{"precision", job.common.precision}, {"evaluations", json::array()}};
  for_each_scene(job, options, scenes, capture_name, [&](const Subject& subject) {
    const fit::LoadedScene& scene = subject.scene;
    // A run's own figures and pictures are those from its own cameras.
    const bool own = !scene.run.empty() && options.reference_cameras.empty();
    for (const double s : scales_of(options)) {
      fit::EvaluateOptions e = evaluate_options(job, options, subject, lpips);
      if (s == 1 && options.images && own) e.pictures = scene.run / "eval";
      if (s == 1 && page) e.kept_pictures = fit::kShownPictures;
      fit::Evaluation evaluation = s == 1
                                       ? fit::evaluate(scene.cloud, subject.capture, e)
                                       : fit::evaluate(scene.cloud, scaled(subject.capture, s), e);
      if (s == 1 && own) fit::add_to_metrics(scene.run, evaluation);
      json j = evaluation.to_json();
      j["scene"] = subject.name;
      j["capture"] = subject.source;
      j["scale"] = s;
      if (!options.reference_cameras.empty()) j["reference_cameras"] = options.reference_cameras;
      result.document["evaluations"].push_back(j);
      rows.push_back({subject.name, s, std::move(evaluation)});
    }
  });
  write_extras(job.common, rows);
  result.text = table_of(rows);
  return result;
}

}  // namespace covary::cli
