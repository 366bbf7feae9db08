#include "covary/splat/render/likeness.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/core/base/temporary_folder.h"
#include "covary/core/eval/image.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::render {
namespace {

// A ball of small splats with strong harmonics.
scene::Cloud ball(int degree) {
  scene::Cloud cloud = scene::testing_clouds::random_cloud(3000, degree);
  cloud.scales = cloud.scales.clamp(-4, -2);
  cloud.shN *= 0.3;
  return cloud;
}

TEST(Likeness, ASceneIsLikeItselfAndLessLikeAnother) {
  const scene::Cloud cloud = ball(2);
  const auto views = sample_views(cloud, 3, 160, 120);
  EXPECT_EQ(likeness(cloud, cloud, views).worst, eval::kPsnrCap);
  scene::Cloud other = cloud;
  other.sh0 = cloud.sh0 + 0.05;
  const Likeness near = likeness(cloud, other, views);
  other.sh0 = cloud.sh0 + 0.5;
  const Likeness far = likeness(cloud, other, views);
  EXPECT_GT(near.worst, far.worst + 10);
  EXPECT_LE(near.worst, near.mean);
  EXPECT_EQ(near.of_view.size(), 3u);
  EXPECT_EQ(likeness(scene::select(cloud, at::arange(0)), cloud, sample_views({}, 0, 9, 9)).worst,
            0);
}

TEST(Likeness, ViewsSeeTheScene) {
  const scene::Cloud cloud = ball(0);
  const Primitives p = primitives_of(cloud);
  for (const scene::Camera& view : sample_views(cloud, 5, 160, 120))
    EXPECT_GT(pictures(p, view, {}).alpha.mean().item<double>(), 0.3);
}

// Bar: a scene turned at random looks from the turned camera as it did, at 60 dB and more.
TEST(Likeness, ATurnedSceneLooksTheSameFromTheTurnedCamera) {
  const scene::Cloud cloud = ball(4);
  Eigen::Matrix4d turn = Eigen::Matrix4d::Identity();
  turn.topLeftCorner<3, 3>() =
      Eigen::AngleAxisd(2.1, Eigen::Vector3d(0.2, -0.7, 0.4).normalized()).toRotationMatrix();
  Eigen::Matrix4d half = Eigen::Matrix4d::Identity();
  half.topLeftCorner<3, 3>() = scene::turn_of_axes("rub", "rdf");
  for (const Eigen::Matrix4d& m : {turn, half}) {
    const scene::Cloud other = scene::turned(cloud, m.topLeftCorner<3, 3>());
    for (const scene::Camera& view : sample_views(cloud, 2, 160, 120)) {
      const at::Tensor a = pictures(primitives_of(cloud), view, {}).color.clamp(0, 1);
      const at::Tensor b = pictures(primitives_of(other), scene::transformed(view, m), {}).color;
      EXPECT_GE(eval::psnr(b, a), 60);
    }
  }
}

TEST(Likeness, EachFormatLooksNearlyAsTheScene) {
  const TemporaryFolder folder("likeness");
  const scene::Cloud cloud = ball(2);
  const auto views = sample_views(cloud, 2, 160, 120);
  for (const scene::SceneFormat& f : scene::scene_formats()) {
    const auto path = folder.path() / ("a" + f.extensions[0]);
    scene::save_cloud(path, cloud);
    const scene::Cloud wanted = scene::with_degree(cloud, f.sh_degree);
    EXPECT_GE(likeness(wanted, scene::load_cloud(path), views).worst,
              f.precision.empty() ? 100 : 30)
        << f.name;
  }
}

}  // namespace
}  // namespace covary::render
