#include "covary/cli/verbs/train_run.h"

#include <algorithm>
#include <cmath>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"

namespace covary::cli {
namespace {

constexpr double kGrowth =
    8;  // Gaussians at the end over those at the start, when there is no cap: a rule of thumb

// Bytes that training will need at its peak: photos, and a Gaussian's parameters with gradients, two moments and the
// space of one edit (5 copies), its projection and lists (about 200 bytes), buffers of a view (about 60 bytes a pixel).
struct Estimate {
  double photos = 0, gaussians = 0, count = 0, process = 150e6;
  double total() const { return photos + gaussians + process; }
};

Estimate estimate(const scene::Capture& capture, const fit::TrainOptions& options) {
  Estimate e;
  double pixels = 0;
  for (const scene::View& v : capture.views) {
    e.photos +=
        static_cast<double>(v.image.pixels.size() + v.alpha.pixels.size() + v.mask.pixels.size()) +
        4.0 * static_cast<double>(v.depth.pixels.size() + v.normal.pixels.size());
    pixels = std::max(pixels, static_cast<double>(v.camera.width) * v.camera.height);
  }
  const double start =
      options.init == "random" || capture.points.positions.empty()
          ? static_cast<double>(options.init_count > 0 ? options.init_count : 100'000)
          : static_cast<double>(capture.points.positions.size());
  const double cap = static_cast<double>(options.max_gaussians_of());
  e.count = options.strategy == "none"
                ? start
                : std::min(cap, options.strategy == "mcmc" ? cap : start * kGrowth);
  const double bands = static_cast<double>((options.sh_degree + 1) * (options.sh_degree + 1));
  e.gaussians = e.count * (5 * 4 * (11 + 3 * bands) + 200) +
                60 * pixels * static_cast<double>(options.views_per_step);
  return e;
}

void check_memory(const Estimate& e, const CommonOptions& common) {
  if (common.max_memory <= 0 || e.total() <= static_cast<double>(common.max_memory)) return;
  throw Error(ExitCode::kFailed,
              "training would need about " + bytes_text(e.total()) + " (" + bytes_text(e.photos) +
                  " of photos, " + count_text(static_cast<int64_t>(e.count)) + " Gaussians)",
              "--max-memory " + bytes_text(static_cast<double>(common.max_memory)),
              "lower --max-gaussians, or use smaller photos: --downscale 2");
}

nlohmann::json config_of(const Invocation& invocation, const fit::TrainOptions& options,
                         const std::string& output) {
  nlohmann::json recorded = recorded_options(invocation);
  fit::TrainOptions copy = options;
  const nlohmann::json own = OptionList(copy).to_json();  // as run: a sweep may have changed some
  for (const auto& [key, value] : own.items()) recorded[key] = value;
  return {
      {"verb", "train"}, {"inputs", invocation.inputs}, {"output", output}, {"options", recorded}};
}

}  // namespace

scene::Capture load_and_tell(const std::string& input, const scene::CaptureOptions& options) {
  const double begin = wall_seconds();
  scene::Capture capture = scene::load_capture(input, options);
  for (const std::string& note : capture.notes) log_info("note: " + note);
  const auto* first = capture.views.empty() ? nullptr : &capture.views.front();
  log_info(capture.name + ": " + std::to_string(capture.train.size()) + " training and " +
           std::to_string(capture.test.size()) + " held-out views" +
           (first ? ", " + std::to_string(first->camera.width) + "x" +
                        std::to_string(first->camera.height) + " px"
                  : "") +
           ", " + count_text(static_cast<int64_t>(capture.points.positions.size())) + " points (" +
           number_text("%.1f s", wall_seconds() - begin) + ")");
  return capture;
}

fit::RunResult train_once(const Invocation& invocation, const fit::TrainOptions& options,
                          const CommonOptions& common, const std::filesystem::path& out) {
  scene::Capture capture = load_and_tell(invocation.inputs[0], options.capture);
  check_memory(estimate(capture, options), common);
  fit::RunContext context;
  context.out = out;
  context.resume = common.resume;
  context.overwrite = common.overwrite;
  context.config = config_of(invocation, options, out.string());
  context.seed = static_cast<uint64_t>(common.seed);
  context.time_budget_s = common.time_budget;
  return fit::Trainer(std::move(capture), options).run(context);
}

std::string summary_of(const fit::RunResult& run, const std::string& where) {
  std::string text = where + ": " + count_text(run.scene.size()) + " Gaussians after " +
                     count_text(run.steps) + " steps";
  const auto at = [&](const char* pointer) -> const nlohmann::json* {
    const nlohmann::json::json_pointer p(pointer);
    return run.metrics.contains(p) ? &run.metrics.at(p) : nullptr;
  };
  const auto figure =
      [](const nlohmann::json* j) -> const nlohmann::json* {  // a number, or {"value", "unit"}
    if (j && j->is_object() && j->contains("value")) j = &(*j)["value"];
    return j && j->is_number() ? j : nullptr;
  };
  if (const auto* psnr = figure(at("/eval/test/psnr")))
    text += number_text(", held-out PSNR %.2f dB", *psnr);
  if (const auto* ssim = figure(at("/eval/test/ssim"))) text += number_text(", SSIM %.4f", *ssim);
  return text + "\n";
}

Result plan_training(const Job& job, const fit::TrainOptions& options) {
  const scene::Capture capture = load_and_tell(job.invocation.inputs[0], options.capture);
  const Estimate e = estimate(capture, options);
  const std::string output = job.invocation.outputs.empty()
                                 ? default_run(name_of(job.invocation.inputs[0])).string()
                                 : job.invocation.outputs[0];
  Result result;
  result.document = config_of(job.invocation, options, output);
  fit::Trainer trainer(capture, options);
  trainer.start(static_cast<uint64_t>(job.common.seed));
  trainer.step();  // the first one allocates
  const double begin = wall_seconds();
  trainer.step();
  trainer.step();
  const double step_s = (wall_seconds() - begin) / 2;
  const double grown = std::sqrt(
      std::max(1.0, e.count / static_cast<double>(std::max<int64_t>(trainer.count(), 1))));
  const double low = step_s * static_cast<double>(options.steps), high = low * grown;
  const std::vector<std::string> stages = {"load", "train", "evaluate", "report"};
  result.document["estimate"] = {
      {"memory_bytes", e.total()}, {"photo_bytes", e.photos}, {"gaussians_start", trainer.count()},
      {"gaussians_end", e.count},  {"seconds_low", low},      {"seconds_high", high}};
  result.document["stages"] = stages;
  check_memory(e, job.common);
  if (job.common.time_budget > 0 && low > job.common.time_budget)
    throw Error(ExitCode::kFailed, "training would take at least " + number_text("%.0f s", low),
                "--time-budget",
                "lower --steps to about " + std::to_string(static_cast<int64_t>(
                                                job.common.time_budget / std::max(step_s, 1e-9))));
  result.text = job.invocation.json ? "" : result.document.dump(2) + "\n";
  result.text += "estimate: " + bytes_text(e.total()) + " of memory, " + number_text("%.0f", low) +
                 number_text(" to %.0f s", high) + " for " + count_text(options.steps) +
                 " steps on " + count_text(trainer.count()) + " to about " +
                 count_text(static_cast<int64_t>(e.count)) +
                 " Gaussians\nstages: load, train, evaluate, report\nnothing was written\n";
  return result;
}

}  // namespace covary::cli
