#include "covary/cli/verbs/train_run.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "covary/cli/verbs/budget.h"
#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"
#include "covary/splat/capture/make_capture.h"
#include "covary/splat/scene/noun.h"
#include "covary/splat/scene/photo_cache.h"
#include "covary/splat/serve/live_training.h"

namespace covary::cli {
namespace {

constexpr double kGrowth =
    8;  // Gaussians at the end over those at the start, when there is no cap: a rule of thumb

// A run within a time budget.
constexpr double kCostGrowth =
    2.5;  // of a step over the run against its start, before it is measured
constexpr double kWantedSteps = 2000;  // fewer: smaller photos give more
constexpr double kLeastSteps = 50;
constexpr int kLeastPlannedSide = 240;     // px of the longer side that photos are not shrunk below
constexpr double kSecondsPerPixel = 3e-7;  // of a held-out view rendered, compared and written

// A late step over an early one: by the root of the count, a rule of thumb.
double cost_growth(const MemoryEstimate& e) {
  return std::sqrt(std::max(1.0, e.count / std::max(e.start, 1.0)));
}

// Of parameters, gradients and moments at the peak, which an edit of the rows makes: measured, fox at three sizes with
// 51,000 to 268,000 Gaussians.
constexpr double kCopiesInAnEdit = 12;

// The largest of the coarse levels of the photos, of which one is held, over the photos.
double coarse_share(const fit::TrainOptions& options) {
  const auto levels = fit::resolution_levels(options.resolution_schedule);
  return levels.empty() ? 0 : 1 / (levels.back().division * levels.back().division);
}

// Photos; a Gaussian's parameters with gradients and two moments, and what an edit copies of them; its projection and lists
// (about 400 bytes); buffers of a view (about 60 bytes a pixel).
MemoryEstimate estimate(const scene::Capture& capture, const fit::TrainOptions& options) {
  MemoryEstimate e;
  // Coarse photos share the room of a cache.
  e.photos = photo_bytes(capture) * (capture.photos ? 1 : 1 + coarse_share(options));
  const double start =
      options.init == "random" || capture.points.positions.empty()
          ? static_cast<double>(options.init_count > 0 ? options.init_count : 100'000)
          : static_cast<double>(capture.points.positions.size());
  const double cap = static_cast<double>(options.max_gaussians_of());
  e.count = options.strategy == "none"
                ? start
                : std::min(cap, options.strategy == "mcmc" ? cap : start * kGrowth);
  e.start = start;
  const double bands = static_cast<double>((options.sh_degree + 1) * (options.sh_degree + 1));
  const double features =
      options.exposure == "embedding" ? static_cast<double>(options.embedding.feature_size) : 0;
  const double copies = options.strategy == "none" ? 5 : kCopiesInAnEdit;
  e.gaussians = e.count * (copies * 4 * (11 + 3 * bands + features) + 400);
  e.view =
      60 * largest_picture(capture).pixels();  // one after the other, however many a step takes
  return e;
}

// --max-memory, divided: photos have the half of what is left beside the program and a view's buffers, and more where the
// Gaussians need less than the other half.
void divide_memory(scene::Capture& capture, const fit::TrainOptions& options,
                   const CommonOptions& common) {
  const MemoryEstimate e = estimate(capture, options);
  const double room = static_cast<double>(common.max_memory) - e.process - e.view,
               all = static_cast<double>(capture.picture_bytes());
  divide_photos(capture, all * (1 + coarse_share(options)), std::max(room / 2, room - e.gaussians));
  if (capture.photos)
    log_info("of " + bytes_text(all) + " of photos " +
             bytes_text(static_cast<double>(capture.photos->most_bytes())) +
             " are held at once, the others decoded by need");
}

scene::Capture load_to_fit(const std::string& input, const fit::TrainOptions& options,
                           const CommonOptions& common) {
  scene::Capture capture = load_and_tell(input, undecided(common, options.capture));
  if (common.max_memory > 0 && !options.capture.photo_cache)
    divide_memory(capture, options, common);
  return capture;
}

// Pixels of a run's renderings over those of a run on whole photos.
double share_of_pixels(const std::vector<fit::ResolutionLevel>& levels) {
  double share = 0, before = 0;
  for (const fit::ResolutionLevel& level : levels) {
    share += (level.until - before) / (level.division * level.division);
    before = level.until;
  }
  return share + 1 - before;
}

void check_training_memory(const MemoryEstimate& e, const CommonOptions& common) {
  check_memory(common, "training", e,
               "lower --max-gaussians, or use smaller photos: --downscale 2");
}

// The stages that --from and --until leave.
std::vector<std::string> chosen_stages(const CommonOptions& common) {
  const auto& names = fit::stage_names();
  return {names.begin() + static_cast<std::ptrdiff_t>(from_of(common)),
          names.begin() + static_cast<std::ptrdiff_t>(until_of(common)) + 1};
}

bool is_typed(const Invocation& invocation, const std::string& name) {
  return std::any_of(invocation.set.begin(), invocation.set.end(), [&](const std::string& set) {
    return set == name || set.ends_with("." + name);
  });
}

// Seconds of a step at the start, with all bands of colour, after one that allocates.
double seconds_of_step(const scene::Capture& capture, fit::TrainOptions options,
                       const CommonOptions& common) {
  options.resolution_schedule = "full";
  options.sh_every = 0;
  fit::Trainer trainer(capture, options);
  trainer.start(static_cast<uint64_t>(common.seed));
  trainer.step();
  const double begin = wall_seconds();
  trainer.step();
  trainer.step();
  return (wall_seconds() - begin) / 2;
}

// Measured on three steps; into the document, and as a line for people.
std::string estimate_training(const Job& job, const fit::TrainOptions& options,
                              nlohmann::json* document) {
  const scene::Capture capture = load_to_fit(job.invocation.inputs[0], options, job.common);
  const MemoryEstimate e = estimate(capture, options);
  const auto start = static_cast<int64_t>(e.start);
  const double step_s = seconds_of_step(capture, options, job.common);
  const double most = step_s * static_cast<double>(options.steps),
               low = most * share_of_pixels(fit::resolution_levels(options.resolution_schedule)),
               high = most * cost_growth(e);
  (*document)["estimate"] = {
      {"memory_bytes", e.total()}, {"photo_bytes", e.photos},  {"photos_all_held", !capture.photos},
      {"gaussians_start", start},  {"gaussians_end", e.count}, {"seconds_low", low},
      {"seconds_high", high}};
  check_training_memory(e, job.common);
  const std::string size = bytes_text(e.total()) + " of memory",
                    counts = " steps on " + count_text(start) + " to about " +
                             count_text(static_cast<int64_t>(e.count)) + " " +
                             scene::noun_of(options.primitive).many + "\n";
  if (job.common.time_budget > 0 && !is_typed(job.invocation, "steps")) {
    const double steps = job.common.time_budget / (kCostGrowth * step_s);
    (*document)["estimate"]["steps"] = std::min<double>(steps, static_cast<double>(options.steps));
    return "estimate: " + size + ", about " +
           count_text(std::min(static_cast<int64_t>(steps), options.steps)) + counts +
           "steps follow the clock: " + number_text("%.0f s", job.common.time_budget) + "\n";
  }
  check_time(job.common, "training", low,
             "lower --steps to about " + std::to_string(static_cast<int64_t>(
                                             job.common.time_budget / std::max(step_s, 1e-9))));
  return "estimate: " + size + ", " + number_text("%.0f", low) + number_text(" to %.0f s", high) +
         " for " + count_text(options.steps) + counts;
}

// Evaluation and report: about a step's rendering and a picture written a held-out view.
double finishing_seconds(const scene::Capture& capture) {
  const auto views = static_cast<double>(std::max<size_t>(1, capture.test.size()));
  const double pixels = largest_picture(capture).pixels();
  return 0.5 + views * (0.05 + kSecondsPerPixel * pixels);
}

// Steps, and the photos' size, by the clock. Pictures are halved while there would be too few steps for them.
void plan_size(const std::string& input, bool size_given, const CommonOptions& common, double began,
               fit::TrainOptions* options, scene::Capture* capture) {
  for (;;) {
    const double step_s = seconds_of_step(*capture, *options, common);
    const double left = common.time_budget - (wall_seconds() - began) - finishing_seconds(*capture);
    const double steps = left / (kCostGrowth * step_s);
    int side = 0;
    for (const scene::View& v : capture->views)
      side = std::max({side, v.camera.width, v.camera.height});
    if (steps >= kWantedSteps || size_given || side / 2 < kLeastPlannedSide) {
      check_time(common, "training", common.time_budget - left + kLeastSteps * step_s,
                 "use smaller photos: --downscale 4");
      options->steps = std::clamp(static_cast<int64_t>(steps), static_cast<int64_t>(kLeastSteps),
                                  options->steps);
      log_info("planned for " + number_text("%.0f s", common.time_budget) + ": photos at 1/" +
               std::to_string(options->capture.downscale) + " size, about " +
               count_text(options->steps) + " steps (they follow the clock)");
      return;
    }
    options->capture.downscale *= 2;
    *capture = load_to_fit(input, *options, common);
  }
}

// So many Gaussians fit in so many bytes, beside all else; 0 when nothing is left for them.
int64_t gaussians_within(const MemoryEstimate& e, double bytes) {
  if (!(e.count > 0)) return 0;
  return static_cast<int64_t>(std::max(0.0, bytes - (e.total() - e.gaussians)) /
                              (e.gaussians / e.count));
}

// What a page may raise the cap to.
int64_t most_gaussians(const scene::Capture& capture, const fit::TrainOptions& options,
                       const CommonOptions& common) {
  const double bytes = static_cast<double>(common.max_memory > 0 ? common.max_memory
                                                                 : total_memory_bytes() / 10 * 9);
  return std::max<int64_t>(gaussians_within(estimate(capture, options), bytes), 1);
}

// As many Gaussians as the memory holds.
void cap_by_memory(const scene::Capture& capture, const CommonOptions& common,
                   fit::TrainOptions* options) {
  const MemoryEstimate e = estimate(capture, *options);
  if (e.total() <= static_cast<double>(common.max_memory) || !(e.count > 0)) return;
  const int64_t most = gaussians_within(e, static_cast<double>(common.max_memory));
  if (most < static_cast<int64_t>(capture.points.positions.size()) || most < 1)
    return;  // refused below
  options->max_gaussians = most;
  log_info("at most " + count_text(most) + " " + scene::noun_of(options->primitive).many +
           " fit in --max-memory");
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

std::string posed_input(const std::string& input, const fit::TrainOptions& options,
                        const CommonOptions& common, const std::filesystem::path& run) {
  if (!options.capture.cameras.empty() || !capture::needs_cameras(input)) return input;
  const std::filesystem::path made = run / fit::kMadeCapture;
  std::error_code ignored;
  const bool new_run = !std::filesystem::exists(run, ignored);
  // Finding cameras takes longer than many a training: --overwrite is about the run, unless photos or options changed.
  const bool kept = capture::holds_capture_of(made, input, options.photos);
  capture::CaptureReport report;
  try {
    report = capture::make_capture(input,
                                   {.out = made,
                                    .resume = kept || common.resume,
                                    .overwrite = !kept && common.overwrite,
                                    .seed = static_cast<uint64_t>(common.seed),
                                    .threads = threads()},
                                   options.photos);
  } catch (const Error&) {
    if (new_run) std::filesystem::remove(run, ignored);  // when nothing is in it
    throw;
  }
  log_info(made.string() + ": " + count_text(report.registered) + " of " +
           count_text(report.photos) + " photos have cameras" +
           (report.sound ? "" : ", and their poses are doubtful"));
  return made.string();
}

fit::Stage from_of(const CommonOptions& common) {
  return common.from.empty() ? fit::Stage::kLoad : fit::stage_of(common.from);
}

fit::Stage until_of(const CommonOptions& common) {
  return common.until.empty() ? fit::Stage::kReport : fit::stage_of(common.until);
}

scene::Capture load_to_train(const Invocation& invocation, const fit::TrainOptions& options,
                             const CommonOptions& common) {
  scene::Capture capture = load_to_fit(invocation.inputs[0], options, common);
  check_training_memory(estimate(capture, options), common);
  return capture;
}

fit::RunResult train_once(const Invocation& invocation, const fit::TrainOptions& given,
                          const CommonOptions& common, const std::filesystem::path& out) {
  const double began = wall_seconds();
  fit::TrainOptions options = given;
  const auto typed = [&](const std::string& name) { return is_typed(invocation, name); };
  Invocation posed = invocation;
  posed.inputs[0] = posed_input(invocation.inputs[0], options, common, out);
  const bool paced = common.time_budget > 0 && !typed("steps");
  scene::Capture capture = load_to_fit(posed.inputs[0], options, common);
  if (paced && !common.resume)
    plan_size(posed.inputs[0], typed("downscale"), common, began, &options, &capture);
  if (common.max_memory > 0 && !typed("max_gaussians")) cap_by_memory(capture, common, &options);
  check_training_memory(estimate(capture, options), common);
  fit::RunContext context;
  context.out = out;
  context.resume = common.resume;
  context.overwrite = common.overwrite;
  context.config = config_of(invocation, options, out.string());
  context.seed = static_cast<uint64_t>(common.seed);
  context.time_budget_s = common.time_budget;
  if (paced) {
    context.pace_most_steps = given.steps;
    context.time_budget_s =
        std::max(0.1 * common.time_budget,
                 common.time_budget - (wall_seconds() - began) - finishing_seconds(capture));
  }
  context.from = from_of(common);
  context.until = until_of(common);
  const int64_t most = common.view ? most_gaussians(capture, options, common) : 0;
  fit::Trainer trainer(std::move(capture), options);
  std::optional<serve::LiveTraining> live;
  if (common.view) {
    // Who else is on this machine shall not stop it.
    live.emplace(serve::HttpOptions{.token = serve::random_token()}, name_of(invocation.inputs[0]),
                 most);
    context.watch = [&](const fit::Trainer& t, const nlohmann::json& record) {
      return live->look(t, record);
    };
    context.new_cap = [&] { return live->new_cap(); };
    log_info("look at it: " + live->address());
  }
  return trainer.run(context);
}

std::vector<TrainingPlan> training_plans(const std::string& input, const CommonOptions& common) {
  std::vector<TrainingPlan> plans;
  for (int64_t downscale = 1; downscale <= 8; downscale *= 2) {
    fit::TrainOptions options;
    options.capture.downscale = downscale;
    const scene::Capture capture = scene::load_capture(input, options.capture);
    if (capture.train.empty()) break;
    TrainingPlan plan;
    plan.downscale = downscale;
    const Size size = largest_picture(capture);
    plan.width = size.width;
    plan.height = size.height;
    if (downscale > 1 && std::max(size.width, size.height) < kLeastPlannedSide) break;
    const MemoryEstimate e = estimate(capture, options);
    plan.memory = e.total();
    plan.photos = static_cast<double>(capture.picture_bytes());
    plan.held = capture.photos ? static_cast<double>(capture.photos->most_bytes()) : plan.photos;
    plan.step_s = seconds_of_step(capture, options, common);
    plan.step_s_late = plan.step_s * cost_growth(e);
    plans.push_back(plan);
  }
  return plans;
}

std::string summary_of(const fit::RunResult& run, const std::string& where) {
  std::string text = where + ": " + count_text(run.scene.size()) + " " +
                     scene::noun_of(run.scene.footprint).many + " after " + count_text(run.steps) +
                     " steps";
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
  text += "\n";
  if (const auto* test = at("/eval/test"); test && test->is_object())
    for (const auto& [name, of] : test->items())
      if (const auto* psnr = figure(&of); psnr && name.starts_with("psnr_") && name != "psnr_8bit")
        text += number_text("  PSNR %.2f dB: ", *psnr) + of.value("of", "") + "\n";
  return text;
}

Result plan_training(const Job& job, const fit::TrainOptions& options) {
  const std::string output = job.invocation.outputs.empty()
                                 ? default_run(name_of(job.invocation.inputs[0])).string()
                                 : job.invocation.outputs[0];
  Result result;
  result.document = config_of(job.invocation, options, output);
  const std::vector<std::string> stages = chosen_stages(job.common);
  result.document["stages"] = stages;
  std::string told;
  if (capture::needs_cameras(job.invocation.inputs[0]))
    told =
        "cameras of the photos are found first; what training needs can be said then: covary "
        "capture " +
        job.invocation.inputs[0] + " -o DIR\n";
  else if (from_of(job.common) <= fit::Stage::kTrain && until_of(job.common) >= fit::Stage::kTrain)
    told = estimate_training(job, options, &result.document);
  result.text = (job.invocation.json ? "" : result.document.dump(2) + "\n") + told + "stages: ";
  for (const std::string& s : stages) result.text += (&s == &stages.front() ? "" : ", ") + s;
  result.text += "\nnothing was written\n";
  return result;
}

}  // namespace covary::cli
