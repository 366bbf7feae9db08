#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using Eigen::Vector3d;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// A row of poses_bounds.npy from the camera's axes, or of precomputed.json without the bounds.
std::vector<double> row(const Vector3d& a, const Vector3d& b, const Vector3d& c,
                        const Vector3d& centre, double h, double w, double f) {
  std::vector<double> out;
  const double last[3] = {h, w, f};
  for (int r = 0; r < 3; ++r)
    for (const double v : {a[r], b[r], c[r], centre[r], last[r]}) out.push_back(v);
  return out;
}

std::vector<double> llff_rows(const TestScene& scene) {
  std::vector<double> all;
  for (const Eigen::Matrix4d& m : scene.cam_from_world) {
    const Vector3d x = m.block<1, 3>(0, 0), y = m.block<1, 3>(1, 0), z = m.block<1, 3>(2, 0);
    const Vector3d centre = -m.topLeftCorner<3, 3>().transpose() * m.topRightCorner<3, 1>();
    for (const double v : row(y, x, -z, centre, scene.lens.height, scene.lens.width, 60))
      all.push_back(v);
    all.insert(all.end(), {0.5, 20});
  }
  return all;
}

void write_llff(const TestScene& scene, const fs::path& root) {
  write_doubles(root / "poses_bounds.npy", {static_cast<int64_t>(scene.names.size()), 17},
                llff_rows(scene));
}

TEST(Llff, AxesAreDownRightBack) {
  const TemporaryFolder folder("llff");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png"});
  std::vector<double> v = row(hand.down, hand.right, -hand.forward, hand.centre, 48, 64, 60);
  v.insert(v.end(), {1, 9});
  write_doubles(folder.path() / "poses_bounds.npy", {1, 17}, v);
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6);
}

TEST(Llff, CamerasAreThoseOfTheScene) {
  const TemporaryFolder folder("llff");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  write_llff(scene, folder.path());
  EXPECT_LT(scene_error(load(folder.path(), raw()), scene), 1e-6);
  const Capture named = load(folder.path() / "poses_bounds.npy", raw());
  EXPECT_LT(scene_error(named, scene), 1e-6) << "the file itself";
  EXPECT_EQ(named.files[0].first, "poses_bounds.npy");
}

TEST(Llff, FocalLengthFollowsThePhotosAtHand) {
  const TemporaryFolder folder("llff");
  const TestScene scene = pinhole_scene(3);
  write_llff(scene, folder.path());
  write_photos(scene, folder.path() / "images_4", 4);
  const Capture four = load(folder.path(), raw());
  EXPECT_EQ(four.views[0].camera.width, 16);
  EXPECT_NEAR(four.views[0].camera.fx, 15, 1e-12);
  EXPECT_THAT(four.notes, Contains(HasSubstr("images_4/ takes its place")));
  write_photos(scene, folder.path() / "images");
  CaptureOptions o = raw();
  o.downscale = 4;
  EXPECT_THAT(load(folder.path(), o).notes, Contains(HasSubstr("taken from images_4/")));
  EXPECT_EQ(load(folder.path(), raw()).views[0].camera.fx, 60);
}

TEST(Llff, AMissingPhotoIsNamedWhereAnotherFolderKnowsIt) {
  const TemporaryFolder folder("llff");
  const TestScene scene = pinhole_scene(5);
  write_llff(scene, folder.path());
  write_photos(scene, folder.path() / "images");
  write_photos(scene, folder.path() / "images_2", 2);
  fs::remove(folder.path() / "images" / scene.names[3]);
  const Error e = error_of([&] { load(folder.path()); });
  EXPECT_THAT(e.where(), HasSubstr("poses_bounds.npy"));
  EXPECT_THAT(e.message(), HasSubstr("5 poses, but 4 photos"));
  EXPECT_THAT(e.message(), HasSubstr("missing: " + scene.names[3]));
  EXPECT_THAT(e.hint(), HasSubstr("order of their names"));
}

TEST(Precomputed, AxesAreRightUpBackAndTestPhotosAreHeldOut) {
  const TemporaryFolder folder("precomputed");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png", "images/b.png", "images/c.png"});
  nlohmann::json document = {{"bds", {{1, 2}, {1, 2}, {1, 2}}}, {"i_test", 1}};
  for (int i = 0; i < 3; ++i) {
    const auto v = row(hand.right, -hand.down, -hand.forward, hand.centre, 48, 64, 60);
    nlohmann::json rows;
    for (int r = 0; r < 3; ++r)
      rows.push_back(std::vector<double>(v.begin() + 5 * r, v.begin() + 5 * r + 5));
    document["poses"].push_back(rows);
  }
  write_file(folder.path() / "precomputed.json", document.dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(hand_error(c.views[2].camera), 1e-6);
  EXPECT_THAT(c.test, ElementsAre(1));
}

TEST(RealData, NonrigidSequenceLoads) {
  const fs::path data = shared_data("nonrigid_sequence");
  if (!fs::exists(data)) GTEST_SKIP() << "no data/nonrigid_sequence here: set COVARY_DATA";
  const Capture c = load(data, raw());
  ASSERT_EQ(c.views.size(), 86u);
  EXPECT_EQ(c.views[0].name, "image000001.jpg");
  EXPECT_THAT(c.test, ElementsAre(20));
  EXPECT_NEAR(c.views[0].camera.fx, 256.6095, 1e-3);
  // Recentred poses stand around the origin and look along -z.
  EXPECT_LT(c.views[20].camera.centre().norm(), 0.2);
  EXPECT_LT(c.views[20].camera.forward().z(), -0.8);
}

}  // namespace
}  // namespace covary::scene
