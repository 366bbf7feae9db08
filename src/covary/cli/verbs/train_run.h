// One training, from a capture's name to a run folder: what covary train and its sweeps share.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "covary/cli/verbs/verb.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/fit/trainer.h"

namespace covary::cli {

// Loads the capture and says its notes.
scene::Capture load_and_tell(const std::string& input, const scene::CaptureOptions& options);

// The input as a capture with cameras: itself, or RUN/capture, where cameras of photos, of a video or of an archive are
// found first (what is there already of the same input stays).
std::string posed_input(const std::string& input, const fit::TrainOptions& options,
                        const CommonOptions& common, const std::filesystem::path& run);

// --from and --until.
fit::Stage from_of(const CommonOptions& common);
fit::Stage until_of(const CommonOptions& common);

// Loads, divides the memory limit between photos and Gaussians, checks it.
scene::Capture load_to_train(const Invocation& invocation, const fit::TrainOptions& options,
                             const CommonOptions& common);

// Loads, checks, and does the stages that are asked for, from train on. The folder's config.json repeats it.
// With a time budget and no --steps, steps (and without --downscale the photos' size) are planned so that all of it,
// cameras, training and evaluation, takes the budget; with a memory limit and no --max-gaussians, their number is capped, and photos that do not
// fit in their share of it are decoded by need.
fit::RunResult train_once(const Invocation& invocation, const fit::TrainOptions& options,
                          const CommonOptions& common, const std::filesystem::path& out);

// What a training of a capture needs on this machine, measured on three steps at each size of its photos that makes sense.
struct TrainingPlan {
  int64_t downscale = 1;
  int width = 0, height = 0;           // px, of the largest photo
  double memory = 0;                   // bytes at the peak
  double photos = 0, held = 0;         // bytes: of all, decoded; of those that are held at once
  double step_s = 0, step_s_late = 0;  // s: at the start, and about so at the end
};
std::vector<TrainingPlan> training_plans(const std::string& input, const CommonOptions& common);

std::string summary_of(const fit::RunResult& run, const std::string& where);

// --dry-run: the resolved config, the stages, and when these train, estimates of memory and time measured on three steps.
// Writes nothing.
Result plan_training(const Job& job, const fit::TrainOptions& options);

}  // namespace covary::cli
