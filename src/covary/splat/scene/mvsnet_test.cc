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

TEST(Mvsnet, WritersOfWorldFromCameraAreDescribedByJson) {
  const TemporaryFolder folder("mvsnet");
  write_hand_photos(folder.path(), {"images/7.jpg"});
  fs::create_directories(folder.path() / "cams");
  write_file(folder.path() / "cams" / "7_cam.txt", cam_txt(HandCamera().opencv(), 30, 16, 12));
  nlohmann::json d = {{"schema", "covary-camera-arrays/1"},
                      {"poses", "cams/*_cam.txt"},
                      {"convention", "opencv"},
                      {"direction", "camera_to_world"}};
  write_file(folder.path() / "cameras.json", d.dump());
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6);
  d["width"] = 32;
  d["height"] = 24;
  write_file(folder.path() / "cameras.json", d.dump());
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6) << "size stated";
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

  // Its matrices are world from camera, which its photos tell.
  EXPECT_THAT(c.notes, Contains(HasSubstr("if they are camera_to_world in opencv axes")));
  const TemporaryFolder folder("horse");
  const std::string at = fs::absolute(horse).string();
  const nlohmann::json d = {{"schema", "covary-camera-arrays/1"},
                            {"photos", at + "/images/*.jpg"},
                            {"poses", at + "/cams/*_cam.txt"},
                            {"convention", "opencv"},
                            {"direction", "camera_to_world"}};
  write_file(folder.path() / "cameras.json", d.dump());
  const Capture told = load(folder.path(), raw());
  ASSERT_EQ(told.views.size(), 16u);
  EXPECT_THAT(told.notes, testing::Not(Contains(HasSubstr("disagree"))));
  EXPECT_NEAR(told.views[0].camera.fx, c.views[0].camera.fx, 1e-9);
  EXPECT_TRUE(told.views[5].camera.cam_from_world.isApprox(
      c.views[5].camera.cam_from_world.inverse(), 1e-5));
}

}  // namespace
}  // namespace covary::scene
