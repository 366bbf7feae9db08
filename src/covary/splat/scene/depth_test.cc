#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

// transforms.json whose first frame has depth of the given file.
json with_depth(const TestScene& scene, const std::string& file) {
  json d = transforms(scene);
  d["frames"][0]["depth_file_path"] = file;
  return d;
}

TEST(Depth, PngIsMillimetresInSceneUnits) {
  const TemporaryFolder folder("depth");
  const TestScene scene;  // a distorted lens: depth goes through it too
  write_photos(scene, folder.path() / "images");
  data::Image16 depth(48, 64, 1);
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 64; ++x) *depth.at(y, x) = x < 32 ? 3000 : 0;
  data::write_image16(folder.path() / "d.png", depth);
  write_file(folder.path() / "transforms.json", with_depth(scene, "d.png").dump());
  const Capture own = load(folder.path(), raw());
  ASSERT_EQ(own.views[0].depth.width, 64);
  EXPECT_FLOAT_EQ(*own.views[0].depth.at(24, 5), 3.0f);
  EXPECT_EQ(*own.views[0].depth.at(24, 60), 0.0f) << "unknown";
  EXPECT_TRUE(own.views[1].depth.empty());
  const Capture normal = load(folder.path());
  EXPECT_FLOAT_EQ(*normal.views[0].depth.at(24, 5),
                  3.0f * static_cast<float>(geometry::similarity_scale(normal.scene_from_capture)));
}

TEST(Depth, UnitsAreThoseOfTheFile) {
  const TemporaryFolder folder("depth");
  const TestScene scene = pinhole_scene(2);
  write_photos(scene, folder.path() / "images");
  write_doubles(folder.path() / "d.npy", {48, 64}, std::vector<double>(48 * 64, 4.5));
  json d = with_depth(scene, "d.npy");
  write_file(folder.path() / "transforms.json", d.dump());
  EXPECT_FLOAT_EQ(load(folder.path(), raw()).views[0].depth.pixels[9], 4.5f) << "floats: metres";
  d["depth_unit_scale_factor"] = 0.01;
  write_file(folder.path() / "transforms.json", d.dump());
  EXPECT_FLOAT_EQ(load(folder.path(), raw()).views[0].depth.pixels[9], 0.045f);
}

TEST(Depth, SizesFollowThePhoto) {
  const TemporaryFolder folder("depth");
  const TestScene scene = pinhole_scene(2);
  write_photos(scene, folder.path() / "images");
  write_doubles(folder.path() / "d.npy", {24, 32}, std::vector<double>(24 * 32, 2));
  write_file(folder.path() / "transforms.json", with_depth(scene, "d.npy").dump());
  CaptureOptions o = raw();
  EXPECT_EQ(load(folder.path(), o).views[0].depth.height, 48);
  o.downscale = 4;
  const Capture c = load(folder.path(), o);
  EXPECT_EQ(c.views[0].depth.width, 16);
  EXPECT_EQ(c.views[0].depth.width, c.views[0].image.width);
  EXPECT_EQ(c.views[0].depth.pixels[0], 2.0f) << "a distance does not shrink";
}

TEST(Depth, WhatIsNoDistanceIsUnknown) {
  const TemporaryFolder folder("depth");
  write_doubles(folder.path() / "d.npy", {1, 5}, {1, -1, NAN, INFINITY, 0});
  const data::ImageF depth = read_depth(folder.path() / "d.npy", 0);
  EXPECT_THAT(depth.pixels, testing::ElementsAre(1, 0, 0, 0, 0));
}

TEST(Depth, MissingFilesAreNamed) {
  const TemporaryFolder folder("depth");
  const TestScene scene = pinhole_scene(2);
  write_photos(scene, folder.path() / "images");
  write_file(folder.path() / "transforms.json", with_depth(scene, "lost.png").dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_TRUE(c.views[0].depth.empty());
  EXPECT_THAT(c.notes, Contains(HasSubstr("depth_file_path are missing: lost.png")));
}

}  // namespace
}  // namespace covary::scene
