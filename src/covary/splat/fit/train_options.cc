#include "covary/splat/fit/train_options.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"

namespace covary::fit {
namespace {

constexpr double kNoLimit = 1e12;

[[noreturn]] void refuse(const std::string& field, const std::string& what,
                         const std::string& hint) {
  throw Error(ExitCode::kUsage, what, field, hint);
}

void check_window(const std::string& group, const std::optional<double>& start,
                  const std::optional<double>& stop) {
  if (start && stop && *start > *stop)
    refuse(group + ".start", "is after " + group + ".stop", "give a start before the stop");
}

}  // namespace

int64_t resolved_steps(const std::optional<double>& field, int64_t most, double fraction,
                       int64_t steps) {
  if (field) return static_cast<int64_t>(std::llround(*field));
  return std::max<int64_t>(
      1, std::min(most, static_cast<int64_t>(fraction * static_cast<double>(steps))));
}

void LossOptions::describe(OptionList& o) {
  o.add("ssim_weight", &ssim_weight, "share of 1 - SSIM in the photometric loss; the rest is L1")
      .range(0, 1)
      .synonym("lambda-dssim");
  o.add("ssim_padding", &ssim_padding,
        "zero: a window at every pixel; valid: only windows inside the image")
      .choices({"zero", "valid"});
  o.add("opacity_reg", &opacity_reg, "weight of the mean opacity; none: 0, and 0.01 under mcmc")
      .range(0, 1e3);
  o.add("scale_reg", &scale_reg,
        "weight of the mean standard deviation; none: 0, and 0.01 under mcmc")
      .range(0, 1e3);
  o.add("depth_weight", &depth_weight,
        "first weight of the views' depths; none: 0, and 1 with --depth")
      .range(0, 1e3);
  o.add("depth_final_factor", &depth_final_factor, "last weight of the depths over the first")
      .range(1e-9, 1);
  o.add("normal_weight", &normal_weight,
        "weight of the views' normals; none: 0, and 0.05 with --normals")
      .range(0, 1e3);
  o.add("sparse_depth_weight", &sparse_depth_weight,
        "weight of the depths of the model's points in the photos that see them (tracks of COLMAP, "
        "OpenMVG)")
      .range(0, 1e3)
      .common()
      .synonym("sparse-depth")
      .synonym("depth-lambda");
}

void LossOptions::check() const {}

void OptimizerOptions::describe(OptionList& o) {
  o.add("lr_means", &lr_means, "first rate of the means").range(0, 1).unit("extent");
  o.add("lr_means_final_factor", &lr_means_final_factor, "last rate of the means over the first")
      .range(1e-9, 1);
  o.add("lr_scales", &lr_scales, "rate of the log standard deviations").range(0, 10);
  o.add("lr_quats", &lr_quats, "rate of the quaternions").range(0, 10);
  o.add("lr_opacities", &lr_opacities, "rate of the opacity logits").range(0, 10);
  o.add("lr_sh0", &lr_sh0, "rate of the degree-0 colour").range(0, 10);
  o.add("lr_shN", &lr_shN, "rate of the higher SH coefficients").range(0, 10);
  o.add("lr_final_factor", &lr_final_factor,
        "last rate of all but the means over the first; 1: constant")
      .range(1e-9, 1);
  o.add("beta1", &beta1, "decay of the first moment").range(0, 0.999999999);
  o.add("beta2", &beta2, "decay of the second moment").range(0, 0.999999999);
  o.add("eps", &eps, "added to the root of the second moment").range(0, 1);
  o.add("batch_scaling", &batch_scaling,
        "with several views a step: rates grow by the root of their number (nn/optim/adam.h)");
  o.add("visible_only", &visible_only,
        "leave Gaussians alone that no view of the step sees, moments too");
}

int64_t OptimizerOptions::batch_of(int64_t views) const {
  if (!batch_scaling) return 1;
  const double rest = std::max(1 - beta1, 1 - beta2);
  auto batch = std::min(std::max<int64_t>(1, views),
                        std::max<int64_t>(1, static_cast<int64_t>(std::min(1e6, 1 / rest + 1))));
  while (batch > 1 && static_cast<double>(batch) * rest > 1) --batch;
  return batch;
}

void OptimizerOptions::check() const {}

void DefaultStrategyOptions::describe(OptionList& o) {
  o.add("start", &start, "first step of refinement; none: 500, or steps/10 when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("stop", &stop, "last step of refinement; none: 15000, or steps/2 when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("every", &every, "steps between refinements").range(1, kNoLimit).unit("steps");
  o.add("grad_threshold", &grad_threshold, "mean screen gradient that selects, in half image sizes")
      .range(0, 1e3)
      .synonym("densify-grad-threshold");
  o.add("absgrad", &absgrad,
        "select by sums of absolute per-pixel gradients (with a threshold of about 8e-4)");
  o.add("size_threshold", &size_threshold,
        "up to this size a Gaussian is cloned, above it is split")
      .range(0, 1e3)
      .unit("extent");
  o.add("prune_opacity", &prune_opacity, "less opaque Gaussians go").range(0, 1);
  o.add("prune_scale", &prune_scale, "larger Gaussians go, after the first reset")
      .range(0, 1e6)
      .unit("extent");
  o.add("reset_every", &reset_every, "steps between resets of the opacities to twice prune_opacity")
      .range(1, kNoLimit)
      .unit("steps");
  o.add("pause_after_reset", &pause_after_reset, "steps without refinement after a reset")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("revised_opacity", &revised_opacity, "children of a split take 1 - sqrt(1 - opacity)");
}

void DefaultStrategyOptions::check() const { check_window("default", start, stop); }

void McmcOptions::describe(OptionList& o) {
  o.add("start", &start, "first step of refinement; none: 500, or steps/10 when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("stop", &stop, "last step of refinement; none: 25000, or 5/6 of steps when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("every", &every, "steps between refinements").range(1, kNoLimit).unit("steps");
  o.add("noise_lr", &noise_lr, "noise of transparent Gaussians over the rate of the means")
      .range(0, 1e12);
  o.add(
       "growth", &growth,
       "factor of the count a refinement, up to max_gaussians; none: 1.05^(30000/steps), from 1.05 "
       "to 1.5")
      .range(1, 10);
  o.add("min_opacity", &min_opacity, "a Gaussian not more opaque is dead and moves")
      .range(1e-6, 0.5);
}

void McmcOptions::check() const { check_window("mcmc", start, stop); }

void TrainOptions::describe(OptionList& o) {
  o.add("steps", &steps, "optimiser steps")
      .range(1, 1e8)
      .unit("steps")
      .common()
      .synonym("iterations")
      .synonym("iters")
      .synonym("max-steps")
      .synonym("num-iters");
  o.add("sh_degree", &sh_degree, "degree of the colour's spherical harmonics")
      .range(0, 3)
      .common()
      .synonym("sh");
  o.add("sh_every", &sh_every,
        "steps between two degrees; none: 1000, or steps/8 when that is less")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("strategy", &strategy, "when Gaussians are split, cloned, pruned, moved")
      .choices({"default", "mcmc", "none"})
      .common();
  o.add("max_gaussians", &max_gaussians,
        "most Gaussians at any step; 0: no cap, and 1,000,000 under mcmc")
      .range(0, 1e9)
      .common()
      .synonym("cap")
      .synonym("max-cap")
      .synonym("cap-max")
      .synonym("max-splats");
  o.add(
       "primitive", &primitive,
       "what is fitted: gaussian, ges (generalised exponentials, which have a shape of their own), "
       "convex (smooth convex hulls)")
      .choices({"gaussian", "ges", "convex"})
      .common();
  o.add("antialias", &antialias,
        "mip: opacity is lowered where the screen filter widens a Gaussian; analytic: a pixel "
        "integrates over its square")
      .choices({"none", "mip", "analytic"})
      .bare("mip")
      .common();
  o.add("filter_3d", &filter_3d,
        "no Gaussian is finer than the photos can tell: for pictures from nearer than theirs")
      .synonym("filter3d")
      .common();
  o.add("init", &init, "the start: auto (points, or random without any), points, random, FILE.ply")
      .suggestions({"auto", "points", "random"})
      .common();
  o.add("init_count", &init_count,
        "Gaussians of a random start; 0: 100,000, or max_gaussians when that is less")
      .range(0, 1e9);
  o.add("init_midpoints", &init_midpoints,
        "fill in points where they are sparse, up to twice as many and a quarter of max_gaussians");
  o.add("init_opacity", &init_opacity, "opacity at the start; none: 0.1, and 0.5 under mcmc")
      .range(1e-6, 1 - 1e-6);
  o.add("init_scale", &init_scale,
        "size at the start over the distance to the 3 nearest; none: 1, and 0.1 under mcmc")
      .range(1e-3, 1e3);
  o.add("views_per_step", &views_per_step,
        "views whose gradients one step sums; rates grow by its root")
      .range(1, 1024)
      .common();
  o.add(
       "final_views", &final_views,
       "views a step near the end, where gradients should be calm, if more than elsewhere; 0: none")
      .range(0, 1024);
  o.add("final_share", &final_share, "share of all views that are drawn so many a step")
      .range(0, 1);
  o.add("resolution_schedule", &resolution_schedule,
        "coarse photos first: full (never), or DIVISION:UNTIL,... with shares of the steps, as "
        "in 4:0.1,2:0.4")
      .suggestions({"full"});
  o.add("render_stride", &render_stride,
        "steps on every n-th pixel of both axes, with all offsets in turn: large photos at a "
        "share of their cost")
      .range(1, 16)
      .unit("px")
      .common()
      .synonym("dilate");
  o.add("render_stride_until", &render_stride_until,
        "share of the steps after which pictures are whole again")
      .range(0, 1);
  o.add("exposure", &exposure,
        "colours of the photos: none (those of the scene), affine (a 3x4 map each), bilateral (a "
        "grid of maps each), embedding (a network adds to the Gaussians' colours)")
      .choices({"none", "affine", "bilateral", "embedding"})
      .common();
  o.add("exposure_start", &exposure_start,
        "affine and bilateral maps begin with: exif (the gains that the photos' EXIF states), none")
      .choices({"exif", "none"});
  o.add("depth", &depth, "folder of depth maps by photo: NAME.png, grey, 16 bit, 0 = unknown")
      .common();
  o.add("depth_kind", &depth_kind, "what larger depths are: inverse (nearer), distance (farther)")
      .choices({"inverse", "distance"});
  o.add("normals", &normals, "folder of normal maps by photo: NAME.png, camera axes").common();
  o.add("checkpoint_every", &checkpoint_every,
        "steps between checkpoints; none: 1000, or steps/10 when that is less; 0: only at the end")
      .range(0, kNoLimit)
      .unit("steps");
  o.add("eval_every", &eval_every,
        "steps between looks at a few held-out views; none: steps/10; 0: never")
      .range(0, kNoLimit)
      .unit("steps");
  o.group("capture", capture);
  o.group("photos", photos);
  o.group("loss", loss);
  o.group("optimizer", optimizer);
  o.group("refine", refine);
  o.group("robust", robust);
  o.group("affine", affine).only_when("exposure", "affine");
  o.group("bilateral", bilateral).only_when("exposure", "bilateral");
  o.group("embedding", embedding).only_when("exposure", "embedding");
  o.group("ges", ges).only_when("primitive", "ges");
  o.group("convex", convex).only_when("primitive", "convex");
  o.group("multi_view", multi_view).only_when("strategy", "default");
  o.group("growth", growth).only_when("strategy", "default");
  o.group("default", default_strategy)
      .only_when("strategy", "default")
      .only_when("primitive", "gaussian|ges");  // convexes have a growth of their own
  o.group("mcmc", mcmc).only_when("strategy", "mcmc");
}

void TrainOptions::check() const {
  if (steps < 1) refuse("steps", "is below 1", "give the number of optimiser steps");
  if (sh_degree < 0 || sh_degree > 3)
    refuse("sh_degree", "is not in 0..3", "use 3, or 0 for colour without direction");
  if (primitive != "gaussian" && primitive != "ges" && primitive != "convex")
    refuse("primitive", "is neither gaussian, ges nor convex", "use gaussian");
  if (antialias != "none" && antialias != "mip" && antialias != "analytic")
    refuse("antialias", "is neither none, mip nor analytic", "use mip");
  if (antialias == "analytic" && primitive == "ges" && ges.kernel == "gef")
    refuse("antialias",
           "analytic is the integral of a Gaussian, and ges with kernel gef has others",
           "use --antialias mip, or --kernel fast");
  if (filter_3d && primitive == "ges" && ges.kernel == "gef")
    refuse("filter_3d", "widens Gaussians, and ges with kernel gef has others",
           "use --kernel fast, or leave the filter out");
  if (exposure != "none" && exposure != "affine" && exposure != "bilateral" &&
      exposure != "embedding")
    refuse("exposure", "is neither none, affine, bilateral nor embedding", "use affine");
  if (exposure_start != "exif" && exposure_start != "none")
    refuse("exposure_start", "is neither exif nor none", "use exif");
  if (views_per_step < 1) refuse("views_per_step", "is below 1", "use 1");
  if (final_views < 0) refuse("final_views", "is negative", "use 4, or 0 for none");
  if (!(final_share >= 0 && final_share < 1))
    refuse("final_share", "is no share below 1", "use 0.2");
  levels();
  growth.check();
  if (growth.budget && max_gaussians == 0)
    refuse("growth.budget", "rises to a cap, and there is none", "add --max-gaussians 500000");
  if (render_stride < 1 || render_stride > 16)
    refuse("render_stride", "is not in 1..16", "use 2, or 1 for whole pictures");
  if (!(render_stride_until >= 0 && render_stride_until <= 1))
    refuse("render_stride_until", "is no share of the steps", "use 0.95");
  if (render_stride > 1 && multi_view.cross_ray)
    refuse("multi_view.cross_ray",
           "compares windows of whole pictures, and render_stride cuts them",
           "use --render-stride 1");
  if (render_stride > 1 && loss.sparse_depth_weight > 0)
    refuse("loss.sparse_depth_weight",
           "is for single pixels, and render_stride leaves most of them out",
           "use --render-stride 1, or depth maps: --depth FOLDER");
  if (max_gaussians < 0) refuse("max_gaussians", "is negative", "use 0 for no cap");
  if (init.empty()) refuse("init", "is empty", "use auto, points, random or a .ply file");
  if (max_gaussians > 0 && init_count > max_gaussians)
    refuse("init_count", "is above max_gaussians", "lower it or raise max_gaussians");
  capture.check();
  photos.check();
  loss.check();
  optimizer.check();
  refine.check();
  robust.check();
  affine.check();
  bilateral.check();
  embedding.check();
  ges.check();
  convex.check();
  if (primitive == "convex") {
    if (strategy == "mcmc")
      refuse("strategy", "mcmc moves Gaussians, and these are convexes", "use --strategy default");
    if (antialias != "none")
      refuse("antialias", "is of Gaussians, and convexes are sampled at pixel centres",
             "leave --antialias out");
    if (multi_view.on())
      refuse("multi_view", "is of the strategy of Gaussians", "leave it out, or fit Gaussians");
    if (growth.guides())
      refuse("growth", "guides the strategy of Gaussians", "leave it out, or fit Gaussians");
    if (filter_3d) refuse("filter_3d", "widens Gaussians, and these are convexes", "leave it out");
    if (normal_weight_of() > 0)
      refuse("normals", "are those of Gaussians, and convexes have none while they are fitted",
             "leave --normals out");
    if (scale_reg_of() > 0)
      refuse("loss.scale_reg", "is of standard deviations, which convexes lack", "leave it out");
  }
  if (primitive == "ges" && ges.edge_weight + loss.ssim_weight > 1 + 1e-12)
    refuse("ges.edge_weight", "and loss.ssim_weight together are more than the whole loss",
           "use at most 1 - ssim_weight");
  multi_view.check();
  if (multi_view.on() && views_per_step < 2)
    refuse("multi_view", "compares the views of a step, and there is one",
           "add --views-per-step 4");
  default_strategy.check();
  mcmc.check();
}

std::vector<ResolutionLevel> TrainOptions::levels() const {
  std::vector<ResolutionLevel> all = resolution_levels(resolution_schedule);
  if (final_views <= views_per_step || final_share == 0) return all;
  // of all views final_share, final_views a step: so many of the steps
  const auto base = static_cast<double>(views_per_step), last = static_cast<double>(final_views);
  const double steps_share = final_share * base / (final_share * base + (1 - final_share) * last);
  const double from = 1 - steps_share;
  if (!all.empty() && all.back().until > from)
    refuse("final_share", "begins before the last level of resolution_schedule ends",
           "end its levels by " + std::to_string(from));
  all.push_back({.division = 1, .until = from, .views = 0});
  all.push_back({.division = 1, .until = 1, .views = final_views});
  return all;
}

int64_t TrainOptions::sh_every_of() const { return resolved_steps(sh_every, 1000, 1.0 / 8, steps); }

int64_t TrainOptions::checkpoint_every_of() const {
  return resolved_steps(checkpoint_every, 1000, 0.1, steps);
}

int64_t TrainOptions::eval_every_of() const {
  return resolved_steps(eval_every, steps, 0.1, steps);
}

int64_t TrainOptions::views_drawn() const {
  return views_before(levels(), views_per_step, steps + 1, steps);
}

int64_t TrainOptions::max_gaussians_of() const {
  if (max_gaussians > 0) return max_gaussians;
  return strategy == "mcmc" ? 1'000'000 : std::numeric_limits<int64_t>::max();
}

double TrainOptions::init_opacity_of() const {
  return init_opacity.value_or(strategy == "mcmc" ? 0.5 : 0.1);
}

double TrainOptions::init_scale_of() const {
  return init_scale.value_or(strategy == "mcmc" ? 0.1 : 1.0);
}

double TrainOptions::mcmc_growth_of() const {
  return mcmc.growth.value_or(
      std::clamp(std::pow(1.05, 30000.0 / static_cast<double>(steps)), 1.05, 1.5));
}

double TrainOptions::depth_weight_of() const {
  return loss.depth_weight.value_or(depth.empty() ? 0 : 1);
}

double TrainOptions::normal_weight_of() const {
  return loss.normal_weight.value_or(normals.empty() ? 0 : 0.05);
}

double TrainOptions::opacity_reg_of() const {
  return loss.opacity_reg.value_or(strategy == "mcmc" ? 0.01 : 0.0);
}

double TrainOptions::scale_reg_of() const {
  return loss.scale_reg.value_or(strategy == "mcmc" ? 0.01 : 0.0);
}

nlohmann::json parity_options(const TrainOptions& options) {
  // The rate of the means falls over 30,000 steps however long the run is: this is the point that it
  // has reached when the run ends.
  const double fallen = std::min(1.0, static_cast<double>(options.steps) / 30000);
  nlohmann::json parity = {
      {"sh_every", 1000},
      {"resolution_schedule", "full"},
      {"optimizer", {{"visible_only", false}, {"lr_means_final_factor", std::pow(0.01, fallen)}}}};
  if (options.strategy == "default") parity["default"] = {{"start", 500}, {"stop", 15000}};
  if (options.strategy == "mcmc")
    parity["mcmc"] = {{"start", 500}, {"stop", 25000}, {"growth", 1.05}};
  return parity;
}

const std::vector<std::string>& stage_names() {
  static const std::vector<std::string> names = {"load", "train", "evaluate", "report"};
  return names;
}

Stage stage_of(const std::string& name) {
  const auto& names = stage_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    refuse(name, "is no stage", "the stages are load, train, evaluate, report");
  return static_cast<Stage>(found - names.begin());
}

}  // namespace covary::fit
