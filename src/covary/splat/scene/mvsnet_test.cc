#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/mvsnet.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using testing::Contains;
using testing::HasSubstr;

std::string cam_txt(const Eigen::Matrix4d& cam_from_world, double f, double cx, double cy) {
  std::ostringstream out;
  out.precision(17);
  out << "extrinsic\n" << cam_from_world << "\n\nintrinsic\n";
  out << f << " 0 " << cx << "\n0 " << f << " " << cy << "\n0 0 1\n\n425 2.5 192 905\n";
  return out.str();
}

void write_cams(const TestScene& scene, const fs::path& root, double divide = 1) {
  fs::create_directories(root / "cams");
  for (size_t i = 0; i < scene.names.size(); ++i)
    write_file(root / "cams" / (fs::path(scene.names[i]).stem().string() + "_cam.txt"),
               cam_txt(scene.cam_from_world[i], 60 / divide, 32 / divide, 24 / divide));
}

TEST(Mvsnet, ExtrinsicIsCameraFromWorldInOpencvAxes) {
  const TemporaryFolder folder("mvsnet");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/00000007.jpg"});
  fs::create_directories(folder.path() / "cams");
  write_file(folder.path() / "cams" / "00000007_cam.txt",
             cam_txt(hand.opencv().inverse(), 60, 32, 24));
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(hand_error(c.views[0].camera), 1e-6);
  EXPECT_EQ(c.views[0].name, "00000007.jpg");
  EXPECT_THAT(c.notes, Contains(HasSubstr("taken as the photos'")));
  EXPECT_LT(hand_error(load(folder.path() / "cams", raw()).views[0].camera), 1e-6)
      << "the folder of the cameras itself";
}

TEST(Mvsnet, DepthBoundsMayBeAbsent) {
  std::string text = cam_txt(HandCamera().opencv().inverse(), 60, 32, 24);
  text.resize(text.find("425"));
  EXPECT_EQ(parse_mvsnet_camera(text, "a_cam.txt").fx, 60);
}

TEST(Mvsnet, IntrinsicsOfAnotherSizeAreScaledAndSaid) {
  const TemporaryFolder folder("mvsnet");
  const TestScene scene = pinhole_scene(3);
  write_photos(scene, folder.path() / "images");
  write_cams(scene, folder.path(), 2);  // 2 (cx, cy) = 32 x 24
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  EXPECT_THAT(c.notes, Contains(HasSubstr("pictures of 32 x 24 px")));
}

TEST(Mvsnet, ModelsOfManyFilesAreOneInRunRecords) {
  const TemporaryFolder folder("mvsnet");
  const TestScene scene = pinhole_scene(9);
  write_photos(scene, folder.path() / "images");
  write_cams(scene, folder.path());
  const Capture a = load(folder.path(), raw());
  ASSERT_EQ(a.files.size(), 1u);
  EXPECT_EQ(a.files[0].first, "photo 10_cam.txt and 8 more");
  TestScene other = scene;
  other.cam_from_world[4](0, 3) += 0.125;
  write_cams(other, folder.path());
  EXPECT_NE(load(folder.path(), raw()).files[0].second, a.files[0].second);
}

TEST(Mvsnet, OffCentreIntrinsicsOfAWholeFractionAreScaled) {
  // As DTU's: 2 (cx, cy) = 16.5 x 12.3 where the intrinsics are of 16 x 12.
  const TemporaryFolder folder("mvsnet");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png"});
  fs::create_directories(folder.path() / "cams");
  write_file(folder.path() / "cams" / "a_cam.txt",
             cam_txt(hand.opencv().inverse(), 15, 8.25, 6.15));
  const Capture c = load(folder.path(), raw());
  EXPECT_NEAR(c.views[0].camera.fx, 60, 1e-9);
  EXPECT_NEAR(c.views[0].camera.cx, 33, 1e-9);
}

TEST(Mvsnet, IntrinsicsOfNoSizeThatFitsAreRefused) {
  const TemporaryFolder folder("mvsnet");
  write_hand_photos(folder.path(), {"images/a.png"});
  fs::create_directories(folder.path() / "cams");
  write_file(folder.path() / "cams" / "a_cam.txt",
             cam_txt(HandCamera().opencv().inverse(), 60, 21.2, 30.1));
  const Error e = error_of([&] { load(folder.path()); });
  EXPECT_THAT(e.where(), HasSubstr("a_cam.txt: intrinsic"));
  EXPECT_THAT(e.message(), HasSubstr("another size"));
}

TEST(RealData, HorseIntrinsicsBelongToASmallerPicture) {
  const fs::path horse = shared_data("horse16");
  if (!fs::exists(horse)) GTEST_SKIP() << "no data/horse16 here: set COVARY_DATA";
  const Capture c = load(horse, raw());
  ASSERT_EQ(c.views.size(), 16u);
  EXPECT_NEAR(c.views[0].camera.fx, 313.5029296875 * 960 / 512, 1e-9);
  EXPECT_NEAR(c.views[0].camera.cx, 480, 1e-9);
  EXPECT_THAT(c.notes, Contains(HasSubstr("512 x 288 px")));
  // The photos go around the statue: what the cameras look at is one place.
  Eigen::Matrix3d a = Eigen::Matrix3d::Zero();
  Eigen::Vector3d b = Eigen::Vector3d::Zero();
  for (const View& v : c.views) {
    const Eigen::Vector3d d = v.camera.forward();
    const Eigen::Matrix3d across = Eigen::Matrix3d::Identity() - d * d.transpose();
    a += across;
    b += across * v.camera.centre();
  }
  const Eigen::Vector3d target = a.ldlt().solve(b);
  for (const View& v : c.views)
    EXPECT_GT((target - v.camera.centre()).normalized().dot(v.camera.forward()), 0.8) << v.name;
}

}  // namespace
}  // namespace covary::scene
