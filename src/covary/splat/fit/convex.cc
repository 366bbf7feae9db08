#include "covary/splat/fit/convex.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/project/convex.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/strategy_parts.h"
#include "covary/splat/scene/convex.h"

namespace covary::fit {
namespace {

constexpr int64_t kGrain = 4096;  // rows a share
constexpr float kMaskAtStart = 1;
constexpr double kPublishedExtent = 5;

using compute::Saved;
using compute::Tensors;

template <class F>
void each(int64_t n, F&& f) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

// [N,3] of points [N,K,3].
at::Tensor means_of(const at::Tensor& points) {
  return compute::differentiable(
      "convex_means", {points},
      [](const Tensors& in) {
        const int64_t n = in[0].size(0), k = in[0].size(1);
        at::Tensor out = at::empty({n, 3}, in[0].options());
        const float* from = in[0].const_data_ptr<float>();
        float* to = out.data_ptr<float>();
        each(n, [&](int64_t i) {
          for (int64_t a = 0; a < 3; ++a) {
            float sum = 0;
            for (int64_t p = 0; p < k; ++p) sum += from[(i * k + p) * 3 + a];
            to[3 * i + a] = sum / static_cast<float>(k);
          }
        });
        return Tensors{out};
      },
      [](const Saved& saved, const Tensors& gradients) {
        const int64_t n = saved.inputs[0].size(0), k = saved.inputs[0].size(1);
        const at::Tensor g = gradients[0].contiguous();
        at::Tensor out = at::empty_like(saved.inputs[0]);
        const float* from = g.const_data_ptr<float>();
        float* to = out.data_ptr<float>();
        each(n, [&](int64_t i) {
          for (int64_t p = 0; p < k; ++p)
            for (int64_t a = 0; a < 3; ++a)
              to[(i * k + p) * 3 + a] = from[3 * i + a] / static_cast<float>(k);
        });
        return Tensors{out};
      })[0];
}

// Of a row that is in no view the gradient is 0, whatever its value has become.
float times(float gradient, float value) { return gradient == 0 ? 0 : gradient * value; }

// [N, 3 K + 2]: points, exp(delta), exp(sigma).
at::Tensor extras_of(const at::Tensor& points, const at::Tensor& delta, const at::Tensor& sigma) {
  return compute::differentiable(
      "convex_extras", {points, delta, sigma},
      [](const Tensors& in) {
        const int64_t n = in[0].size(0), width = 3 * in[0].size(1);
        at::Tensor out = at::empty({n, width + 2}, in[0].options());
        const float *p = in[0].const_data_ptr<float>(), *d = in[1].const_data_ptr<float>(),
                    *s = in[2].const_data_ptr<float>();
        float* to = out.data_ptr<float>();
        each(n, [&](int64_t i) {
          float* row = to + i * (width + 2);
          std::copy_n(p + i * width, width, row);
          row[width] = std::exp(d[i]);
          row[width + 1] = std::exp(s[i]);
        });
        return Tensors{out};
      },
      [](const Saved& saved, const Tensors& gradients) {
        const int64_t n = saved.inputs[0].size(0), width = 3 * saved.inputs[0].size(1);
        const at::Tensor g = gradients[0].contiguous();
        Tensors out = {at::empty_like(saved.inputs[0]), at::empty_like(saved.inputs[1]),
                       at::empty_like(saved.inputs[2])};
        const float *v = g.const_data_ptr<float>(), *e = saved.outputs[0].const_data_ptr<float>();
        float *p = out[0].data_ptr<float>(), *d = out[1].data_ptr<float>(),
              *s = out[2].data_ptr<float>();
        each(n, [&](int64_t i) {
          const float *from = v + i * (width + 2), *value = e + i * (width + 2);
          std::copy_n(from, width, p + i * width);
          d[i] = times(from[width], value[width]);
          s[i] = times(from[width + 1], value[width + 1]);
        });
        return out;
      })[0];
}

// [N]: the opacity, or 0 where the mask hides.
at::Tensor masked_opacities(const at::Tensor& logits, const at::Tensor& mask, double least) {
  return compute::differentiable(
      "masked_opacities", {logits, mask},
      [least](const Tensors& in) {
        at::Tensor out = at::empty_like(in[0]);
        const float *o = in[0].const_data_ptr<float>(), *m = in[1].const_data_ptr<float>();
        float* to = out.data_ptr<float>();
        each(out.numel(), [&](int64_t i) {
          to[i] = hides(m[i], least) ? 0.0f : static_cast<float>(logistic(o[i]));
        });
        return Tensors{out};
      },
      [least](const Saved& saved, const Tensors& gradients) {
        const at::Tensor g = gradients[0].contiguous();
        Tensors out = {at::empty_like(saved.inputs[0]), at::empty_like(saved.inputs[1])};
        const float *v = g.const_data_ptr<float>(), *o = saved.inputs[0].const_data_ptr<float>(),
                    *m = saved.inputs[1].const_data_ptr<float>();
        float *to_o = out[0].data_ptr<float>(), *to_m = out[1].data_ptr<float>();
        each(g.numel(), [&](int64_t i) {
          const double opacity = logistic(o[i]), shown = logistic(m[i]);
          to_o[i] = hides(m[i], least) ? 0.0f : static_cast<float>(v[i] * opacity * (1 - opacity));
          to_m[i] = static_cast<float>(v[i] * opacity * shown * (1 - shown));
        });
        return out;
      })[0];
}

void check_finite(const scene::Convexes& c, const at::Tensor& opacities) {
  const int64_t n = c.points.size(0), width = 3 * c.points.size(1);
  const at::Tensor points = c.points.to(at::kFloat).contiguous(), delta = c.delta.to(at::kFloat),
                   sigma = c.sigma.to(at::kFloat), logits = opacities.to(at::kFloat).contiguous();
  const float *p = points.const_data_ptr<float>(), *d = delta.const_data_ptr<float>(),
              *s = sigma.const_data_ptr<float>(), *o = logits.const_data_ptr<float>();
  const auto positive = [](float x) { return x > 0 && std::isfinite(x); };
  for (int64_t i = 0; i < n; ++i) {
    const char* what = nullptr;
    if (!std::all_of(p + i * width, p + (i + 1) * width, [](float x) { return std::isfinite(x); }))
      what = "a point";
    else if (!positive(d[i]))
      what = "delta";
    else if (!positive(s[i]))
      what = "sigma";
    else if (!std::isfinite(o[i]))
      what = "the opacity";
    if (what)
      throw Error(
          ExitCode::kData, std::string(what) + " is no finite number, or too large or small",
          "row " + std::to_string(i) + " of the scene to start from",
          "leave such rows out: covary convert SCENE -o OTHER.ply --filter-nan, or --filter");
  }
}

}  // namespace

bool hides(float mask, double prune_mask) { return !(logistic(mask) > prune_mask); }

double published_sigma(double sigma, double extent, double focal) {
  return sigma * (extent / kPublishedExtent) * (compute::kReferenceFocal / focal);
}
double own_sigma(double published, double extent, double focal) {
  return published / published_sigma(1, extent, focal);
}

scene::Cloud convexes_at_start(const scene::Cloud& cloud, const ConvexOptions& options,
                               double extent, double focal) {
  scene::Cloud out = cloud;
  if (cloud.footprint == scene::kConvex) {
    if (scene::convex_points(cloud) != options.points)
      throw Error(ExitCode::kUsage,
                  "the scene's convexes have " + std::to_string(scene::convex_points(cloud)) +
                      " points each, not " + std::to_string(options.points),
                  "convex.points", "set it to theirs");
    return out;
  }
  scene::set_convexes(out, scene::convexes_of_gaussians(
                               cloud, options.points, options.start_radius, options.start_delta,
                               own_sigma(options.resolved().start_sigma, extent, focal)));
  return out;
}

nn::NamedTensors convex_rows(const scene::Cloud& cloud) {
  const scene::Convexes c = scene::convexes_of(cloud);
  check_finite(c, cloud.opacities);
  nn::NamedTensors rows{{"points", c.points.to(at::kFloat)},
                        {"delta", c.delta.log().to(at::kFloat)},
                        {"sigma", c.sigma.log().to(at::kFloat)},
                        {"mask", at::full({cloud.size()}, kMaskAtStart, at::kFloat)},
                        {"opacities", cloud.opacities},
                        {"sh0", cloud.sh0}};
  if (cloud.shN.defined() && cloud.shN.size(1) > 0) rows["shN"] = cloud.shN;
  return rows;
}

render::Primitives convex_primitives(const nn::RowTable& table, const ConvexOptions& options,
                                     bool rest) {
  const at::Tensor& points = table.parameter("points");
  return {.means = means_of(points),
          .quats = {},
          .scales = {},
          .covariances = {},
          .opacities = masked_opacities(table.parameter("opacities"), table.parameter("mask"),
                                        options.resolved().prune_mask),
          .sh0 = table.parameter("sh0"),
          .shN = rest ? table.parameter("shN") : at::Tensor(),
          .features = {},
          .extras = extras_of(points, table.parameter("delta"), table.parameter("sigma")),
          .footprint = scene::kConvex};
}

nn::NamedTensors values_of(const nn::RowTable& table) {
  nn::NamedTensors rows;
  for (const std::string& name : table.names()) rows[name] = table.parameter(name).detach();
  return rows;
}

scene::Cloud convex_cloud(const nn::NamedTensors& rows, const ConvexOptions& options) {
  for (const char* name : {"points", "delta", "sigma", "mask", "opacities", "sh0"})
    if (rows.count(name) == 0)
      throw Error(ExitCode::kData, "rows of convexes are missing", name,
                  "train anew with --overwrite");
  const float* mask = rows.at("mask").const_data_ptr<float>();
  const int64_t all = rows.at("mask").numel();
  std::vector<int64_t> shown;
  for (int64_t i = 0; i < all; ++i)
    if (!hides(mask[i], options.resolved().prune_mask)) shown.push_back(i);
  const auto n = static_cast<int64_t>(shown.size());
  const at::Tensor kept = at::tensor(shown, at::kLong);
  const auto part = [&](const char* name) {
    return n == all ? rows.at(name) : rows.at(name).index_select(0, kept);
  };
  scene::Cloud cloud;
  cloud.opacities = part("opacities");
  cloud.sh0 = part("sh0");
  cloud.shN = rows.count("shN") ? part("shN") : at::zeros({n, 0, 3}, at::kFloat);
  scene::set_convexes(cloud, {part("points").to(at::kDouble), part("delta").to(at::kDouble).exp(),
                              part("sigma").to(at::kDouble).exp()});
  if (options.settings == "light") scene::store_short(cloud);
  return cloud;
}

at::Tensor convex_centres(const nn::RowTable& table) {
  return means_of(table.parameter("points").detach());
}

LossTerm mask_term(const nn::RowTable& table, double weight) {
  return {.name = "mask", .weight = nn::constant(weight), .value = [&table](const LossContext&) {
            return TermValue{ordered_mean(logistic_of(table.parameter("mask")))};
          }};
}

}  // namespace covary::fit
