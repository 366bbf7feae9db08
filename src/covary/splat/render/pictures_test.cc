#include "covary/splat/render/pictures.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace covary::render {
namespace {

scene::Camera camera() {
  scene::Camera c;
  c.width = 24;
  c.height = 16;
  c.fx = c.fy = 20;
  c.cx = 12;
  c.cy = 8;
  return c;
}

// One opaque, flat, red Gaussian at z = 4 that faces the camera.
Primitives disc() {
  Primitives p;
  p.means = at::tensor({0.0F, 0.0F, 4.0F}).view({1, 3});
  p.quats = at::tensor({1.0F, 0.0F, 0.0F, 0.0F}).view({1, 4});
  p.scales = at::tensor({0.6F, 0.6F, 0.01F}).view({1, 3});
  p.opacities = at::tensor({0.99F});
  p.features = at::tensor({1.0F, 0.0F, 0.0F}).view({1, 3});
  return p;
}

TEST(Pictures, TheMiddleShowsTheDiscAndTheCornerTheBackground) {
  PictureOptions how;
  how.background = at::tensor({0.0F, 0.0F, 1.0F});
  how.depth = how.normal = true;
  const Pictures p = pictures(disc(), camera(), how);
  const data::Image8 color = color_picture(p.color);
  EXPECT_EQ(color.height, 16);
  EXPECT_EQ(color.width, 24);
  EXPECT_GT(color.at(8, 12)[0], 240);
  EXPECT_LT(color.at(8, 12)[2], 15);
  EXPECT_EQ(color.at(0, 0)[2], 255);
  EXPECT_GT(gray_picture(p.alpha).at(8, 12)[1], 240);
  EXPECT_EQ(gray_picture(p.alpha).at(0, 0)[1], 0);
  EXPECT_NEAR(depth_image16(p.depth, p.alpha, 8).at(8, 12)[0], 65535 / 2.0, 330);
  EXPECT_EQ(depth_image16(p.depth, p.alpha, 8).at(0, 0)[0], 0);
  const data::Image8 normal = normal_picture(p.normal, p.alpha);
  EXPECT_NEAR(normal.at(8, 12)[2], 255, 2);  // toward the viewer
  EXPECT_NEAR(normal.at(0, 0)[2], 128, 1);
}

TEST(Pictures, SupersamplingKeepsTheSizeAndDepth) {
  PictureOptions how;
  how.depth = true;
  how.supersample = 3;
  const Pictures p = pictures(disc(), camera(), how);
  EXPECT_EQ(p.color.sizes(), (at::IntArrayRef{16, 24, 3}));
  EXPECT_NEAR(p.depth[8][12][0].item<float>(), 4, 0.05);
}

TEST(Pictures, NearIsBrighterThanFar) {
  const at::Tensor depth = at::tensor({1.0F, 9.0F}).view({1, 2, 1}), alpha = at::ones({1, 2, 1});
  const data::Image8 p = depth_picture(depth, alpha, 10);
  EXPECT_GT(p.at(0, 0)[0] + p.at(0, 0)[1] + p.at(0, 0)[2],
            p.at(0, 1)[0] + p.at(0, 1)[1] + p.at(0, 1)[2]);
}

}  // namespace
}  // namespace covary::render
