#include "covary/splat/render/fast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/project/op.h"
#include "covary/core/compute/rasterize/op.h"
#include "covary/core/compute/rasterize/rasterize.h"
#include "covary/core/eval/image.h"

namespace covary::render {
namespace {

// Shares of the threshold under which weights are cut, in the order in which they are tried. Which one
// leaves the fewest pairs depends on the scene: many faint Gaussians over one another want the last.
constexpr double kShares[] = {0.5, 0.2, 0.08, 0.03};
constexpr double kSmallestThreshold = 1e-4;

// k of 0 .. n-1, spread evenly; all of them when there are no more.
std::vector<size_t> spread(size_t n, size_t k) {
  std::vector<size_t> out;
  k = std::min(k, n);
  for (size_t i = 0; i < k; ++i) out.push_back((2 * i + 1) * n / (2 * k));
  return out;
}

compute::ProjectOptions project_options(bool antialiased) {
  compute::ProjectOptions o;
  o.footprint = compute::footprint_index("gaussian");
  o.shape.antialiased = antialiased;
  return o;
}

// Preparation takes seconds: it shows how far it is and gives way to Ctrl-C between views.
class Steps {
 public:
  void next() {
    if (const int code = interrupted()) throw Interrupted{code};
    progress_.update(++done_);
  }

 private:
  Progress progress_{"prepare", 0, "views"};
  int64_t done_ = 0;
};

struct Compared {
  scene::Camera camera;
  at::Tensor exact;  // [H,W,3]
};

}  // namespace

void FastOptions::check() const {
  if (!(psnr > 0 && psnr <= 100))
    throw Error(ExitCode::kUsage, "is no PSNR to keep", "fast_psnr", "give 20 to 60 dB");
  if (judged < 1 || compared < 1)
    throw Error(ExitCode::kUsage, "needs at least one view", judged < 1 ? "judged" : "compared",
                "give 1 or more");
}

Contributions contributions(const Primitives& g, const std::vector<scene::Camera>& cameras,
                            bool antialiased, const std::function<void()>& between) {
  const int64_t n = g.means.size(0);
  Contributions out{at::zeros({n}, at::kFloat), at::zeros({n}, at::kBool)};
  auto* largest = out.largest.data_ptr<float>();
  bool* seen = out.seen.data_ptr<bool>();
  const compute::ProjectOptions options = project_options(antialiased);
  for (size_t c = 0; c < cameras.size(); ++c) {
    if (c > 0 && between) between();
    const Views v = views_of({cameras[c]});
    const auto splats =
        compute::project({g.means, g.quats, g.scales, g.covariances, g.opacities, g.extras,
                          v.cam_from_world[0], v.intrinsics[0]},
                         v.width, v.height, static_cast<int>(v.projection), options);
    const compute::TileGrid grid{.width = v.width, .height = v.height};
    const auto lists = compute::tile_lists(splats, options.footprint, grid, true);
    const int64_t m = splats.ids.numel();
    std::vector<float> here(static_cast<size_t>(m));
    compute::largest_weights({.count = m,
                              .footprint = options.footprint,
                              .channels = 0,
                              .grid = grid,
                              .lists = lists.get(),
                              .centres = splats.centres.const_data_ptr<float>(),
                              .params = splats.params.const_data_ptr<float>(),
                              .opacities = splats.opacities.const_data_ptr<float>(),
                              .extents = splats.extents.const_data_ptr<float>()},
                             here.data());
    const auto* ids = splats.ids.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < m; ++i) {
      largest[ids[i]] = std::max(largest[ids[i]], here[static_cast<size_t>(i)]);
      seen[ids[i]] = true;
    }
  }
  return out;
}

Pruned prune(const Primitives& g, const Contributions& c, double threshold, double share) {
  const at::Tensor finite = g.means.isfinite().all(1) & g.quats.isfinite().all(1) &
                            g.scales.isfinite().all(1) & g.opacities.isfinite();
  Pruned out;
  out.rows = (((c.largest >= threshold) | c.seen.logical_not()) & finite).nonzero().squeeze(1);
  const at::Tensor o = g.opacities.index_select(0, out.rows),
                   largest = c.largest.index_select(0, out.rows),
                   seen = c.seen.index_select(0, out.rows);
  // The whole ends at 1/255, that is, at 1/full of the peak; of a Gaussian cut at 1/reach of its peak
  // the share 1 - 1/reach of the total is left.
  constexpr double kUncut = 1000, kMostRaise = 1.5;
  const at::Tensor full = o * (1 / compute::kMinAlpha);
  out.reach =
      at::where(seen, (largest / std::max(share * threshold, 1e-12)).clamp_max(kUncut), kUncut);
  const at::Tensor raised =
      o * (1 - 1 / full.clamp_min(1.01)) / (1 - 1 / out.reach.clamp_min(1.01));
  out.opacities = at::where(
      out.reach < full,
      at::maximum(o, at::minimum(raised, o * kMostRaise).clamp_max(compute::kMaxAlpha)), o);
  return out;
}

FastScene::FastScene(const Primitives& primitives, const std::vector<scene::Camera>& cameras,
                     const FastOptions& options)
    : antialiased_(options.antialiased) {
  options.check();
  if (!primitives.sh0.defined() || !primitives.quats.defined() ||
      primitives.means.scalar_type() != at::kFloat)
    throw Error(ExitCode::kUsage, "draws float Gaussians with SH colours", "fast",
                "draw this scene without --fast");
  if (primitives.footprint != "gaussian")
    throw Error(ExitCode::kUsage, "draws plain Gaussians, and these are " + primitives.footprint,
                "fast", "draw this scene without --fast");
  if (cameras.empty())
    throw Error(ExitCode::kUsage, "there is no camera to prepare for", "fast", "give one");
  const at::NoGradGuard no_grad;
  const double begin = wall_seconds();
  const Primitives g = in_morton_order(primitives);

  std::vector<scene::Camera> judged;
  for (const size_t i : spread(cameras.size(), static_cast<size_t>(options.judged)))
    judged.push_back(cameras[i]);
  Steps steps;
  const Contributions c = contributions(g, judged, antialiased_, [&] { steps.next(); });

  // Compared views are of the judged; those checked lie halfway between them.
  double pixels = 1;
  for (const auto& k : cameras)
    pixels = std::max(pixels, static_cast<double>(k.width) * static_cast<double>(k.height));
  const auto fit = static_cast<size_t>(std::clamp(256e6 / (12 * pixels), 1.0, 1e6));
  const size_t compared = std::min(static_cast<size_t>(options.compared), fit);
  std::vector<size_t> views = spread(cameras.size(), compared);
  const size_t chosen = views.size();
  if (cameras.size() > chosen)
    for (size_t i = 0; i < chosen; i += 2) {
      const size_t between = (views[i] + (i + 1 < chosen ? views[i + 1] : cameras.size())) / 2;
      if (std::find(views.begin(), views.end(), between) == views.end() && between < cameras.size())
        views.push_back(between);
    }
  std::vector<Compared> all;
  for (size_t i = 0; i < views.size(); ++i) {
    const scene::Camera& camera = cameras[views[i]];
    steps.next();
    const double cpu = cpu_seconds();
    all.push_back(
        {camera, pictures(primitives, camera,
                          {.background = options.background, .antialiased = options.antialiased})
                     .color});
    if (i > 0 || views.size() == 1) facts_.exact_cpu_s += cpu_seconds() - cpu;
  }
  facts_.exact_cpu_s /= static_cast<double>(std::max<size_t>(views.size() - 1, 1));

  // Decibels of each of these views when the scene is pruned so.
  const auto set_threshold = [&](double t) {
    scene_ = pack(g, prune(g, c, t, facts_.share));
    facts_.threshold = t;
  };
  int64_t pairs = 0;  // of the views last measured
  const auto measure = [&](const std::vector<size_t>& which) {
    std::vector<double> db;
    double cpu = 0;
    pairs = 0;
    for (const size_t i : which) {
      steps.next();
      const double start = cpu_seconds();
      const at::Tensor color = draw(all[i].camera, options.background).color;
      cpu += cpu_seconds() - start;
      pairs += pairs_;
      db.push_back(eval::psnr(color, all[i].exact));
    }
    facts_.fast_cpu_s = cpu / static_cast<double>(which.size());
    return db;
  };
  const auto worst = [](const std::vector<double>& db) {
    return *std::min_element(db.begin(), db.end());
  };
  std::vector<size_t> searched(chosen), every(all.size());
  std::iota(searched.begin(), searched.end(), size_t{0});
  std::iota(every.begin(), every.end(), size_t{0});

  set_threshold(0);
  facts_.psnr_packed = worst(measure(every));
  if (facts_.psnr_packed < options.psnr) {
    char text[96];
    std::snprintf(text, sizeof(text), "16-bit numbers keep %.1f dB of the asked %.1f",
                  facts_.psnr_packed, options.psnr);
    throw Error(ExitCode::kUsage, text, "fast_psnr", "ask for less, or draw without --fast");
  }

  {  // the worst views stay the worst: the search looks at three
    set_threshold(0.01);
    const std::vector<double> db = measure(searched);
    std::stable_sort(searched.begin(), searched.end(),
                     [&](size_t a, size_t b) { return db[a] < db[b]; });
    searched.resize(std::min<size_t>(searched.size(), 3));
  }

  // The largest threshold that keeps the PSNR, from a guess; sets the pairs that it leaves.
  struct Found {
    double share = kShares[0], threshold = 0;
    int64_t pairs = std::numeric_limits<int64_t>::max();
  };
  const auto search = [&](double share, double t) {
    facts_.share = share;
    Found found{share};
    double low_db = 0, high = 0, high_db = 0;
    for (int tries = 0; tries < 8; ++tries) {
      set_threshold(t);
      const double p = worst(measure(searched));
      double& low = found.threshold;
      if (p >= options.psnr) {
        low = t;
        low_db = p;
        found.pairs = pairs;
      } else {
        high = t;
        high_db = p;
      }
      if (high == 0) {
        if (t >= 0.5) break;
        t = std::min(0.5, 2 * t);
      } else if (low == 0) {
        t /= 2;
        if (t < kSmallestThreshold) break;
      } else {
        if (high < 1.05 * low || low_db - options.psnr < 0.05) break;
        const double at = std::clamp((low_db - options.psnr) / (low_db - high_db), 0.1, 0.9);
        t = low * std::pow(high / low, at);
      }
    }
    return found;
  };
  Found best;
  for (const double share : kShares) {
    const Found found = search(share, best.threshold > 0 ? 1.5 * best.threshold : 0.01);
    if (found.pairs >= best.pairs) break;
    best = found;
  }
  facts_.share = best.share;

  std::vector<double> db;
  for (double t = best.threshold;; t = t < kSmallestThreshold ? 0 : 0.8 * t) {
    set_threshold(t);
    db = measure(every);
    if (worst(db) >= options.psnr || t == 0) break;
  }
  facts_.psnr = worst(db);
  facts_.psnr_mean = std::accumulate(db.begin(), db.end(), 0.0) / static_cast<double>(db.size());
  facts_.gaussians = g.means.size(0);
  facts_.kept = scene_.count;
  facts_.judged = static_cast<int64_t>(judged.size());
  facts_.compared = static_cast<int64_t>(chosen);
  facts_.checked = static_cast<int64_t>(all.size() - chosen);
  facts_.bytes = scene_.bytes();
  facts_.seconds = wall_seconds() - begin;
}

Pictures FastScene::draw(const scene::Camera& camera, const at::Tensor& background) {
  const StageTimer stage("render");
  const compute::ProjectOptions options = project_options(antialiased_);
  {
    StageTimer project("project");
    project.add_items(scene_.count);
    compute::project_packed(scene_, parameters_of(camera), options, view_);
  }
  const compute::TileGrid grid{.width = camera.width, .height = camera.height};
  const compute::TileLists lists =
      compute::build_tile_lists(grid,
                                compute::TileSplats<float>{.count = view_.count,
                                                           .footprint = options.footprint,
                                                           .centres = view_.centres.data(),
                                                           .depths = view_.depths.data(),
                                                           .params = view_.params.data(),
                                                           .extents = view_.extents.data(),
                                                           .halves = view_.halves.data()},
                                true);
  pairs_ = lists.pairs();
  StageTimer composite("composite");
  composite.add_items(pairs_);
  const at::Tensor behind =
      background.defined() ? background.to(at::kFloat).contiguous() : at::Tensor();
  Pictures out;
  out.color = at::empty({camera.height, camera.width, 3}, at::kFloat);
  at::Tensor left = at::empty({camera.height, camera.width, 1}, at::kFloat);
  compute::rasterize({.count = view_.count,
                      .footprint = options.footprint,
                      .channels = 3,
                      .grid = grid,
                      .lists = &lists,
                      .centres = view_.centres.data(),
                      .params = view_.params.data(),
                      .opacities = view_.opacities.data(),
                      .extents = view_.extents.data(),
                      .features = view_.colors.data(),
                      .background = behind.defined() ? behind.const_data_ptr<float>() : nullptr},
                     {out.color.data_ptr<float>(), left.data_ptr<float>()});
  out.alpha = 1 - left;
  return out;
}

Pictures pictures(FastScene& scene, const scene::Camera& camera, const PictureOptions& options) {
  if (options.depth || options.normal)
    throw Error(ExitCode::kUsage, "draws colour and alpha alone", "fast",
                "draw depth and normals without --fast");
  const int k = options.supersample;
  Pictures out = scene.draw(k == 1 ? camera : camera.scaled(camera.width * k, camera.height * k),
                            options.background);
  out.color = mean_of_blocks(out.color, k);
  out.alpha = mean_of_blocks(out.alpha, k);
  return out;
}

}  // namespace covary::render
