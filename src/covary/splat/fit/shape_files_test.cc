#include "covary/splat/fit/shape_files.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ShapeFiles : public testing::Test {
 protected:
  const TemporaryFolder temporary_{"shape"};
  const fs::path folder_ = temporary_.path();

  void write_depth(const std::string& name, int height, int width, int channels = 1) const {
    data::Image16 map(height, width, channels);
    for (size_t i = 0; i < map.pixels.size(); ++i)
      map.pixels[i] = i == 0 ? 0 : static_cast<uint16_t>(13107 * (1 + i % 3));
    data::write_image16(folder_ / name, map);
  }
  // The message of what f throws; checks that it is of the data and names `file`.
  template <class F>
  std::string refused(F&& f, const std::string& file) {
    try {
      f();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kData);
      EXPECT_THAT(e.where(), HasSubstr(file));
      return e.message();
    }
    ADD_FAILURE() << "taken";
    return "";
  }
};

TEST_F(ShapeFiles, DepthIsReadByNameAndKind) {
  scene::Capture capture = small_capture();
  write_depth("view1.png", 36, 48);
  write_depth("view2.png", 18, 24);  // half the size
  EXPECT_EQ(take_depths(capture, folder_, "inverse"), 2);
  const data::ImageF& inverse = capture.views[1].depth;
  EXPECT_EQ(inverse.pixels[0], 0);  // unknown
  EXPECT_NEAR(inverse.pixels[1], 1 / 0.4, 1e-6);
  EXPECT_NEAR(inverse.pixels[2], 1 / 0.6, 1e-6);
  EXPECT_EQ(capture.views[2].depth.width, 48);
  EXPECT_EQ(capture.views[2].depth.pixels[0], 0);
  EXPECT_TRUE(capture.views[3].depth.empty());
  EXPECT_EQ(take_depths(capture, folder_, "distance"), 2);
  EXPECT_NEAR(capture.views[1].depth.pixels[1], 0.4, 1e-6);
}

TEST_F(ShapeFiles, NormalsAreMadeUnitLength) {
  scene::Capture capture = small_capture();
  data::Image8 map(36, 48, 3);
  for (size_t i = 0; i < map.pixels.size(); i += 3) {
    map.pixels[i] = 128;
    map.pixels[i + 1] = i == 0 ? 128 : 255;
    map.pixels[i + 2] = i == 0 ? 127 : 0;
  }
  data::write_image(folder_ / "view1.png", map);
  EXPECT_EQ(take_normals(capture, folder_), 1);
  const data::ImageF& n = capture.views[1].normal;
  EXPECT_EQ(n.pixels[1], 0);  // unknown
  EXPECT_NEAR(n.pixels[4], std::sqrt(0.5), 2e-3);
  EXPECT_NEAR(n.pixels[5], -std::sqrt(0.5), 2e-3);
}

TEST_F(ShapeFiles, WhatDoesNotFitIsRefusedByName) {
  scene::Capture capture = small_capture();
  const auto depths = [&] { take_depths(capture, folder_, "inverse"); };
  EXPECT_THAT(refused(depths, folder_.string()), HasSubstr("no depth map"));
  write_depth("view1.png", 48, 36);  // lying on its side
  EXPECT_THAT(refused(depths, "view1.png"), HasSubstr("36 x 48"));
  write_depth("view1.png", 36, 48, 3);
  EXPECT_THAT(refused(depths, "view1.png"), HasSubstr("3 channels"));
  write_file(folder_ / "view1.png", "no picture");
  refused(depths, "view1.png");
  EXPECT_THAT(refused([&] { take_normals(capture, folder_ / "none"); }, "none"),
              HasSubstr("no folder"));
  EXPECT_THROW(take_depths(capture, folder_, "metres"), Error);
  // a photo's name never leads out of the folder
  fs::create_directories(folder_ / "in");
  write_depth("out.png", 36, 48);
  capture.views[1].name = "../out.jpg";
  EXPECT_THAT(refused([&] { take_depths(capture, folder_ / "in", "inverse"); }, "in"),
              HasSubstr("no depth map"));
}

TEST_F(ShapeFiles, TheTrainerTakesThemAtTheirUsualWeight) {
  for (int i = 0; i < 8; ++i) write_depth("view" + std::to_string(i) + ".png", 36, 48);
  TrainOptions o;
  o.steps = 5;
  o.depth = folder_.string();
  EXPECT_EQ(o.depth_weight_of(), 1);
  EXPECT_EQ(o.normal_weight_of(), 0);
  Trainer trainer(small_capture(), o);
  trainer.start(1);
  EXPECT_GT(trainer.step().terms.at("depth"), 0);
  o.loss.depth_weight = 0;
  EXPECT_EQ(o.depth_weight_of(), 0);
  TrainOptions without;
  without.loss.depth_weight = 1;
  EXPECT_THROW(Trainer(small_capture(), without), Error);  // nobody knows a depth
}

}  // namespace
}  // namespace covary::fit
