#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

json shot(const Eigen::Matrix4d& cam_from_world, const std::string& camera) {
  const Eigen::Vector3d r = geometry::so3_log(cam_from_world.topLeftCorner<3, 3>());
  const Eigen::Vector3d t = cam_from_world.topRightCorner<3, 1>();
  return {
      {"rotation", {r[0], r[1], r[2]}}, {"translation", {t[0], t[1], t[2]}}, {"camera", camera}};
}

json perspective(double focal) {
  return {{"projection_type", "perspective"},
          {"width", 64},
          {"height", 48},
          {"focal", focal},
          {"k1", 0.0},
          {"k2", 0.0}};
}

json reconstruction(const TestScene& scene) {
  json piece = {{"cameras", {{"v2 phone", perspective(60.0 / 64)}}}};
  for (size_t i = 0; i < scene.names.size(); ++i)
    piece["shots"][scene.names[i]] = shot(scene.cam_from_world[i], "v2 phone");
  for (size_t i = 0; i < scene.points.size(); ++i)
    piece["points"][std::to_string(i)] = {
        {"coordinates", {scene.points[i][0], scene.points[i][1], scene.points[i][2]}},
        {"color", {10.0, 20.4, 30.6}}};
  return piece;
}

TEST(OpenSfm, RotationVectorsAndSharesOfTheLargerSide) {
  const TemporaryFolder folder("opensfm");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.jpg"});
  const json piece = {{"cameras", {{"c", perspective(60.0 / 64)}}},
                      {"shots", {{"a.jpg", shot(hand.opencv().inverse(), "c")}}}};
  write_file(folder.path() / "reconstruction.json", json::array({piece}).dump());
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6);
}

TEST(OpenSfm, CamerasAndPointsAreThoseOfTheScene) {
  const TemporaryFolder folder("opensfm");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  fs::create_directories(folder.path() / "opensfm");
  write_file(folder.path() / "opensfm" / "reconstruction.json",
             json::array({reconstruction(scene)}).dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  ASSERT_EQ(c.points.positions.size(), scene.points.size());
  EXPECT_EQ(c.points.colors[0], (Eigen::Matrix<uint8_t, 3, 1>(10, 20, 31)));
  EXPECT_EQ(c.files[0].first, "reconstruction.json");
  EXPECT_LT(scene_error(load(folder.path() / "opensfm" / "reconstruction.json", raw()), scene),
            1e-6)
      << "the file itself";
}

TEST(OpenSfm, OfSeveralReconstructionsTheLargestIsTakenAndSaid) {
  const TemporaryFolder folder("opensfm");
  const TestScene large = pinhole_scene(5), small = pinhole_scene(2);
  write_photos(large, folder.path() / "images");
  write_file(folder.path() / "reconstruction.json",
             json::array({reconstruction(small), reconstruction(large)}).dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, large), 1e-6);
  EXPECT_THAT(c.notes, Contains(HasSubstr("took [1], which has the most photos ([0] has 2")));
}

TEST(OpenSfm, LensesAreOurs) {
  const TemporaryFolder folder("opensfm");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.jpg"});
  const auto fx_with = [&](json camera, const Lens& lens) {
    camera["width"] = 64;
    camera["height"] = 48;
    const json piece = {{"cameras", {{"c", camera}}},
                        {"shots", {{"a.jpg", shot(hand.opencv().inverse(), "c")}}}};
    write_file(folder.path() / "reconstruction.json", json::array({piece}).dump());
    const Camera got = load(folder.path(), raw()).views[0].camera, want = lens.optimal_pinhole();
    EXPECT_NEAR(got.fx, want.fx, 1e-9) << camera;
    EXPECT_NEAR(got.fy, want.fy, 1e-9) << camera;
    EXPECT_NEAR(got.cx, want.cx, 1e-9) << camera;
    EXPECT_NEAR(got.cy, want.cy, 1e-9) << camera;
  };
  fx_with({{"projection_type", "perspective"}, {"focal", 0.9}, {"k1", -0.1}, {"k2", 0.02}},
          {LensModel::kOpenCV, 64, 48, {57.6, 57.6, 32, 24, -0.1, 0.02, 0, 0}});
  const json brown = {{"projection_type", "brown"},
                      {"focal_x", 0.9},
                      {"focal_y", 1.0},
                      {"c_x", 0.01},
                      {"c_y", -0.02},
                      {"k1", -0.1},
                      {"k2", 0.02},
                      {"k3", 0.003},
                      {"p1", 0.001},
                      {"p2", -0.002}};
  fx_with(
      brown,
      {LensModel::kBrown, 64, 48, {57.6, 64, 32.64, 22.72, -0.1, 0.02, 0.003, 0, 0.001, -0.002}});
  fx_with({{"projection_type", "fisheye"}, {"focal", 0.9}, {"k1", -0.01}, {"k2", 0.002}},
          {LensModel::kOpenCVFisheye, 64, 48, {57.6, 57.6, 32, 24, -0.01, 0.002, 0, 0}});
}

TEST(OpenSfm, MissingPhotosAreNamed) {
  const TemporaryFolder folder("opensfm");
  const TestScene scene = pinhole_scene(4);
  write_photos(scene, folder.path() / "images");
  fs::remove(folder.path() / "images" / scene.names[2]);
  write_file(folder.path() / "reconstruction.json", json::array({reconstruction(scene)}).dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views.size(), 3u);
  EXPECT_THAT(c.notes, Contains(HasSubstr(scene.names[2])));
}

}  // namespace
}  // namespace covary::scene
