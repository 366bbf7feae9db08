#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

void append(std::vector<double>& to, const Eigen::Matrix4d& m, int rows, int columns = 4) {
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) to.push_back(m(r, c));
}

json description() {
  return {{"schema", "covary-camera-arrays/1"},
          {"convention", "opencv"},
          {"direction", "world_to_camera"},
          {"poses", "poses.npy"},
          {"fx", 60},
          {"cx", 32},
          {"cy", 24}};
}

TEST(CameraArrays, EveryConventionAndDirectionGivesTheSameCamera) {
  const TemporaryFolder folder("arrays");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png"});
  json d = description();
  for (const char* convention : {"opencv", "opengl"})
    for (const char* direction : {"world_to_camera", "camera_to_world"})
      for (const int rows : {3, 4}) {
        Eigen::Matrix4d m = std::string(convention) == "opencv" ? hand.opencv() : hand.opengl();
        if (std::string(direction) == "world_to_camera") m = m.inverse().eval();
        std::vector<double> v;
        append(v, m, rows);
        write_doubles(folder.path() / "poses.npy", {1, rows, 4}, v);
        d["convention"] = convention;
        d["direction"] = direction;
        write_file(folder.path() / "cameras.json", d.dump());
        EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6)
            << convention << " " << direction << " " << rows;
      }
}

TEST(CameraArrays, FilesOfEachPhotoArePairedByTheStar) {
  const TemporaryFolder folder("arrays");
  const TestScene scene = pinhole_scene(4);
  json d = description();
  d["photos"] = "rgb/view_*.png";
  d["poses"] = "cams/*.npy";
  d["masks"] = "masks/m*.png";
  d.erase("fx");
  d["fov_x"] = 2 * std::atan(32 / 60.0) * 180 / M_PI;
  for (const char* sub : {"rgb", "cams", "masks"}) fs::create_directories(folder.path() / sub);
  for (size_t i = 0; i < 4; ++i) {
    const std::string star = std::to_string(7 * i);
    data::write_image(folder.path() / "rgb" / ("view_" + star + ".png"), plain(48, 64, 3, 100));
    data::write_image(folder.path() / "masks" / ("m" + star + ".png"), plain(48, 64, 1, 255));
    std::vector<double> v;
    append(v, scene.cam_from_world[i], 3);
    write_doubles(folder.path() / "cams" / (star + ".npy"), {3, 4}, v);
  }
  fs::remove(folder.path() / "masks" / "m14.png");
  data::write_image(folder.path() / "rgb" / "other.png", plain(48, 64, 3, 1));
  write_file(folder.path() / "cameras.json", d.dump());
  const Capture c = load(folder.path(), raw());
  // Views are sorted by name: 0, 14, 21, 7.
  ASSERT_EQ(c.views.size(), 4u);
  EXPECT_EQ(c.views[1].name, "rgb/view_14.png");
  EXPECT_TRUE(c.views[1].camera.cam_from_world.isApprox(scene.cam_from_world[2], 1e-9));
  EXPECT_NEAR(c.views[0].camera.fx, 60, 1e-9);
  EXPECT_TRUE(c.views[1].mask.empty());
  EXPECT_FALSE(c.views[2].mask.empty());
  EXPECT_THAT(c.notes, Contains(HasSubstr("masks/m14.png")));
}

TEST(CameraArrays, PosesThatAreMissingAreNamed) {
  const TemporaryFolder folder("arrays");
  write_hand_photos(folder.path(), {"images/a.png", "images/b.png"});
  fs::create_directories(folder.path() / "cams");
  std::vector<double> v;
  append(v, HandCamera().opencv().inverse(), 3);
  write_doubles(folder.path() / "cams" / "a.npy", {3, 4}, v);
  json d = description();
  d["poses"] = "cams/*.npy";
  write_file(folder.path() / "cameras.json", d.dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views.size(), 1u);
  EXPECT_THAT(c.notes, Contains(HasSubstr("no pose and were skipped: cams/b.npy")));
}

TEST(CameraArrays, CamerasOfARunServeAsACapture) {
  const TemporaryFolder a("run"), b("again");
  const TestScene scene = pinhole_scene(9);
  write_colmap_capture(scene, a.path());
  write_file(a.path() / "sparse" / "0" / "cameras.bin", cameras_bin(scene, 1));
  const Capture first = load(a.path());
  write_photos(scene, b.path() / "images");
  write_cameras(b.path() / "cameras.json", cameras_of(first));
  const Capture again = load(b.path(), raw());
  EXPECT_LT(scene_error(again, scene), 1e-6) << "in the capture's frame, not the run's";
  EXPECT_EQ(again.test, first.test);
}

TEST(RealData, ObjectsArraysAreThoseOfItsTransforms) {
  const fs::path object = shared_data("object96");
  if (!fs::exists(object)) GTEST_SKIP() << "no data/object96 here: set COVARY_DATA";
  const TemporaryFolder folder("object96");
  const std::string at = fs::absolute(object).string();
  const json d = {{"schema", "covary-camera-arrays/1"}, {"photos", at + "/images/*.png"},
                  {"poses", at + "/cams/*.npy"},        {"convention", "opengl"},
                  {"direction", "world_to_camera"},     {"fov_x", 0.8569559388888889 * 180 / M_PI}};
  write_file(folder.path() / "cameras.json", d.dump());
  const Capture arrays = load(folder.path(), raw()), transforms = load(object, raw());
  ASSERT_EQ(arrays.views.size(), 12u);
  ASSERT_EQ(transforms.views.size(), 12u);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_TRUE(arrays.views[i].camera.cam_from_world.isApprox(
        transforms.views[i].camera.cam_from_world, 1e-6));
    EXPECT_NEAR(arrays.views[i].camera.fx, transforms.views[i].camera.fx, 1e-6);
  }
}

TEST(RealData, ScanOfFourCamerasSeesItsPointsInItsMasks) {
  const fs::path demo = shared_data("gs_dynamics_demo");
  if (!fs::exists(demo)) GTEST_SKIP() << "no data/gs_dynamics_demo here: set COVARY_DATA";
  const TemporaryFolder folder("demo");
  const std::string at = fs::absolute(demo).string() + "/";
  const json d = {{"schema", "covary-camera-arrays/1"},
                  {"photos", at + "img_*.png"},
                  {"masks", at + "mask_*.png"},
                  {"rotations", at + "R_list.npy"},
                  {"translations", at + "t_list.npy"},
                  {"convention", "opencv"},
                  {"direction", "camera_to_world"},
                  {"intrinsics", at + "intr_list.npy"},
                  {"points", at + "pcd.ply"}};
  write_file(folder.path() / "cameras.json", d.dump());
  const Capture c = load(folder.path(), raw());
  ASSERT_EQ(c.views.size(), 4u);
  ASSERT_EQ(c.points.positions.size(), 3491u);
  for (const View& v : c.views) {
    size_t in_mask = 0;
    for (const auto& p : c.points.positions) {
      const Eigen::Vector2d q = v.camera.project(p.cast<double>());
      const int x = static_cast<int>(q.x()), y = static_cast<int>(q.y());
      in_mask += x >= 0 && y >= 0 && x < v.mask.width && y < v.mask.height && *v.mask.at(y, x) > 0;
    }
    EXPECT_GT(in_mask, 3491u * 8 / 10) << v.name;
  }
}

}  // namespace
}  // namespace covary::scene
