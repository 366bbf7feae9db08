#include "covary/splat/scene/middle.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace covary::scene {
namespace {

TEST(Middle, IsWhereMostIsWhateverFliesFarOut) {
  at::Tensor means = at::zeros({11, 3});
  for (int64_t i = 0; i < 11; ++i) means[i][0] = static_cast<double>(i) - 3;  // -3 .. 7
  means[10][0] = 1e6;
  const Eigen::Vector3d middle = middle_of(means);
  EXPECT_EQ(middle, Eigen::Vector3d(2, 0, 0));
  const Ball ball =
      middle_ball(means, 0.9);  // all but the far one, of distances 0 1 1 2 2 3 3 4 4 5
  EXPECT_EQ(ball.centre, middle);
  EXPECT_EQ(ball.radius, 5);
  EXPECT_EQ(middle_ball(means, 0).radius, 0);
  EXPECT_EQ(middle_ball(means, 1).radius, 1e6 - 2);
}

TEST(Middle, OfNothingIsABallAboutTheOrigin) {
  const Ball ball = middle_ball(at::empty({0, 3}), 0.5);
  EXPECT_EQ(ball.centre, Eigen::Vector3d::Zero());
  EXPECT_EQ(ball.radius, 1);
  EXPECT_EQ(middle_of(at::empty({0, 3})), Eigen::Vector3d::Zero());
}

}  // namespace
}  // namespace covary::scene
