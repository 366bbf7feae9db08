#include "covary/splat/scene/pose_check.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using Eigen::Matrix4d;
using Eigen::Vector3d;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Spots of random grey, about 0.1 wide, without a grid that a match could hop along.
double texture(double u, double v, uint64_t wall) {
  const auto cell = [&](int64_t x, int64_t y) {
    return Random(9, wall).uniform(static_cast<uint64_t>((x + 1000) * 4096 + y + 1000));
  };
  u *= 8;
  v *= 8;
  const auto x = static_cast<int64_t>(std::floor(u)), y = static_cast<int64_t>(std::floor(v));
  const double a = u - static_cast<double>(x), b = v - static_cast<double>(y);
  const double sa = a * a * (3 - 2 * a), sb = b * b * (3 - 2 * b);
  return (1 - sb) * ((1 - sa) * cell(x, y) + sa * cell(x + 1, y)) +
         sb * ((1 - sa) * cell(x, y + 1) + sa * cell(x + 1, y + 1));
}

// Two walls, one before the other, photographed by cameras that go around them by 4 degrees a photo.
struct Walk {
  static constexpr int kPhotos = 4;
  std::vector<data::Image8> photos;
  std::vector<Camera> cameras;

  Walk() {
    for (int i = 0; i < kPhotos; ++i) {
      const double angle = 0.3 + 0.07 * i;
      Camera c;
      c.width = 320;
      c.height = 240;
      c.fx = c.fy = 300;
      c.cx = 160;
      c.cy = 120;
      c.cam_from_world = geometry::look_at(
          {5 * std::sin(angle) + 1, 0.3 * i - 1, -4 * std::cos(angle)}, {1, 0.2, 1}, {0, -1, 0});
      data::Image8 photo(240, 320, 3);
      for (int y = 0; y < 240; ++y)
        for (int x = 0; x < 320; ++x) {
          const Vector3d eye = c.centre(), ray = c.ray(x + 0.5, y + 0.5);
          const Vector3d near = eye + ray * (-eye.z() / ray.z()),
                         far = eye + ray * ((2 - eye.z()) / ray.z());
          const bool hit = near.x() > 0.2 && near.x() < 1.6;
          const double v = hit ? texture(near.x(), near.y(), 1) : texture(far.x(), far.y(), 2);
          for (int k = 0; k < 3; ++k)
            photo.at(y, x)[k] = static_cast<uint8_t>(std::lround(255 * v));
        }
      photos.push_back(photo);
      cameras.push_back(c);
    }
  }
};

const Walk& walk() {
  static const Walk made;
  return made;
}

TEST(PoseCheck, EveryWrongReadingIsFoundAndNamed) {
  const PhotoOf photo = [](size_t i) {
    return std::make_shared<const data::Image8>(walk().photos[i]);
  };
  const Eigen::DiagonalMatrix<double, 4> turn(1, -1, -1, 1);
  const char* names[2][2] = {{"world_to_camera in opencv", "world_to_camera in opengl"},
                             {"camera_to_world in opencv", "camera_to_world in opengl"}};
  // The file holds the true poses in one of four ways, and is read in one of four ways.
  for (const bool inverse : {false, true})
    for (const bool opengl : {false, true})
      for (const bool read_inverse : {false, true})
        for (const bool read_opengl : {false, true}) {
          const PoseReading reading = {
              read_inverse ? PoseDirection::kWorldFromCam : PoseDirection::kCamFromWorld,
              read_opengl ? CameraAxes::kOpenGL : CameraAxes::kOpenCV};
          std::vector<Camera> cameras = walk().cameras;
          for (Camera& c : cameras) {
            Matrix4d file = opengl ? Matrix4d(turn * c.cam_from_world) : c.cam_from_world;
            if (inverse) file = file.inverse().eval();
            c.cam_from_world = cam_from_world(file, reading.direction, reading.axes, "test");
          }
          const PoseCheck check = check_poses(photo, cameras, reading);
          EXPECT_GT(check.matches, 100u);
          if (inverse == read_inverse && opengl == read_opengl) {
            EXPECT_GT(check.agree_as_read(), check.matches * 7 / 10);
            EXPECT_THAT(check.doubt(), IsEmpty());
          } else {
            EXPECT_THAT(check.doubt(), HasSubstr(names[inverse][opengl]))
                << inverse << opengl << read_inverse << read_opengl;
          }
        }
}

TEST(PoseCheck, PhotosThatDoNotMatchGiveNoVerdict) {
  const auto blank = std::make_shared<const data::Image8>(plain(240, 320, 3, 90));
  const PoseCheck check = check_poses([&](size_t) { return blank; }, walk().cameras, {});
  EXPECT_EQ(check.matches, 0u);
  EXPECT_THAT(check.doubt(), IsEmpty());
}

TEST(PoseCheck, DescribedCapturesAreHeldAgainstTheirPhotos) {
  const TemporaryFolder folder("check");
  fs::create_directories(folder.path() / "images");
  std::vector<double> poses;
  for (size_t i = 0; i < walk().cameras.size(); ++i) {
    data::write_image(folder.path() / "images" / (std::to_string(i) + ".png"), walk().photos[i]);
    for (int k = 0; k < 12; ++k) poses.push_back(walk().cameras[i].cam_from_world(k / 4, k % 4));
  }
  write_doubles(folder.path() / "poses.npy", {Walk::kPhotos, 3, 4}, poses);
  nlohmann::json d = {{"schema", "covary-camera-arrays/1"},
                      {"poses", "poses.npy"},
                      {"convention", "opencv"},
                      {"direction", "world_to_camera"},
                      {"fx", 300}};
  write_file(folder.path() / "cameras.json", d.dump());
  EXPECT_THAT(load(folder.path()).notes, Not(Contains(HasSubstr("disagree"))));
  d["direction"] = "camera_to_world";
  write_file(folder.path() / "cameras.json", d.dump());
  EXPECT_THAT(load(folder.path()).notes,
              Contains(HasSubstr("if they are world_to_camera in opencv axes")));
}

TEST(PoseCheck, TransformsInOpencvAxesAreFound) {
  const TemporaryFolder folder("check");
  fs::create_directories(folder.path() / "images");
  nlohmann::json d = {{"w", 320}, {"h", 240}, {"fl_x", 300}};
  for (size_t i = 0; i < walk().cameras.size(); ++i) {
    const std::string name = "images/" + std::to_string(i) + ".png";
    data::write_image(folder.path() / name, walk().photos[i]);
    d["frames"].push_back(
        {{"file_path", name},
         {"transform_matrix", json_rows(walk().cameras[i].cam_from_world.inverse(), 4)}});
  }
  write_file(folder.path() / "transforms.json", d.dump());
  EXPECT_THAT(load(folder.path()).notes,
              Contains(HasSubstr("if they are camera_to_world in opencv axes")));
  d["convention"] = "opencv";
  write_file(folder.path() / "transforms.json", d.dump());
  const Capture told = load(folder.path(), raw());
  EXPECT_THAT(told.notes, Not(Contains(HasSubstr("disagree"))));
  EXPECT_TRUE(told.views[2].camera.cam_from_world.isApprox(walk().cameras[2].cam_from_world, 1e-9));
}

// Fox as a script would have written it that forgot to turn the axes.
TEST(RealData, FoxInWrongAxesIsFound) {
  const fs::path fox = shared_data("fox");
  if (!fs::exists(fox)) GTEST_SKIP() << "no data/fox here: set COVARY_DATA";
  const TemporaryFolder folder("fox");
  auto d = nlohmann::json::parse(read_file(fox / "transforms.json"));
  auto& frames = d["frames"];
  frames.erase(frames.begin() + 10, frames.end());
  for (auto& frame : frames)
    frame["file_path"] = fs::absolute(fox / frame["file_path"].get<std::string>()).string();
  write_file(folder.path() / "transforms.json", d.dump());
  CaptureOptions o = raw();
  o.downscale = 4;
  EXPECT_THAT(load(folder.path(), o).notes, Not(Contains(HasSubstr("disagree"))));
  for (auto& frame : frames)
    for (int r = 0; r < 3; ++r)
      for (const int c : {1, 2})
        frame["transform_matrix"][r][c] = -frame["transform_matrix"][r][c].get<double>();
  write_file(folder.path() / "transforms.json", d.dump());
  EXPECT_THAT(load(folder.path(), o).notes,
              Contains(HasSubstr("if they are camera_to_world in opencv axes")));
}

}  // namespace
}  // namespace covary::scene
