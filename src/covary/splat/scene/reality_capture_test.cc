#include "covary/splat/scene/reality_capture.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using Eigen::Vector3d;
using testing::Contains;
using testing::HasSubstr;

const std::string kHeader = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n";

// f = 60 px at 64 px: 36 mm * 60 / 64.
std::string line(const std::string& name, const Vector3d& at, double heading, double pitch,
                 double roll, const std::string& rest = "0,0,0,0,0,0,0,0") {
  std::ostringstream out;
  out.precision(17);
  out << name << "," << at[0] << "," << at[1] << "," << at[2] << "," << heading << "," << pitch
      << "," << roll << "," << 36 * 60.0 / 64 << "," << rest << "\n";
  return out.str();
}

Camera camera_of(const std::string& row) {
  const TemporaryFolder folder("reality");
  write_hand_photos(folder.path(), {"images/a.jpg"});
  write_file(folder.path() / "cameras.csv", kHeader + row);
  return load(folder.path(), raw()).views[0].camera;
}

TEST(RealityCapture, AnglesFollowHandMadeRotations) {
  const Vector3d zero = Vector3d::Zero();
  const auto up_of = [](const Camera& c) {
    return Vector3d(-c.cam_from_world.block<1, 3>(1, 0).transpose());
  };
  const Camera down = camera_of(line("a.jpg", zero, 0, 0, 0));
  EXPECT_LT((down.forward() - Vector3d(0, 0, -1)).norm(), 1e-12);
  EXPECT_LT((up_of(down) - Vector3d(0, 1, 0)).norm(), 1e-12) << "the top is north";
  const Camera north = camera_of(line("a.jpg", zero, 0, 90, 0));
  EXPECT_LT((north.forward() - Vector3d(0, 1, 0)).norm(), 1e-12);
  EXPECT_LT((up_of(north) - Vector3d(0, 0, 1)).norm(), 1e-12);
  const Camera east = camera_of(line("a.jpg", zero, 90, 90, 0));
  EXPECT_LT((east.forward() - Vector3d(1, 0, 0)).norm(), 1e-12);
  EXPECT_LT((up_of(east) - Vector3d(0, 0, 1)).norm(), 1e-12);
  // Looking down with its top to the north, roll tips the right side down: the view goes west.
  const Camera rolled = camera_of(line("a.jpg", zero, 0, 0, 30));
  EXPECT_LT((rolled.forward() - Vector3d(-0.5, 0, -std::sqrt(0.75))).norm(), 1e-12);
}

TEST(RealityCapture, TheHandMadeCameraLooksEastAlongTheHorizon) {
  EXPECT_LT(hand_error(camera_of(line("a.jpg", {1, 2, 3}, 90, 90, 0))), 1e-6);
}

TEST(RealityCapture, PrincipalPointAndDistortionAreSharesOfTheLargerSide) {
  const Camera c = camera_of(
      line("a.jpg", {1, 2, 3}, 90, 90, 0, "0.01,-0.02,-0.1,0.02,0.003,-0.001,0.001,-0.002"));
  const Camera want = Lens{LensModel::kBrown,
                           64,
                           48,
                           {60, 60, 32.64, 22.72, -0.1, 0.02, 0.003, -0.001, 0.001, -0.002}}
                          .optimal_pinhole();
  EXPECT_NEAR(c.fx, want.fx, 1e-9);
  EXPECT_NEAR(c.cx, want.cx, 1e-9);
  EXPECT_NEAR(c.cy, want.cy, 1e-9);
}

TEST(RealityCapture, CamerasAreThoseOfTheScene) {
  const TemporaryFolder folder("reality");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  std::string text = kHeader;
  for (size_t i = 0; i < scene.names.size(); ++i) {
    // Angles of Rz(-heading) Rx(pitch) Ry(roll) from the rotation of the OpenGL camera.
    Eigen::Matrix3d r = scene.cam_from_world[i].topLeftCorner<3, 3>().transpose();
    const Vector3d centre = -r * scene.cam_from_world[i].topRightCorner<3, 1>();
    r.col(1) *= -1;
    r.col(2) *= -1;
    const double degree = 180 / M_PI;
    text += line(scene.names[i], centre, degree * std::atan2(r(0, 1), r(1, 1)),
                 degree * std::asin(r(2, 1)), degree * std::atan2(-r(2, 0), r(2, 2)));
  }
  write_file(folder.path() / "export.csv", text);
  EXPECT_LT(scene_error(load(folder.path(), raw()), scene), 1e-6);
}

TEST(RealityCapture, ColumnsStandInAnyOrder) {
  const auto cameras = parse_reality_capture(
      "\xef\xbb\xbf#name;f;roll;pitch;heading;alt;y;x\r\n\"a b.jpg\";35;1;2;3;6;5;4\r\n\r\n",
      "c.csv");
  ASSERT_EQ(cameras.size(), 1u);
  EXPECT_EQ(cameras[0].name, "a b.jpg");
  EXPECT_EQ(cameras[0].place, Vector3d(4, 5, 6));
  EXPECT_EQ(cameras[0].heading, 3);
  EXPECT_EQ(cameras[0].f, 35);
}

TEST(RealityCapture, GeographicCoordinatesKeepTheirDigits) {
  const TemporaryFolder folder("reality");
  write_hand_photos(folder.path(), {"images/a.jpg", "images/b.jpg"});
  const Vector3d away(512345, 5412345, 200);
  write_file(folder.path() / "cameras.csv",
             kHeader + line("a.jpg", Vector3d(1, 2, 3) + away, 90, 90, 0) +
                 line("b.jpg", Vector3d(1, 2.125, 3) + away, 90, 90, 0));
  write_file(folder.path() / "cameras.ply",
             "ply\nformat ascii 1.0\nelement vertex 1\nproperty double x\nproperty double y\n"
             "property double z\nend_header\n512350 5412346 203.5\n");
  const Capture c = load(folder.path(), raw());
  EXPECT_THAT(c.notes, Contains(HasSubstr("the origin 512346")));
  ASSERT_EQ(c.points.positions.size(), 1u);
  EXPECT_LT(
      (c.views[0].camera.project(c.points.positions[0].cast<double>()) - HandCamera().pixel).norm(),
      1e-4);
}

TEST(RealityCapture, MissingPhotosAreNamed) {
  const TemporaryFolder folder("reality");
  write_hand_photos(folder.path(), {"images/a.jpg"});
  write_file(folder.path() / "cameras.csv",
             kHeader + line("a.jpg", {0, 0, 0}, 0, 0, 0) + line("lost.jpg", {0, 0, 1}, 0, 0, 0));
  EXPECT_THAT(load(folder.path(), raw()).notes, Contains(HasSubstr("skipped: lost.jpg")));
}

}  // namespace
}  // namespace covary::scene
