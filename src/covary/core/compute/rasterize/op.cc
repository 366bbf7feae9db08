#include "covary/core/compute/rasterize/op.h"

#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/autograd.h"

namespace covary::compute {
namespace {

enum Input { kCentres, kParams, kOpacities, kFeatures, kBackground };

template <class T>
RasterInput<T> input_of(const Tensors& in, const at::Tensor& extents, int footprint,
                        const TileGrid& grid, const TileLists& lists) {
  return {.count = in[kCentres].size(0),
          .footprint = footprint,
          .channels = static_cast<int>(in[kFeatures].size(1)),
          .grid = grid,
          .lists = &lists,
          .centres = in[kCentres].const_data_ptr<T>(),
          .params = in[kParams].const_data_ptr<T>(),
          .opacities = in[kOpacities].const_data_ptr<T>(),
          .extents = extents.const_data_ptr<T>(),
          .features = in[kFeatures].const_data_ptr<T>(),
          .background = in[kBackground].defined() ? in[kBackground].const_data_ptr<T>() : nullptr};
}

template <class T>
Tensors forward(const RasterInput<T>& in, const at::TensorOptions& options) {
  StageTimer stage("composite");
  stage.add_items(in.lists->pairs());
  const int64_t h = in.grid.height, w = in.grid.width;
  at::Tensor image = at::empty({h, w, in.channels}, options),
             transmittance = at::empty({h, w}, options);
  const RasterOutput<T> out{image.data_ptr<T>(), transmittance.data_ptr<T>()};
  if constexpr (std::is_same_v<T, float>) {
    rasterize(in, out);
  } else {
    rasterize_reference(in, out);
  }
  return {image, transmittance};
}

template <class T>
Tensors backward(const RasterInput<T>& in, const Saved& saved, const Tensors& gradients,
                 at::Tensor screen_gradients) {
  StageTimer stage("composite");
  stage.add_items(in.lists->pairs());
  const at::Tensor v_image = gradients[0].contiguous(), v_alpha = gradients[1].neg().contiguous();
  Tensors out(saved.inputs.size());
  for (size_t i = 0; i < kBackground; ++i) out[i] = at::empty_like(saved.inputs[i]);
  at::Tensor absolute, background;
  const bool wants_absolute = screen_gradients.defined() && screen_gradients.size(1) == 4;
  if (wants_absolute) absolute = at::empty_like(saved.inputs[kCentres]);
  if (saved.needs[kBackground]) background = at::empty({in.channels}, at::kDouble);
  // the image and transmittance are this node's outputs, saved as the forward pass left them
  const RasterOutput<T> result{const_cast<T*>(saved.outputs[0].const_data_ptr<T>()),
                               const_cast<T*>(saved.outputs[1].const_data_ptr<T>())};
  const RasterGradients<T> v{v_image.const_data_ptr<T>(), v_alpha.const_data_ptr<T>()};
  const RasterInputGradients<T> to{out[kCentres].data_ptr<T>(),
                                   out[kParams].data_ptr<T>(),
                                   out[kOpacities].data_ptr<T>(),
                                   out[kFeatures].data_ptr<T>(),
                                   absolute.defined() ? absolute.data_ptr<T>() : nullptr,
                                   background.defined() ? background.data_ptr<double>() : nullptr};
  if constexpr (std::is_same_v<T, float>) {
    rasterize_vjp(in, result, v, to);
  } else {
    rasterize_vjp_reference(in, result, v, to);
  }
  if (background.defined())
    out[kBackground] = background.to(saved.inputs[kBackground].scalar_type());
  if (screen_gradients.defined()) {
    screen_gradients.narrow(1, 0, 2).copy_(out[kCentres]);
    if (wants_absolute) screen_gradients.narrow(1, 2, 2).copy_(absolute);
  }
  return out;
}

template <class T>
Inspected inspect_as(const RasterInput<T>& in, const ProjectedTensors& splats, int top_k,
                     bool median_depth, bool weights) {
  const int64_t h = in.grid.height, w = in.grid.width;
  const auto options = splats.centres.options();
  Inspected r;
  InspectOutput<T> out;
  out.top_k = top_k;
  if (top_k > 0) {
    r.topk = at::empty({h, w, top_k}, at::kLong);
    r.topk_weights = at::empty({h, w, top_k}, options);
    out.topk = r.topk.data_ptr<int64_t>();
    out.topk_weights = r.topk_weights.data_ptr<T>();
  }
  if (median_depth) {
    r.median_depth = at::empty({h, w}, options);
    out.depths = splats.depths.const_data_ptr<T>();
    out.median_depth = r.median_depth.data_ptr<T>();
  }
  if (weights) {
    r.weight_sums = at::empty({in.count}, at::kDouble);
    r.hits = at::empty({in.count}, at::kLong);
    out.weight_sums = r.weight_sums.data_ptr<double>();
    out.hits = r.hits.data_ptr<int64_t>();
  }
  inspect(in, out);
  return r;
}

template <class T>
TileLists lists_of(const ProjectedTensors& s, int footprint, const TileGrid& grid, bool exact) {
  return build_tile_lists(grid,
                          TileSplats<T>{.count = s.centres.size(0),
                                        .footprint = footprint,
                                        .centres = s.centres.const_data_ptr<T>(),
                                        .depths = s.depths.const_data_ptr<T>(),
                                        .params = s.params.const_data_ptr<T>(),
                                        .extents = s.extents.const_data_ptr<T>(),
                                        .halves = s.halves.const_data_ptr<T>()},
                          exact);
}

}  // namespace

std::shared_ptr<const TileLists> tile_lists(const ProjectedTensors& s, int footprint,
                                            const TileGrid& grid, bool exact) {
  return std::make_shared<const TileLists>(s.centres.scalar_type() == at::kFloat
                                               ? lists_of<float>(s, footprint, grid, exact)
                                               : lists_of<double>(s, footprint, grid, exact));
}

Composited composite(const ProjectedTensors& splats, const at::Tensor& features,
                     const at::Tensor& background, int footprint, const TileGrid& grid,
                     const std::shared_ptr<const TileLists>& lists,
                     const at::Tensor& screen_gradients) {
  const auto type = splats.centres.scalar_type();
  if (features.dim() != 2 || features.size(0) != splats.centres.size(0) ||
      features.scalar_type() != type)
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "features",
                "it must be [M,C] of the type of the splats");
  if (background.defined() && (background.dim() != 1 || background.size(0) != features.size(1) ||
                               background.scalar_type() != type))
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "background",
                "it must be [C] of the type of the features");
  Tensors inputs = {splats.centres, splats.params, splats.opacities, features.contiguous(),
                    background.defined() ? background.contiguous() : background};
  const at::Tensor extents = splats.extents;
  const Tensors out = differentiable(
      "composite", inputs,
      [&](const Tensors& in) {
        return type == at::kFloat ? forward(input_of<float>(in, extents, footprint, grid, *lists),
                                            features.options())
                                  : forward(input_of<double>(in, extents, footprint, grid, *lists),
                                            features.options());
      },
      [=](const Saved& saved, const Tensors& gradients) {
        return type == at::kFloat
                   ? backward(input_of<float>(saved.inputs, extents, footprint, grid, *lists),
                              saved, gradients, screen_gradients)
                   : backward(input_of<double>(saved.inputs, extents, footprint, grid, *lists),
                              saved, gradients, screen_gradients);
      });
  return {out[0], out[1]};
}

at::Tensor largest_weights(const ProjectedTensors& splats, int footprint, const TileGrid& grid,
                           const TileLists& lists) {
  if (splats.centres.scalar_type() != at::kFloat)
    throw Error(ExitCode::kUsage, "has the wrong type", "splats",
                "largest weights are of float splats");
  const at::Tensor no_features = at::empty({splats.centres.size(0), 0}, splats.centres.options());
  const Tensors in = {splats.centres, splats.params, splats.opacities, no_features, {}};
  at::Tensor out = at::empty({splats.centres.size(0)}, at::kFloat);
  largest_weights(input_of<float>(in, splats.extents, footprint, grid, lists),
                  out.data_ptr<float>());
  return out;
}

at::Tensor squared_sensitivities(const ProjectedTensors& splats, const at::Tensor& features,
                                 const at::Tensor& background, const at::Tensor& image,
                                 int footprint, const TileGrid& grid, const TileLists& lists) {
  const StageTimer stage("sensitivity");
  const Tensors in = {splats.centres, splats.params, splats.opacities, features.contiguous(),
                      background.defined() ? background.contiguous() : background};
  at::Tensor out = at::empty({splats.centres.size(0)}, at::kDouble);
  if (splats.centres.scalar_type() == at::kFloat) {
    const at::Tensor whole = image.contiguous();
    squared_sensitivities(input_of<float>(in, splats.extents, footprint, grid, lists),
                          whole.const_data_ptr<float>(), out.data_ptr<double>());
  } else {
    squared_sensitivities_reference(input_of<double>(in, splats.extents, footprint, grid, lists),
                                    out.data_ptr<double>());
  }
  return out;
}

Inspected inspect(const ProjectedTensors& splats, int footprint, const TileGrid& grid,
                  const TileLists& lists, int top_k, bool median_depth, bool weights) {
  const at::Tensor no_features = at::empty({splats.centres.size(0), 0}, splats.centres.options());
  const Tensors in = {splats.centres, splats.params, splats.opacities, no_features, {}};
  return splats.centres.scalar_type() == at::kFloat
             ? inspect_as(input_of<float>(in, splats.extents, footprint, grid, lists), splats,
                          top_k, median_depth, weights)
             : inspect_as(input_of<double>(in, splats.extents, footprint, grid, lists), splats,
                          top_k, median_depth, weights);
}

}  // namespace covary::compute
