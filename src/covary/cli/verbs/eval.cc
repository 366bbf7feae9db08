// covary eval RUN|SCENE... [CAPTURE]
#include <map>

#include "covary/cli/eval_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/load.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The views of a capture at a factor of their size; truth by area average, masks by nearest pixel.
scene::Capture scaled(const scene::Capture& capture, double factor) {
  scene::Capture out = capture;
  for (scene::View& v : out.views) {
    const int w = std::max(1, static_cast<int>(std::lround(v.camera.width * factor)));
    const int h = std::max(1, static_cast<int>(std::lround(v.camera.height * factor)));
    v.camera = v.camera.scaled(w, h);
    if (!v.image.empty()) v.image = data::resize_area(v.image, w, h);
    if (!v.alpha.empty()) v.alpha = data::resize_area(v.alpha, w, h);
    if (!v.mask.empty()) v.mask = data::resize_nearest(v.mask, w, h);
    v.depth = {};
    v.normal = {};
  }
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
  }
  return out;
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

  std::map<std::string, scene::Capture>
      captures;  // by name and options: runs of one capture share it
  std::vector<Row> rows;
  result.document = {{"evaluations", json::array()}};
  for (const std::string& name : scenes) {
    const fit::LoadedScene scene = fit::load_scene(name);
    if (!scene.note.empty()) log_warning(name + ": " + scene.note);
    std::string source = capture_name;
    if (source.empty() && scene.config.is_object() && scene.config.contains("inputs") &&
        scene.config["inputs"].is_array() && !scene.config["inputs"].empty())
      source = scene.config["inputs"][0].get<std::string>();
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
    const std::string key = source + OptionList(how).to_json().dump() + how.split;
    if (captures.find(key) == captures.end()) {
      captures.clear();  // one at a time in memory
      captures.emplace(key, load_and_tell(source, how));
    }
    const scene::Capture& capture = captures.at(key);

    std::vector<double> scales = {1};
    for (const double s : options.scales)
      if (s != 1) scales.push_back(s);
    for (const double s : scales) {
      fit::EvaluateOptions e;
      e.split = options.split;
      e.mask_mode = how.mask_mode;
      e.lpips = lpips;
      if (s == 1 && options.images && !scene.run.empty()) e.pictures = scene.run / "eval";
      const fit::Evaluation evaluation = s == 1 ? fit::evaluate(scene.cloud, capture, e)
                                                : fit::evaluate(scene.cloud, scaled(capture, s), e);
      if (s == 1 && !scene.run.empty()) fit::add_to_metrics(scene.run, evaluation);
      json j = evaluation.to_json();
      j["scene"] = name;
      j["capture"] = source;
      j["scale"] = s;
      result.document["evaluations"].push_back(j);
      rows.push_back({name, s, evaluation});
    }
  }
  result.text = table_of(rows);
  return result;
}

}  // namespace covary::cli
