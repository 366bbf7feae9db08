#include "covary/splat/render/pictures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace covary::render {
namespace {

constexpr float kThere = 0.5F;  // alpha from which a pixel has a depth and a normal worth showing

// A perceptual ramp from black over violet and orange to pale yellow (five corners of it).
std::array<float, 3> ramp(float t) {
  static constexpr float kCorners[5][3] = {{0.0F, 0.0F, 0.02F},
                                           {0.32F, 0.07F, 0.48F},
                                           {0.72F, 0.22F, 0.47F},
                                           {0.98F, 0.54F, 0.38F},
                                           {0.99F, 0.99F, 0.75F}};
  const float x = std::clamp(t, 0.0F, 1.0F) * 4;
  const int i = std::min(static_cast<int>(x), 3);
  const float f = x - static_cast<float>(i);
  std::array<float, 3> out{};
  for (size_t k = 0; k < 3; ++k) out[k] = kCorners[i][k] * (1 - f) + kCorners[i + 1][k] * f;
  return out;
}

uint8_t byte_of(float v) { return static_cast<uint8_t>(std::clamp(v, 0.0F, 1.0F) * 255 + 0.5F); }

// Calls f(pixel of out, index) for every pixel of an [H,W,C] tensor's size.
template <class F>
data::Image8 painted(const at::Tensor& like, F&& f) {
  data::Image8 out(static_cast<int>(like.size(0)), static_cast<int>(like.size(1)), 3);
  for (int64_t i = 0; i < int64_t{out.height} * out.width; ++i) f(out.pixels.data() + 3 * i, i);
  return out;
}

at::Tensor floats(const at::Tensor& t) { return t.detach().to(at::kFloat).contiguous(); }

}  // namespace

at::Tensor mean_of_blocks(const at::Tensor& image, int k) {
  if (k == 1 || !image.defined()) return image;
  const int64_t h = image.size(0) / k, w = image.size(1) / k, c = image.size(2);
  return image.view({h, k, w, k, c}).mean({1, 3});
}

Pictures pictures(const Primitives& primitives, const scene::Camera& camera,
                  const PictureOptions& options) {
  const int k = options.supersample;
  RasterizeOptions how;
  how.antialiased = options.antialiased;
  how.depth = options.depth;
  how.normal = options.normal;
  how.sh_degree = options.sh_degree;
  const scene::Camera fine = k == 1 ? camera : camera.scaled(camera.width * k, camera.height * k);
  const Rendered r = rasterize(primitives, views_of({fine}, primitives.means.scalar_type()), how,
                               options.background);
  Pictures out;
  out.color = mean_of_blocks(r.color[0], k);
  out.alpha = mean_of_blocks(r.alpha[0], k);
  // A depth or normal of several samples is their mean weighted by alpha: what is empty has no say.
  if (options.depth)
    out.depth = mean_of_blocks(r.depth[0] * r.alpha[0], k) / out.alpha.clamp_min(1e-6);
  if (options.normal) out.normal = mean_of_blocks(r.normal[0], k);
  return out;
}

data::Image8 color_picture(const at::Tensor& color) {
  const at::Tensor c = floats(color);
  const float* p = c.data_ptr<float>();
  data::Image8 out(static_cast<int>(c.size(0)), static_cast<int>(c.size(1)), 3);
  std::transform(p, p + c.numel(), out.pixels.begin(), byte_of);
  return out;
}

data::Image8 gray_picture(const at::Tensor& value) {
  const at::Tensor c = floats(value);
  const float* p = c.data_ptr<float>();
  return painted(c, [&](uint8_t* out, int64_t i) { out[0] = out[1] = out[2] = byte_of(p[i]); });
}

data::Image8 normal_picture(const at::Tensor& normal, const at::Tensor& alpha) {
  const at::Tensor n = floats(normal), a = floats(alpha);
  const float *p = n.data_ptr<float>(), *q = a.data_ptr<float>();
  return painted(n, [&](uint8_t* out, int64_t i) {
    const float x = p[3 * i], y = p[3 * i + 1], z = p[3 * i + 2],
                length = std::sqrt(x * x + y * y + z * z);
    const float scale = q[i] >= kThere && length > 1e-6F ? 1 / length : 0;
    out[0] = byte_of(0.5F + 0.5F * x * scale);
    out[1] = byte_of(0.5F - 0.5F * y * scale);
    out[2] = byte_of(0.5F - 0.5F * z * scale);
  });
}

data::Image8 depth_picture(const at::Tensor& depth, const at::Tensor& alpha, double far) {
  const at::Tensor d = floats(depth), a = floats(alpha);
  const float *p = d.data_ptr<float>(), *q = a.data_ptr<float>();
  return painted(d, [&](uint8_t* out, int64_t i) {
    const bool there = q[i] >= kThere && p[i] > 0;
    const auto color = ramp(there ? 1 - static_cast<float>(p[i] / far) : 0);
    for (size_t k = 0; k < 3; ++k) out[k] = there ? byte_of(color[k]) : uint8_t{0};
  });
}

data::Image16 depth_image16(const at::Tensor& depth, const at::Tensor& alpha, double far) {
  const at::Tensor d = floats(depth), a = floats(alpha);
  const float *p = d.data_ptr<float>(), *q = a.data_ptr<float>();
  data::Image16 out(static_cast<int>(d.size(0)), static_cast<int>(d.size(1)), 1);
  for (size_t i = 0; i < out.pixels.size(); ++i)
    if (q[i] >= kThere && p[i] > 0)
      out.pixels[i] = static_cast<uint16_t>(std::lround(std::clamp(p[i] / far, 0.0, 1.0) * 65535));
  return out;
}

}  // namespace covary::render
