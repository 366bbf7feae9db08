// A third of the steps (1), what each part gives (3), and the cap (5).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/machine.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/render/rasterize.h"
#include "studies/core-3dgs/training.h"
#include "studies/shared/texture.h"
#include "studies/turbo-gs/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

const scene::Capture& turbo_photos(StudyContext& c, const std::string& name, int64_t downscale) {
  return c.shared<scene::Capture>(name + "/" + std::to_string(downscale), [&] {
    if (c.smoke())
      return scene::load_capture("sample:studio,views=16,width=80,height=64,points=600", {});
    scene::CaptureOptions options;
    options.downscale = downscale;
    if (name == "fox") options.test_every = 8;
    return scene::load_capture(c.data(name).string(), options);
  });
}

namespace {

// The paper's order: the host, then each part added to those before it. kTurbo is all but strides: these are for large
// pictures, and those here are small.
enum class Part { kLong, kHost, kStride, kAppearance, kBudget, kVisits, kAll, kTurbo };
constexpr const char* kNames[] = {"host, all steps",
                                  "host",
                                  "+ strided pictures",
                                  "+ appearance",
                                  "+ budget",
                                  "+ visits",
                                  "+ midpoints, last views together, pruning",
                                  "all but strided pictures"};
const char* name_of(Part p) { return kNames[static_cast<int>(p)]; }

struct Figures {
  FitFigures fit;
  int64_t most = 0;                              // Gaussians at any step
  std::vector<std::pair<double, double>> curve;  // CPU seconds, PSNR of a few held-out views, dB
};

fit::TrainOptions host(StudyContext& c, const std::string& name) {
  fit::TrainOptions o;
  o.steps = c.smoke() ? 240 : 3000;
  o.max_gaussians = c.smoke() ? 0 : 40000;
  if (c.smoke()) o.default_strategy.every = 10;
  if (name == "chair" && !c.smoke()) o.init_count = 10000;  // a random start: there are no points
  return o;
}

const Figures& fitted(StudyContext& c, const std::string& name, Part part) {
  return c.shared<Figures>(name + name_of(part), [&] {
    fit::TrainOptions o = host(c, name);
    if (part != Part::kLong) {
      o.steps /= 3;
      o.max_gaussians = fitted(c, name, Part::kLong).fit.count;
      o.init_count = std::min(o.init_count, o.max_gaussians);
      o.default_strategy.every = c.smoke() ? 5 : 50;  // as many refinements in a shorter run
    }
    if (part >= Part::kStride && part != Part::kTurbo) o.render_stride = 2;
    o.growth.appearance = part >= Part::kAppearance;
    o.growth.appearance_share = 1;  // of a fifth of so few refinements there may be none
    o.growth.budget = part >= Part::kBudget;
    o.growth.visits = part >= Part::kVisits;
    if (part >= Part::kAll) {
      o.init_midpoints = true;
      o.final_views = 4;
      o.growth.prune_schedule = "0.5:0.6";
      o.steps = o.steps * 17 / 20;  // as many views: the last fifth of them four a step
    }
    fit::Trainer trainer(turbo_photos(c, name, name == "chair" ? 4 : 8), o);
    Figures f;
    const double began = cpu_seconds(), wall = wall_seconds();
    double apart = 0;
    const int64_t look = std::max<int64_t>(1, o.steps / 20);
    train_to_end(trainer, c.seed(), [&](const fit::StepResult&) {
      f.most = std::max(f.most, trainer.count());
      if (trainer.steps_done() % look != 0) return;
      const double before = cpu_seconds();
      f.curve.emplace_back(before - began - apart, trainer.quick_psnr());
      apart += cpu_seconds() - before;
    });
    f.fit.cpu_s = cpu_seconds() - began - apart;
    f.fit.wall_s = wall_seconds() - wall;
    f.fit.cloud = trainer.cloud();
    f.fit.count = trainer.count();
    const fit::Evaluation e = fit::evaluate(f.fit.cloud, trainer.capture(), {.progress = false});
    f.fit.psnr = e.psnr;
    f.fit.ssim = e.ssim;
    c.table({.name = name + ", " + name_of(part),
             .columns = {"PSNR dB", "SSIM", "Gaussians", "most Gaussians", "steps", "CPU s"},
             .rows = {{f.fit.psnr, f.fit.ssim, f.fit.count, f.most, o.steps, f.fit.cpu_s}}});
    return f;
  });
}

// CPU seconds until a few held-out views reach this PSNR; infinity: never.
double seconds_to(const Figures& f, double psnr) {
  for (const auto& [seconds, value] : f.curve)
    if (value >= psnr) return seconds;
  return INFINITY;
}

// Opacity of Gaussians nearer than a fifth of the median depth, summed over the training views.
double floating(const scene::Cloud& cloud, const scene::Capture& capture) {
  const at::NoGradGuard no_gradient;
  const render::Primitives p = fit::activated(cloud);
  double sum = 0;
  for (const int64_t i : capture.train) {
    const render::Footprints f =
        render::rasterize(p, render::views_of({capture.views[static_cast<size_t>(i)].camera}), {})
            .footprints[0];
    if (f.ids.numel() == 0) continue;
    const at::Tensor near = f.depths < 0.2 * f.depths.median();
    sum += (p.opacities.index_select(0, f.ids) * near).sum().item<double>();
  }
  return sum;
}

BarResult at_least(StudyContext& c, double ours, double baseline, const std::string& name,
                   double margin) {
  if (c.smoke()) margin = -4;  // so few steps tell no more
  BarResult r;
  char text[64];
  std::snprintf(text, sizeof(text), "ours >= baseline %+g dB", margin);
  r.baseline = Quantity{.name = name, .value = baseline, .unit = "dB"};
  r.ours = Quantity{.value = ours, .unit = "dB"};
  r.bound = {text, ours, ">=", baseline + margin};
  return r;
}

// smoke: the factor that a tiny run is held to.
BarResult at_most(StudyContext& c, double ours, double baseline, const std::string& name,
                  const std::string& unit, double factor, double smoke) {
  BarResult r;
  char text[64];
  std::snprintf(text, sizeof(text), "ours <= %g * baseline", c.smoke() ? smoke : factor);
  r.baseline = Quantity{.name = name, .value = baseline, .unit = unit};
  r.ours = Quantity{.value = ours, .unit = unit};
  r.bound = {text, ours, "<=", (c.smoke() ? smoke : factor) * baseline};
  return r;
}

std::string counts(const Figures& a, const Figures& b) {
  return std::to_string(a.fit.count) + " and " + std::to_string(b.fit.count) + " Gaussians";
}

// Either the target earlier or fewer Gaussians.
BarResult budget_bar(StudyContext& c, const std::string& name) {
  const Figures &without = fitted(c, name, Part::kAppearance),
                &with = fitted(c, name, Part::kBudget);
  const double target = std::min(without.curve.back().second, with.curve.back().second) - 0.1;
  const double earlier = seconds_to(with, target) / seconds_to(without, target),
               fewer = static_cast<double>(with.fit.count) / static_cast<double>(without.fit.count);
  BarResult r;
  r.baseline = Quantity{.name = "no budget", .value = without.fit.psnr, .unit = "dB"};
  r.ours = Quantity{.value = with.fit.psnr, .unit = "dB"};
  r.bound = {"the same PSNR earlier, or 0.9 of the Gaussians",
             c.smoke() || earlier < 1 || fewer <= 0.9 ? 1.0 : 0.0, ">=", 1};
  char note[192];
  // Of fewer than 2,000 steps the budget's exponent stays (growth.h).
  std::snprintf(
      note, sizeof(note),
      "%.2f dB after %.2f of its CPU time, %.2f of its Gaussians; a fixed curve, as the run "
      "is short",
      target, earlier, fewer);
  r.note = note;
  return r;
}

}  // namespace

std::vector<Bar> turbo_quality_bars() {
  std::vector<Bar> all;
  const auto add = [&](auto&&... words) {
    all.push_back(eval::bar_of(std::forward<decltype(words)>(words)...));
  };
  for (const std::string name : {"chair", "fox"}) {
    const std::string part = name == "chair" ? "abc" : "def";
    add("1", part.substr(0, 1), name + ": a third of the views, against the host with all",
        "held-out PSNR", "dB", "ours >= baseline - 0.1 dB", [name](StudyContext& c) {
          BarResult r = at_least(c, fitted(c, name, Part::kTurbo).fit.psnr,
                                 fitted(c, name, Part::kLong).fit.psnr, "host", -0.1);
          char note[96];
          std::snprintf(note, sizeof(note), "one seed; with strided pictures %.2f dB, %.0f CPU s",
                        fitted(c, name, Part::kAll).fit.psnr,
                        fitted(c, name, Part::kAll).fit.cpu_s);
          r.note = note;
          return r;
        });
    add("1", part.substr(1, 1), name + ": their time", "CPU time", "s", "ours <= 0.45 * baseline",
        [name](StudyContext& c) {
          return at_most(c, fitted(c, name, Part::kTurbo).fit.cpu_s,
                         fitted(c, name, Part::kLong).fit.cpu_s, "host", "s", 0.45, 2);
        });
    add("1", part.substr(2, 1), name + ": their Gaussians", "count", "1", "ours <= 1 * baseline",
        [name](StudyContext& c) {
          return at_most(c, static_cast<double>(fitted(c, name, Part::kTurbo).fit.count),
                         static_cast<double>(fitted(c, name, Part::kLong).fit.count), "host", "1",
                         1, 1);
        });
  }
  for (const std::string name : {"chair", "fox"}) {
    const std::string part = name == "chair" ? "abcd" : "efgh";
    add("3", part.substr(0, 1), name + ": appearance, under the same cap", "held-out PSNR", "dB",
        "ours >= baseline + 0.05 dB", [name](StudyContext& c) {
          const Figures &without = fitted(c, name, Part::kStride),
                        &with = fitted(c, name, Part::kAppearance);
          BarResult r = at_least(c, with.fit.psnr, without.fit.psnr, "screen gradient alone", 0.05);
          r.note = counts(without, with) + ", one seed";
          return r;
        });
    add("3", part.substr(1, 1), name + ": appearance, where photos are steepest", "mean |error|",
        "1", "ours < baseline", [name](StudyContext& c) {
          const scene::Capture& photos = turbo_photos(c, name, name == "chair" ? 4 : 8);
          BarResult r =
              at_most(c, error_where_steep(fitted(c, name, Part::kAppearance).fit.cloud, photos),
                      error_where_steep(fitted(c, name, Part::kStride).fit.cloud, photos),
                      "screen gradient alone", "1", 1, 2);
          if (!c.smoke()) r.bound.op = "<";  // the same pictures are no gain
          return r;
        });
    add("3", part.substr(2, 1), name + ": budget", "held-out PSNR", "dB",
        "the same PSNR earlier, or 0.9 of the Gaussians",
        [name](StudyContext& c) { return budget_bar(c, name); });
    add("3", part.substr(3, 1), name + ": visits, opacity that floats near the cameras", "opacity",
        "1", "ours <= 0.8 * baseline", [name](StudyContext& c) {
          const scene::Capture& photos = turbo_photos(c, name, name == "chair" ? 4 : 8);
          const double without = floating(fitted(c, name, Part::kBudget).fit.cloud, photos);
          if (!c.smoke() && without == 0) c.skip("nothing floats near the cameras without it");
          BarResult r = at_most(c, floating(fitted(c, name, Part::kVisits).fit.cloud, photos),
                                without, "no visits", "1", 0.8, 100);
          char note[64];
          std::snprintf(note, sizeof(note), "PSNR %.2f and %.2f dB",
                        fitted(c, name, Part::kBudget).fit.psnr,
                        fitted(c, name, Part::kVisits).fit.psnr);
          r.note = note;
          return r;
        });
  }
  for (const std::string name : {"chair", "fox"})
    add("5", name == "chair" ? "a" : "b", name + ": the most Gaussians at any step", "count", "1",
        "ours <= 1 * baseline", [name](StudyContext& c) {
          const Figures &turbo = fitted(c, name, Part::kTurbo),
                        &whole = fitted(c, name, Part::kLong);
          BarResult r = at_most(c, static_cast<double>(turbo.most),
                                static_cast<double>(whole.fit.count), "cap", "1", 1, 1);
          char note[96];
          std::snprintf(note, sizeof(note), "95 %% of the last PSNR after %.1f s; the host: %.1f s",
                        seconds_to(turbo, 0.95 * turbo.curve.back().second),
                        seconds_to(whole, 0.95 * whole.curve.back().second));
          r.note = note;
          return r;
        });
  return all;
}

}  // namespace covary::studies
