// Whether the boxes where worst parts meet find what is missing (3): the built-in studio, with no first points on one of
// its things.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <Eigen/LU>

#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/fit/multi_view.h"
#include "covary/splat/render/truth.h"
#include "covary/splat/scene/camera_path.h"
#include "studies/core-3dgs/training.h"
#include "studies/mvgs/bars.h"

namespace covary::studies {

using Eigen::Vector3d;
using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

struct Lacking {
  render::StudioTruth truth;  // its capture without points on the thing
  std::string name;           // of the thing
  uint8_t id = 0;
  fit::Box box;  // around it
};

// A thing that many pixels show, and that is small beside the scene.
const Lacking& lacking(StudyContext& c) {
  return c.shared<Lacking>("lacking", [&] {
    render::StudioOptions options;
    options.camera.views = c.smoke() ? 12 : 40;
    options.camera.width = c.smoke() ? 80 : 240;
    options.camera.height = c.smoke() ? 60 : 180;
    options.camera.points = c.smoke() ? 1500 : 6000;
    Lacking out{
        .truth = render::make_studio_truth(options, {.test_every = 8}), .name = {}, .box = {}};
    std::map<uint8_t, fit::Box> boxes;
    std::map<uint8_t, int64_t> pixels;
    const scene::Capture& capture = out.truth.capture;
    for (size_t v = 0; v < capture.views.size(); ++v) {
      const scene::View& view = capture.views[v];
      const Eigen::Matrix4d world = view.camera.cam_from_world.inverse();
      for (int y = 0; y < view.depth.height; ++y)
        for (int x = 0; x < view.depth.width; ++x) {
          const float z = *view.depth.at(y, x);
          const uint8_t id = *out.truth.ids[v].at(y, x);
          if (!(z > 0) || id == 0) continue;
          const Vector3d ray = view.camera.ray(x + 0.5, y + 0.5);
          const double along = z / view.camera.forward().dot(ray);
          const Vector3d p = world.topRightCorner<3, 1>() + along * ray;
          auto [box, fresh] = boxes.try_emplace(id, fit::Box{p, p});
          box->second.low = box->second.low.cwiseMin(p);
          box->second.high = box->second.high.cwiseMax(p);
          ++pixels[id];
        }
    }
    int64_t most = 0;
    for (const auto& [id, box] : boxes) {
      if ((box.high - box.low).norm() > 0.5 * capture.extent || pixels[id] <= most) continue;
      most = pixels[id];
      out.id = id;
      out.box = box;
    }
    out.name = out.truth.objects.at(out.id);
    scene::Points& points = out.truth.capture.points;
    scene::Points left;
    for (size_t i = 0; i < points.positions.size(); ++i) {
      if (out.box.holds(points.positions[i].cast<double>())) continue;
      left.positions.push_back(points.positions[i]);
      left.colors.push_back(points.colors[i]);
    }
    points = std::move(left);
    return out;
  });
}

struct Growth {
  double psnr_inside = 0;  // over the thing's pixels of held-out views, dB
  int64_t boxes = 0, hits = 0;
  int64_t count = 0;
};

double psnr_inside(const scene::Cloud& cloud, const Lacking& l) {
  const at::NoGradGuard no_gradient;
  double sum = 0;
  int64_t views = 0;
  const scene::Capture& capture = l.truth.capture;
  for (const int64_t i : capture.test) {
    const auto v = static_cast<size_t>(i);
    const data::Image8& ids = l.truth.ids[v];
    at::Tensor mask = at::zeros({ids.height, ids.width});
    for (int64_t p = 0; p < mask.numel(); ++p)
      mask.data_ptr<float>()[p] = ids.pixels[static_cast<size_t>(p)] == l.id ? 1.0f : 0.0f;
    if (!(mask.sum().item<float>() > 0)) continue;
    const at::Tensor drawn =
        render::rasterize(fit::activated(cloud), render::views_of({capture.views[v].camera}), {})
            .color.squeeze(0);
    const at::Tensor truth =
        fit::make_target(capture.views[v], capture, "ignore", at::zeros({3})).image;
    sum += fit::psnr(drawn, truth, mask);
    ++views;
  }
  return sum / static_cast<double>(std::max<int64_t>(1, views));
}

const Growth& grown(StudyContext& c, bool cross_ray, int64_t cap) {
  return c.shared<Growth>("grown " + std::to_string(cross_ray), [&] {
    const Lacking& l = lacking(c);
    fit::TrainOptions o;
    o.steps = c.smoke() ? 400 : 2000;
    o.views_per_step = 4;
    o.multi_view.cross_ray = cross_ray;
    o.default_strategy.every = c.smoke() ? 20 : 100;
    o.max_gaussians = cap;
    Growth g;
    std::vector<scene::Camera> cameras;
    for (const int64_t i : l.truth.capture.train)
      cameras.push_back(l.truth.capture.views[static_cast<size_t>(i)].camera);
    const fit::MultiView::Facts facts{.extent = l.truth.capture.extent,
                                      .focus = scene::CameraPath(cameras).focus()};
    const Vector3d middle = 0.5 * (l.box.low + l.box.high), half = 0.75 * (l.box.high - l.box.low);
    fit::Trainer trainer(l.truth.capture, o);
    // The boxes of the steps that refine, as the strategy is about to see them.
    train_to_end(trainer, c.seed(), [&](const fit::StepResult&) {
      const int64_t next = trainer.steps_done() + 1;
      if (!cross_ray || next % o.default_strategy.every != 0 || next > o.steps / 2) return;
      const at::NoGradGuard none;
      fit::MultiViewOptions all;
      all.cross_ray = true;
      fit::MultiView views(all, facts);
      for (const int64_t i : trainer.views_of_step(next)) {
        const scene::View& view = l.truth.capture.views[static_cast<size_t>(i)];
        const at::Tensor drawn =
            render::rasterize(fit::activated(trainer.cloud()), render::views_of({view.camera}), {})
                .color.squeeze(0);
        views.add(view.camera, drawn,
                  fit::make_target(view, l.truth.capture, "ignore", at::zeros({3})).image, {});
      }
      for (const fit::Box& box : views.boxes()) {
        ++g.boxes;
        g.hits += ((0.5 * (box.low + box.high) - middle).array().abs() < half.array()).all();
      }
    });
    g.psnr_inside = psnr_inside(trainer.cloud(), l);
    g.count = trainer.count();
    return g;
  });
}

// Of the space of the scene's points, the inflated box.
double chance(const Lacking& l) {
  Vector3d low = Vector3d::Constant(INFINITY), high = -low;
  for (const auto& p : l.truth.capture.points.positions) {
    low = low.cwiseMin(p.cast<double>());
    high = high.cwiseMax(p.cast<double>());
  }
  return (1.5 * (l.box.high - l.box.low)).prod() / (high - low).prod();
}

BarResult boxes_hit(StudyContext& c) {
  const Growth& g = grown(c, true, 0);
  const double share =
      static_cast<double>(g.hits) / static_cast<double>(std::max<int64_t>(1, g.boxes));
  BarResult r;
  r.baseline = Quantity{.name = "its share of the scene", .value = chance(lacking(c)), .unit = "1"};
  r.ours = Quantity{.value = share, .unit = "1"};
  const double bound = std::max(0.6, 5 * r.baseline->value);
  r.bound = {"share >= 0.6 and 5 * baseline", share, ">=", bound};
  if (c.smoke())  // so few steps tell only that there are some
    r.bound = {"boxes >= 1", static_cast<double>(g.boxes), ">=", 1};
  r.note = std::to_string(g.hits) + " of " + std::to_string(g.boxes) +
           " boxes; no points on: " + lacking(c).name;
  return r;
}

BarResult better_inside(StudyContext& c) {
  const Growth& without = grown(c, false, 0);
  const Growth& with = grown(c, true, 0);
  BarResult r;
  r.baseline = Quantity{.name = "no boxes", .value = without.psnr_inside, .unit = "dB"};
  r.ours = Quantity{.value = with.psnr_inside, .unit = "dB"};
  const double margin = c.smoke() ? -3 : 0.5;
  r.bound = {c.smoke() ? "ours >= baseline - 3 dB" : "ours >= baseline + 0.5 dB", with.psnr_inside,
             ">=", without.psnr_inside + margin};
  char note[96];
  std::snprintf(note, sizeof(note), "%lld and %lld Gaussians",
                static_cast<long long>(without.count), static_cast<long long>(with.count));
  r.note = note;
  return r;
}

}  // namespace

std::vector<Bar> multi_view_growth_bars() {
  return {eval::bar_of("3", "a", "boxes lie on what is missing", "share of boxes", "1",
                       "share >= 0.6 and 5 * baseline", boxes_hit),
          eval::bar_of("3", "b", "what was missing is better with them", "PSNR inside", "dB",
                       "ours >= baseline + 0.5 dB", better_inside)};
}

}  // namespace covary::studies
