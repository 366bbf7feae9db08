// Large pictures at a share of their cost (2), and what makes a step of the host fast (4).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/render/rasterize.h"
#include "studies/core-3dgs/training.h"
#include "studies/shared/timing.h"
#include "studies/turbo-gs/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

int64_t steps_of(StudyContext& c) { return c.smoke() ? 40 : 1000; }

// Fox at 540x960.
const FitFigures& fitted(StudyContext& c, int64_t stride, int64_t steps) {
  const std::string name =
      "fox 540x960, stride " + std::to_string(stride) + ", " + std::to_string(steps) + " steps";
  return c.shared<FitFigures>(name, [&] {
    fit::TrainOptions o;
    o.steps = steps;
    o.render_stride = stride;
    o.max_gaussians = 100000;
    const FitFigures f = fit_figures(turbo_photos(c, "fox", 2), o, c.seed());
    c.table({.name = name,
             .columns = {"PSNR dB", "SSIM", "Gaussians", "CPU s"},
             .rows = {{f.psnr, f.ssim, f.count, f.cpu_s}}});
    return f;
  });
}

BarResult time_of_a_step(StudyContext& c) {
  const auto n = static_cast<double>(steps_of(c));
  const double whole = fitted(c, 1, steps_of(c)).cpu_s / n,
               part = fitted(c, 2, steps_of(c)).cpu_s / n;
  BarResult r;
  r.baseline = Quantity{.name = "whole pictures", .value = whole, .unit = "s"};
  r.ours = Quantity{.value = part, .unit = "s"};
  const double most = c.smoke() ? 3 : 0.45;
  char text[48];
  std::snprintf(text, sizeof(text), "ours <= %g * baseline", most);
  r.bound = {text, part, "<=", most * whole};
  r.note = "the last 5 % of the steps are on whole pictures";
  return r;
}

BarResult quality(StudyContext& c, const FitFigures& whole, const FitFigures& part, double margin) {
  if (c.smoke()) margin = -4;
  BarResult r;
  r.baseline = Quantity{.name = "whole pictures", .value = whole.psnr, .unit = "dB"};
  r.ours = Quantity{.value = part.psnr, .unit = "dB"};
  char text[48], note[96];
  std::snprintf(text, sizeof(text), "ours >= baseline %+g dB", margin);
  r.bound = {text, part.psnr, ">=", whole.psnr + margin};
  std::snprintf(note, sizeof(note), "%.0f and %.0f CPU s, %lld and %lld Gaussians", whole.cpu_s,
                part.cpu_s, static_cast<long long>(whole.count),
                static_cast<long long>(part.count));
  r.note = note;
  return r;
}

// Selective rows end to end; exact tiles in rendering, forward and backward, as the trainer has no other.
BarResult fast_step(StudyContext& c) {
  const scene::Capture& photos = turbo_photos(c, "fox", 8);
  const int64_t steps = c.smoke() ? 20 : 600;
  const auto seconds_of = [&](bool selective) {
    fit::TrainOptions o;
    o.steps = steps;
    o.optimizer.visible_only = selective;
    return fit_figures(photos, o, c.seed());
  };
  const FitFigures plain = seconds_of(false), ours = seconds_of(true);
  const auto render_seconds = [&](bool exact) {
    render::Primitives p = fit::activated(ours.cloud);
    for (at::Tensor* t : {&p.means, &p.scales, &p.opacities, &p.sh0})
      *t = t->detach().requires_grad_(true);
    size_t at = 0;
    return median_seconds(c.smoke() ? 3 : 40, [&] {
      const auto i = static_cast<size_t>(photos.train[at++ % photos.train.size()]);
      render::rasterize(p, render::views_of({photos.views[i].camera}), {.exact_tiles = exact})
          .color.sum()
          .backward();
    });
  };
  const auto n = static_cast<double>(steps);
  const double tiles = render_seconds(false) - render_seconds(true);
  const double base = plain.cpu_s / n + tiles, fast = ours.cpu_s / n;
  BarResult r;
  r.baseline = Quantity{.name = "all rows move, tiles of boxes", .value = base, .unit = "s"};
  r.ours = Quantity{.value = fast, .unit = "s"};
  const double least = c.smoke() ? 0.1 : 1.5;
  char text[48], note[128];
  std::snprintf(text, sizeof(text), "baseline / ours >= %g", least);
  r.bound = {text, base / fast, ">=", least};
  std::snprintf(note, sizeof(note), "rows: %.2f times a step; exact tiles: %.1f ms a view",
                plain.cpu_s / ours.cpu_s, 1e3 * tiles);
  r.note = note;
  return r;
}

}  // namespace

std::vector<Bar> turbo_stride_bars() {
  std::vector<Bar> all;
  const auto add = [&](auto&&... words) {
    all.push_back(eval::bar_of(std::forward<decltype(words)>(words)...));
  };
  add("2", "a", "fox 540x960: a step on every other pixel", "CPU time", "s",
      "ours <= 0.45 * baseline", time_of_a_step);
  add("2", "b", "fox 540x960: as many steps", "held-out PSNR", "dB", "ours >= baseline -0.15 dB",
      [](StudyContext& c) {
        const int64_t n = steps_of(c);
        return quality(c, fitted(c, 1, n), fitted(c, 2, n), -0.15);
      });
  add("2", "c", "fox 540x960: as much time", "held-out PSNR", "dB", "ours >= baseline +0.1 dB",
      [](StudyContext& c) {
        const int64_t n = steps_of(c);
        const double ratio = fitted(c, 2, n).cpu_s / fitted(c, 1, n).cpu_s;
        const auto fewer = std::clamp<int64_t>(std::llround(ratio * static_cast<double>(n)), 10, n);
        return quality(c, fitted(c, 1, fewer), fitted(c, 2, n), 0.1);
      });
  for (Bar& bar : all) bar.takes_long = true;
  add("4", "", "fox 135x240: selective rows and exact tiles", "CPU time of a step", "s",
      "baseline / ours >= 1.5", fast_step);
  return all;
}

}  // namespace covary::studies
