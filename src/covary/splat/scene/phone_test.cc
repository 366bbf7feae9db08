// Folders that phones' apps write: Polycam and Record3D.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

json polycam_camera(const Eigen::Matrix4d& world_from_cam) {
  json c = {{"fx", 60},    {"fy", 60},     {"cx", 32},          {"cy", 24},
            {"width", 64}, {"height", 48}, {"blur_score", 99.5}};
  for (int r = 0; r < 3; ++r)
    for (int k = 0; k < 4; ++k)
      c["t_" + std::to_string(r) + std::to_string(k)] = world_from_cam(r, k);
  return c;
}

void write_polycam(const fs::path& keyframes, const std::string& prefix) {
  const HandCamera hand;
  fs::create_directories(keyframes / (prefix + "cameras"));
  for (const char* stem : {"1001", "1002", "1003"})
    write_file(keyframes / (prefix + "cameras") / (std::string(stem) + ".json"),
               polycam_camera(hand.opengl()).dump());
  write_hand_photos(keyframes / (prefix + "images"), {"1001.jpg", "1002.jpg", "1003.jpg"});
}

TEST(Polycam, PosesAreWorldFromCameraInOpenglAxes) {
  const TemporaryFolder folder("polycam");
  write_polycam(folder.path() / "keyframes", "corrected_");
  const Capture c = load(folder.path(), raw());
  ASSERT_EQ(c.views.size(), 3u);
  EXPECT_LT(hand_error(c.views[1].camera), 1e-6);
  EXPECT_EQ(c.views[1].name, "1002.jpg");
  EXPECT_EQ(load(folder.path() / "keyframes", raw()).views.size(), 3u) << "the folder itself";
}

TEST(Polycam, DepthIsInMillimetres) {
  const TemporaryFolder folder("polycam");
  write_polycam(folder.path() / "keyframes", "corrected_");
  data::Image16 depth(24, 32, 1);
  for (uint16_t& d : depth.pixels) d = 2500;
  depth.pixels[0] = 0;
  fs::create_directories(folder.path() / "keyframes" / "depth");
  data::write_image16(folder.path() / "keyframes" / "depth" / "1002.png", depth);
  const Capture c = load(folder.path(), raw());
  EXPECT_TRUE(c.views[0].depth.empty());
  ASSERT_EQ(c.views[1].depth.width, 64);
  EXPECT_FLOAT_EQ(*c.views[1].depth.at(20, 20), 2.5f);
  EXPECT_EQ(*c.views[1].depth.at(0, 0), 0.0f) << "unknown";
  EXPECT_THAT(c.notes, Contains("1 photos have depth"));
}

TEST(Polycam, TrackedPosesAreTakenWhereNoneAreCorrectedAndSaid) {
  const TemporaryFolder folder("polycam");
  write_polycam(folder.path() / "keyframes", "");
  fs::remove(folder.path() / "keyframes" / "images" / "1003.jpg");
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views.size(), 2u);
  EXPECT_THAT(c.notes, Contains(HasSubstr("the phone tracked")));
  EXPECT_THAT(c.notes, Contains(HasSubstr("skipped: 1003.jpg")));
}

json record3d(int poses) {
  const HandCamera hand;
  const Eigen::Quaterniond q(Eigen::Matrix3d(hand.opengl().topLeftCorner<3, 3>()));
  json d = {{"w", 64}, {"h", 48}, {"K", {60, 0, 0, 0, 60, 0, 32, 24, 1}}, {"fps", 30}};
  for (int i = 0; i < poses; ++i)
    d["poses"].push_back(
        {q.x(), q.y(), q.z(), q.w(), hand.centre[0], hand.centre[1], hand.centre[2]});
  return d;
}

TEST(Record3d, PosesAreQuaternionsAndPlaces) {
  const TemporaryFolder folder("record3d");
  write_hand_photos(folder.path(), {"rgb/0.jpg", "rgb/1.jpg", "rgb/2.jpg"});
  for (const char* name : {"metadata", "metadata.json"}) {
    write_file(folder.path() / name, record3d(3).dump());
    const Capture c = load(folder.path(), raw());
    ASSERT_EQ(c.views.size(), 3u);
    EXPECT_LT(hand_error(c.views[2].camera), 1e-6);
  }
}

TEST(Record3d, IntrinsicsOfEachFrameGoFirst) {
  const TemporaryFolder folder("record3d");
  write_hand_photos(folder.path(), {"rgb/0.jpg", "rgb/1.jpg"});
  json d = record3d(2);
  d["perFrameIntrinsicCoeffs"] = {{60, 60, 32, 24}, {61, 62, 31, 25}};
  write_file(folder.path() / "metadata.json", d.dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views[0].camera.fx, 60);
  EXPECT_EQ(c.views[1].camera.fy, 62);
  EXPECT_EQ(c.views[1].camera.cy, 25);
}

TEST(Record3d, MissingPhotosAreNamed) {
  const TemporaryFolder folder("record3d");
  write_hand_photos(folder.path(), {"rgb/0.jpg", "rgb/2.jpg"});
  write_file(folder.path() / "metadata.json", record3d(3).dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views.size(), 2u);
  EXPECT_EQ(c.views[1].name, "2.jpg");
  EXPECT_THAT(c.notes, Contains(HasSubstr("skipped: rgb/1.jpg")));
}

}  // namespace
}  // namespace covary::scene
