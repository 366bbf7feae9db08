#include "covary/splat/scene/capture.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/test_photos.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/colmap.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using Eigen::Matrix4d;
using Eigen::Vector3d;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string joined_notes(const Capture& c) {
  std::string all;
  for (const auto& n : c.notes) all += n + "\n";
  return all;
}

TEST(Colmap, BinaryAndTextModelsAreTheSame) {
  const TemporaryFolder folder("colmap");
  const TestScene scene;
  write_colmap_bin(scene, folder.path() / "bin");
  write_colmap_txt(scene, folder.path() / "txt");
  const ColmapModel a = read_colmap(folder.path() / "bin", {.tracks = true});
  const ColmapModel b = read_colmap(folder.path() / "txt", {.tracks = true});
  ASSERT_EQ(a.images.size(), 9u);
  ASSERT_EQ(b.images.size(), 9u);
  EXPECT_EQ(a.cameras.at(7).params, scene.lens.params);
  EXPECT_EQ(a.cameras.at(7).params, b.cameras.at(7).params);
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(a.images[i].name, scene.names[i]) << "names hold a space";
    EXPECT_EQ(b.images[i].name, scene.names[i]);
    EXPECT_TRUE(a.images[i].cam_from_world.isApprox(scene.cam_from_world[i], 1e-12));
    EXPECT_TRUE(b.images[i].cam_from_world.isApprox(scene.cam_from_world[i], 1e-12));
    if (i != 1) {
      EXPECT_EQ(a.images[i].point_ids, b.images[i].point_ids);
    }
  }
  EXPECT_THAT(a.images[0].point_ids, ElementsAre(0, -1));
  EXPECT_THAT(b.images[1].point_ids, IsEmpty());
  ASSERT_EQ(a.points.size(), b.points.size());
  for (size_t i = 0; i < a.points.size(); ++i) {
    EXPECT_EQ(a.points[i].position, b.points[i].position);
    EXPECT_EQ(a.points[i].color, b.points[i].color);
  }
}

TEST(Colmap, TracksSayWhichPointsAPhotoSees) {
  const TemporaryFolder folder("tracks");
  TestScene scene;
  std::swap(scene.names[0], scene.names[5]);  // views are sorted by name, images are not
  write_photos(scene, folder.path() / "images");
  std::vector<std::vector<uint32_t>> seen[2];
  for (const bool binary : {true, false}) {
    fs::remove_all(folder.path() / "sparse");
    if (binary)
      write_colmap_bin(scene, folder.path() / "sparse");
    else
      write_colmap_txt(scene, folder.path() / "sparse");
    const ColmapModel model = read_colmap(folder.path() / "sparse", {.sightings = true});
    EXPECT_EQ(model.sightings.size(), 4 * scene.points.size());
    EXPECT_THAT(read_colmap(folder.path() / "sparse").sightings, IsEmpty());
    for (const View& v : load(folder.path()).views) seen[binary].push_back(v.seen_points);
  }
  EXPECT_EQ(seen[0], seen[1]);
  std::vector<uint32_t> all(scene.points.size());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  EXPECT_EQ(seen[0][5], all) << "the first image is the sixth by name";
  std::vector<uint32_t> third;
  for (uint32_t i = 0; i < all.size(); ++i)
    if (i % 9 == 2 || i / 2 % 9 == 2) third.push_back(i);
  EXPECT_EQ(seen[0][2], third);
}

TEST(Colmap, PointsAreSeenByTheirNumberAmongThoseThatAreFinite) {
  const TemporaryFolder folder("tracks");
  TestScene scene(3, 5);
  scene.points[1].y() = NAN;
  write_colmap_capture(scene, folder.path());
  fs::remove(folder.path() / "images" / scene.names[1]);
  const Capture c = load(folder.path(), raw());
  ASSERT_EQ(c.views.size(), 2u);
  EXPECT_THAT(c.views[0].seen_points, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(c.views[1].seen_points, ElementsAre(1, 3)) << "points 2 and 4 of the file";
  EXPECT_TRUE(c.points.positions[3].isApprox(scene.points[4].cast<float>()));
}

TEST(Colmap, TracksOfOtherImagesAreANote) {
  const TemporaryFolder folder("tracks");
  const TestScene scene(3, 5);
  write_photos(scene, folder.path() / "images");
  write_colmap_txt(scene, folder.path() / "sparse");
  write_file(folder.path() / "sparse" / "points3D.txt",
             "1 0 0 0 9 9 9 0.5 2 0 77 0 78 5\n2 0 0 1 9 9 9 0.5\n3 0 0 1 9 9 9\n");
  const Capture c = load(folder.path());
  EXPECT_THAT(c.notes, Contains(HasSubstr("2 entries of tracks name images")));
  EXPECT_THAT(c.views[1].seen_points, ElementsAre(0));
  EXPECT_THAT(c.views[0].seen_points, IsEmpty());
}

TEST(LoadColmap, ViewsAreSortedUndistortedAndSplit) {
  const TemporaryFolder folder("views");
  TestScene scene(17);
  std::swap(scene.names[0], scene.names[5]);
  write_colmap_capture(scene, folder.path());
  const Capture c = load(folder.path(), raw());
  ASSERT_EQ(c.views.size(), 17u);
  EXPECT_EQ(c.views[0].name, "photo 10.png");
  EXPECT_EQ(c.views[0].image.pixels[0], 105) << "the name and its photo stay together";
  EXPECT_TRUE(c.views[0].camera.cam_from_world.isApprox(scene.cam_from_world[5], 1e-9));
  EXPECT_THAT(c.test, ElementsAre(0, 8, 16));
  EXPECT_EQ(c.train.size(), 14u);
  EXPECT_EQ(c.points.positions.size(), scene.points.size());
  EXPECT_TRUE(c.scene_from_capture.isIdentity());
  EXPECT_EQ(c.views[3].image.channels, 3);
  EXPECT_EQ(c.views[3].image.width, 64);
  EXPECT_THAT(joined_notes(c), HasSubstr("17 photos were undistorted"));
  ASSERT_EQ(c.files.size(), 3u);
  EXPECT_EQ(c.files[0].first, "cameras.bin");
  EXPECT_EQ(c.files[0].second.size(), 64u);
}

TEST(LoadColmap, TheModelIsFoundWhereverItLies) {
  const TestScene scene;
  for (const char* model : {"sparse/0", "sparse", "colmap/sparse/0", "."}) {
    const TemporaryFolder folder("where");
    write_photos(scene, folder.path() / "images");
    write_colmap_txt(scene, folder.path() / model);
    EXPECT_EQ(load(folder.path()).views.size(), 9u) << model;
  }
  const TemporaryFolder folder("where");
  write_colmap_capture(scene, folder.path());
  EXPECT_EQ(load(folder.path() / "sparse" / "0").views.size(), 9u) << "the model folder itself";
  fs::rename(folder.path() / "sparse", folder.path() / "poses");
  CaptureOptions o;
  o.cameras = (folder.path() / "poses" / "0").string();
  EXPECT_EQ(load(folder.path(), o).views.size(), 9u) << "--cameras";
}

TEST(LoadColmap, OfSeveralPiecesTheLargestIsTakenAndSaid) {
  const TemporaryFolder folder("pieces");
  const TestScene large(9), small(3);
  write_photos(large, folder.path() / "images");
  write_colmap_bin(small, folder.path() / "sparse" / "0");
  write_colmap_bin(large, folder.path() / "sparse" / "1");
  const Capture c = load(folder.path());
  EXPECT_EQ(c.views.size(), 9u);
  EXPECT_THAT(c.notes, Contains(HasSubstr("took sparse/1")));
}

TEST(LoadColmap, MissingPhotosAreNamedAndSkipped) {
  const TemporaryFolder folder("missing");
  const TestScene scene;
  write_colmap_capture(scene, folder.path());
  fs::remove(folder.path() / "images" / scene.names[4]);
  const Capture c = load(folder.path());
  EXPECT_EQ(c.views.size(), 8u);
  EXPECT_THAT(c.notes, Contains(HasSubstr(scene.names[4])));
}

TEST(LoadColmap, PhotosOfAnotherSizeScaleTheIntrinsics) {
  const TemporaryFolder folder("sizes");
  TestScene scene;
  scene.lens = {LensModel::kPinhole, 64, 48, {60, 61, 31, 25}};
  write_photos(scene, folder.path() / "images", 2);
  write_colmap_bin(scene, folder.path() / "sparse" / "0");
  write_file(folder.path() / "sparse" / "0" / "cameras.bin", cameras_bin(scene, 1));
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.views[0].camera.width, 32);
  EXPECT_NEAR(c.views[0].camera.fx, 30, 1e-12);
  EXPECT_NEAR(c.views[0].camera.cy, 12.5, 1e-12);
  EXPECT_THAT(c.notes, Contains(HasSubstr("another size")));
}

TEST(LoadColmap, ViewsKnowTheExposureOfTheirPhotos) {
  const TemporaryFolder folder("exposures");
  TestScene scene = pinhole_scene(3);
  scene.names = {"a.jpg", "b.jpg", "c.jpg"};
  write_photos(scene, folder.path() / "images");
  data::Exif exif;
  exif.exposure_s = 0.01;
  exif.f_number = 2;
  exif.iso = 400;
  data::write_jpeg_with_block(folder.path() / "images" / "b.jpg", plain(48, 64, 3, 100),
                              data::exif_block(exif));
  write_file(folder.path() / "transforms.json", transforms(scene).dump());
  const Capture c = load(folder.path());
  ASSERT_TRUE(c.views[1].log2_exposure.has_value());
  EXPECT_NEAR(*c.views[1].log2_exposure, std::log2(0.01), 1e-12);
  EXPECT_FALSE(c.views[0].log2_exposure.has_value());
}

TEST(LoadColmap, DownscaleTakesThePreparedFolderElseTheAreaAverage) {
  const TemporaryFolder folder("down");
  TestScene scene;
  scene.lens = {LensModel::kPinhole, 64, 48, {60, 61, 31, 25}};
  write_photos(scene, folder.path() / "images");
  write_colmap_txt(scene, folder.path() / "sparse" / "0");
  CaptureOptions o = raw();
  o.downscale = 2;
  const Capture own = load(folder.path(), o);
  EXPECT_EQ(own.views[0].image.width, 32);
  EXPECT_NEAR(own.views[0].camera.fx, 30, 1e-12);
  EXPECT_THAT(own.notes, Contains(HasSubstr("area average")));
  // The prepared photos are darker, so that they are told apart.
  fs::create_directories(folder.path() / "images_2");
  for (const auto& n : scene.names)
    data::write_image(folder.path() / "images_2" / n, plain(24, 32, 3, 9));
  const Capture prepared = load(folder.path(), o);
  EXPECT_EQ(prepared.views[0].image.pixels[0], 9);
  EXPECT_EQ(prepared.views[0].image.width, 32);
  EXPECT_NEAR(prepared.views[0].camera.fx, 30, 1e-12);
  EXPECT_THAT(prepared.notes, Contains(HasSubstr("images_2/")));
  o.downscale = 3;
  EXPECT_EQ(load(folder.path(), o).views[0].image.width, 21);
}

TEST(LoadTransforms, GivesTheSameCamerasAsColmap) {
  const TemporaryFolder a("a"), b("b");
  const TestScene scene;
  write_colmap_capture(scene, a.path());
  write_photos(scene, b.path() / "images");
  Matrix4d applied = Matrix4d::Identity();  // nerfstudio's: axes exchanged, one negated
  applied << 1, 0, 0, 0.5, 0, 0, 1, -1, 0, -1, 0, 2, 0, 0, 0, 1;
  for (const Matrix4d& m : {Matrix4d(Matrix4d::Identity()), applied}) {
    write_file(b.path() / "transforms.json", transforms(scene, m).dump());
    const Capture x = load(a.path(), raw()), y = load(b.path(), raw());
    ASSERT_EQ(y.views.size(), 9u);
    for (size_t i = 0; i < 9; ++i) {
      EXPECT_TRUE(
          y.views[i].camera.cam_from_world.isApprox(x.views[i].camera.cam_from_world, 1e-9));
      EXPECT_NEAR(y.views[i].camera.fx, x.views[i].camera.fx, 1e-9);
      EXPECT_EQ(y.views[i].image.pixels, x.views[i].image.pixels);
    }
    EXPECT_EQ(y.test, x.test);
  }
  EXPECT_EQ(load(b.path() / "transforms.json", raw()).views.size(), 9u) << "the file itself";
}

TEST(LoadTransforms, OtherConventionsMayBeStated) {
  const TemporaryFolder folder("stated");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png"});
  Matrix4d applied = Matrix4d::Identity();
  applied << 0, 2, 0, 0.5, 0, 0, 2, -1, 2, 0, 0, 2, 0, 0, 0, 1;
  nlohmann::json d = {{"w", 64}, {"h", 48}, {"fl_x", 60}};
  for (const bool with_applied : {false, true}) {
    const Matrix4d file_from_world = with_applied ? applied : Matrix4d::Identity();
    if (with_applied) d["applied_transform"] = json_rows(applied, 3);
    for (const char* convention : {"opencv", "opengl"})
      for (const char* direction : {"world_to_camera", "camera_to_world"}) {
        Matrix4d m =
            file_from_world * (std::string(convention) == "opencv" ? hand.opencv() : hand.opengl());
        if (std::string(direction) == "world_to_camera") m = m.inverse().eval();
        d["convention"] = convention;
        d["direction"] = direction;
        d["frames"] = {{{"file_path", "images/a.png"}, {"transform_matrix", json_rows(m, 4)}}};
        write_file(folder.path() / "transforms.json", d.dump());
        EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6)
            << convention << " " << direction << " " << with_applied;
      }
  }
}

TEST(LoadTransforms, FramesOverrideAndAnglesGiveFocalLengths) {
  const TemporaryFolder folder("angles");
  const TestScene scene(2);
  write_photos(scene, folder.path() / "images");
  auto document = transforms(scene);
  for (const char* key : {"fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2"}) document.erase(key);
  document["camera_angle_x"] = 2 * std::atan(32 / 50.0);
  document["frames"][1]["fl_x"] = 70;
  document["frames"][1]["fl_y"] = 71;
  document["frames"][0]["file_path"] = "./images/photo 10";  // no extension
  write_file(folder.path() / "transforms.json", document.dump());
  CaptureOptions o = raw();
  o.test_every = 0;
  const Capture c = load(folder.path(), o);
  EXPECT_NEAR(c.views[0].camera.fx, 50, 1e-9);
  EXPECT_NEAR(c.views[0].camera.fy, 50, 1e-9);
  EXPECT_NEAR(c.views[0].camera.cx, 32, 1e-9);
  EXPECT_NEAR(c.views[1].camera.fx, 70, 1e-9);
  EXPECT_NEAR(c.views[1].camera.fy, 71, 1e-9);
  EXPECT_EQ(c.train.size(), 2u);
}

TEST(LoadTransforms, PointsMasksAndOwnSplitAreRead) {
  const TemporaryFolder folder("more");
  const TestScene scene(4);
  write_photos(scene, folder.path() / "images");
  auto document = transforms(scene);
  document["ply_file_path"] = "p.ply";
  document["frames"][2]["mask_path"] = "m.png";
  document["train_filenames"] = {"images/" + scene.names[0], "images/" + scene.names[2]};
  document["test_filenames"] = {"images/" + scene.names[3]};
  data::Image8 mask = plain(48, 64, 1, 255);
  std::fill_n(mask.pixels.begin(), mask.pixels.size() / 2, uint8_t{0});
  data::write_image(folder.path() / "m.png", mask);
  write_file(
      folder.path() / "p.ply",
      "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float "
      "z\nproperty uchar red\nproperty uchar "
      "green\nproperty uchar blue\nend_header\n1 2 3 10 20 30\nnan 0 0 1 1 1\n4 5 6 40 50 60\n");
  write_file(folder.path() / "transforms.json", document.dump());
  const Capture c = load(folder.path(), raw());
  EXPECT_THAT(c.train, ElementsAre(0, 1));
  EXPECT_THAT(c.test, ElementsAre(2));
  ASSERT_EQ(c.points.positions.size(), 2u);
  EXPECT_EQ(c.points.positions[1], Eigen::Vector3f(4, 5, 6));
  EXPECT_EQ(c.points.colors[1][2], 60);
  EXPECT_THAT(c.notes, Contains(HasSubstr("1 points are not finite")));
  EXPECT_TRUE(c.views[0].mask.empty());
  EXPECT_EQ(c.views[1].mask.at(2, 30)[0], 0);
  EXPECT_EQ(c.views[1].mask.at(45, 30)[0], 255);
}

TEST(LoadTransforms, FisheyeLensesAreStraightened) {
  const TemporaryFolder folder("fisheye");
  const TestScene scene(2);
  write_photos(scene, folder.path() / "images");
  auto document = transforms(scene);
  document["camera_model"] = "OPENCV_FISHEYE";
  document["k3"] = 0.001;
  document["k4"] = -0.002;
  write_file(folder.path() / "transforms.json", document.dump());
  const Lens lens = {
      LensModel::kOpenCVFisheye, 64, 48, {60, 61, 31, 25, -0.1, 0.02, 0.001, -0.002}};
  EXPECT_NEAR(load(folder.path()).views[0].camera.fx, lens.optimal_pinhole().fx, 1e-9);
}

void write_synthetic(const TestScene& scene, const fs::path& root, int alpha) {
  for (const char* split : {"train", "test"}) {
    auto document = transforms(scene);
    nlohmann::json out = {{"camera_angle_x", 0.7}};
    fs::create_directories(root / split);
    for (size_t i = 0; i < scene.names.size(); ++i) {
      auto frame = document["frames"][i];
      frame["file_path"] = "./" + std::string(split) + "/r_" + std::to_string(i);
      out["frames"].push_back(frame);
      data::write_image(root / split / ("r_" + std::to_string(i) + ".png"),
                        plain(20, 20, 4, 100, alpha));
    }
    write_file(root / ("transforms_" + std::string(split) + ".json"), out.dump());
  }
}

TEST(LoadSynthetic, HasItsOwnSplitAndAWhiteBackground) {
  const TemporaryFolder folder("synthetic");
  write_synthetic(TestScene(3), folder.path(), 51);  // 0.2
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.train.size(), 3u);
  EXPECT_EQ(c.test.size(), 3u);
  EXPECT_EQ(c.views[0].name, "test/r_0");
  EXPECT_EQ(c.background, Eigen::Vector3f(1, 1, 1));
  EXPECT_EQ(c.views[0].image.pixels[0], std::lround(0.2 * 100 + 0.8 * 255));
  EXPECT_EQ(c.views[0].alpha.pixels[0], 51);
  EXPECT_TRUE(c.views[0].mask.empty()) << "transparency is no reason to drop a pixel";
  EXPECT_NEAR(c.views[0].camera.fx, 10 / std::tan(0.35), 1e-9);
  EXPECT_THAT(c.notes, Contains(HasSubstr("random initialisation")));
}

TEST(LoadSynthetic, BackgroundsAreCompositedUnlessRandom) {
  const TemporaryFolder folder("backgrounds");
  write_synthetic(TestScene(2), folder.path(), 51);
  CaptureOptions o;
  o.background = "0,0.5,1";
  const Capture blue = load(folder.path(), o);
  const int green = static_cast<int>(std::lround(0.5 * 255));
  EXPECT_NEAR(blue.views[0].image.pixels[0], 20, 1);
  EXPECT_NEAR(blue.views[0].image.pixels[1], 0.2 * 100 + 0.8 * green, 1);
  EXPECT_NEAR(blue.views[0].image.pixels[2], 0.2 * 100 + 0.8 * 255, 1);
  o.background = "random";
  const Capture random = load(folder.path(), o);
  EXPECT_TRUE(random.random_background);
  EXPECT_EQ(random.views[0].image.pixels[0], 100) << "straight colour";
  EXPECT_EQ(random.views[0].alpha.pixels[0], 51);
}

TEST(Masks, IgnoreDropsEmptyMakesTransparentOffReadsNone) {
  const TemporaryFolder folder("masks");
  TestScene scene(3);
  scene.lens = {LensModel::kPinhole, 64, 48, {60, 61, 31, 25}};
  write_photos(scene, folder.path() / "images");
  write_colmap_txt(scene, folder.path() / "sparse" / "0");
  fs::create_directories(folder.path() / "masks");
  data::Image8 mask = plain(48, 64, 1, 255);
  for (int y = 0; y < 48; ++y) std::fill_n(mask.at(y, 0), 32, uint8_t{0});
  data::write_image(folder.path() / "masks" / scene.names[0], mask);             // by the same name
  data::write_image(folder.path() / "masks" / (scene.names[1] + ".png"), mask);  // by name + .png
  CaptureOptions o = raw();
  const Capture ignore = load(folder.path(), o);
  for (const int i : {0, 1}) {
    EXPECT_EQ(ignore.views[i].mask.at(5, 5)[0], 0);
    EXPECT_EQ(ignore.views[i].mask.at(5, 50)[0], 255);
    EXPECT_EQ(ignore.views[i].image.at(5, 5)[0], 100 + i);
    EXPECT_TRUE(ignore.views[i].alpha.empty());
  }
  EXPECT_TRUE(ignore.views[2].mask.empty());
  EXPECT_THAT(ignore.notes, Contains(HasSubstr(scene.names[2])));
  o.mask_mode = "empty";
  o.background = "white";
  const Capture empty = load(folder.path(), o);
  EXPECT_TRUE(empty.views[0].mask.empty());
  EXPECT_EQ(empty.views[0].alpha.at(5, 5)[0], 0);
  EXPECT_EQ(empty.views[0].image.at(5, 5)[0], 255);
  EXPECT_EQ(empty.views[0].image.at(5, 50)[0], 100);
  for (const auto& [masks, mode] : {std::pair{"off", "ignore"}, {"auto", "off"}}) {
    o.masks = masks;
    o.mask_mode = mode;
    EXPECT_TRUE(load(folder.path(), o).views[0].mask.empty());
  }
}

TEST(Select, SplitsLoadLessButKeepTheFrame) {
  const TemporaryFolder folder("select");
  write_colmap_capture(TestScene(20), folder.path());
  const Capture all = load(folder.path());
  CaptureOptions o;
  o.split = "test";
  const Capture test = load(folder.path(), o);
  EXPECT_EQ(test.views.size(), all.test.size());
  EXPECT_TRUE(test.train.empty());
  EXPECT_EQ(test.scene_from_capture, all.scene_from_capture);
  EXPECT_EQ(test.extent, all.extent);
  EXPECT_EQ(test.views[1].camera.cam_from_world,
            all.views[static_cast<size_t>(all.test[1])].camera.cam_from_world);
  o.split = "train";
  EXPECT_EQ(load(folder.path(), o).views.size(), all.train.size());
  o.split = "all";
  o.max_views = 5;
  const Capture few = load(folder.path(), o);
  EXPECT_EQ(few.train.size(), 5u);
  EXPECT_EQ(few.test.size(), all.test.size());
  EXPECT_EQ(few.scene_from_capture, all.scene_from_capture);
}

TEST(Select, SameResultWithAnyNumberOfThreads) {
  const TemporaryFolder folder("threads");
  write_colmap_capture(TestScene(6), folder.path());
  set_threads(1);
  const Capture one = load(folder.path());
  set_threads(3);
  const Capture three = load(folder.path());
  set_threads(0);
  EXPECT_EQ(one.notes, three.notes);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(one.views[i].image.pixels, three.views[i].image.pixels);
    EXPECT_EQ(one.views[i].camera.cam_from_world, three.views[i].camera.cam_from_world);
  }
}

TEST(Frame, CamerasStandUpAroundTheOriginAtDistanceOne) {
  const TemporaryFolder folder("frame");
  const TestScene scene(12);
  write_colmap_capture(scene, folder.path());
  const Capture c = load(folder.path());
  std::vector<double> distances;
  Vector3d up = Vector3d::Zero();
  for (const View& v : c.views) {
    distances.push_back(v.camera.centre().norm());
    up -= v.camera.cam_from_world.block<1, 3>(1, 0).transpose();
  }
  std::sort(distances.begin(), distances.end());
  EXPECT_NEAR(distances[6], 1, 1e-6);
  EXPECT_NEAR(up.normalized().z(), 1, 1e-9);
  EXPECT_NEAR((c.scene_from_capture * Eigen::Vector4d(1, -2, 0.5, 1)).head<3>().norm(), 0, 1e-6)
      << "all look at it";
  // The transform takes points and cameras together: projections are the same.
  const Capture r = load(folder.path(), raw());
  for (size_t i = 0; i < 12; ++i)
    for (size_t k = 0; k < scene.points.size(); ++k) {
      const Eigen::Vector2d before = r.views[i].camera.project(scene.points[k]);
      const Eigen::Vector2d after = c.views[i].camera.project(c.points.positions[k].cast<double>());
      EXPECT_LT((before - after).norm(), 1e-3);
    }
  // The widest horizontal direction of the points is x.
  Eigen::Vector2d spread = Eigen::Vector2d::Zero();
  for (const auto& p : c.points.positions) spread += p.head<2>().cast<double>().cwiseAbs2();
  EXPECT_GT(spread.x(), spread.y());
  Vector3d mean = Vector3d::Zero();
  for (const int64_t i : c.train)
    mean += c.views[static_cast<size_t>(i)].camera.centre() / static_cast<double>(c.train.size());
  double most = 0;
  for (const int64_t i : c.train)
    most = std::max(most, (c.views[static_cast<size_t>(i)].camera.centre() - mean).norm());
  EXPECT_NEAR(c.extent, 1.1 * most, 1e-9);
}

TEST(Frame, CamerasAtOnePlaceAreHandledAndSaid) {
  const TemporaryFolder folder("place");
  TestScene scene(6);
  for (auto& m : scene.cam_from_world) m.topRightCorner<3, 1>().setZero();
  write_colmap_capture(scene, folder.path());
  const Capture c = load(folder.path());
  EXPECT_EQ(c.extent, 1);
  EXPECT_TRUE(c.scene_from_capture.allFinite());
  EXPECT_THAT(c.notes, Contains(HasSubstr("one place")));
}

TEST(Frame, TransformedOrthographicCameraSeesTheSame) {
  Camera c;
  c.width = c.height = 10;
  c.fx = c.fy = 3;
  c.projection = Projection::kOrthographic;
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() =
      2.5 * Eigen::AngleAxisd(0.7, Vector3d(1, 2, 3).normalized()).toRotationMatrix();
  m.topRightCorner<3, 1>() = Vector3d(4, -5, 6);
  const Vector3d p(0.3, 0.2, 5);
  EXPECT_LT((transformed(c, m).project((m * p.homogeneous()).head<3>()) - c.project(p)).norm(),
            1e-9);
}

TEST(Samples, RegisteredGeneratorsGetTheirParameters) {
  register_sample({"test-studio", "for this test",
                   [](const std::map<std::string, std::string>& p, const CaptureOptions& o) {
                     Capture c;
                     c.name =
                         p.at("views") + "/" + p.at("size") + "/" + std::to_string(o.downscale);
                     return c;
                   }});
  CaptureOptions o;
  o.downscale = 2;
  EXPECT_EQ(load_capture("sample:test-studio,views=6,size=32", o).name, "6/32/2");
  const Error unknown = error_of([] { load_capture("sample:test-studoi", {}); });
  EXPECT_EQ(unknown.code(), ExitCode::kUsage);
  EXPECT_THAT(unknown.hint(), HasSubstr("did you mean sample:test-studio?"));
  EXPECT_THAT(error_of([] { load_capture("sample:test-studio,views", {}); }).message(),
              HasSubstr("key=value"));
}

TEST(CamerasJson, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder("json");
  write_colmap_capture(TestScene(9), folder.path());
  const Capture c = load(folder.path());
  const CameraFile f = cameras_of(c);
  write_cameras(folder.path() / "cameras.json", f);
  const CameraFile g = read_cameras(folder.path() / "cameras.json");
  ASSERT_EQ(g.cameras.size(), 9u);
  EXPECT_EQ(g.scene_from_capture, c.scene_from_capture);
  EXPECT_EQ(g.extent, c.extent);
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(g.cameras[i].name, c.views[i].name);
    EXPECT_EQ(g.cameras[i].split, i == 0 || i == 8 ? "test" : "train");
    EXPECT_EQ(g.cameras[i].camera.cam_from_world, c.views[i].camera.cam_from_world);
    EXPECT_EQ(g.cameras[i].camera.fx, c.views[i].camera.fx);
    EXPECT_EQ(g.cameras[i].camera.width, 64);
  }
  auto document = nlohmann::json::parse(read_file(folder.path() / "cameras.json"));
  document["cameras"][3]["fx"] = "wide";
  write_file(folder.path() / "cameras.json", document.dump());
  EXPECT_THAT(error_of([&] { read_cameras(folder.path() / "cameras.json"); }).where(),
              HasSubstr("cameras[3]: fx"));
}

TEST(CamerasJson, ViewsTakeTheCamerasOfTheirNames) {
  const TemporaryFolder folder("take");
  write_colmap_capture(TestScene(9), folder.path());
  Capture c = load(folder.path());
  CameraFile f = cameras_of(c);
  std::reverse(f.cameras.begin(), f.cameras.end());
  f.cameras[0].camera.cam_from_world(0, 3) += 0.25;                              // of view 8
  const Camera half = f.cameras[1].camera = f.cameras[1].camera.scaled(32, 24);  // of view 7
  Capture taken = c;
  take_cameras(taken, f, "file");
  EXPECT_EQ(taken.views[8].camera.cam_from_world(0, 3),
            c.views[8].camera.cam_from_world(0, 3) + 0.25);
  EXPECT_EQ(taken.views[7].camera.width, c.views[7].camera.width);
  EXPECT_DOUBLE_EQ(taken.views[7].camera.fx, half.fx * c.views[7].camera.width / half.width);
  EXPECT_EQ(taken.views[0].camera.cam_from_world, c.views[0].camera.cam_from_world);

  CameraFile other = f;
  other.cameras[2].camera.height *= 2;
  EXPECT_THAT(error_of([&] { take_cameras(taken, other, "file"); }).where(),
              HasSubstr("file: " + c.views[6].name));
  other = f;
  other.cameras[3].name = "another.png";
  EXPECT_THAT(error_of([&] { take_cameras(taken, other, "file"); }).what(),
              HasSubstr(c.views[5].name + ": no camera"));
  other.cameras[3].name = other.cameras[4].name;
  EXPECT_THAT(error_of([&] { take_cameras(taken, other, "file"); }).message(),
              HasSubstr("two cameras"));
}

TEST(Options, BadFieldsAreNamed) {
  for (const auto& [field, value] : {std::pair<std::string, std::string>{"downscale", "0"},
                                     {"mask_mode", "maybe"},
                                     {"split", "none"}}) {
    CaptureOptions o;
    OptionList list(o);
    EXPECT_EQ(error_of([&] { list.set(field, value, "--set"); }).code(), ExitCode::kUsage) << field;
  }
  CaptureOptions o;
  for (const char* bad : {"green", "1,2,3", "0,0", "0,0,0,0", "0,0,0x", ""}) {
    o.background = bad;
    EXPECT_EQ(error_of([&] { o.check(); }).where(), "background") << bad;
  }
  for (const char* good : {"auto", "black", "white", "random", "0.5,0,1"}) {
    o.background = good;
    o.check();
  }
}

TEST(BrokenCaptures, WithoutPointsLoadingGoesOnAndSaysSo) {
  const TemporaryFolder folder("nopoints");
  write_colmap_capture(TestScene(4), folder.path());
  fs::remove(folder.path() / "sparse" / "0" / "points3D.bin");
  EXPECT_THAT(load(folder.path()).notes, Contains(HasSubstr("random initialisation")));
  TestScene nan(4);
  nan.points[3].x() = NAN;
  write_colmap_bin(nan, folder.path() / "sparse" / "0");
  const Capture c = load(folder.path());
  EXPECT_EQ(c.points.positions.size(), nan.points.size() - 1);
  EXPECT_THAT(c.notes, Contains(HasSubstr("1 points are not finite")));
}

TEST(RealData, FoxPointsLandOnTheirKeypoints) {
  const fs::path fox = shared_data("fox");
  if (!fs::exists(fox)) GTEST_SKIP() << "no data/fox here: set COVARY_DATA";
  CaptureOptions o;
  o.downscale = 4;
  const Capture c = load(fox, o);
  ASSERT_EQ(c.views.size(), 50u);
  EXPECT_EQ(c.views[0].image.width, 270);
  EXPECT_EQ(c.views[0].image.height, 480);
  EXPECT_EQ(c.points.positions.size(), 14858u);
  EXPECT_EQ(c.test.size(), 7u);
  const ColmapModel model = read_colmap(fox / "sparse" / "0", {.tracks = true});
  std::map<int64_t, size_t> point_of;
  for (size_t i = 0; i < model.points.size(); ++i)
    point_of[static_cast<int64_t>(model.points[i].id)] = i;
  const Lens& lens = model.cameras.begin()->second;
  std::map<std::string, const View*> views;
  for (const View& v : c.views) views[v.name] = &v;
  std::vector<double> errors;
  for (const ColmapImage& image : model.images) {
    const Camera& camera = views.at(image.name)->camera;
    for (size_t k = 0; k < image.keypoints.size(); ++k) {
      if (image.point_ids[k] < 0) continue;
      const Eigen::Vector2d seen =
          camera.project(c.points.positions[point_of.at(image.point_ids[k])].cast<double>());
      // The observed keypoint, through the lens into the undistorted, shrunk picture.
      const Eigen::Vector2d ideal = lens.undistort(image.keypoints[k]);
      errors.push_back((seen - Eigen::Vector2d(camera.fx * ideal.x() + camera.cx,
                                               camera.fy * ideal.y() + camera.cy))
                           .norm());
    }
  }
  ASSERT_GT(errors.size(), 50000u);
  std::nth_element(errors.begin(), errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2),
                   errors.end());
  const double median = errors[errors.size() / 2];
  RecordProperty("median_px", std::to_string(median));
  EXPECT_LT(median, 1.0);
}

TEST(RealData, FoxTransformsLoadToo) {
  const fs::path fox = shared_data("fox");
  if (!fs::exists(fox)) GTEST_SKIP() << "no data/fox here: set COVARY_DATA";
  CaptureOptions o;
  o.downscale = 8;
  o.max_views = 4;
  o.split = "train";
  const Capture c = load(fox / "transforms.json", o);
  EXPECT_EQ(c.views.size(), 4u);
  EXPECT_EQ(c.views[0].image.width, 135);
}

TEST(RealData, ChairLoadsWithItsSplit) {
  const fs::path chair = shared_data("chair");
  if (!fs::exists(chair)) GTEST_SKIP() << "no data/chair here: set COVARY_DATA";
  CaptureOptions o;
  o.downscale = 4;
  const Capture c = load(chair, o);
  EXPECT_EQ(c.train.size(), 100u);
  EXPECT_EQ(c.test.size(), 200u);
  EXPECT_EQ(c.views[0].image.width, 200);
  EXPECT_EQ(c.background, Eigen::Vector3f(1, 1, 1));
  EXPECT_THAT(c.notes, Not(Contains(HasSubstr("disagree"))));
  const View& v = c.views[0];
  EXPECT_EQ(v.alpha.at(0, 0)[0], 0);
  EXPECT_EQ(v.image.at(0, 0)[0], 255);
}

}  // namespace
}  // namespace covary::scene
