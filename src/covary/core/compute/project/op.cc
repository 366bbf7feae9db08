#include "covary/core/compute/project/op.h"

#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/project/convex.h"

namespace covary::compute {
namespace {

enum Input { kMeans, kQuats, kScales, kCovariances, kOpacities, kExtras, kPose, kIntrinsics };

void require(bool ok, const char* tensor, const std::string& shape) {
  if (!ok)
    throw Error(ExitCode::kUsage, std::string("has the wrong shape or type"), tensor,
                "it must be " + shape);
}

template <class T>
const T* data(const at::Tensor& t) {
  return t.defined() ? t.const_data_ptr<T>() : nullptr;
}

template <class T>
ProjectInput<T> input_of(const Tensors& in) {
  return {.count = in[kMeans].size(0),
          .means = data<T>(in[kMeans]),
          .quats = data<T>(in[kQuats]),
          .scales = data<T>(in[kScales]),
          .covariances = data<T>(in[kCovariances]),
          .opacities = data<T>(in[kOpacities]),
          .extras = data<T>(in[kExtras]),
          .extras_width = in[kExtras].defined() ? static_cast<int>(in[kExtras].size(1)) : 0};
}

CameraParameters camera_of(const Tensors& in, int width, int height, int kind) {
  CameraParameters c{};
  const at::Tensor pose = in[kPose].to(at::kDouble).contiguous(),
                   k = in[kIntrinsics].to(at::kDouble).contiguous();
  std::copy_n(pose.const_data_ptr<double>(), 16, c.cam_from_world);
  const double* p = k.const_data_ptr<double>();
  c.fx = p[0];
  c.fy = p[1];
  c.cx = p[2];
  c.cy = p[3];
  c.width = width;
  c.height = height;
  c.kind = kind;
  return c;
}

// A vector as a tensor that keeps the projection alive; nothing is copied.
template <class T, class V>
at::Tensor share(const std::shared_ptr<Projection<T>>& owner, std::vector<V>& values,
                 at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape, [owner](void*) {}, at::CppTypeToScalarType<V>::value);
}

template <class T>
Tensors forward(const Tensors& in, const CameraParameters& camera, const ProjectOptions& options) {
  StageTimer stage("project");
  stage.add_items(in[kMeans].size(0));
  auto p = std::make_shared<Projection<T>>();
  if constexpr (std::is_same_v<T, float>) {
    *p = project(camera, input_of<T>(in), options);
  } else {
    *p = project_reference(camera, input_of<T>(in), options);
  }
  const int64_t m = p->count();
  return {
      share(p, p->ids, {m}),       share(p, p->centres, {m, 2}),
      share(p, p->depths, {m}),    share(p, p->params, {m, footprint_params(options.footprint)}),
      share(p, p->opacities, {m}), share(p, p->extents, {m}),
      share(p, p->halves, {m, 2})};
}

template <class T>
Tensors backward(const Saved& saved, const Tensors& gradients, const CameraParameters& camera,
                 const ProjectOptions& options) {
  StageTimer stage("project");
  const Tensors& in = saved.inputs;
  Projection<T> p;
  const at::Tensor& ids = saved.outputs[0];
  stage.add_items(ids.numel());
  p.ids.assign(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
  Tensors v(gradients.size()), out(in.size());
  for (size_t i = 1; i < 5; ++i) v[i] = gradients[i].contiguous();
  const ProjectGradients<T> incoming{data<T>(v[1]), data<T>(v[2]), data<T>(v[3]), data<T>(v[4])};
  for (size_t i = 0; i <= kExtras; ++i)
    if (in[i].defined() && saved.needs[i])
      out[i] = at::zeros_like(in[i], at::MemoryFormat::Contiguous);
  const auto to = [&](Input i) {
    return out[i].defined() ? out[i].template data_ptr<T>() : nullptr;
  };
  ProjectInputGradients<T> outgoing{.means = to(kMeans),
                                    .quats = to(kQuats),
                                    .scales = to(kScales),
                                    .covariances = to(kCovariances),
                                    .opacities = to(kOpacities),
                                    .extras = to(kExtras)};
  if constexpr (std::is_same_v<T, float>) {
    project_vjp(camera, input_of<T>(in), options, p, incoming, outgoing);
  } else {
    project_vjp_reference(camera, input_of<T>(in), options, p, incoming, outgoing);
  }
  const auto small = [&](const double* values, at::IntArrayRef shape, const at::Tensor& like) {
    return at::from_blob(const_cast<double*>(values), shape, at::kDouble)
        .to(like.scalar_type(), false, true);
  };
  if (saved.needs[kPose]) out[kPose] = small(outgoing.camera, {4, 4}, in[kPose]);
  if (saved.needs[kIntrinsics]) out[kIntrinsics] = small(outgoing.intrinsics, {4}, in[kIntrinsics]);
  return out;
}

}  // namespace

ProjectedTensors project(const ProjectTensors& in, int width, int height, int kind,
                         const ProjectOptions& options) {
  require(in.means.defined() && in.means.dim() == 2 && in.means.size(1) == 3, "means", "[N,3]");
  const int64_t n = in.means.size(0);
  const auto type = in.means.scalar_type();
  require(type == at::kFloat || type == at::kDouble, "means", "float or double");
  const auto check = [&](const at::Tensor& t, const char* name, at::IntArrayRef shape,
                         const char* text) {
    require(t.defined() && t.sizes() == shape && t.scalar_type() == type, name, text);
  };
  if (options.footprint == kConvexFootprint) {
    const int64_t width = in.extras.defined() && in.extras.dim() == 2 ? in.extras.size(1) : 0;
    require(width >= 3 * kLeastPoints + 2 && width <= 3 * kMostPoints + 2 && (width - 2) % 3 == 0,
            "extras", "[N, 3 K + 2] with 4 to 8 points K: points, delta, sigma");
    check(in.extras, "extras", {n, width}, "[N, 3 K + 2] of the type of means");
    if (kind != 0)
      throw Error(ExitCode::kUsage, "sees no convexes: they are made for pinhole cameras", "camera",
                  "use pinhole cameras, or the Gaussians that covary convert writes: "
                  "gaussians.spz");
  } else if (in.covariances.defined()) {
    check(in.covariances, "covariances", {n, 6}, "[N,6] of the type of means");
  } else {
    check(in.quats, "quats", {n, 4}, "[N,4] of the type of means");
    check(in.scales, "scales", {n, 3}, "[N,3] of the type of means");
  }
  check(in.opacities, "opacities", {n}, "[N] of the type of means");
  if (const int extras = footprint_extras(options.footprint); extras > 0)
    check(in.extras, "extras", {n, extras}, "[N,E] of the type of means, E as the footprint asks");
  require(in.cam_from_world.defined() && in.cam_from_world.sizes() == at::IntArrayRef({4, 4}),
          "cam_from_world", "[4,4]");
  require(in.intrinsics.defined() && in.intrinsics.sizes() == at::IntArrayRef({4}), "intrinsics",
          "[4]");

  Tensors inputs = {in.means,     in.quats,  in.scales,         in.covariances,
                    in.opacities, in.extras, in.cam_from_world, in.intrinsics};
  if (in.covariances.defined()) inputs[kQuats] = inputs[kScales] = at::Tensor();
  if (options.footprint == kConvexFootprint)  // of which only extras and opacities are read
    inputs[kQuats] = inputs[kScales] = inputs[kCovariances] = at::Tensor();
  for (at::Tensor& t : inputs)
    if (t.defined()) t = t.contiguous();
  const CameraParameters camera = camera_of(inputs, width, height, kind);
  const bool single = type == at::kFloat;
  Tensors out = differentiable(
      "project", inputs,
      [&](const Tensors& t) {
        return single ? forward<float>(t, camera, options) : forward<double>(t, camera, options);
      },
      [camera, options, single](const Saved& saved, const Tensors& gradients) {
        return single ? backward<float>(saved, gradients, camera, options)
                      : backward<double>(saved, gradients, camera, options);
      });
  return {out[0], out[1], out[2], out[3], out[4], out[5].detach(), out[6].detach()};
}

}  // namespace covary::compute
