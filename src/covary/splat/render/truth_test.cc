#include "covary/splat/render/truth.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <cmath>
#include <filesystem>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/archive.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/render/truth_export.h"
#include "covary/splat/render/truth_scene.h"
#include "covary/splat/render/truth_splats.h"
#include "covary/splat/render/truth_views.h"

namespace covary::render {
namespace {

using ::testing::HasSubstr;

StudioOptions small_studio(int64_t views = 6) {
  StudioOptions o;
  o.camera.views = views;
  o.camera.width = 64;
  o.camera.height = 48;
  o.camera.points = 300;
  return o;
}

const StudioTruth& example() {
  static const StudioTruth truth = make_studio_truth(small_studio(), {});
  return truth;
}

int id_of(const StudioTruth& t, const std::string& name) {
  for (size_t i = 0; i < t.objects.size(); ++i) {
    if (t.objects[i] == name) return static_cast<int>(i);
  }
  ADD_FAILURE() << "no object " << name;
  return 0;
}

// The point of the capture's own coordinates that a pixel with this depth shows.
Eigen::Vector3d unproject(const StudioTruth& t, size_t view, int x, int y) {
  const scene::Camera& c = t.cameras[view];
  const double z = t.capture.views[view].depth.at(y, x)[0];
  const Eigen::Vector3d in_camera((x + 0.5 - c.cx) / c.fx * z, (y + 0.5 - c.cy) / c.fy * z, z);
  const Eigen::Matrix4d to_capture = Eigen::Matrix4d(t.capture.scene_from_capture.inverse()) *
                                     geometry::rigid_inverse(c.cam_from_world);
  return geometry::apply(to_capture, in_camera);
}

double mean_difference(const data::Image8& a, const data::Image8& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

TEST(Studio, HasTheViewsThatWereAskedFor) {
  const scene::Capture& c = example().capture;
  ASSERT_EQ(c.views.size(), 6u);
  EXPECT_EQ(c.points.positions.size(), 300u);
  EXPECT_THAT(c.test, ::testing::ElementsAre(0));
  EXPECT_EQ(c.train.size(), 5u);
  for (const scene::View& v : c.views) {
    EXPECT_EQ(v.image.width, 64);
    EXPECT_EQ(v.image.height, 48);
    EXPECT_EQ(v.image.channels, 3);
    EXPECT_EQ(v.camera.width, 64);
    EXPECT_TRUE(v.alpha.empty());
    const std::set<uint8_t> tones(v.image.pixels.begin(), v.image.pixels.end());
    EXPECT_GT(tones.size(), 100u);
  }
  EXPECT_GT(c.extent, 0.5);
}

TEST(Studio, IsTheSameOnAnyNumberOfThreads) {
  set_threads(1);
  const StudioTruth one = make_studio_truth(small_studio(3), {});
  set_threads(3);
  const StudioTruth three = make_studio_truth(small_studio(3), {});
  set_threads(0);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(one.capture.views[i].image.pixels, three.capture.views[i].image.pixels);
    EXPECT_EQ(one.capture.views[i].depth.pixels, three.capture.views[i].depth.pixels);
  }
  EXPECT_EQ(one.capture.points.positions, three.capture.points.positions);
}

TEST(Studio, ItsLightIsBakedTheSameOnAnyNumberOfThreads) {
  set_threads(2);
  const Studio again(true);
  set_threads(0);
  const Eigen::Vector3f eye(0, -3, 1), aim(0.1f, 0.9f, -0.3f);
  const Studio::Seen a = Studio::built(true).look(eye, aim, 0.001f),
                     b = again.look(eye, aim, 0.001f);
  EXPECT_GT(a.object, 0);
  EXPECT_EQ(a.color, b.color);
}

TEST(Studio, DepthPutsTheTurntablesTopAtZero) {
  const StudioTruth& t = example();
  const int table = id_of(t, "turntable"), floor = id_of(t, "floor");
  int on_top = 0, on_floor = 0;
  for (size_t v = 0; v < t.ids.size(); ++v) {
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        const int id = t.ids[v].at(y, x)[0];
        if (id != table && id != floor) continue;
        const Eigen::Vector3d p = unproject(t, v, x, y);
        if (id == floor) {
          EXPECT_NEAR(p.z(), -0.28, 1e-4);
          ++on_floor;
        } else if (p.head<2>().norm() < 1.1) {  // the foot is wider
          EXPECT_NEAR(p.z(), 0, 1e-4);
          ++on_top;
        }
      }
    }
  }
  EXPECT_GT(on_top, 500);
  EXPECT_GT(on_floor, 500);
}

TEST(Studio, NormalsAreUnitAndFaceTheCamera) {
  const StudioTruth& t = example();
  const int table = id_of(t, "turntable");
  for (size_t v = 0; v < t.ids.size(); ++v) {
    const scene::Camera& c = t.cameras[v];
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        const Eigen::Map<const Eigen::Vector3f> n(t.capture.views[v].normal.at(y, x));
        const Eigen::Vector3f ray(static_cast<float>((x + 0.5 - c.cx) / c.fx),
                                  static_cast<float>((y + 0.5 - c.cy) / c.fy), 1);
        ASSERT_NEAR(n.norm(), 1, 1e-4);
        ASSERT_LT(n.dot(ray), 1e-4f);
        if (t.ids[v].at(y, x)[0] == table && unproject(t, v, x, y).head<2>().norm() < 1.1) {
          const Eigen::Vector3d up =
              (t.capture.scene_from_capture * Eigen::Vector4d(0, 0, 1, 0)).head<3>().normalized();
          EXPECT_LT((n.cast<double>() - c.cam_from_world.topLeftCorner<3, 3>() * up).norm(), 1e-3);
        }
      }
    }
  }
}

TEST(Studio, ThingsAreInThePictures) {
  const StudioTruth& t = example();
  std::set<int> seen;
  for (const data::Image8& ids : t.ids) seen.insert(ids.pixels.begin(), ids.pixels.end());
  for (const char* name : {"knot", "vase", "sphere", "books", "blocks", "bell", "ball", "wall"}) {
    EXPECT_TRUE(seen.count(id_of(t, name))) << name;
  }
}

TEST(Studio, PointsLieOnWhatTheCamerasSee) {
  StudioOptions o = small_studio();
  o.camera.noise = 0;
  const StudioTruth t = make_studio_truth(o, {});
  for (size_t k = 0; k < t.capture.points.positions.size(); ++k) {
    const Eigen::Vector3d p = t.capture.points.positions[k].cast<double>();
    int seen = 0;
    for (const scene::Camera& c : t.cameras) {
      const Eigen::Matrix4d to_capture = t.capture.scene_from_capture.inverse();
      const Eigen::Vector3d eye = geometry::apply(to_capture, c.centre()),
                            q = geometry::apply(to_capture, p);
      const Eigen::Vector2d px = c.project(p);
      if (geometry::apply(c.cam_from_world, p).z() <= 0 || px.x() < 0 || px.y() < 0 ||
          px.x() >= 64 || px.y() >= 48) {
        continue;
      }
      const Studio::Seen s = Studio::built(true).probe(eye.cast<float>(), (q - eye).cast<float>());
      seen += std::abs(s.distance - 1) < 2e-3f;
    }
    EXPECT_GE(seen, 2) << k;
  }
}

TEST(Studio, NoiseMovesPointsByItsSize) {
  StudioOptions o = small_studio(3);
  o.camera.noise = 0;
  const StudioTruth exact = make_studio_truth(o, {.normalize = false});
  o.camera.noise = 0.01;
  const StudioTruth off = make_studio_truth(o, {.normalize = false});
  ASSERT_EQ(exact.capture.points.positions.size(), off.capture.points.positions.size());
  double sum = 0;
  for (size_t i = 0; i < exact.capture.points.positions.size(); ++i) {
    sum += (exact.capture.points.positions[i] - off.capture.points.positions[i]).squaredNorm() / 3;
  }
  EXPECT_NEAR(std::sqrt(sum / static_cast<double>(exact.capture.points.positions.size())), 0.01,
              0.001);
}

TEST(Studio, TheFrameIsACommonOne) {
  const StudioTruth& t = example();
  const StudioTruth raw = make_studio_truth(small_studio(), {.normalize = false});
  EXPECT_EQ(raw.capture.scene_from_capture, Eigen::Matrix4d::Identity());
  EXPECT_EQ(raw.capture.views[2].image.pixels, t.capture.views[2].image.pixels);
  const double unit = geometry::similarity_scale(t.capture.scene_from_capture);
  EXPECT_NEAR(unit, 1 / 3.4, 0.05);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_LT((geometry::apply(t.capture.scene_from_capture, raw.capture.views[i].camera.centre()) -
               t.capture.views[i].camera.centre())
                  .norm(),
              1e-9);
    EXPECT_NEAR(t.capture.views[i].depth.at(24, 32)[0],
                unit * raw.capture.views[i].depth.at(24, 32)[0], 1e-5);
  }
}

TEST(Studio, SplitsLoadTheSameViewsAlone) {
  const StudioTruth test = make_studio_truth(small_studio(), {.test_every = 3, .split = "test"});
  ASSERT_EQ(test.capture.views.size(), 2u);
  EXPECT_TRUE(test.capture.train.empty());
  EXPECT_EQ(test.capture.views[1].name, example().capture.views[3].name);
  EXPECT_EQ(test.capture.views[1].image.pixels, example().capture.views[3].image.pixels);
  const StudioTruth few = make_studio_truth(small_studio(), {.test_every = 0, .max_views = 2});
  EXPECT_EQ(few.capture.views.size(), 2u);
  EXPECT_EQ(few.capture.train.size(), 2u);
}

TEST(Studio, DownscaleIsTheAreaAverageOfTheFullImage) {
  const StudioTruth half = make_studio_truth(small_studio(), {.downscale = 2});
  for (size_t i = 0; i < 6; ++i) {
    const scene::View &small = half.capture.views[i], &full = example().capture.views[i];
    EXPECT_EQ(small.image.pixels, data::resize_area(full.image, 32, 24).pixels);
    EXPECT_DOUBLE_EQ(small.camera.fx, full.camera.fx / 2);
    EXPECT_EQ(small.depth.width, 32);
    EXPECT_EQ(half.ids[i].height, 24);
  }
}

TEST(Studio, WithoutBackgroundImagesHaveAlpha) {
  StudioOptions o = small_studio(3);
  o.background = "none";
  const StudioTruth t = make_studio_truth(o, {.background = "white"});
  for (size_t v = 0; v < 3; ++v) {
    const scene::View& view = t.capture.views[v];
    ASSERT_EQ(view.alpha.channels, 1);
    int empty = 0, full = 0;
    for (size_t i = 0; i < view.alpha.pixels.size(); ++i) {
      if (view.alpha.pixels[i] == 0) {
        ++empty;
        EXPECT_EQ(view.image.pixels[3 * i], 255);
      }
      full += view.alpha.pixels[i] == 255;
    }
    EXPECT_GT(empty, 200);
    EXPECT_GT(full, 400);
  }
}

TEST(Studio, PoseNoiseDisturbsTheGivenCamerasOnly) {
  StudioOptions o = small_studio();
  o.camera.pose_noise = 1;
  const StudioTruth t = make_studio_truth(o, {.normalize = false});
  const StudioTruth exact = make_studio_truth(small_studio(), {.normalize = false});
  double squares = 0;
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(t.capture.views[i].image.pixels, exact.capture.views[i].image.pixels);
    EXPECT_LT((t.cameras[i].cam_from_world - exact.capture.views[i].camera.cam_from_world).norm(),
              1e-12);
    const Eigen::Matrix3d turn = t.capture.views[i].camera.cam_from_world.topLeftCorner<3, 3>() *
                                 t.cameras[i].cam_from_world.topLeftCorner<3, 3>().transpose();
    squares += geometry::so3_log(turn).squaredNorm() / 18;
  }
  EXPECT_NEAR(std::sqrt(squares) * 180 / M_PI, 1, 0.5);
}

TEST(Studio, ExposureVariesFromPhotoToPhoto) {
  StudioOptions o = small_studio();
  o.exposure = 0.4;
  const StudioTruth t = make_studio_truth(o, {});
  for (size_t i = 0; i < 6; ++i) {
    const double before =
        mean_difference(example().capture.views[i].image, data::Image8(48, 64, 3));
    const double after = mean_difference(t.capture.views[i].image, data::Image8(48, 64, 3));
    EXPECT_GT(std::abs(std::log(t.gains[i].mean())), 1e-3);
    EXPECT_EQ(after < before, t.gains[i].mean() < 1) << i;
  }
  EXPECT_EQ(example().gains[0], Eigen::Vector3f::Ones());
}

TEST(Studio, MoreRaysChangeEdgesNotTheScene) {
  StudioOptions o = small_studio();
  o.spp = 36;
  const StudioTruth fine = make_studio_truth(o, {});
  const double difference =
      mean_difference(fine.capture.views[1].image, example().capture.views[1].image);
  EXPECT_GT(difference, 0.01);
  EXPECT_LT(difference, 6);
}

TEST(Samples, AreFoundByNameWithTheirParameters) {
  register_samples();
  register_samples();
  EXPECT_EQ(scene::samples().size(), 2u);
  const scene::Capture c = scene::load_capture(
      "sample:studio,views=3,width=40,height=30,points=20,spp=1,depth=0", {.test_every = 0});
  EXPECT_EQ(c.views.size(), 3u);
  EXPECT_EQ(c.views[0].image.width, 40);
  EXPECT_EQ(c.points.positions.size(), 20u);
  EXPECT_TRUE(c.views[0].depth.empty());
}

TEST(Samples, WrongParametersAreNamedWithTheNearest) {
  register_samples();
  try {
    scene::load_capture("sample:studio,veiws=3", {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_THAT(e.message() + e.hint(), HasSubstr("views"));
  }
  for (const char* wrong :
       {"sample:studio,spp=5", "sample:studio,views=0", "sample:studio,background=blue",
        "sample:studio,fov=wide", "sample:splats,count=-1", "sample:splats,spp=4",
        "sample:studio,views=10000,width=16384,height=16384"}) {
    EXPECT_THROW(scene::load_capture(wrong, {}), Error) << wrong;
  }
}

TEST(Splats, TheTrueCloudGivesTheImagesBack) {
  SplatsOptions o;
  o.camera.views = 5;
  o.camera.width = 48;
  o.camera.height = 40;
  o.count = 300;
  o.sh_degree = 2;
  for (const bool normalize : {true, false}) {
    const SplatsTruth t = make_splats(o, {.background = "0.2,0.4,0.6", .normalize = normalize});
    t.cloud.check();
    EXPECT_EQ(t.cloud.size(), 300);
    EXPECT_EQ(t.cloud.sh_degree(), 2);
    ASSERT_EQ(t.capture.views.size(), 5u);
    const at::Tensor background = at::tensor({0.2f, 0.4f, 0.6f});
    for (const scene::View& v : t.capture.views) {
      const at::Tensor color =
          rasterize(primitives_of(t.cloud), views_of({v.camera}), {}, background)
              .color[0]
              .contiguous();
      double worst = 0, spread = 0;
      for (size_t i = 0; i < v.image.pixels.size(); ++i) {
        const double x = std::clamp<double>(color.data_ptr<float>()[i], 0, 1);
        worst = std::max(worst, std::abs(x - v.image.pixels[i] / 255.0));
        spread = std::max(spread, std::abs(x - 0.4));
      }
      EXPECT_LT(worst, 0.5 / 255 + 1e-4);
      EXPECT_GT(spread, 0.2);
    }
  }
}

TEST(Splats, PointsAreTheCentresALittleOff) {
  SplatsOptions o;
  o.camera.views = 3;
  o.camera.width = 16;
  o.camera.height = 16;
  o.count = 500;
  o.camera.noise = 0.02;
  const SplatsTruth t = make_splats(o, {.normalize = false});
  ASSERT_EQ(t.capture.points.positions.size(), 500u);
  double sum = 0;
  for (int64_t i = 0; i < 500; ++i) {
    const Eigen::Map<const Eigen::Vector3f> mean(t.cloud.means.data_ptr<float>() + 3 * i);
    sum += (mean - t.capture.points.positions[static_cast<size_t>(i)]).squaredNorm() / 1500;
  }
  EXPECT_NEAR(std::sqrt(sum), 0.02, 0.002);
  o.camera.points = 100;
  EXPECT_EQ(make_splats(o, {}).capture.points.positions.size(), 100u);
}

class Exported : public ::testing::Test {
 protected:
  const TemporaryFolder temporary_{"export"};
  const std::filesystem::path folder_ = temporary_.path() / "capture";
};

TEST_F(Exported, FolderLoadsAsTheSameCapture) {
  const scene::Capture& c = example().capture;
  write_capture(c, folder_);
  const scene::Capture back = scene::load_capture(folder_.string(), {});
  ASSERT_EQ(back.views.size(), c.views.size());
  EXPECT_LT((back.scene_from_capture - c.scene_from_capture).norm(), 1e-5);
  EXPECT_EQ(back.test, c.test);
  for (size_t i = 0; i < c.views.size(); ++i) {
    EXPECT_EQ(back.views[i].name, c.views[i].name);
    EXPECT_EQ(back.views[i].image.pixels, c.views[i].image.pixels);
    EXPECT_LT((back.views[i].camera.cam_from_world - c.views[i].camera.cam_from_world).norm(),
              1e-5);
    EXPECT_NEAR(back.views[i].camera.fx, c.views[i].camera.fx, 1e-9);
  }
  ASSERT_EQ(back.points.positions.size(), c.points.positions.size());
  EXPECT_LT((back.points.positions[7] - c.points.positions[7]).norm(), 1e-5);
  EXPECT_EQ(back.points.colors, c.points.colors);
  const data::Array depth = data::read_npy(folder_ / "depth" / "view_0002.npy");
  EXPECT_THAT(depth.shape, ::testing::ElementsAre(48, 64));
  EXPECT_NEAR(depth.as<float>()[24 * 64 + 32] * geometry::similarity_scale(c.scene_from_capture),
              c.views[2].depth.at(24, 32)[0], 1e-5);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "masks"));
}

TEST_F(Exported, AlphaSurvivesTheTrip) {
  StudioOptions o = small_studio(3);
  o.background = "none";
  const scene::Capture c = make_studio(o, {.background = "white"});
  write_capture(c, folder_);
  const scene::Capture back = scene::load_capture(folder_.string(), {.background = "white"});
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(back.views[i].alpha.pixels, c.views[i].alpha.pixels);
    EXPECT_LT(mean_difference(back.views[i].image, c.views[i].image), 0.1);
  }
}

}  // namespace
}  // namespace covary::render
