// How a capture is fitted: everything that `covary train` can be told, but where it writes and the
// seed (RunContext).
//
//   TrainOptions options;
//   OptionList(options).set("strategy", "mcmc", "example");
//   options.steps = 7000;
//   Trainer(capture, options).run({.out = "out/fox"});
//
// What depends on the length of training is left open ("none") by default and follows `steps`: see
// the help of sh_every, start, stop and checkpoint_every, and the *_of functions below, which give
// the resolved number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/base/options.h"
#include "covary/splat/capture/photo_options.h"
#include "covary/splat/fit/convex_options.h"
#include "covary/splat/fit/exposure_options.h"
#include "covary/splat/fit/ges_options.h"
#include "covary/splat/fit/growth_options.h"
#include "covary/splat/fit/multi_view_options.h"
#include "covary/splat/fit/refine_options.h"
#include "covary/splat/fit/resolution_options.h"
#include "covary/splat/fit/robust_options.h"
#include "covary/splat/scene/capture_options.h"

namespace covary::fit {

// What is minimised: (1 - w) * L1 + w * (1 - SSIM), plus regularisers. A value of "none" is the
// strategy's own: 0, and 0.01 under mcmc.
struct LossOptions {
  double ssim_weight = 0.2;  // w, 1
  std::string ssim_padding =
      "zero";  // zero: every pixel has a window; valid: only windows inside the image
  std::optional<double> opacity_reg;    // weight of the mean opacity
  std::optional<double> scale_reg;      // weight of the mean standard deviation, 1 / world unit
  std::optional<double> depth_weight;   // of the views' depths, at the start: depth_terms.h
  double depth_final_factor = 0.01;     // the last step's weight over the first's
  std::optional<double> normal_weight;  // of the views' normals
  double sparse_depth_weight = 0;  // of the depths of the points that a photo sees: depth_terms.h

  void describe(OptionList& o);
  void check() const;
};

// Adam. Rates are per step; that of the means is in units of the scene's extent.
struct OptimizerOptions {
  double lr_means = 1.6e-4;  // extent a step, at the start
  double lr_means_final_factor =
      0.01;                 // the last step's rate over the first's; exponential between
  double lr_scales = 5e-3;  // of log standard deviations
  double lr_quats = 1e-3;
  double lr_opacities = 5e-2;  // of logits
  double lr_sh0 = 2.5e-3;
  double lr_shN = 1.25e-4;
  double lr_final_factor = 1;  // the last step's rate of all but the means over the first's
  double beta1 = 0.9, beta2 = 0.999;
  // With B views a step rates grow by sqrt(B) and moments forget B times as fast (nn/optim/adam.h), up to the B whose first
  // moment is the gradient itself: 10.
  bool batch_scaling = true;
  double eps = 1e-15;
  bool visible_only = true;  // rows that no view of the step sees are left alone, moments too

  int64_t batch_of(int64_t views) const;  // nn::AdamOptions::batch of a step on so many
  void describe(OptionList& o);
  void check() const;
};

// The default strategy: clone and split where the screen gradient is large, prune what is
// transparent.
struct DefaultStrategyOptions {
  std::optional<double> start;   // steps; none: 500, or steps/10 when that is less
  std::optional<double> stop;    // steps; none: 15000, or steps/2 when that is less
  int64_t every = 100;           // steps
  double grad_threshold = 2e-4;  // mean gradient norm by the screen centre, in half image sizes
  bool absgrad =
      false;  // sums of absolute per-pixel gradients instead (use a threshold of about 8e-4)
  double size_threshold = 0.01;  // extent; not larger: clone, larger: split
  double prune_opacity = 0.005;
  double prune_scale = 0.1;       // extent; larger ones go, after the first reset
  int64_t reset_every = 3000;     // steps; opacities fall to at most twice prune_opacity
  int64_t pause_after_reset = 0;  // steps without refinement after a reset
  bool revised_opacity = false;   // children of a split take 1 - sqrt(1 - o) instead of o

  void describe(OptionList& o);
  void check() const;
};

// MCMC: a fixed budget, dead Gaussians move to where the opaque ones are, transparent ones wander.
struct McmcOptions {
  std::optional<double> start;  // steps; none: 500, or steps/10 when that is less
  std::optional<double> stop;   // steps; none: 25000, or 5/6 of steps when that is less
  int64_t every = 100;          // steps
  double noise_lr = 5e5;        // noise over the current rate of the means
  // Factor of the count a refinement, up to max_gaussians; none: 1.05, and in runs of fewer than 30000
  // steps 1.05^(30000 / steps), at most 1.5, so that the budget is filled at the same share of the run.
  std::optional<double> growth;
  double min_opacity = 0.005;  // not above: dead

  void describe(OptionList& o);
  void check() const;
};

struct TrainOptions {
  int64_t steps = 30000;
  int64_t sh_degree = 3;  // 0..3
  std::optional<double>
      sh_every;  // steps between two degrees; none: 1000, or steps/8 when that is less
  std::string strategy = "default";    // a registered name (strategy.h): default, mcmc, none
  int64_t max_gaussians = 0;           // a cap at every step; 0: none, and 1,000,000 under mcmc
  std::string primitive = "gaussian";  // gaussian | ges | convex
  std::string antialias = "none";      // none | mip | analytic
  bool filter_3d = false;       // no Gaussian finer than the photos can tell: sampling_filter.h
  std::string init = "auto";    // auto | points | random | FILE.ply
  int64_t init_count = 0;       // of a random start; 0: 100,000 or max_gaussians
  bool init_midpoints = false;  // points are filled in where they are sparse: midpoints.h
  // Of a start from points or at random; none: 0.1, and 0.5 under mcmc.
  std::optional<double> init_opacity;
  // Standard deviation over the distance to the 3 nearest neighbours; none: 1, and 0.1 under mcmc.
  std::optional<double> init_scale;
  int64_t views_per_step = 1;  // B: gradients are summed, rates grow by sqrt(B) (nn/optim/adam.h)
  // Views a step near the end, where the last final_share of all views is drawn; 0: as elsewhere.
  int64_t final_views = 0;
  double final_share = 0.2;
  MultiViewOptions multi_view;  // what else several views are good for; of the default strategy
  // full | DIVISION:UNTIL,...: coarse photos first (resolution_options.h)
  std::string resolution_schedule = "full";
  int64_t render_stride = 1;          // px; steps on every n-th pixel of both axes: stride.h
  double render_stride_until = 0.95;  // share of the steps; whole pictures behind it
  std::optional<double>
      checkpoint_every;  // steps; none: 1000, or steps/10 when that is less; 0: only at the end
  std::optional<double>
      eval_every;  // steps between looks at a few held-out views; none: steps/10; 0: never
  // Folders of maps by photo, shape_files.h; empty: what the capture knows.
  std::string depth = {}, normals = {};
  std::string depth_kind = "inverse";  // inverse | distance
  scene::CaptureOptions capture;
  capture::PhotoOptions photos;  // of an input without cameras: photos, a video, a ZIP file
  LossOptions loss;
  OptimizerOptions optimizer;
  RefineOptions refine;
  std::string exposure = "none";        // none | affine | bilateral | embedding: exposure.h
  std::string exposure_start = "exif";  // of affine and bilateral: exif | none, exif_gains.h
  AffineExposureOptions affine;         // group "affine"
  BilateralExposureOptions bilateral;   // group "bilateral"
  EmbeddingExposureOptions embedding;   // group "embedding"
  RobustOptions robust;
  GesOptions ges;                           // group "ges"
  ConvexOptions convex;                     // group "convex"
  GrowthOptions growth;                     // of the default strategy
  DefaultStrategyOptions default_strategy;  // group "default"
  McmcOptions mcmc;

  void describe(OptionList& o);
  void check() const;  // Error(kUsage) naming the field

  // resolution_schedule, and behind it the steps of final_views.
  std::vector<ResolutionLevel> levels() const;

  // Resolved numbers (steps), as the help of each field states the rule.
  int64_t sh_every_of() const;
  int64_t checkpoint_every_of() const;
  int64_t eval_every_of() const;
  int64_t views_drawn() const;       // in all steps, by views_per_step and resolution_schedule
  int64_t max_gaussians_of() const;  // INT64_MAX without a cap
  double init_opacity_of() const;
  double init_scale_of() const;
  double mcmc_growth_of() const;
  double depth_weight_of() const;
  double normal_weight_of() const;
  double opacity_reg_of() const;
  double scale_reg_of() const;
};

// What the published release does where our defaults differ, as an object for OptionList::apply:
// schedules of fixed step numbers instead of ones scaled by the length of the run, and Adam on every
// row. Of `options` only the length and the strategy are looked at.
// Source: Kerbl et al. 2023 and Kheradmand et al. 2024 (MCMC), released code.
nlohmann::json parity_options(const TrainOptions& options);

// The stages of a run, in order.
enum class Stage { kLoad, kTrain, kEvaluate, kReport };
const std::vector<std::string>& stage_names();  // load, train, evaluate, report
Stage stage_of(const std::string& name);        // Error(kUsage) for another word

// min(most, fraction of steps), at least 1, unless the field is set.
int64_t resolved_steps(const std::optional<double>& field, int64_t most, double fraction,
                       int64_t steps);

}  // namespace covary::fit
