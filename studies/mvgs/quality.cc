// What steps on several views give: on views that were not seen (1), coarse to fine (2), with other strategies (4); and
// what they cost in memory (5).
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "covary/splat/fit/evaluate.h"
#include "studies/core-3dgs/training.h"
#include "studies/mvgs/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

constexpr int64_t kViews = 4;  // a step

// Fox at 135x240; at smoke scale a few small views of the built-in studio. sparse: 12 training views of it.
const scene::Capture& photos(StudyContext& c, bool sparse) {
  return c.shared<scene::Capture>(sparse ? "few" : "all", [&] {
    scene::Capture capture;
    if (c.smoke()) {
      capture = scene::load_capture("sample:studio,views=16,width=64,height=48,points=600", {});
    } else {
      scene::CaptureOptions options;
      options.downscale = 8;
      capture = scene::load_capture(c.data("fox").string(), options);
    }
    const size_t few = 12, n = capture.train.size();
    if (sparse && n > few) {
      std::vector<int64_t> kept;
      for (size_t i = 0; i < few; ++i) kept.push_back(capture.train[i * n / few]);
      capture.train = kept;
    }
    return capture;
  });
}

int64_t steps_of(StudyContext& c) { return c.smoke() ? 60 : 2000; }

struct Figures {
  double test = 0, train = 0;  // PSNR, dB
  double cpu_s = 0, peak_mb = 0;
  int64_t count = 0;
};

// views a step, over so many steps. way: "" sums alone, "full" with both kinds of growth, "stages" coarse to fine.
const Figures& fit_of(StudyContext& c, bool sparse, int64_t views, int64_t steps,
                      const std::string& way, uint64_t seed,
                      const std::string& strategy = "default", int64_t cap = 0) {
  const std::string name = (sparse ? "few views, " : "all views, ") + std::to_string(views) +
                           " a step, " + std::to_string(steps) + " steps" +
                           (way.empty() ? "" : ", " + way) +
                           (strategy == "default" ? "" : ", " + strategy) +
                           (cap ? ", at most " + std::to_string(cap) : "");
  return c.shared<Figures>(name + " " + std::to_string(seed), [&] {
    scene::Capture capture = photos(c, sparse);
    fit::TrainOptions o;
    o.steps = steps;
    o.views_per_step = views;
    o.strategy = strategy;
    o.max_gaussians = cap;
    if (strategy == "mcmc" && cap == 0) o.max_gaussians = c.smoke() ? 1000 : 30000;
    // Fewer steps on more views: as many views between two refinements.
    if (steps < steps_of(c))
      o.default_strategy.every =
          std::max<int64_t>(1, o.default_strategy.every * steps / steps_of(c));
    o.multi_view.cross_ray = o.multi_view.augment = way == "full";
    if (way == "stages") o.resolution_schedule = "4:0.15:8,2:0.4:4";
    const FitFigures f = fit_figures(capture, o, seed);
    std::swap(capture.train, capture.test);
    Figures out{.test = f.psnr,
                .train = fit::evaluate(f.cloud, capture, {.progress = false}).psnr,
                .cpu_s = f.cpu_s,
                .peak_mb = static_cast<double>(c.peak_memory_bytes()) / 1e6,
                .count = f.count};
    c.table({.name = name,
             .columns = {"held-out PSNR dB", "training PSNR dB", "Gaussians", "CPU s"},
             .rows = {{out.test, out.train, out.count, out.cpu_s}}});
    return out;
  });
}

Bar bar(const std::string& id, const std::string& part, const std::string& title,
        const std::string& bound, std::function<BarResult(StudyContext&)> measure) {
  return eval::bar_of(id, part, title, "PSNR", "dB", bound, std::move(measure));
}

BarResult better_by(StudyContext& c, Quantity baseline, Quantity ours, double margin) {
  if (c.smoke()) margin = -3;  // so few steps tell no more
  BarResult r;
  char text[64];
  std::snprintf(text, sizeof(text), "ours >= baseline %+g dB", margin);
  r.bound = {text, ours.value, ">=", baseline.value + margin};
  r.baseline = std::move(baseline);
  r.ours = std::move(ours);
  return r;
}

BarResult equal_steps(StudyContext& c, bool sparse, double margin) {
  const int64_t steps = steps_of(c);
  Quantity one =
      c.repeated("dB", [&](uint64_t seed) { return fit_of(c, sparse, 1, steps, "", seed).test; });
  one.name = "one view a step";
  const Quantity several = c.repeated(
      "dB", [&](uint64_t seed) { return fit_of(c, sparse, kViews, steps, "full", seed).test; });
  BarResult r = better_by(c, one, several, margin);
  const Figures &a = fit_of(c, sparse, 1, steps, "", c.seed()),
                &b = fit_of(c, sparse, kViews, steps, "full", c.seed());
  char note[160];
  std::snprintf(note, sizeof(note),
                "%.0f and %.0f CPU s, %lld and %lld Gaussians: four times the renders", a.cpu_s,
                b.cpu_s, static_cast<long long>(a.count), static_cast<long long>(b.count));
  r.note = note;
  return r;
}

BarResult equal_renders(StudyContext& c) {
  const int64_t steps = steps_of(c);
  // Whichever has more is fitted again with as many as the other.
  const auto of_one = [&](int64_t cap) -> const Figures& {
    return fit_of(c, false, 1, steps, "", c.seed(), "default", cap);
  };
  const auto of_several = [&](int64_t cap) -> const Figures& {
    return fit_of(c, false, kViews, steps / kViews, "full", c.seed(), "default", cap);
  };
  const int64_t most = std::min(of_one(0).count, of_several(0).count);
  const Figures& one = of_one(0).count > most ? of_one(most) : of_one(0);
  const Figures& several = of_several(0).count > most ? of_several(most) : of_several(0);
  BarResult r = better_by(c, {.name = "one view a step", .value = one.test, .unit = "dB"},
                          {.value = several.test, .unit = "dB"}, -0.05);
  char note[128];
  std::snprintf(note, sizeof(note), "%lld and %lld Gaussians, %.0f and %.0f CPU s",
                static_cast<long long>(one.count), static_cast<long long>(several.count), one.cpu_s,
                several.cpu_s);
  r.note = note;
  return r;
}

BarResult smaller_gap(StudyContext& c) {
  const int64_t steps = steps_of(c);
  const Figures &one = fit_of(c, true, 1, steps, "", c.seed()),
                &several = fit_of(c, true, kViews, steps, "full", c.seed());
  const double a = one.train - one.test, b = several.train - several.test;
  BarResult r;
  r.baseline = Quantity{.name = "one view a step", .value = a, .unit = "dB"};
  r.ours = Quantity{.value = b, .unit = "dB"};
  r.bound = {c.smoke() ? "gap <= baseline's + 3 dB" : "gap <= 0.8 * baseline's", b,
             "<=", c.smoke() ? a + 3 : 0.8 * a};
  return r;
}

BarResult coarse_to_fine(StudyContext& c) {
  const int64_t steps = steps_of(c);
  const Figures &plain = fit_of(c, false, kViews, steps, "", c.seed()),
                &staged = fit_of(c, false, kViews, steps, "stages", c.seed());
  BarResult r;
  r.baseline = Quantity{.name = "full size", .value = plain.test, .unit = "dB"};
  r.ours = Quantity{.value = staged.test, .unit = "dB"};
  // Either a tenth of a dB in no more time, or as good in 0.8 of it.
  const double time = staged.cpu_s / plain.cpu_s, gain = staged.test - plain.test;
  const bool met = (gain >= 0.1 && time <= 1) || (gain >= -0.02 && time <= 0.8);
  r.bound = {"+0.1 dB in the same time, or the same in 0.8 of it", c.smoke() || met ? 1.0 : 0.0,
             ">=", 1};
  char note[96];
  std::snprintf(note, sizeof(note), "%+.2f dB in %.2f of the CPU time", gain, time);
  r.note = note;
  return r;
}

BarResult with_strategy(StudyContext& c, const std::string& strategy) {
  const int64_t steps = steps_of(c), at_least = c.smoke() ? 1 : 3;
  const std::string way = strategy == "default" ? "full" : "";
  Quantity one = c.repeated(
      "dB", [&](uint64_t seed) { return fit_of(c, true, 1, steps, "", seed, strategy).test; },
      at_least);
  one.name = "one view a step";
  const Quantity several = c.repeated(
      "dB", [&](uint64_t seed) { return fit_of(c, true, kViews, steps, way, seed, strategy).test; },
      at_least);
  return better_by(c, one, several, 0);
}

BarResult memory(StudyContext& c) {
  // Each in its own bar's mark: the largest resident set grows from one fit to the next.
  const int64_t steps = c.smoke() ? 10 : 100;
  const Figures &one = fit_of(c, false, 1, steps, "", c.seed(), "none"),
                &eight = fit_of(c, false, 8, steps, "", c.seed(), "none");
  BarResult r;
  r.baseline = Quantity{.name = "one view a step", .value = one.peak_mb, .unit = "MB"};
  r.ours = Quantity{.value = eight.peak_mb, .unit = "MB"};
  r.bound = {"ours <= 1.15 * baseline", eight.peak_mb, "<=", 1.15 * one.peak_mb};
  r.note = "views follow one another, their gradients are summed";
  return r;
}

}  // namespace

std::vector<Bar> multi_view_quality_bars() {
  std::vector<Bar> bars;
  bars.push_back(bar("5", "", "memory of eight views a step", "ours <= 1.15 * baseline", memory));
  bars.back().metric = "resident set";
  bars.back().unit = "MB";
  bars.push_back(bar("1", "a", "fox, 12 training views, as many steps", "ours >= baseline + 0.5 dB",
                     [](StudyContext& c) { return equal_steps(c, true, 0.5); }));
  bars.push_back(bar("1", "b", "fox, as many steps", "ours >= baseline + 0.3 dB",
                     [](StudyContext& c) { return equal_steps(c, false, 0.3); }));
  bars.push_back(bar("1", "c", "fox, as many renders and Gaussians", "ours >= baseline - 0.05 dB",
                     equal_renders));
  bars.push_back(bar("1", "d", "fox, 12 training views: training less held-out",
                     "gap <= 0.8 * baseline's", smaller_gap));
  bars.push_back(bar("2", "", "fox, coarse to fine with more views where pictures are small",
                     "+0.1 dB in the same time, or the same in 0.8 of it", coarse_to_fine));
  const size_t long_ones = bars.size();
  bars.push_back(bar("4", "a", "fox, 12 training views, default strategy, 3 seeds",
                     "ours >= baseline",
                     [](StudyContext& c) { return with_strategy(c, "default"); }));
  bars.push_back(bar("4", "b", "fox, 12 training views, MCMC, 3 seeds", "ours >= baseline",
                     [](StudyContext& c) { return with_strategy(c, "mcmc"); }));
  for (size_t i = long_ones; i < bars.size(); ++i) bars[i].takes_long = true;
  return bars;
}

}  // namespace covary::studies
