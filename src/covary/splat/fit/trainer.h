// The trainer: a capture in, a scene of Gaussians out, with every intermediate state safe on disk.
//
//   Trainer trainer(load_capture("data/fox", options.capture), options);
//   RunResult run = trainer.run({.out = "out/fox"});   // 30,000 steps, or options.steps
//   run.scene                                          // in the capture's frame
//
// The run folder holds config.json, log.jsonl, checkpoint/state.cov, and at the end scene.ply,
// cameras.json, metrics.json and report.html. Training happens in the scene's (normalised) frame;
// scene.ply and cameras.json are in the capture's, so whoever reads a run loads the capture with
// normalize = false. Same capture, options and seed: same bits on the CPU, on any number of
// threads, interrupted and resumed or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/fit/camera_refinement.h"
#include "covary/splat/fit/exposure.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/fit/resolution.h"
#include "covary/splat/fit/strategy.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

class Trainer;

struct RunContext {
  std::filesystem::path out = "";  // run folder; empty: nothing is written and no checkpoint kept
  bool resume = false;             // continue from out/checkpoint; a folder without one starts anew
  bool overwrite = false;          // clear what a former run left in `out`
  nlohmann::json config =
      nullptr;  // verb, inputs, options, seed as typed and resolved; null: from the options. Goes
                // into config.json beside the capture's checksums, the version and the machine
  uint64_t seed = 42;
  double time_budget_s = 0;  // wall clock; 0 = none. When it is spent, training ends where it is
  // The number of steps follows the time budget (pace.h), up to this many; 0: it is that of the options. The bits of such a
  // run depend on the machine's pace; metrics.json says how many steps it came to.
  int64_t pace_most_steps = 0;
  bool report = true;      // write report.html
  std::string lpips = "";  // TorchScript file for the final evaluation; empty: LPIPS is absent
  // kEvaluate: training is over in `out`, only what follows is done again (with resume). The trainer
  // has its capture, so kLoad and kTrain are one.
  Stage from = Stage::kLoad;
  Stage until = Stage::kReport;  // the last stage done; at least kTrain
  // Looks on: called after every step with what was logged at it (null where nothing was). False ends training there, whole,
  // as a spent time budget does.
  std::function<bool(const Trainer& trainer, const nlohmann::json& record)> watch = {};
  // Asked after every step: another cap on the number of Gaussians, 1 or more; 0: as it is. A change is written to log.jsonl
  // as an event "cap", kept by checkpoints, and listed in metrics.json ("caps").
  std::function<int64_t()> new_cap = {};
};

struct RunResult {
  scene::Cloud scene;      // the capture's frame
  nlohmann::json metrics;  // as in metrics.json
  int64_t steps = 0;
};

// What one step did.
struct StepResult {
  double loss = 0;                      // summed over its views
  std::map<std::string, double> terms;  // unweighted, mean over views; parts of terms as well
  Edits edits;
};

class Trainer {
 public:
  // Error(kData) when the capture has no training views or pictures of another size than their
  // cameras, Error(kUsage) for contradictory options.
  Trainer(scene::Capture capture, TrainOptions options);
  ~Trainer();

  // The whole fit. Throws Interrupted after a checkpoint on Ctrl-C or TERM; Error(kFailed) when the
  // loss is no longer a number, with the last checkpoint kept; Error(kData) when `out` is not empty
  // and neither resume nor overwrite is set, or does not fit the capture; Error(kUsage) when a
  // resumed run had other options. From kEvaluate: Error(kData) when the run in `out` is not finished.
  RunResult run(const RunContext& context);

  // ---- the pieces, for wrappers and tests ----

  std::vector<LossTerm>& terms() { return terms_; }  // add or replace before the first step
  Strategy& strategy() { return *strategy_; }

  void start(uint64_t seed);                           // initial Gaussians, step 0
  StepResult step();                                   // on the views of the schedule
  StepResult step(const std::vector<int64_t>& views);  // on these (indices in the capture)
  std::vector<int64_t> views_of_step(
      int64_t step) const;  // shuffled epochs, no view twice: a function of (seed, step)
  int64_t steps_done() const { return step_; }
  int64_t count() const { return table_.rows(); }
  int sh_degree() const;    // active at the next step
  double division() const;  // of the photos' sides at the next step (resolution_options.h)

  const nn::RowTable& table() const { return table_; }
  const scene::Capture& capture() const { return capture_; }  // its cameras as refined so far
  const CameraRefinement* cameras() const { return cameras_.get(); }  // null: cameras stay
  const Exposure* exposure() const { return exposure_.get(); }        // null: none
  const TrainOptions& options() const { return options_; }
  double extent() const { return extent_; }
  scene::Cloud cloud() const;     // the training frame; tensors are shared with the table
  scene::Cloud exported() const;  // the capture's frame, copied
  Eigen::Matrix4d capture_from_training() const;  // the similarity between the two
  // PSNR over a few held-out views (training views when there are none), dB.
  double quick_psnr() const;

  // The run now has so many steps, more than are done: rates and refinement follow.
  void retime(int64_t steps);
  // From the next refinement on at most so many Gaussians (strategy.h). False: the strategy has no cap. Later caps are
  // part of the state: a resumed run has them.
  bool recap(int64_t max_gaussians);
  // The cap of now; INT64_MAX without one.
  int64_t max_gaussians() const;

  void save_checkpoint(const std::filesystem::path& file) const;
  void load_checkpoint(const std::filesystem::path& file);  // Error(kData) naming what does not fit

 private:
  render::Primitives primitives() const;
  render::RasterizeOptions raster_options() const;
  at::Tensor background_of(int64_t step, int64_t view) const;
  std::vector<scene::Camera> training_cameras() const;
  // Of a picture of these sides at a step; 1: all pixels.
  int stride_of(int64_t step, int width, int height) const;
  SceneFacts scene_facts() const;
  int64_t drawn_before(int64_t step) const;  // views
  // The training views of an epoch, by their place in capture().train.
  std::vector<int64_t> order_of(int64_t epoch) const;
  // Of the schedule's draws, counted over the whole run, those in [begin, end).
  std::vector<int64_t> views_drawn(int64_t begin, int64_t end) const;
  // The views of this step and those after it, to the end of the next epoch.
  std::vector<int64_t> views_to_come(int64_t step) const;
  void order_rows();
  double lr_means(int64_t step) const;  // of the means, or of what they are made of
  // Drops that share of the Gaussians, those that the training views depend on least. Their number.
  int64_t drop_insensitive(double share);
  nlohmann::json caps_json() const;
  void take_caps(const nlohmann::json& caps);

  scene::Capture capture_;
  TrainOptions options_;
  double extent_ = 1;
  uint64_t seed_ = 42;
  bool paced_ = false;  // the number of steps follows a clock
  int64_t step_ = 0;
  struct Cap {
    int64_t step, max_gaussians;
  };
  std::vector<Cap> caps_;  // beyond that of the options, in the order of their steps
  nn::RowTable table_;
  std::vector<ResolutionLevel> levels_;
  std::vector<PruneEvent> prunes_;
  size_t pruned_ = 0;  // of them, done
  CoarseViews coarse_;
  std::unique_ptr<CameraRefinement> cameras_;
  std::unique_ptr<Exposure> exposure_;
  std::vector<LossTerm> terms_;
  std::unique_ptr<Strategy> strategy_;
};

// The cameras of its capture, as refined so far, in the frame of its exported scene.
scene::CameraFile cameras_in_capture_frame(const Trainer& trainer);

// The stage report of a finished run, from the files of its folder alone. Error(kData) when the run
// is not finished or was never evaluated. Returns its metrics.
nlohmann::json report_again(const std::filesystem::path& run);

}  // namespace covary::fit
