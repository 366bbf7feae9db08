#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

constexpr int64_t kNew = int64_t{1} << 31;

json view(int64_t key, const std::string& name, int64_t intrinsic = 0) {
  const json data = {{"local_path", ""}, {"filename", name}, {"width", 64},
                     {"height", 48},     {"id_view", key},   {"id_intrinsic", intrinsic},
                     {"id_pose", key}};
  return {{"key", key},
          {"value",
           {{"polymorphic_id", 1073741824},
            {"ptr_wrapper", {{"id", kNew + key + 1}, {"data", data}}}}}};
}

json intrinsic(int64_t key, int64_t id, const std::string& name, json data) {
  json value = {{"polymorphic_id", id}, {"ptr_wrapper", {{"id", kNew + key}, {"data", data}}}};
  if (!name.empty()) value["polymorphic_name"] = name;
  return {{"key", key}, {"value", value}};
}

json pinhole_data() {
  return {{"width", 64}, {"height", 48}, {"focal_length", 60.0}, {"principal_point", {32.0, 24.0}}};
}

json extrinsic(int64_t key, const Eigen::Matrix4d& cam_from_world) {
  const Eigen::Vector3d c =
      -cam_from_world.topLeftCorner<3, 3>().transpose() * cam_from_world.topRightCorner<3, 1>();
  return {
      {"key", key},
      {"value", {{"rotation", json_rows(cam_from_world, 3, 3)}, {"center", {c[0], c[1], c[2]}}}}};
}

json sfm_data(const TestScene& scene) {
  json d = {{"sfm_data_version", "0.3"}, {"root_path", "/elsewhere"}};
  d["intrinsics"] = json::array({intrinsic(0, kNew + 1, "pinhole", pinhole_data())});
  for (size_t i = 0; i < scene.names.size(); ++i) {
    d["views"].push_back(view(static_cast<int64_t>(i), scene.names[i]));
    d["extrinsics"].push_back(extrinsic(static_cast<int64_t>(i), scene.cam_from_world[i]));
  }
  d["structure"] = json::array(
      {{{"key", 0}, {"value", {{"X", {1.0, 2.0, 3.0}}, {"observations", json::array()}}}}});
  return d;
}

TEST(OpenMvg, PosesAreRotationAndCentre) {
  const TemporaryFolder folder("openmvg");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.jpg"});
  TestScene scene = pinhole_scene(1);
  scene.names = {"a.jpg"};
  scene.cam_from_world = {hand.opencv().inverse()};
  write_file(folder.path() / "sfm_data.json", sfm_data(scene).dump());
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6);
}

TEST(OpenMvg, CamerasAndPointsAreThoseOfTheScene) {
  const TemporaryFolder folder("openmvg");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  write_file(folder.path() / "sfm_data.json", sfm_data(scene).dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  ASSERT_EQ(c.points.positions.size(), 1u);
  EXPECT_EQ(c.points.positions[0], Eigen::Vector3f(1, 2, 3));
}

TEST(OpenMvg, ObservationsSayWhichPointsAPhotoSees) {
  const TemporaryFolder folder("openmvg");
  const TestScene scene = pinhole_scene(3);
  write_photos(scene, folder.path() / "images");
  fs::remove(folder.path() / "images" / scene.names[1]);
  json d = sfm_data(scene);
  const auto seen_by = [](std::initializer_list<int> views) {
    json list = json::array();
    for (const int v : views) list.push_back({{"key", v}, {"value", {{"x", {1.0, 2.0}}}}});
    return list;
  };
  for (int64_t key = 1; key < 5; ++key) {
    d["structure"].push_back(d["structure"][0]);
    d["structure"].back()["key"] = key;
  }
  d["structure"][0]["value"]["observations"] = seen_by({0, 2});
  d["structure"][4]["value"]["observations"] = seen_by({1, 2, 2, 77});
  write_file(folder.path() / "sfm_data.json", d.dump());
  const Capture c = load(folder.path());
  ASSERT_EQ(c.views.size(), 2u);
  EXPECT_THAT(c.views[0].seen_points, testing::ElementsAre(0));
  EXPECT_THAT(c.views[1].seen_points, testing::ElementsAre(0, 4));
}

TEST(OpenMvg, ClassesAreNamedOnceAndMayNestTheirBase) {
  const TemporaryFolder folder("openmvg");
  const TestScene scene = pinhole_scene(3);
  write_photos(scene, folder.path() / "images");
  json d = sfm_data(scene);
  json radial = {{"value0",
                  {{"value0", {{"width", 64}, {"height", 48}}},
                   {"focal_length", 60.0},
                   {"principal_point", {32.0, 24.0}}}},
                 {"disto_k3", {-0.1, 0.02, 0.003}}};
  json brown = pinhole_data();
  brown["disto_t2"] = {-0.1, 0.02, 0.003, 0.001, -0.002};
  d["intrinsics"] =
      json::array({intrinsic(0, kNew + 1, "pinhole_radial_k3", radial), intrinsic(1, 1, "", radial),
                   intrinsic(2, kNew + 2, "pinhole_brown_t2", brown)});
  d["views"][1] = view(1, scene.names[1], 1);
  d["views"][2] = view(2, scene.names[2], 2);
  write_file(folder.path() / "sfm_data.json", d.dump());
  const Capture c = load(folder.path(), raw());
  const Lens k3 = {LensModel::kBrown, 64, 48, {60, 60, 32, 24, -0.1, 0.02, 0.003, 0, 0, 0}};
  const Lens t2 = {
      LensModel::kBrown, 64, 48, {60, 60, 32, 24, -0.1, 0.02, 0.003, 0, 0.001, -0.002}};
  EXPECT_NEAR(c.views[0].camera.fx, k3.optimal_pinhole().fx, 1e-9);
  EXPECT_NEAR(c.views[1].camera.fx, k3.optimal_pinhole().fx, 1e-9);
  EXPECT_NEAR(c.views[2].camera.cy, t2.optimal_pinhole().cy, 1e-9);
}

TEST(OpenMvg, PhotosWithoutAPoseAreNamed) {
  const TemporaryFolder folder("openmvg");
  const TestScene scene = pinhole_scene(4);
  write_photos(scene, folder.path() / "images");
  json d = sfm_data(scene);
  d["extrinsics"].erase(1);
  write_file(folder.path() / "sfm_data.json", d.dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views.size(), 3u);
  EXPECT_THAT(c.notes, Contains(HasSubstr("no pose and were skipped: " + scene.names[1])));
  d["extrinsics"] = json::array();
  write_file(folder.path() / "sfm_data.json", d.dump());
  const Error e = error_of([&] { load(folder.path()); });
  EXPECT_THAT(e.where(), HasSubstr("sfm_data.json: extrinsics"));
  EXPECT_THAT(e.hint(), HasSubstr("the reconstruction wrote"));
}

}  // namespace
}  // namespace covary::scene
