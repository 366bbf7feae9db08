// The bars of core-3dgs that train: quality (2), recovery of a known scene (4), small renderings (5), a real capture (F).
#include "studies/core-3dgs/training.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/random.h"
#include "covary/core/eval/image.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/ply.h"
#include "studies/core-3dgs/bars.h"
#include "studies/shared/photo.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

fit::Evaluation score(const scene::Cloud& cloud, const scene::Capture& capture) {
  fit::EvaluateOptions options;
  options.progress = false;
  return fit::evaluate(cloud, capture, options);
}

}  // namespace

void train_to_end(fit::Trainer& trainer, uint64_t seed,
                  const std::function<void(const fit::StepResult&)>& after) {
  trainer.start(seed);
  const int64_t steps = trainer.options().steps;
  Progress progress("fit", steps);
  while (trainer.steps_done() < steps) {
    if (const int code = interrupted()) throw Interrupted{code};
    const fit::StepResult step = trainer.step();
    if (after) after(step);
    progress.update(trainer.steps_done(),
                    {{"loss", step.loss}, {"count", static_cast<double>(trainer.count())}});
  }
  progress.finish();
}

FitFigures fit_figures(const scene::Capture& capture, const fit::TrainOptions& options,
                       uint64_t seed, int64_t preview_steps) {
  fit::Trainer trainer(capture, options);
  FitFigures f;
  const double wall0 = wall_seconds(), cpu0 = cpu_seconds();
  double apart_wall = 0, apart_cpu = 0;  // spent on the preview's score
  train_to_end(trainer, seed, [&](const fit::StepResult&) {
    if (trainer.steps_done() != preview_steps) return;
    const double w = wall_seconds(), c = cpu_seconds();
    f.preview_wall_s = w - wall0;
    f.preview_psnr = score(trainer.cloud(), trainer.capture()).psnr;
    apart_wall += wall_seconds() - w;
    apart_cpu += cpu_seconds() - c;
  });
  f.wall_s = wall_seconds() - wall0 - apart_wall;
  f.cpu_s = cpu_seconds() - cpu0 - apart_cpu;
  f.cloud = trainer.cloud();
  f.count = trainer.count();
  const fit::Evaluation e = score(f.cloud, trainer.capture());
  f.psnr = e.psnr;
  f.ssim = e.ssim;
  return f;
}

double constant_colour_psnr(const scene::Capture& capture) {
  double sum = 0;
  for (const int64_t i : capture.test) {
    const at::Tensor truth = photo_of(capture.views[static_cast<size_t>(i)], capture);
    sum += eval::psnr(truth.mean({0, 1}, true).expand_as(truth), truth);
  }
  return sum / static_cast<double>(std::max<size_t>(1, capture.test.size()));
}

namespace {

// --- captures ----------------------------------------------------------------------------------

// A few small views of the built-in studio, for smoke runs.
const scene::Capture& small_studio(StudyContext& c) {
  return c.shared<scene::Capture>("studio", [&] {
    return scene::load_capture("sample:studio,views=24,width=96,height=72,points=1500", {});
  });
}

const scene::Capture& chair(StudyContext& c, int64_t downscale) {
  if (c.smoke()) return small_studio(c);
  return c.shared<scene::Capture>("chair/" + std::to_string(downscale), [&] {
    scene::CaptureOptions options;
    options.downscale = downscale;
    return scene::load_capture(c.data("chair").string(), options);
  });
}

const scene::Capture& fox(StudyContext& c, int64_t downscale) {
  if (c.smoke()) return small_studio(c);
  return c.shared<scene::Capture>("fox/" + std::to_string(downscale), [&] {
    scene::CaptureOptions options;
    options.downscale = downscale;
    options.test_every = 8;
    return scene::load_capture(c.data("fox").string(), options);
  });
}

// --- 2: quality --------------------------------------------------------------------------------

fit::TrainOptions chair_options(StudyContext& c, const std::string& strategy) {
  fit::TrainOptions o;
  o.steps = c.smoke() ? 400 : 3000;
  o.strategy = strategy;
  o.max_gaussians = 30000;
  o.init_count = c.smoke() ? 0 : 10000;  // random start: the capture has no points
  return o;
}

const FitFigures& chair_fit(StudyContext& c, const std::string& strategy, uint64_t seed) {
  return c.shared<FitFigures>("chair fit " + strategy + std::to_string(seed), [&] {
    const scene::Capture& capture = chair(c, 4);
    const FitFigures f =
        fit_figures(capture, chair_options(c, strategy), seed, c.smoke() ? 20 : 500);
    c.table({.name = "chair at 200x200, " + strategy,
             .columns = {"PSNR dB", "SSIM", "Gaussians", "wall s", "CPU s", "preview PSNR dB"},
             .rows = {{f.psnr, f.ssim, f.count, f.wall_s, f.cpu_s, f.preview_psnr}}});
    return f;
  });
}

const FitFigures& fox_fit(StudyContext& c, const std::string& init, uint64_t seed) {
  return c.shared<FitFigures>("fox fit " + init + std::to_string(seed), [&] {
    const scene::Capture& capture = fox(c, 8);
    fit::TrainOptions o;
    o.steps = c.smoke() ? 400 : 3000;
    o.init = init;
    // As many random Gaussians as there are points, so that the start alone differs.
    o.init_count = init == "random" ? static_cast<int64_t>(capture.points.positions.size()) : 0;
    const FitFigures f = fit_figures(capture, o, seed, c.smoke() ? 20 : 500);
    c.table({.name = "fox at 135x240, start from " + init,
             .columns = {"PSNR dB", "SSIM", "Gaussians", "wall s", "CPU s", "preview PSNR dB"},
             .rows = {{f.psnr, f.ssim, f.count, f.wall_s, f.cpu_s, f.preview_psnr}}});
    return f;
  });
}

// ours >= baseline + gain.
BarResult better_by(const Quantity& baseline, const Quantity& ours, double gain) {
  BarResult r;
  r.baseline = baseline;
  r.ours = ours;
  char text[64];
  std::snprintf(text, sizeof(text), "ours >= baseline %+.1f dB", gain);
  r.bound = {.text = text, .left = ours.value, .op = ">=", .right = baseline.value + gain};
  return r;
}

BarResult at_most(double value, const std::string& unit, double bound, const std::string& what) {
  BarResult r;
  r.ours = Quantity{.value = value, .unit = unit};
  r.bound = {.text = what, .left = value, .op = "<=", .right = bound};
  return r;
}

std::string at_least_text(const std::string& what, double bound) {
  char text[96];
  std::snprintf(text, sizeof(text), "%s >= %g dB", what.c_str(), bound);
  return text;
}

Quantity named(const std::string& name, Quantity q) {
  q.name = name;
  return q;
}

}  // namespace

std::vector<Bar> quality_bars() {
  std::vector<Bar> bars;
  bars.push_back(eval::bar_of(
      "2", "a", "chair 200x200, 3,000 steps, at most 30,000 Gaussians", "PSNR", "dB",
      "PSNR >= 28 dB", [](StudyContext& c) {
        const Quantity ours =
            c.repeated("dB", [&](uint64_t seed) { return chair_fit(c, "default", seed).psnr; });
        const double bound = c.smoke() ? 16 : 28;
        BarResult r;
        r.ours = ours;
        r.bound = {
            .text = at_least_text("PSNR", bound), .left = ours.value, .op = ">=", .right = bound};
        const int64_t count = chair_fit(c, "default", c.seed()).count;
        r.note = std::to_string(count) + " Gaussians";
        if (count > 30000) throw Error(ExitCode::kFailed, "over 30,000 Gaussians");
        return r;
      }));
  bars.push_back(eval::bar_of("2", "b", "chair: gain of densification", "PSNR", "dB",
                              "ours >= baseline + 1 dB", [](StudyContext& c) {
                                const auto run = [&](const std::string& strategy) {
                                  return c.repeated("dB", [&](uint64_t seed) {
                                    return chair_fit(c, strategy, seed).psnr;
                                  });
                                };
                                return better_by(named("no densification", run("none")),
                                                 run("default"), c.smoke() ? -2 : 1);
                              }));
  bars.push_back(eval::bar_of(
      "2", "c", "chair: time of the fit", "wall", "s", "wall <= 900 s", [](StudyContext& c) {
        return at_most(chair_fit(c, "default", c.seed()).wall_s, "s", 900, "wall <= 900 s");
      }));
  bars.push_back(eval::bar_of("2", "d", "chair: preview after 500 steps", "wall", "s",
                              "wall <= 120 s", [](StudyContext& c) {
                                const FitFigures& f = chair_fit(c, "default", c.seed());
                                BarResult r = at_most(f.preview_wall_s, "s", 120, "wall <= 120 s");
                                char note[64];
                                std::snprintf(note, sizeof(note), "held-out PSNR then %.2f dB",
                                              f.preview_psnr);
                                r.note = note;
                                return r;
                              }));
  bars.push_back(eval::bar_of(
      "2", "e", "fox 135x240, 3,000 steps, against a constant colour an image", "PSNR", "dB",
      "ours >= baseline + 6 dB", [](StudyContext& c) {
        const Quantity ours =
            c.repeated("dB", [&](uint64_t seed) { return fox_fit(c, "points", seed).psnr; });
        const Quantity flat{.name = "mean colour of each photo",
                            .value = constant_colour_psnr(fox(c, 8)),
                            .unit = "dB"};
        return better_by(flat, ours, c.smoke() ? 2 : 6);
      }));
  bars.push_back(eval::bar_of(
      "2", "f", "fox: gain of starting from sparse points", "PSNR", "dB",
      "ours >= baseline + 0.5 dB", [](StudyContext& c) {
        const auto run = [&](const std::string& init) {
          return c.repeated("dB", [&](uint64_t seed) { return fox_fit(c, init, seed).psnr; });
        };
        return better_by(named("random start", run("random")), run("points"), c.smoke() ? -1 : 0.5);
      }));
  bars.push_back(eval::bar_of(
      "2", "g", "fox: time of the fit", "wall", "s", "wall <= 900 s", [](StudyContext& c) {
        return at_most(fox_fit(c, "points", c.seed()).wall_s, "s", 900, "wall <= 900 s");
      }));
  bars.push_back(eval::bar_of(
      "2", "h", "fox: preview after 500 steps", "wall", "s", "wall <= 120 s", [](StudyContext& c) {
        const FitFigures& f = fox_fit(c, "points", c.seed());
        BarResult r = at_most(f.preview_wall_s, "s", 120, "wall <= 120 s");
        char note[64];
        std::snprintf(note, sizeof(note), "held-out PSNR then %.2f dB", f.preview_psnr);
        r.note = note;
        return r;
      }));
  return bars;
}

// --- 4: recovery -------------------------------------------------------------------------------

namespace {

// Every parameter of the truth moved at random, by amounts that are plainly visible.
scene::Cloud disturbed(const scene::Cloud& truth, uint64_t seed) {
  const auto moved = [&](const at::Tensor& t, double by, const char* name) {
    const Random rng(seed, stream_of(name));
    at::Tensor noise = at::empty_like(t, at::MemoryFormat::Contiguous);
    float* p = noise.data_ptr<float>();
    for (int64_t i = 0; i < noise.numel(); ++i) {
      p[i] = static_cast<float>(by * rng.normal(static_cast<uint64_t>(i)));
    }
    return t + noise;
  };
  scene::Cloud c = truth;
  c.means = moved(truth.means, 0.01, "disturbed.means");
  c.quats = moved(truth.quats, 0.1, "disturbed.quats");
  c.scales = moved(truth.scales, 0.15, "disturbed.scales");
  c.opacities = moved(truth.opacities, 0.4, "disturbed.opacities");
  c.sh0 = moved(truth.sh0, 0.2, "disturbed.sh0");
  c.shN = moved(truth.shN, 0.05, "disturbed.shN");
  return c;
}

BarResult recovery(StudyContext& c) {
  const int64_t count = c.smoke() ? 300 : 2000;
  const auto folder = c.folder("recovery");
  scene::write_ply(folder / "truth.ply", known_cloud(count, 1, 7));
  const scene::Cloud truth = scene::read_ply(folder / "truth.ply");
  const scene::Capture capture = photographed(
      truth, c.smoke() ? ring_of_cameras(16, 64, 48, 3.5) : ring_of_cameras(512, 160, 120, 3.5));
  const scene::Cloud start = disturbed(truth, c.seed());
  scene::write_ply(folder / "start.ply", start);

  fit::TrainOptions o;
  o.steps = c.smoke() ? 250 : 12000;
  o.strategy = "none";
  o.sh_degree = 1;
  o.sh_every = 1;
  // Found by trying: turns and directional colour return too slowly at the usual rates, and constant rates leave
  // Adam's jitter.
  o.optimizer.lr_quats = 5e-3;
  o.optimizer.lr_shN = 2.5e-3;
  o.optimizer.lr_final_factor = 0.01;
  o.init = (folder / "start.ply").string();
  BarResult r;
  r.baseline = Quantity{
      .name = "truth + noise, before the fit", .value = score(start, capture).psnr, .unit = "dB"};
  r.ours = Quantity{.value = fit_figures(capture, o, c.seed()).psnr, .unit = "dB"};
  const double bound = c.smoke() ? r.baseline->value + 1 : 45;
  r.bound = {.text = c.smoke() ? "PSNR >= baseline + 1 dB" : "PSNR >= 45 dB",
             .left = r.ours->value,
             .op = ">=",
             .right = bound};
  r.note = "photos are 8 bit, held-out views";
  return r;
}

}  // namespace

std::vector<Bar> recovery_bars() {
  std::vector<Bar> bars;
  bars.push_back(eval::bar_of("4", "a",
                              "a known file of 2,000 splats comes back from truth + noise", "PSNR",
                              "dB", "PSNR >= 45 dB", recovery));
  return bars;
}

// --- 5: antialias ------------------------------------------------------------------------------

namespace {

constexpr int kShrink = 8;

// Mean PSNR of the held-out views rendered at an eighth of the size, against the box-filtered photos.
double small_psnr(StudyContext& c, bool antialiased) {
  const scene::Capture& capture = chair(c, 2);
  fit::TrainOptions o;
  o.steps = c.smoke() ? 120 : 2000;
  o.max_gaussians = 30000;
  o.init_count = c.smoke() ? 0 : 10000;
  o.antialias = antialiased ? "mip" : "none";
  const FitFigures f = fit_figures(capture, o, c.seed());

  const at::NoGradGuard no_gradient;
  const render::Primitives primitives = render::primitives_of(f.cloud);
  const at::Tensor background = at::tensor(
      {capture.background.x(), capture.background.y(), capture.background.z()}, at::kFloat);
  render::RasterizeOptions raster;
  raster.antialiased = antialiased;
  double sum = 0;
  for (const int64_t i : capture.test) {
    const scene::View& view = capture.views[static_cast<size_t>(i)];
    const int w = view.camera.width / kShrink, h = view.camera.height / kShrink;
    // The exact mean of 8 x 8 photo pixels; what does not fill a block is cut off, with the camera.
    const at::Tensor whole =
        photo_of(view, capture).narrow(0, 0, h * kShrink).narrow(1, 0, w * kShrink);
    const at::Tensor truth = whole.reshape({h, kShrink, w, kShrink, 3}).mean({1, 3});
    scene::Camera camera = view.camera;
    camera.width = w * kShrink;
    camera.height = h * kShrink;
    const at::Tensor image =
        render::rasterize(primitives, render::views_of({camera.scaled(w, h)}), raster, background)
            .color[0];
    sum += eval::psnr(image, truth);
  }
  c.table({.name = std::string("antialias, ") + (antialiased ? "antialiased" : "classic"),
           .columns = {"full-size PSNR dB", "eighth-size PSNR dB", "Gaussians", "wall s"},
           .rows = {{f.psnr, sum / static_cast<double>(capture.test.size()), f.count, f.wall_s}}});
  return sum / static_cast<double>(capture.test.size());
}

}  // namespace

std::vector<Bar> antialias_bars() {
  return {eval::bar_of("5", "", "chair 400x400, rendered at an eighth, against box-filtered photos",
                       "PSNR", "dB", "ours >= baseline + 1.5 dB", [](StudyContext& c) {
                         const Quantity classic{.name = "classic dilation",
                                                .value = small_psnr(c, false),
                                                .unit = "dB"};
                         const Quantity ours{.value = small_psnr(c, true), .unit = "dB"};
                         return better_by(classic, ours, c.smoke() ? 0 : 1.5);
                       })};
}

// --- F: a real capture at length ---------------------------------------------------------------

namespace {

struct RealFit {
  FitFigures figures;
  double peak_bytes = 0;
};

const RealFit& real_fit(StudyContext& c, const std::string& strategy) {
  return c.shared<RealFit>("real fit " + strategy, [&] {
    fit::TrainOptions o;
    o.steps = 7000;
    o.strategy = strategy;
    // MCMC fills its cap: that of the default strategy's final count.
    if (strategy == "mcmc") o.max_gaussians = real_fit(c, "default").figures.count;
    RealFit f;
    f.figures = fit_figures(fox(c, 4), o, c.seed(), 500);
    f.peak_bytes = static_cast<double>(c.peak_memory_bytes());
    const FitFigures& g = f.figures;
    c.table({.name = "fox at 270x480, 7,000 steps, " + strategy,
             .columns = {"PSNR dB", "SSIM", "Gaussians", "wall s", "CPU s", "PSNR at 500 dB",
                         "wall at 500 s", "peak MB"},
             .rows = {{g.psnr, g.ssim, g.count, g.wall_s, g.cpu_s, g.preview_psnr, g.preview_wall_s,
                       f.peak_bytes / 1e6}}});
    return f;
  });
}

}  // namespace

std::vector<Bar> real_scene_bars() {
  std::vector<Bar> bars;
  bars.push_back(eval::bar_of(
      "F", "a", "fox 270x480, 7,000 steps, default strategy", "PSNR", "dB",
      "ours >= baseline + 6 dB", [](StudyContext& c) {
        const Quantity flat{.name = "mean colour of each photo",
                            .value = constant_colour_psnr(fox(c, 4)),
                            .unit = "dB"};
        const FitFigures& f = real_fit(c, "default").figures;
        BarResult r = better_by(flat, Quantity{.value = f.psnr, .unit = "dB"}, 6);
        char note[128];
        std::snprintf(note, sizeof(note), "SSIM %.4f, %lld Gaussians, %.0f s wall, %.0f s CPU",
                      f.ssim, static_cast<long long>(f.count), f.wall_s, f.cpu_s);
        r.note = note;
        return r;
      }));
  bars.push_back(eval::bar_of("F", "b", "fox: recognisable at 500 steps", "PSNR", "dB",
                              "ours >= baseline + 4 dB", [](StudyContext& c) {
                                const Quantity flat{.name = "mean colour of each photo",
                                                    .value = constant_colour_psnr(fox(c, 4)),
                                                    .unit = "dB"};
                                const FitFigures& f = real_fit(c, "default").figures;
                                BarResult r = better_by(
                                    flat, Quantity{.value = f.preview_psnr, .unit = "dB"}, 4);
                                char note[64];
                                std::snprintf(note, sizeof(note), "after %.0f s", f.preview_wall_s);
                                r.note = note;
                                return r;
                              }));
  bars.push_back(eval::bar_of(
      "F", "c", "fox: peak memory", "resident set", "MB", "peak < 2000 MB", [](StudyContext& c) {
        const double mb = real_fit(c, "default").peak_bytes / 1e6;
        BarResult r;
        r.ours = Quantity{.value = mb, .unit = "MB"};
        r.bound = {.text = "peak < 2000 MB", .left = mb, .op = "<", .right = 2000};
        return r;
      }));
  bars.push_back(eval::bar_of(
      "F", "d", "fox: MCMC at the same count", "PSNR", "dB", "ours >= baseline - 0.1 dB",
      [](StudyContext& c) {
        const FitFigures& a = real_fit(c, "default").figures;
        const FitFigures& b = real_fit(c, "mcmc").figures;
        BarResult r = better_by(Quantity{.name = "default strategy", .value = a.psnr, .unit = "dB"},
                                Quantity{.value = b.psnr, .unit = "dB"}, -0.1);
        r.note = std::to_string(a.count) + " and " + std::to_string(b.count) + " Gaussians";
        return r;
      }));
  for (Bar& b : bars) {
    b.smoke = false;
    b.takes_long = true;
  }
  return bars;
}

}  // namespace covary::studies
