// What must hold exactly (6).
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/rasterize/footprints.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/growth_budget.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/render/rasterize.h"
#include "studies/core-3dgs/bars.h"
#include "studies/shared/moments.h"
#include "studies/turbo-gs/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::StudyContext;

namespace {

constexpr int kWidth = 91, kHeight = 70;  // which no stride here divides

render::Views three_views() { return render::views_of(ring_of_cameras(3, kWidth, kHeight, 3)); }

// Calls use(options, rows of the offset, columns of the offset) for the offsets of a stride.
template <class Use>
void for_offsets(int stride, Use&& use) {
  for (int y = 0; y < stride; ++y)
    for (int x = 0; x < stride; ++x) {
      render::RasterizeOptions o;
      o.stride = stride;
      o.offset_x = x;
      o.offset_y = y;
      use(o);
    }
}

// Values of strided pictures that are not those of the whole one.
double interleaved(StudyContext&) {
  const at::NoGradGuard no_gradient;
  const render::Primitives p = render::primitives_of(known_cloud(2000, 1, 9));
  const at::Tensor whole = render::rasterize(p, three_views(), {}).color;
  double differ = 0;
  for (const int stride : {2, 3, 4})
    for_offsets(stride, [&](const render::RasterizeOptions& o) {
      const at::Tensor part = render::rasterize(p, three_views(), o).color,
                       picked = whole.slice(1, o.offset_y, at::nullopt, stride)
                                    .slice(2, o.offset_x, at::nullopt, stride);
      differ += part.ne(picked).sum().item<double>();
    });
  return differ;
}

// Gradients of a loss with fixed weights of the pixels, over several renderings.
std::vector<at::Tensor> gradients(const std::vector<render::RasterizeOptions>& all,
                                  at::ScalarType type) {
  render::Primitives p = render::primitives_of(known_cloud(800, 1, 9));
  for (at::Tensor* t : {&p.means, &p.quats, &p.scales, &p.opacities, &p.sh0, &p.shN})
    *t = t->detach().to(type).requires_grad_(true);
  const render::Views views = render::views_of({ring_of_cameras(3, kWidth, kHeight, 3)[1]}, type);
  const Random random(7);
  at::Tensor weights = at::empty({1, kHeight, kWidth, 3}, at::kDouble);
  for (int64_t i = 0; i < weights.numel(); ++i)
    weights.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  for (const render::RasterizeOptions& o : all)
    (render::rasterize(p, views, o).color * weights.to(type)
                                                .slice(1, o.offset_y, at::nullopt, o.stride)
                                                .slice(2, o.offset_x, at::nullopt, o.stride))
        .sum()
        .backward();
  std::vector<at::Tensor> out;
  for (const at::Tensor* t : {&p.means, &p.quats, &p.scales, &p.opacities, &p.sh0, &p.shN})
    out.push_back(t->grad().to(at::kDouble));
  return out;
}

double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, ((a[i] - b[i]).norm() / a[i].norm()).item<double>());
  return worst;
}

double gradients_sum(StudyContext&) {
  std::vector<render::RasterizeOptions> parts;
  for_offsets(2, [&](const render::RasterizeOptions& o) { parts.push_back(o); });
  return difference(gradients({{}}, at::kFloat), gradients(parts, at::kFloat));
}

// The kernel that goes primitive by primitive against the one that goes pixel by pixel.
double backward_passes(StudyContext&) {
  return difference(gradients({{}}, at::kDouble), gradients({{}}, at::kFloat));
}

double budget_faults(StudyContext&) {
  double faults = 0;
  for (double a = -1; a <= 3.001; a += 1.0 / 64) {
    faults += std::abs(fit::budget_at(1, a, 100, 5000) - 100) > 1e-9;
    faults += std::abs(fit::budget_at(100, a, 100, 5000) - 5000) > 1e-9;
    for (int t = 2; t <= 100; ++t)
      faults += !(fit::budget_at(t, a, 100, 5000) > fit::budget_at(t - 1, a, 100, 5000));
  }
  for (int t = 1; t <= 100; ++t)
    faults += std::abs(fit::budget_at(t, 1.01e-3, 0, 1) - std::log(t) / std::log(100)) > 2e-3;
  return faults;
}

double exponent_error(StudyContext& c) {
  double worst = 0;
  for (const double a : {0.1, 0.3, 0.6}) {
    const Random random(c.seed(), stream_of("turbo.losses"));
    std::vector<fit::LossPoint> points;
    for (int64_t t = 1; t <= 3000; ++t)
      points.push_back({std::log(static_cast<double>(t)),
                        std::log(0.3 * std::pow(static_cast<double>(t), -a) *
                                 (1 + 0.03 * random.normal(static_cast<uint64_t>(t))))});
    worst = std::max(worst, std::abs(*fit::power_law_decay(points) - a) / a);
  }
  return worst;
}

// Of a primitive: whether its weight is above 1/255 at some pixel, against the list of all weights of all pixels.
double unequal_visits(StudyContext&) {
  const at::NoGradGuard no_gradient;
  const scene::Cloud cloud = known_cloud(300, 0, 9);
  const render::Primitives p = render::primitives_of(cloud);
  const render::Views views = render::views_of({ring_of_cameras(3, kWidth, kHeight, 3)[1]});
  render::RasterizeOptions o;
  o.largest_weights = true;
  o.top_k = 300;
  const render::Rendered r = render::rasterize(p, views, o);
  std::vector<bool> seen(300);
  const at::Tensor ids = r.topk_ids.flatten(), weights = r.topk_weights.flatten();
  for (int64_t k = 0; k < ids.numel(); ++k) {
    const int64_t id = ids.const_data_ptr<int64_t>()[k];
    if (id >= 0 && weights.const_data_ptr<float>()[k] > static_cast<float>(compute::kMinAlpha))
      seen[static_cast<size_t>(id)] = true;
  }
  double wrong = 0;
  const render::Footprints& f = r.footprints[0];
  for (int64_t i = 0; i < f.ids.numel(); ++i)
    wrong += (f.largest_weights[i].item<float>() > static_cast<float>(compute::kMinAlpha)) !=
             seen[static_cast<size_t>(f.ids[i].item<int64_t>())];
  return wrong;
}

// A step on the last views together: the first moment against the mean of single steps, times their number.
double batch_gradient(StudyContext& c) {
  const scene::Capture capture =
      scene::load_capture("sample:splats,count=80,views=10,width=48,height=36", {});
  const auto moments = [&](const std::vector<int64_t>& views) {
    fit::TrainOptions o;
    o.steps = 10;
    o.strategy = "none";
    o.final_views = 4;
    o.final_share = 0.9;
    o.optimizer.visible_only = o.optimizer.batch_scaling = false;
    return first_moments(capture, o, c.seed(), views);
  };
  const std::vector<int64_t> views(capture.train.begin(), capture.train.begin() + 4);
  at::Tensor mean;
  for (const int64_t v : views) {
    const at::Tensor m = moments({v}) / 4;
    mean = mean.defined() ? mean + m : m;
  }
  return ((moments(views) / 4 - mean).norm() / mean.norm()).item<double>();
}

}  // namespace

std::vector<Bar> turbo_oracle_bars() {
  return {eval::at_most("6", "a", "strided pictures interleaved, strides 2, 3 and 4",
                        "values unlike those of the whole picture", 0, interleaved),
          eval::at_most("6", "b", "gradients of strided pictures sum to that of the whole",
                        "relative difference", 1e-5, gradients_sum),
          eval::at_most("6", "c", "the budget's ends, rise and limit", "faults", 0, budget_faults),
          eval::at_most("6", "d", "exponent of a power law with noise", "relative error", 0.02,
                        exponent_error),
          eval::at_most("6", "e", "backward pass by primitives against that by pixels",
                        "relative difference", 1e-5, backward_passes),
          eval::at_most("6", "f", "visits against all weights of all pixels", "unequal", 0,
                        unequal_visits),
          eval::at_most("6", "g", "a step on four views against the mean of four",
                        "relative difference", 1e-6, batch_gradient)};
}

}  // namespace covary::studies
