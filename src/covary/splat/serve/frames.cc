#include "covary/splat/serve/frames.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/compute/sh/op.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/data/image.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/serve/request_fields.h"
#include "covary/splat/serve/splat_stream.h"

namespace covary::serve {
namespace {

using nlohmann::json;

constexpr int64_t kSampledForDepth = 4000;  // rows
constexpr double kNear = 0.01;              // camera z, as the rasteriser has it
constexpr double kLeastWeight = 0.02;       // of a pixel, for a Gaussian to be picked
constexpr const char* kColumn = "column ";
constexpr double kLifted = 1e3;                               // no colour is clamped that far up
constexpr std::array<float, 3> kMarked = {1.0f, 0.2f, 0.8f};  // as the page marks what is picked

// The page's ramp, 256 colours [256,3] in 0..1.
at::Tensor ramp_table() {
  constexpr std::array<std::array<double, 3>, 7> kAnchors = {{{30, 16, 68},
                                                              {42, 58, 128},
                                                              {36, 104, 142},
                                                              {34, 146, 138},
                                                              {68, 184, 108},
                                                              {150, 212, 66},
                                                              {246, 228, 48}}};
  at::Tensor table = at::empty({256, 3}, at::kFloat);
  float* to = table.data_ptr<float>();
  for (int i = 0; i < 256; ++i) {
    const double u = i / 255.0 * (kAnchors.size() - 1);
    const size_t k = std::min(static_cast<size_t>(u), kAnchors.size() - 2);
    const double f = u - static_cast<double>(k);
    for (size_t c = 0; c < 3; ++c)
      to[3 * i + static_cast<int>(c)] =
          static_cast<float>(std::round(kAnchors[k][c] * (1 - f) + kAnchors[k + 1][c] * f) / 255);
  }
  return table;
}

// t [N] in 0..1 to colours [N,3].
at::Tensor ramped(const at::Tensor& t) {
  static const at::Tensor table = ramp_table();
  return table.index_select(
      0, at::nan_to_num(t, 0.0).clamp(0, 1).mul(255).add(0.5).to(at::kLong).clamp_max(255));
}

// The least and greatest of the middle 96% of what is finite.
std::array<double, 2> middle_range(const at::Tensor& values) {
  const at::Tensor finite = values.masked_select(at::isfinite(values));
  const int64_t n = finite.numel();
  if (n == 0) return {0, 1};
  const at::Tensor sorted = std::get<0>(finite.sort());
  const auto at = [&](double share) {
    return sorted[std::lround(share * static_cast<double>(n - 1))].item<double>();
  };
  const double low = at(0.02), high = at(0.98);
  return {low, high > low ? high : low + 1};
}

// x, y, z in camera axes of rows [N,3], each [N] double.
std::array<at::Tensor, 3> in_camera(const at::Tensor& means, const Eigen::Matrix4d& m) {
  std::array<at::Tensor, 3> out;
  const at::Tensor p = means.to(at::kDouble);
  for (int r = 0; r < 3; ++r)
    out[static_cast<size_t>(r)] =
        p.select(1, 0) * m(r, 0) + p.select(1, 1) * m(r, 1) + p.select(1, 2) * m(r, 2) + m(r, 3);
  return out;
}

// From the near to the far of what the picture shows of a sample of the rows.
std::array<double, 2> depth_range(const at::Tensor& means, const scene::Camera& camera) {
  const int64_t n = means.size(0), step = std::max<int64_t>(1, n / kSampledForDepth);
  const auto [x, y, z] =
      in_camera(means.index_select(0, at::arange(0, n, step, at::kLong)), camera.cam_from_world);
  const at::Tensor u = x / z * camera.fx + camera.cx, v = y / z * camera.fy + camera.cy;
  const at::Tensor seen =
      (z > kNear) & (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height);
  return middle_range(z.masked_select(seen));
}

// What makes the colour of one row the mark, whatever it is from where it is seen.
render::ColorOffsets mark_of(const render::Primitives& p, int64_t row, int degree) {
  const auto own = [&](const at::Tensor& t) {
    return t.defined() ? t.narrow(0, row, 1).to(at::kDouble) : t;
  };
  return [row, degree, sh0 = own(p.sh0), shN = own(p.shN)](const at::Tensor& ids,
                                                           const at::Tensor& directions) {
    at::Tensor offsets = at::zeros_like(directions);
    const at::Tensor here = ids.eq(row).nonzero().flatten();
    if (here.numel() == 0) return offsets;
    const at::Tensor color =
        compute::sh_color(sh0, shN, at::zeros({1}, at::kLong),
                          directions.index_select(0, here).to(at::kDouble), degree,
                          compute::ShGradientRows::kDense, at::full({1, 3}, kLifted, at::kDouble)) -
        kLifted;
    const at::Tensor mark = at::tensor({kMarked[0], kMarked[1], kMarked[2]}, at::kDouble);
    return offsets.index_copy(0, here, (mark - color).to(offsets.scalar_type()));
  };
}

}  // namespace

FrameRequest frame_request(const json& body, int64_t most_pixels) {
  const RequestFields fields(body);
  FrameRequest r;
  const json* camera = fields.find("camera");
  if (!camera || !camera->is_object()) fields.refuse("camera", "is missing");
  try {
    r.camera = scene::camera_from_json(*camera, "camera");
  } catch (const Error& e) {
    fields.refuse(e.where(), e.message());
  }
  if (int64_t{r.camera.width} * r.camera.height > most_pixels)
    fields.refuse("camera", "has more pixels than are drawn (" + std::to_string(most_pixels) + ")");
  r.mode = fields.text("mode", r.mode);
  if (r.mode != "colour" && r.mode != "depth" && r.mode != "normal" &&
      r.mode.rfind(kColumn, 0) != 0)
    fields.refuse("mode", "is none of colour, depth, normal, column NAME");
  r.degree = static_cast<int>(fields.number("degree", r.degree, 0, 4));
  r.scale = fields.number("scale", r.scale, 0.01, 10);
  r.quality = static_cast<int>(fields.number("quality", r.quality, 10, 95));
  r.exact = fields.flag("exact", r.exact);
  r.selected = static_cast<int64_t>(fields.number("selected", -1, -1, 1e15));
  if (const json* b = fields.find("background"))
    r.background = fields.three<float>(*b, "background");
  if (const json* crop = fields.find("crop")) {
    if (!crop->is_array() || crop->size() != 2) fields.refuse("crop", "is not two corners");
    r.cropped = true;
    r.low = fields.three<double>((*crop)[0], "crop");
    r.high = fields.three<double>((*crop)[1], "crop");
  }
  return r;
}

FramePainter::FramePainter(const scene::Cloud& cloud)
    : cloud_(cloud), primitives_(render::primitives_of(cloud)) {}

FramePainter::Column FramePainter::column(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto known = columns_.find(name);
  if (known != columns_.end()) return known->second;
  Column column;
  if (name == "opacity") {
    column.values = primitives_.opacities;
  } else if (name == "largest scale") {
    column.values = std::get<0>(cloud_.scales.max(1)) * std::log10(std::exp(1.0));
  } else if (name == "elongation") {
    column.values = (std::get<0>(cloud_.scales.max(1)) - std::get<0>(cloud_.scales.min(1))).exp();
  } else {
    column.values = column_values(cloud_, name);
  }
  column.values = column.values.detach().to(at::kFloat);
  column.range = middle_range(column.values);
  columns_.emplace(name, column);
  return column;
}

render::Primitives FramePainter::shown(const FrameRequest& r) const {
  render::Primitives p = primitives_;
  if (r.scale != 1) p.scales = p.scales * r.scale;
  if (r.cropped) {  // what has no opacity is not drawn
    at::Tensor inside = at::ones({cloud_.size()}, at::kBool);
    for (int k = 0; k < 3; ++k) {
      const at::Tensor x = p.means.select(1, k);
      inside =
          inside & (x >= r.low[static_cast<size_t>(k)]) & (x <= r.high[static_cast<size_t>(k)]);
    }
    p.opacities = p.opacities * inside.to(p.opacities.scalar_type());
  }
  return p;
}

// [H,W,1]: of each pixel, how much of it the selected row makes.
at::Tensor FramePainter::share_of_selected(const render::Primitives& p,
                                           const FrameRequest& r) const {
  render::Primitives one = p;
  one.sh0 = one.shN = at::Tensor();
  one.features = at::zeros({cloud_.size(), 1}, p.means.scalar_type());
  one.features[r.selected] = 1;
  render::PictureOptions how;
  how.antialiased = antialiased();
  return render::pictures(one, r.camera, how).color;
}

Frame FramePainter::draw(const FrameRequest& r) const {
  const at::NoGradGuard no_grad;
  Frame frame;
  render::Primitives p = shown(r);
  const auto colored = [&](const at::Tensor& t) {
    p.sh0 = p.shN = at::Tensor();
    p.features = ramped(t);
    frame.ranged = true;
  };
  if (r.mode == "depth") {
    frame.range = depth_range(p.means, r.camera);
    const double near = 1 / std::max(frame.range[0], 1e-6), far = 1 / frame.range[1];
    // Even in 1 / depth: near things differ most.
    colored(((near - 1 / in_camera(p.means, r.camera.cam_from_world)[2].clamp_min(kNear)) /
             (near - far))
                .to(at::kFloat));
  } else if (r.mode.rfind(kColumn, 0) == 0) {
    const Column column = this->column(r.mode.substr(std::string(kColumn).size()));
    frame.range = column.range;
    colored((column.values - column.range[0]) / (column.range[1] - column.range[0]));
  }
  const bool marks = r.selected >= 0 && r.selected < cloud_.size();
  const at::Tensor mark = at::tensor({kMarked[0], kMarked[1], kMarked[2]});
  if (marks && p.features.defined())
    p.features[r.selected].copy_(mark);
  else if (marks)
    p.color_offsets = mark_of(p, r.selected, r.degree);
  render::PictureOptions how;
  how.background = at::tensor({r.background[0], r.background[1], r.background[2]});
  how.antialiased = antialiased();
  how.normal = r.mode == "normal";
  how.sh_degree = r.degree;
  const render::Pictures drawn = render::pictures(p, r.camera, how);
  data::Image8 picture = how.normal ? render::normal_picture(drawn.normal, drawn.alpha)
                                    : render::color_picture(drawn.color);
  if (marks && how.normal) {
    const at::Tensor share = share_of_selected(shown(r), r).to(at::kFloat).contiguous();
    const auto* w = share.const_data_ptr<float>();
    for (int64_t i = 0; i < share.numel(); ++i)
      for (size_t c = 0; c < 3; ++c) {
        uint8_t& v = picture.pixels[static_cast<size_t>(3 * i) + c];
        v = static_cast<uint8_t>(
            std::lround((1 - w[i]) * static_cast<float>(v) + w[i] * 255 * kMarked[c]));
      }
  }
  frame.type = r.exact ? "image/png" : "image/jpeg";
  frame.bytes = r.exact ? data::encode_png(picture) : data::encode_jpeg(picture, r.quality);
  return frame;
}

Picked FramePainter::pick(const FrameRequest& r, double x, double y) const {
  if (!(x >= 0 && y >= 0 && x < r.camera.width && y < r.camera.height))
    throw Error(ExitCode::kUsage, "x and y are outside the picture");
  const at::NoGradGuard no_grad;
  render::RasterizeOptions how;
  how.antialiased = antialiased();
  how.sh_degree = 0;
  how.top_k = 1;
  // This pixel alone, by the picture's own camera.
  how.offset_x = static_cast<int>(x);
  how.offset_y = static_cast<int>(y);
  how.stride = std::max(r.camera.width, r.camera.height);
  const render::Rendered one =
      render::rasterize(shown(r), render::views_of({r.camera}, cloud_.means.scalar_type()), how);
  Picked hit;
  hit.row = one.topk_ids.flatten()[0].item<int64_t>();
  hit.weight = one.topk_weights.flatten()[0].item<double>();
  if (hit.row < 0 || hit.weight < kLeastWeight) return {};
  const auto at = [&](const at::Tensor& t, int64_t k) {
    return t[hit.row].flatten()[k].item<double>();
  };
  double norm = 0;
  for (int64_t k = 0; k < 4; ++k) norm += at(cloud_.quats, k) * at(cloud_.quats, k);
  norm = std::sqrt(std::max(norm, 1e-300));
  for (size_t k = 0; k < 3; ++k) {
    hit.mean[k] = at(cloud_.means, static_cast<int64_t>(k));
    hit.scale[k] = std::exp(at(cloud_.scales, static_cast<int64_t>(k)));
    hit.color[k] = 0.5 + compute::kShC0 * at(cloud_.sh0, static_cast<int64_t>(k));
  }
  for (size_t k = 0; k < 4; ++k) hit.quat[k] = at(cloud_.quats, static_cast<int64_t>(k)) / norm;
  hit.opacity = 1 / (1 + std::exp(-cloud_.opacities[hit.row].item<double>()));
  const Eigen::Matrix4d& m = r.camera.cam_from_world;
  hit.depth = m(2, 0) * hit.mean[0] + m(2, 1) * hit.mean[1] + m(2, 2) * hit.mean[2] + m(2, 3);
  return hit;
}

}  // namespace covary::serve
