#include "covary/splat/serve/frames.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/refusal.h"
#include "covary/core/data/image.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A camera at the origin that looks along z.
json camera_json(int width = 40, int height = 30) {
  return {{"projection", "pinhole"},
          {"width", width},
          {"height", height},
          {"fx", 40},
          {"fy", 40},
          {"cx", width / 2.0},
          {"cy", height / 2.0},
          {"cam_from_world", scene::matrix_to_json(Eigen::Matrix4d::Identity())}};
}

// Two opaque balls: a red one at z = 2, left, and a blue one at z = 4, right.
scene::Cloud two_balls() {
  scene::Cloud c;
  c.means = at::tensor({-0.5F, 0.0F, 2.0F, 1.0F, 0.0F, 4.0F}).view({2, 3});
  c.quats = at::tensor({1.0F, 0.0F, 0.0F, 0.0F, 2.0F, 0.0F, 0.0F, 0.0F}).view({2, 4});
  c.scales = at::log(at::tensor({0.1F, 0.1F, 0.1F, 0.2F, 0.2F, 0.4F})).view({2, 3});
  c.opacities = at::full({2}, 6.0F);
  c.sh0 = (at::tensor({1.0F, 0.0F, 0.0F, 0.0F, 0.0F, 1.0F}) - 0.5F).view({2, 1, 3}) / 0.28209479F;
  c.shN = at::zeros({2, 0, 3});
  c.columns["label"] = at::tensor({3, 7}, at::kInt);
  return c;
}

data::Image8 picture_of(const Frame& frame) { return data::decode_image(frame.bytes, "frame"); }

Frame drawn(const scene::Cloud& cloud, json request) {
  request["exact"] = true;
  if (!request.contains("camera")) request["camera"] = camera_json();
  return FramePainter(cloud).draw(frame_request(request));
}

TEST(Frames, AreThoseOfTheRasteriser) {
  const scene::Cloud cloud = scene::testing_clouds::random_cloud(200, 2);
  json request = {{"camera", camera_json()}, {"background", {0.25, 0.5, 0.75}}};
  const Frame frame = drawn(cloud, request);
  EXPECT_EQ(frame.type, "image/png");
  EXPECT_FALSE(frame.ranged);
  render::PictureOptions how;
  how.background = at::tensor({0.25F, 0.5F, 0.75F});
  how.antialiased = cloud.antialiased;
  const data::Image8 truth = render::color_picture(
      render::pictures(render::primitives_of(cloud), frame_request(request).camera, how).color);
  EXPECT_EQ(picture_of(frame).pixels, truth.pixels);
  // As a JPEG it is smaller and about the same.
  const Frame jpeg = FramePainter(cloud).draw(frame_request(request));
  EXPECT_EQ(jpeg.type, "image/jpeg");
  const data::Image8 lossy = picture_of(jpeg);
  ASSERT_EQ(lossy.pixels.size(), truth.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < truth.pixels.size(); ++i)
    sum += std::abs(int{lossy.pixels[i]} - int{truth.pixels[i]});
  EXPECT_LT(sum / static_cast<double>(truth.pixels.size()), 12);
}

TEST(Frames, ShowDegreeScaleAndCrop) {
  const scene::Cloud cloud = scene::testing_clouds::random_cloud(200, 2);
  const auto pixels = [&](json request) {
    return picture_of(drawn(cloud, std::move(request))).pixels;
  };
  const auto whole = pixels(json::object());
  EXPECT_EQ(pixels({{"degree", 4}, {"scale", 1}, {"crop", nullptr}}), whole);
  EXPECT_NE(pixels({{"degree", 0}}), whole);
  EXPECT_NE(pixels({{"scale", 0.5}}), whole);
  // A box that holds the red ball alone.
  const data::Image8 cropped = picture_of(drawn(two_balls(), {{"crop", {{-1, -1, 1}, {0, 1, 3}}}}));
  EXPECT_GT(cropped.at(15, 10)[0], 200);
  EXPECT_EQ(cropped.at(15, 30)[2], 0);
}

TEST(Frames, ShowDepthsNormalsAndColumns) {
  const scene::Cloud cloud = two_balls();
  const Frame depth = drawn(cloud, {{"mode", "depth"}});
  ASSERT_TRUE(depth.ranged);
  EXPECT_NEAR(depth.range[0], 2, 1e-6);
  EXPECT_NEAR(depth.range[1], 4, 1e-6);
  // The ramp begins dark blue and ends yellow.
  const data::Image8 near_far = picture_of(depth);
  EXPECT_LT(near_far.at(15, 10)[0], 40);
  EXPECT_GT(near_far.at(15, 30)[0], 230);
  const Frame label = drawn(cloud, {{"mode", "column label"}});
  EXPECT_EQ(label.range, (std::array<double, 2>{3, 7}));
  EXPECT_EQ(picture_of(label).pixels, near_far.pixels);
  const Frame opacity = drawn(cloud, {{"mode", "column opacity"}});
  EXPECT_NEAR(opacity.range[0], 1 / (1 + std::exp(-6.0)), 1e-6);
  EXPECT_NEAR(drawn(cloud, {{"mode", "column elongation"}}).range[1], 2, 1e-5);
  EXPECT_NEAR(drawn(cloud, {{"mode", "column largest scale"}}).range[0], -1, 1e-5);
  EXPECT_THROW(drawn(cloud, {{"mode", "column other"}}), Error);
  // The red ball's shortest axis is any; the picture is grey where nothing is.
  EXPECT_EQ(picture_of(drawn(cloud, {{"mode", "normal"}})).at(0, 0)[0], 128);
}

TEST(Frames, MarkTheSelectedGaussian) {
  scene::Cloud cloud = two_balls();
  // There the ball makes most of the pixel, and black or, of normals, the plain picture the rest.
  const auto expect_marked = [&](const data::Image8& p, int x, const data::Image8* plain) {
    const double w =
        FramePainter(cloud).pick(frame_request({{"camera", camera_json()}}), x + 0.5, 15.5).weight;
    ASSERT_GT(w, 0.9);
    constexpr std::array<double, 3> kMark = {255, 51, 204};
    for (size_t c = 0; c < 3; ++c)
      EXPECT_NEAR(p.at(15, x)[c], w * kMark[c] + (plain ? (1 - w) * plain->at(15, x)[c] : 0), 2);
  };
  for (const char* mode : {"colour", "depth", "normal", "column label"}) {
    SCOPED_TRACE(mode);
    const auto picture = [&](int64_t row) {
      return picture_of(drawn(cloud, {{"mode", mode}, {"selected", row}}));
    };
    const data::Image8 plain = picture(-1), left = picture(0), right = picture(1);
    const data::Image8* rest = mode == std::string("normal") ? &plain : nullptr;
    expect_marked(left, 10, rest);
    expect_marked(right, 30, rest);
    // The other is as it was, within the rounding of sums.
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(left.at(15, 30)[c], plain.at(15, 30)[c], 1);
      EXPECT_NEAR(right.at(15, 10)[c], plain.at(15, 10)[c], 1);
    }
    EXPECT_EQ(picture(2).pixels, plain.pixels);  // of a scene that is gone
  }
  // From every side, whatever its harmonics, and neither darker nor lighter than the mark.
  cloud.shN = at::rand({2, 15, 3}) * 4 - 2;
  cloud.sh0.fill_(-3);
  expect_marked(picture_of(drawn(cloud, {{"selected", 0}})), 10, nullptr);
  // Where it does not stand it is not seen.
  EXPECT_EQ(picture_of(drawn(cloud, {{"selected", 0}, {"crop", {{0, -1, 3}, {2, 1, 5}}}})).pixels,
            picture_of(drawn(cloud, {{"crop", {{0, -1, 3}, {2, 1, 5}}}})).pixels);
}

TEST(Frames, TellWhichGaussianAPixelShows) {
  const FramePainter painter(two_balls());
  const FrameRequest request = frame_request({{"camera", camera_json()}});
  const Picked red = painter.pick(request, 10.5, 15.5);
  EXPECT_EQ(red.row, 0);
  EXPECT_GT(red.weight, 0.9);
  EXPECT_NEAR(red.depth, 2, 1e-6);
  EXPECT_NEAR(red.color[0], 1, 1e-5);
  EXPECT_NEAR(red.scale[1], 0.1, 1e-6);
  const Picked blue = painter.pick(request, 30.5, 15.5);
  EXPECT_EQ(blue.row, 1);
  EXPECT_NEAR(blue.quat[0], 1, 1e-6);
  EXPECT_NEAR(blue.opacity, 1 / (1 + std::exp(-6.0)), 1e-6);
  EXPECT_EQ(painter.pick(request, 20, 2).row, -1);
  EXPECT_THROW(painter.pick(request, 40, 2), Error);
  EXPECT_THROW(painter.pick(request, -1, 2), Error);
}

TEST(Frames, RefuseRequestsThatAreNone) {
  const auto says = [](const json& body) { return refusal([&] { (void)frame_request(body); }); };
  const json good = {{"camera", camera_json()}};
  const auto with = [&](const char* field, const json& value) {
    json body = good;
    body[field] = value;
    return says(body);
  };
  EXPECT_EQ(says(good), "accepted");
  EXPECT_THAT(says(json()), HasSubstr("no JSON object"));
  EXPECT_THAT(says(json::object()), HasSubstr("camera"));
  EXPECT_THAT(says({{"camera", json::array()}}), HasSubstr("camera"));
  EXPECT_THAT(says({{"camera", camera_json(60000, 60000)}}), HasSubstr("more pixels"));
  json camera = camera_json();
  camera["fx"] = -1;
  EXPECT_THAT(says({{"camera", camera}}), HasSubstr("fx"));
  camera = camera_json();
  camera.erase("cam_from_world");
  EXPECT_THAT(says({{"camera", camera}}), HasSubstr("cam_from_world"));
  EXPECT_THAT(with("mode", "smell"), HasSubstr("mode"));
  EXPECT_THAT(with("mode", 3), HasSubstr("mode"));
  EXPECT_THAT(with("degree", 5), HasSubstr("degree"));
  EXPECT_THAT(with("scale", 0), HasSubstr("scale"));
  EXPECT_THAT(with("scale", "1"), HasSubstr("scale"));
  EXPECT_THAT(with("quality", 100), HasSubstr("quality"));
  EXPECT_THAT(with("background", {1, 2}), HasSubstr("background"));
  EXPECT_THAT(with("background", {1, 2, 1e300}), HasSubstr("background"));
  EXPECT_THAT(with("crop", {{0, 0, 0}}), HasSubstr("crop"));
  EXPECT_THAT(with("crop", {{0, 0, 0}, {1, 1, "1"}}), HasSubstr("crop"));
  EXPECT_THAT(with("exact", 1), HasSubstr("exact"));
}

}  // namespace
}  // namespace covary::serve
