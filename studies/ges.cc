// ges: primitives with a shape of their own, and a loss that looks for edges. Hamdi et al. 2024, measured on two CPU
// cores: mixtures on a line, boxes with sharp edges, a real and a rendered capture against plain Gaussians.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/core/eval/image.h"
#include "covary/core/eval/study.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/fit/shape.h"
#include "covary/splat/render/rasterize.h"
#include "studies/core-3dgs/bars.h"
#include "studies/core-3dgs/training.h"
#include "studies/shared/texture.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

// --- 1: mixtures on a line ---------------------------------------------------------------------

struct Signal {
  const char* name;
  double (*at)(double);
  double most;  // of the errors' ratio
};
const Signal kSignals[] = {
    {"square", [](double x) { return std::abs(x) < 3 ? 1.0 : 0.0; }, 0.6},
    {"triangle", [](double x) { return std::max(0.0, 1 - std::abs(x) / 3); }, 0.65},
    {"parabola", [](double x) { return std::max(0.0, 1 - x * x / 9); }, 0.5},
    {"half-sinusoid", [](double x) { return std::abs(x) < 3 ? std::cos(M_PI * x / 6) : 0.0; },
     0.55},
    {"exponential", [](double x) { return std::exp(-std::abs(x)); }, 0.1}};

// Mean squared error of sum w exp(-|x - mu|^b / (2 |v|)) after so many steps of Adam; b = 2, or learned.
double line_fit(const Signal& signal, int n, bool shaped, uint64_t seed, int steps) {
  constexpr int kPoints = 1000;
  constexpr double kRate = 0.01, kEps = 1e-8;
  const Random random(seed, static_cast<uint64_t>(n));
  enum { kMean, kWidth, kWeight, kShape, kKinds };
  std::vector<std::array<double, kKinds>> p(static_cast<size_t>(n)), m(p.size()), v(p.size());
  for (size_t i = 0; i < p.size(); ++i)
    p[i] = {random.normal(4 * i), std::abs(0.1 * random.normal(4 * i + 1) + 1),
            random.normal(4 * i + 2), 0.5 + 0.5 * random.uniform(4 * i + 3)};
  std::vector<double> value(kPoints), wanted(kPoints);
  const auto x_of = [](int k) { return -10 + 20.0 * k / (kPoints - 1); };
  for (int k = 0; k < kPoints; ++k) wanted[static_cast<size_t>(k)] = signal.at(x_of(k));
  const auto shape_of = [&](double raw) { return shaped ? std::log1p(std::exp(raw)) + 0.5 : 2.0; };
  double error = 0;
  std::vector<std::array<double, kPoints>> bump(p.size()), power(p.size()), logs(p.size());
  for (int step = 0; step <= steps; ++step) {
    std::fill(value.begin(), value.end(), 0.0);
    for (size_t i = 0; i < p.size(); ++i) {
      const double b = shape_of(p[i][kShape]), inverse = 1 / (2 * std::abs(p[i][kWidth]) + kEps);
      for (int k = 0; k < kPoints; ++k) {
        const auto j = static_cast<size_t>(k);
        const double a = std::abs(x_of(k) - p[i][kMean]);
        logs[i][j] = shaped ? std::log(a + 1e-12) : 0;
        power[i][j] = shaped ? std::exp(b * logs[i][j]) : a * a;
        bump[i][j] = std::exp(-power[i][j] * inverse);
        value[j] += p[i][kWeight] * bump[i][j];
      }
    }
    error = 0;
    for (size_t j = 0; j < kPoints; ++j)
      error += (value[j] - wanted[j]) * (value[j] - wanted[j]) / kPoints;
    if (step == steps) break;
    for (size_t i = 0; i < p.size(); ++i) {
      const double b = shape_of(p[i][kShape]), inverse = 1 / (2 * std::abs(p[i][kWidth]) + kEps);
      std::array<double, kKinds> g{};
      for (int k = 0; k < kPoints; ++k) {
        const auto j = static_cast<size_t>(k);
        const double d = x_of(k) - p[i][kMean], r = 2 * (value[j] - wanted[j]) / kPoints;
        const double e = r * bump[i][j], we = e * p[i][kWeight], pi = power[i][j] * inverse;
        g[kWeight] += e;
        if (d != 0) g[kMean] += we * b * pi / d;
        g[kWidth] += we * 2 * pi * inverse;
        g[kShape] -= we * pi * logs[i][j];
      }
      if (p[i][kWidth] < 0) g[kWidth] = -g[kWidth];
      g[kShape] *= shaped ? 1 / (1 + std::exp(-p[i][kShape])) : 0;
      for (size_t k = 0; k < kKinds; ++k) {
        m[i][k] = 0.9 * m[i][k] + 0.1 * g[k];
        v[i][k] = 0.999 * v[i][k] + 0.001 * g[k] * g[k];
        p[i][k] -= kRate * (m[i][k] / (1 - std::pow(0.9, step + 1))) /
                   (std::sqrt(v[i][k] / (1 - std::pow(0.999, step + 1))) + 1e-8);
      }
    }
  }
  return error;
}

struct LineFits {
  double gaussian = 0, shaped = 0;  // medians over the seeds
  double not_a_number = 0;          // share of the runs with shapes
};
const LineFits& line_fits(StudyContext& c, const Signal& signal, int n) {
  return c.shared<LineFits>(std::string(signal.name) + std::to_string(n), [&] {
    const int seeds = c.smoke() ? 2 : 20, steps = c.smoke() ? 60 : 10000;
    LineFits f;
    for (const bool shaped : {false, true}) {
      std::vector<double> errors;
      int broken = 0;
      for (int s = 0; s < seeds; ++s) {
        const double e = line_fit(signal, n, shaped, c.seed() + static_cast<uint64_t>(s), steps);
        std::isfinite(e) ? errors.push_back(e) : void(++broken);
      }
      std::sort(errors.begin(), errors.end());
      const size_t k = errors.size();
      const double median = k == 0 ? NAN : 0.5 * (errors[(k - 1) / 2] + errors[k / 2]);
      (shaped ? f.shaped : f.gaussian) = median;
      if (shaped) f.not_a_number = static_cast<double>(broken) / seeds;
    }
    return f;
  });
}

BarResult line_bar(StudyContext& c, const Signal& signal) {
  BarResult r;
  double worst = 0;
  std::string note;
  for (const int n : {2, 5}) {
    const LineFits& f = line_fits(c, signal, n);
    const double ratio = f.shaped / f.gaussian;
    worst = ratio >= 0 ? std::max(worst, ratio) : INFINITY;  // NaN fails
    char text[64];
    std::snprintf(text, sizeof(text), "%sN = %d: %.3f", note.empty() ? "" : ", ", n,
                  f.shaped / f.gaussian);
    note += text;
    if (f.not_a_number > 0) note += " (not all runs stayed numbers)";
  }
  r.ours = Quantity{.name = "", .value = worst, .unit = "1"};
  const double most = c.smoke() ? 100 : signal.most;
  char text[48];
  std::snprintf(text, sizeof(text), "worse of both ratios <= %g", most);
  r.bound = {text, worst, "<=", most};
  r.note = note;
  return r;
}

// Relative squared error that the best generalised exponential leaves on a box of half width 1.
double box_error(double b) {
  const auto error = [&](double a) {
    constexpr int kSteps = 2000;  // Simpson
    double inside = 0;
    for (int k = 0; k <= kSteps; ++k) {
      const double f = std::exp(-std::pow(static_cast<double>(k) / kSteps / a, b));
      inside += f * (k == 0 || k == kSteps ? 1 : k % 2 ? 4 : 2) / (3.0 * kSteps);
    }
    const double square = 2 * a * std::tgamma(1 + 1 / b) * std::pow(2, -1 / b);
    return 1 - 4 * inside * inside / (2 * square);
  };
  double low = 0.1, high = 10;
  for (int i = 0; i < 80; ++i) {
    const double p = low + (high - low) * 0.382, q = low + (high - low) * 0.618;
    (error(p) < error(q) ? high : low) = error(p) < error(q) ? q : p;
  }
  return error(0.5 * (low + high));
}

// --- 2, 3, 5: captures -------------------------------------------------------------------------

const scene::Capture& capture_of(StudyContext& c, const std::string& name) {
  return c.shared<scene::Capture>(name, [&] {
    if (c.smoke())
      return scene::load_capture("sample:studio,views=16,width=96,height=80,points=1000", {});
    scene::CaptureOptions options;
    options.downscale = name == "chair" ? 4 : 8;
    if (name == "fox") options.test_every = 8;
    return scene::load_capture(c.data(name).string(), options);
  });
}

enum class Kind { kGaussian, kControl, kGes, kGesWithoutEdges, kGaussianOfItsCount };
const char* name_of(Kind k) {
  constexpr const char* kNames[] = {"Gaussians", "Gaussians at the threshold of ges", "ges",
                                    "ges without the edge mask", "Gaussians at the count of ges"};
  return kNames[static_cast<int>(k)];
}

const FitFigures& fitted(StudyContext& c, const std::string& name, Kind kind) {
  return c.shared<FitFigures>(name + name_of(kind), [&] {
    fit::TrainOptions o;
    o.steps = c.smoke() ? 60 : 3000;
    o.max_gaussians = 150000;
    if (name == "chair" && !c.smoke()) o.init_count = 10000;
    if (kind != Kind::kGaussian && kind != Kind::kGaussianOfItsCount)
      o.default_strategy.grad_threshold = 3e-4;
    if (kind == Kind::kGaussianOfItsCount) {
      o.max_gaussians = fitted(c, name, Kind::kGes).count;
      o.init_count = std::min(o.init_count, o.max_gaussians);
    }
    if (kind == Kind::kGes || kind == Kind::kGesWithoutEdges) o.primitive = "ges";
    if (kind == Kind::kGesWithoutEdges) o.ges.edge_weight = 0;
    const FitFigures f = fit_figures(capture_of(c, name), o, c.seed());
    c.table({.name = name + ", " + name_of(kind),
             .columns = {"PSNR dB", "SSIM", "primitives", "wall s"},
             .rows = {{f.psnr, f.ssim, f.count, f.wall_s}}});
    return f;
  });
}

double seconds_a_frame(StudyContext& c, const scene::Cloud& cloud, const scene::Capture& capture) {
  const at::NoGradGuard no_gradient;
  const render::Primitives p = render::primitives_of(cloud);
  size_t at = 0;
  return median_seconds(c.smoke() ? 5 : 60, [&] {
    const auto i = static_cast<size_t>(capture.test[at++ % capture.test.size()]);
    render::rasterize(p, render::views_of({capture.views[i].camera}), {});
  });
}

// --- 4: boxes with sharp edges -----------------------------------------------------------------

struct Box {
  Eigen::Vector3d low, high;
  Eigen::Vector3f a, b;  // colours of its checkers
};
const std::vector<Box>& boxes() {
  static const std::vector<Box> all = {
      {{-1, 0.5, -1}, {1, 0.6, 1}, {0.9f, 0.9f, 0.9f}, {0.1f, 0.1f, 0.15f}},
      {{-0.7, -0.3, -0.6}, {-0.1, 0.5, 0}, {0.9f, 0.2f, 0.1f}, {0.9f, 0.2f, 0.1f}},
      {{0.1, -0.6, -0.2}, {0.6, 0.5, 0.5}, {0.1f, 0.3f, 0.9f}, {0.9f, 0.8f, 0.2f}}};
  return all;
}
Eigen::Vector3f checker(const Box& box, const Eigen::Vector3d& p) {
  const Eigen::Vector3d q = (p / 0.25).array().floor();
  return static_cast<int64_t>(q.sum()) % 2 == 0 ? box.a : box.b;
}
Eigen::Vector3f seen(const Eigen::Vector3d& origin, const Eigen::Vector3d& direction) {
  double nearest = 1e9;
  Eigen::Vector3f color = Eigen::Vector3f::Zero();
  for (const Box& box : boxes()) {
    double first = 0, last = 1e9;
    for (int k = 0; k < 3; ++k) {
      double a = (box.low[k] - origin[k]) / direction[k],
             b = (box.high[k] - origin[k]) / direction[k];
      if (a > b) std::swap(a, b);
      first = std::max(first, a);
      last = std::min(last, b);
    }
    if (first < last && first < nearest) {
      nearest = first;
      color = checker(box, origin + (first + 1e-6) * direction);
    }
  }
  return color;
}

const scene::Capture& box_capture(StudyContext& c) {
  return c.shared<scene::Capture>("boxes", [&] {
    const int size = c.smoke() ? 48 : 150, samples = 4;
    const auto cameras = ring_of_cameras(c.smoke() ? 8 : 32, size, size, 3);
    scene::Capture capture = photographed(known_cloud(1, 0, 1), cameras);
    for (size_t i = 0; i < capture.views.size(); ++i) {
      const scene::Camera& camera = cameras[i];
      const Eigen::Matrix3d to_world = camera.cam_from_world.topLeftCorner<3, 3>().transpose();
      for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x) {
          Eigen::Vector3f sum = Eigen::Vector3f::Zero();
          for (int s = 0; s < samples * samples; ++s) {
            const double px = x + (s % samples + 0.5) / samples,
                         py = y + (s / samples + 0.5) / samples;
            const Eigen::Vector3d d((px - camera.cx) / camera.fx, (py - camera.cy) / camera.fy, 1);
            sum += seen(camera.centre(), to_world * d);
          }
          for (int k = 0; k < 3; ++k)
            capture.views[i].image.pixels[static_cast<size_t>(3 * (y * size + x) + k)] =
                static_cast<uint8_t>(std::lround(255 * sum[k] / (samples * samples)));
        }
    }
    const Random random(7);
    const int count = c.smoke() ? 200 : 2000;
    for (int i = 0; i < count; ++i) {
      const Box& box = boxes()[static_cast<size_t>(i) % boxes().size()];
      Eigen::Vector3d p;
      for (int k = 0; k < 3; ++k)
        p[k] = box.low[k] +
               (box.high[k] - box.low[k]) * random.uniform(static_cast<uint64_t>(4 * i + k));
      const int side = (i / 3) % 6;
      p[side % 3] = side < 3 ? box.low[side % 3] : box.high[side % 3];
      capture.points.positions.push_back(p.cast<float>());
      const Eigen::Vector3f color = 255 * checker(box, p);
      capture.points.colors.push_back(color.cast<uint8_t>());
    }
    return capture;
  });
}

// primitive "gaussian", or the kernel of ges.
const FitFigures& box_fit(StudyContext& c, const std::string& kind) {
  return c.shared<FitFigures>("boxes " + kind, [&] {
    fit::TrainOptions o;
    o.steps = c.smoke() ? 60 : 3000;
    o.strategy = "none";
    o.sh_degree = 0;
    if (kind != "gaussian") {
      o.primitive = "ges";
      o.ges.kernel = kind;
      o.ges.edge_weight = 0;
      o.ges.shape_reset_stop = 0;
      o.ges.lr_shape = kind == "gef" ? 0.01 : 1e-3;
    }
    const FitFigures f = fit_figures(box_capture(c), o, c.seed());
    const auto shape = f.cloud.columns.find("shape");
    c.table({.name = "boxes, " + kind,
             .columns = {"PSNR dB", "SSIM", "primitives", "mean b", "wall s"},
             .rows = {{f.psnr, f.ssim, f.count,
                       shape == f.cloud.columns.end() ? 2 : shape->second.mean().item<double>(),
                       f.wall_s}}});
    return f;
  });
}

BarResult at_least(double ours, double baseline, const std::string& name, const std::string& unit,
                   const std::string& text, double least) {
  BarResult r;
  r.baseline = Quantity{.name = name, .value = baseline, .unit = unit};
  r.ours = Quantity{.value = ours, .unit = unit};
  r.bound = {text, ours, ">=", least};
  return r;
}

std::vector<Bar> bars() {
  std::vector<Bar> all;
  const auto add = [&](auto&&... words) {
    all.push_back(eval::bar_of(std::forward<decltype(words)>(words)...));
  };
  const char* parts[] = {"a", "b", "c", "d", "e"};
  for (size_t i = 0; i < std::size(kSignals); ++i)
    add("1", parts[i],
        std::string(kSignals[i].name) + ": error of shaped mixtures over Gaussian ones",
        "median squared error", "1", "ratio",
        [i](StudyContext& c) { return line_bar(c, kSignals[i]); });
  for (const char* name : {"chair", "fox"}) {
    const std::string of = name, part = of == "chair" ? "abc" : "def";
    add("2", part.substr(0, 1), of + ": primitives of ges over those of the defaults", "count", "1",
        "ours <= 0.55 * baseline", [of](StudyContext& c) {
          BarResult r;
          const double ours = static_cast<double>(fitted(c, of, Kind::kGes).count),
                       base = static_cast<double>(fitted(c, of, Kind::kGaussian).count);
          r.baseline = Quantity{.name = "Gaussians", .value = base, .unit = "1"};
          r.ours = Quantity{.value = ours, .unit = "1"};
          r.bound = {"ours <= 0.55 * baseline", ours, "<=", (c.smoke() ? 2 : 0.55) * base};
          char note[96];
          std::snprintf(note, sizeof(note),
                        "plain Gaussians at its threshold of 3e-4: %lld, %.2f dB",
                        static_cast<long long>(fitted(c, of, Kind::kControl).count),
                        fitted(c, of, Kind::kControl).psnr);
          r.note = note;
          return r;
        });
    add("2", part.substr(1, 1), of + ": quality of ges", "PSNR", "dB", "ours >= baseline - 0.4 dB",
        [of](StudyContext& c) {
          const double base = fitted(c, of, Kind::kGaussian).psnr;
          return at_least(fitted(c, of, Kind::kGes).psnr, base, "Gaussians", "dB",
                          "ours >= baseline - 0.4 dB", base - (c.smoke() ? 3 : 0.4));
        });
    add("2", part.substr(2, 1), of + ": quality at equal count", "PSNR", "dB", "ours >= baseline",
        [of](StudyContext& c) {
          const double base = fitted(c, of, Kind::kGaussianOfItsCount).psnr;
          BarResult r = at_least(fitted(c, of, Kind::kGes).psnr, base, "Gaussians at its count",
                                 "dB", "ours >= baseline", base - (c.smoke() ? 3 : 0));
          r.note = std::to_string(fitted(c, of, Kind::kGes).count) + " and " +
                   std::to_string(fitted(c, of, Kind::kGaussianOfItsCount).count);
          return r;
        });
  }
  add("3", "", "fox: time of a frame of the fused file, one thread", "CPU time", "s",
      "baseline / ours >= 1.25", [](StudyContext& c) {
        const scene::Capture& capture = capture_of(c, "fox");
        BarResult r;
        const double base = seconds_a_frame(c, fitted(c, "fox", Kind::kGaussian).cloud, capture),
                     ours = seconds_a_frame(c, fitted(c, "fox", Kind::kGes).cloud, capture);
        r.baseline = Quantity{.name = "Gaussians", .value = base, .unit = "s"};
        r.ours = Quantity{.value = ours, .unit = "s"};
        r.bound = {"baseline / ours >= 1.25", base / ours, ">=", c.smoke() ? 0.1 : 1.25};
        return r;
      });
  add("4", "a", "boxes and checkers, 2,000 fixed primitives: the exact kernel", "PSNR", "dB",
      "ours >= baseline + 0.5 dB", [](StudyContext& c) {
        const double base = box_fit(c, "gaussian").psnr;
        BarResult r = at_least(box_fit(c, "gef").psnr, base, "Gaussians", "dB",
                               "ours >= baseline + 0.5 dB", base + (c.smoke() ? -2 : 0.5));
        char note[48];
        std::snprintf(note, sizeof(note), "kernel fast: %.2f dB", box_fit(c, "fast").psnr);
        r.note = note;
        return r;
      });
  add("4", "b", "boxes and checkers: mean shape that is learned", "b", "1", "b > 2",
      [](StudyContext& c) {
        BarResult r;
        const double b = box_fit(c, "gef").cloud.columns.at("shape").mean().item<double>();
        r.ours = Quantity{.value = b, .unit = "1"};
        r.bound = {"b > 2", b, ">", c.smoke() ? 1.0 : 2.0};
        return r;
      });
  add("5", "", "fox: error on edges, with the mask against without", "mean |error|", "1",
      "ours <= 0.97 * baseline", [](StudyContext& c) {
        BarResult r;
        const double base = error_where_steep(fitted(c, "fox", Kind::kGesWithoutEdges).cloud,
                                              capture_of(c, "fox")),
                     ours = error_where_steep(fitted(c, "fox", Kind::kGes).cloud,
                                              capture_of(c, "fox"));
        r.baseline = Quantity{.name = "mask off", .value = base, .unit = "1"};
        r.ours = Quantity{.value = ours, .unit = "1"};
        r.bound = {"ours <= 0.97 * baseline", ours, "<=", (c.smoke() ? 2 : 0.97) * base};
        return r;
      });
  all.push_back(eval::at_most("6", "a", "least error on a box, for b = 1, 2, 4, 8, 20",
                              "difference from the closed form", 1e-3, [](StudyContext&) {
                                const double b[] = {1, 2, 4, 8, 20},
                                             e[] = {0.1856, 0.1100, 0.0610, 0.0324, 0.0135};
                                double worst = 0;
                                for (int i = 0; i < 5; ++i)
                                  worst = std::max(worst, std::abs(box_error(b[i]) - e[i]));
                                return worst;
                              }));
  all.push_back(eval::at_most(
      "6", "b", "shape 2 is the Gaussian, to the bit", "differing values", 0, [](StudyContext&) {
        const at::NoGradGuard no_gradient;
        const scene::Cloud cloud = known_cloud(300, 1, 9);
        const render::Views views = render::views_of(ring_of_cameras(2, 80, 60, 3));
        render::Primitives p = render::primitives_of(cloud);
        const at::Tensor plain = render::rasterize(p, views, {}).color;
        p.extras = at::full({300, 1}, 2.0F);
        p.footprint = "generalized";
        return static_cast<double>(
            render::rasterize(p, views, {}).color.ne(plain).sum().item<int64_t>());
      }));
  all.push_back(eval::at_most(
      "6", "c", "what is fitted with kernel fast against what is saved", "difference", 1e-5,
      [](StudyContext&) {
        const at::NoGradGuard no_gradient;
        scene::Cloud cloud = known_cloud(300, 1, 9);
        const render::Views views = render::views_of(ring_of_cameras(2, 80, 60, 3));
        render::Primitives p = fit::activated(cloud);
        const at::Tensor raw = at::linspace(-3, 5, 300);
        fit::shaped(raw, {}, p);
        const at::Tensor fitted_one = render::rasterize(p, views, {}).color;
        fit::with_shape(raw, {}, cloud);
        return (render::rasterize(fit::activated(cloud), views, {}).color - fitted_one)
            .abs()
            .max()
            .item<double>();
      }));
  return all;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(
    {.slug = "ges",
     .title = "Generalised exponentials, on two CPU cores: mixtures on a line, size, edges",
     .bars = bars()});

}  // namespace
}  // namespace covary::studies
