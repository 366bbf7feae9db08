// A run from its folder's first file to its last: Trainer::run.
#include <algorithm>
#include <cmath>
#include <optional>

#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/pace.h"
#include "covary/splat/fit/report.h"
#include "covary/splat/fit/run_log.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/noun.h"
#include "covary/splat/scene/ply.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLogRecords = 500;  // about so many of the loss in a run's log

constexpr const char* kOurs[] = {"config.json",     "log.jsonl",      "checkpoint",  "metrics.json",
                                 "scene.ply",       "cameras.json",   "report.html", "eval",
                                 kExposureFiles[0], kExposureFiles[1]};

// The capture that a run made of photos is there before the run begins.
bool holds_a_run(const fs::path& out) {
  std::error_code fault;
  for (const auto& entry : fs::directory_iterator(out, fault))
    if (entry.path().filename() != kMadeCapture) return true;
  return false;
}

// Makes the folder, or makes sure that it may be used. True when there is a state to resume from.
bool open_folder(const RunContext& context) {
  const fs::path& out = context.out;
  std::error_code fault;
  if (fs::exists(out, fault) && !fs::is_directory(out, fault))
    throw Error(ExitCode::kData, "is a file, not a folder", out.string(), "choose another -o");
  make_folder(out);
  if (context.overwrite && !context.resume)
    for (const char* name : kOurs) fs::remove_all(out / name, fault);
  if (holds_a_run(out) && !context.resume && !context.overwrite)
    throw Error(ExitCode::kData, "is not empty", out.string(),
                "--resume continues the run in it, --overwrite starts anew");
  make_folder(out / "checkpoint");
  const bool state = context.resume && fs::exists(out / "checkpoint" / "state.cov", fault);
  // what an earlier process left half-written
  for (const auto& entry : fs::directory_iterator(out / "checkpoint", fault))
    if (entry.path().filename() != "state.cov") fs::remove_all(entry.path(), fault);
  return state;
}

nlohmann::json run_record(const RunContext& context, const scene::Capture& capture,
                          TrainOptions options) {
  nlohmann::json record = context.config.is_object() ? context.config : nlohmann::json::object();
  if (!record.contains("verb")) record["verb"] = "train";
  if (!record.contains("inputs")) record["inputs"] = {capture.name};
  if (!record.contains("options")) record["options"] = OptionList(options).to_json();
  record["options"]["seed"] = context.seed;
  nlohmann::json files = nlohmann::json::object();
  for (const auto& [name, checksum] : capture.files) files[name] = {{"sha256", checksum}};
  record["files"] = files;
  record["version"] = version();
  record["machine"] = machine_description();
  return record;
}

// The capture's cameras, as refined, in its own frame, beside scene.ply.
nlohmann::json edits_json(int64_t step, const Edits& e, int64_t count) {
  nlohmann::json j = {{"step", step},
                      {"event", e.reset && !(e.cloned || e.split || e.pruned) ? "reset" : "refine"},
                      {"count", count}};
  const std::pair<const char*, int64_t> parts[] = {{"cloned", e.cloned}, {"crossed", e.crossed},
                                                   {"split", e.split},   {"pruned", e.pruned},
                                                   {"moved", e.moved},   {"added", e.added}};
  for (const auto& [name, n] : parts)
    if (n) j[name] = n;
  if (e.reset) j["reset"] = true;
  return j;
}

// metrics.json of a run whose training came to an end: scene.ply and it are the last that this writes.
nlohmann::json metrics_of_finished(const fs::path& run) {
  if (!fs::exists(run / "scene.ply") || !fs::exists(run / "metrics.json"))
    throw Error(ExitCode::kData, "no finished run is there", run.string(),
                "train it to its end first: covary train -o " + run.string() + " --resume");
  nlohmann::json metrics = nlohmann::json::parse(read_file(run / "metrics.json"), nullptr, false);
  if (!metrics.is_object())
    throw Error(ExitCode::kData, "is no JSON object", (run / "metrics.json").string(),
                "write --resume without --from");
  return metrics;
}

// The stages after training.
void finish_run(const Trainer& trainer, const RunContext& context, RunResult* result) {
  if (context.until < Stage::kEvaluate) return;
  const bool writes = !context.out.empty();
  const scene::Capture& capture = trainer.capture();
  const Evaluation evaluation =
      evaluate(trainer.cloud(), capture,
               {.split = capture.test.empty() ? "train" : "test",
                .mask_mode = trainer.options().capture.mask_mode,
                .lpips = context.lpips,
                .rasterize = {},
                .pictures = writes ? context.out / "eval" : fs::path(),
                .max_pictures = kShownPictures,
                .progress = true,
                .fit_poses = trainer.options().refine.pose_opt && !capture.test.empty(),
                .correct_colours = trainer.exposure() != nullptr});
  result->metrics["eval"][evaluation.split] = evaluation.to_json();
  if (!writes) return;
  write_file(context.out / "metrics.json", result->metrics.dump(2) + "\n");
  if (context.report && context.until >= Stage::kReport) write_report(context.out);
}

}  // namespace

scene::CameraFile cameras_in_capture_frame(const Trainer& trainer) {
  const scene::Capture& capture = trainer.capture();
  const Eigen::Matrix4d back = trainer.capture_from_training();
  scene::CameraFile file = scene::cameras_of(capture);
  for (auto& named : file.cameras) named.camera = scene::transformed(named.camera, back);
  file.extent /= std::cbrt(capture.scene_from_capture.topLeftCorner<3, 3>().determinant());
  file.scene_from_capture.setIdentity();
  return file;
}

RunResult Trainer::run(const RunContext& context) {
  const InterruptGuard guard;
  if (context.from >= Stage::kEvaluate) {
    RunResult result;
    result.metrics = metrics_of_finished(context.out);
    load_checkpoint(context.out / "checkpoint" / "state.cov");
    if (result.metrics.value("steps", nlohmann::json()) != step_)
      throw Error(
          ExitCode::kData,
          "training is not over: step " + std::to_string(step_) + " of " +
              std::to_string(options_.steps),
          context.out.string(),
          "train it to its end first: covary train -o " + context.out.string() + " --resume");
    result.steps = step_;
    result.scene = exported();
    finish_run(*this, context, &result);
    return result;
  }
  const bool writes = !context.out.empty();
  const fs::path state_file = context.out / "checkpoint" / "state.cov";
  double began = wall_seconds();  // later, by as long as a viewer paused the training
  const double began_cpu = cpu_seconds();

  bool resumed = false;
  if (writes) resumed = open_folder(context);
  if (resumed) {
    load_checkpoint(state_file);
    log_info("resuming at step " + std::to_string(step_) + " of " + std::to_string(options_.steps));
  } else {
    start(context.seed);
  }
  std::unique_ptr<RunLog> log;
  double before = 0, before_cpu = 0;  // seconds of the sessions that this one continues
  if (writes) {
    if (resumed) {
      for (const auto& record : read_log(context.out / "log.jsonl"))
        if (record.value("step", int64_t{0}) <= step_) {
          before = std::max(before, record.value("wall_s", 0.0));
          before_cpu = std::max(before_cpu, record.value("cpu_s", 0.0));
        }
    } else {
      write_file(context.out / "config.json",
                 run_record(context, capture_, options_).dump(2) + "\n");
    }
    log = std::make_unique<RunLog>(context.out / "log.jsonl", resumed ? step_ : -1);
  }
  const auto seconds = [&] { return before + wall_seconds() - began; };
  const auto cpu = [&] { return before_cpu + cpu_seconds() - began_cpu; };

  paced_ = paced_ || context.pace_most_steps > 0;
  std::optional<Pace> pace;
  if (context.pace_most_steps > 0 && context.time_budget_s > 0)
    pace.emplace(context.time_budget_s, context.pace_most_steps);
  const int64_t first_step = step_;

  const int64_t checkpoint_every = options_.checkpoint_every_of();
  const int64_t eval_every = options_.eval_every_of();
  const int64_t log_every = std::max<int64_t>(1, options_.steps / kLogRecords);
  const char* psnr_name = capture_.test.empty() ? "train_psnr" : "test_psnr";
  Progress progress("train", options_.steps, "steps");
  bool out_of_time = false, stopped = false;
  int64_t saved = resumed ? step_ : -1;
  const auto save = [&] {
    if (!writes || saved == step_) return;
    save_checkpoint(state_file);
    saved = step_;
  };

  double loss_sum = 0;
  std::map<std::string, double> term_sums;
  int64_t summed = 0;
  while (step_ < options_.steps) {
    if (const int signal = interrupted()) {
      save();
      throw Interrupted{signal};
    }
    if (context.time_budget_s > 0 && wall_seconds() - began > context.time_budget_s) {
      out_of_time = true;
      break;
    }
    const StepResult result = step();
    if (pace) {
      const int64_t done = step_ - first_step;
      retime(first_step + pace->steps(done, wall_seconds() - began, options_.steps - first_step));
      progress.expect(options_.steps);
    }
    loss_sum += result.loss;
    for (const auto& [name, value] : result.terms) term_sums[name] += value;
    ++summed;

    std::vector<Figure> figures = {{"loss", result.loss, ""}, {"count", double(count()), ""}};
    nlohmann::json record;
    if (step_ % log_every == 0 || step_ == options_.steps || step_ == 1) {
      const double n = static_cast<double>(summed);
      record = {{"step", step_},
                {"wall_s", seconds()},
                {"cpu_s", cpu()},
                {"loss", loss_sum / n},
                {"count", count()},
                {"sh_degree", sh_degree()},
                {"division", division_at(levels_, step_, options_.steps)},
                {"lr_means", lr_means(step_)},
                {"memory_mb", static_cast<double>(memory_bytes()) / 1e6}};
      for (const auto& [name, sum] : term_sums) record["terms"][name] = sum / n;
      if (const nlohmann::json figures = strategy_->figures(); !figures.empty())
        record["growth"] = figures;
      if (cameras_) record["cameras"] = cameras_->change().to_json();
      if (exposure_) record["exposure"] = exposure_->to_json();
      loss_sum = 0;
      term_sums.clear();
      summed = 0;
    }
    if (eval_every > 0 && (step_ % eval_every == 0 || step_ == options_.steps)) {
      const double figure = quick_psnr();
      figures.push_back({"PSNR", figure, "dB"});
      if (record.is_null()) record = {{"step", step_}, {"wall_s", seconds()}, {"cpu_s", cpu()}};
      if (std::isfinite(figure)) record[psnr_name] = figure;
    }
    if (log && !record.is_null()) log->write(record);
    if (log && result.edits.any()) log->write(edits_json(step_, result.edits, count()));
    progress.update(step_, figures);
    if (const int64_t most = context.new_cap ? context.new_cap() : 0; most > 0 && recap(most)) {
      log_info("at most " + std::to_string(most) + " " + scene::noun_of(options_.primitive).many +
               " from step " + std::to_string(step_));
      if (log)
        log->write(
            {{"step", step_}, {"event", "cap"}, {"max_gaussians", most}, {"count", count()}});
    }
    if (checkpoint_every > 0 && step_ % checkpoint_every == 0) save();
    if (context.watch) {
      const double before_watch = wall_seconds();
      stopped = !context.watch(*this, record);
      began += wall_seconds() - before_watch;
      if (stopped) break;
    }
  }
  progress.finish();
  if (pace && out_of_time) retime(step_);  // it is whole: nothing is to be resumed
  save();

  RunResult result;
  result.steps = step_;
  result.scene = exported();
  const double training = seconds(), training_cpu = cpu();
  nlohmann::json& m = result.metrics;
  m = {{"schema", "covary-metrics/1"},
       {"steps", step_},
       {"steps_planned", options_.steps},
       {"count", count()},
       {"train",
        {{"wall_s", training},
         {"cpu_s", training_cpu},
         {"steps_per_s", static_cast<double>(step_) / std::max(1e-9, training)},
         {"peak_memory_mb", static_cast<double>(peak_memory_bytes()) / 1e6},
         {"views", capture_.train.size()}}}};
  if (cameras_) {
    m["cameras"] = cameras_->change().to_json();
    m["cameras"]["lenses"] = cameras_->lenses();
  }
  if (exposure_) m["exposure"] = exposure_->to_json();
  if (!caps_.empty()) m["caps"] = caps_json();
  if (stopped) {
    m["note"] = "stopped by hand at step " + std::to_string(step_) + " of " +
                std::to_string(options_.steps) + "; --resume continues";
    log_info(m["note"].get<std::string>());
  } else if (out_of_time && pace) {
    m["note"] = "the number of steps followed the time budget";
  } else if (out_of_time) {
    m["note"] = "the time budget ended at step " + std::to_string(step_) + " of " +
                std::to_string(options_.steps) + "; --resume continues";
    log_info(m["note"].get<std::string>());
  }
  if (writes) {
    scene::write_ply(context.out / "scene.ply", result.scene);
    scene::write_cameras(context.out / "cameras.json", cameras_in_capture_frame(*this));
    if (exposure_) exposure_->write(context.out, capture_from_training().inverse());
    write_file(context.out / "metrics.json", m.dump(2) + "\n");
  }
  finish_run(*this, context, &result);
  return result;
}

nlohmann::json report_again(const fs::path& run) {
  nlohmann::json metrics = metrics_of_finished(run);
  if (!metrics.contains("eval"))
    throw Error(ExitCode::kData, "the run was not evaluated", run.string(),
                "write --resume --from evaluate");
  write_report(run);
  return metrics;
}

}  // namespace covary::fit
