#include "covary/splat/scene/camera.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/splat/scene/undistort.h"

namespace covary::scene {
namespace {

using Eigen::Vector2d;
using Eigen::Vector3d;
using testing::HasSubstr;

// Every model with coefficients of both signs, as real phones and action cameras have them.
std::vector<Lens> lenses() {
  const int w = 320, h = 200;
  return {
      {LensModel::kSimplePinhole, w, h, {250, 161, 99}},
      {LensModel::kPinhole, w, h, {250, 240, 161, 99}},
      {LensModel::kSimpleRadial, w, h, {250, 161, 99, 0.12}},
      {LensModel::kSimpleRadial, w, h, {250, 161, 99, -0.15}},
      {LensModel::kRadial, w, h, {250, 158, 103, -0.2, 0.05}},
      {LensModel::kRadial, w, h, {250, 158, 103, 0.06, -0.08}},
      {LensModel::kOpenCV, w, h, {250, 245, 158, 103, -0.2, 0.06, 0.002, -0.003}},
      {LensModel::kOpenCV, w, h, {250, 245, 158, 103, 0.1, 0.02, -0.004, 0.003}},
      {LensModel::kOpenCVFisheye, w, h, {140, 141, 161, 99, 0.02, -0.01, 0.004, -0.001}},
      {LensModel::kFullOpenCV,
       w,
       h,
       {250, 245, 158, 103, 0.3, 0.06, 0.002, -0.003, 0.01, 0.4, 0.1, 0.02}},
      {LensModel::kBrown, w, h, {250, 245, 158, 103, -0.2, 0.06, -0.02, 0.004, 0.002, -0.003}},
  };
}

TEST(Lens, UndistortInvertsDistortAllOverThePhoto) {
  for (const Lens& lens : lenses())
    for (double y = 0.5; y < lens.height; y += 13.25)
      for (double x = 0.5; x < lens.width; x += 13.25) {
        const Vector2d back = lens.distort(lens.undistort({x, y}));
        EXPECT_NEAR(back.x(), x, 1e-6) << lens_model_name(lens.model);
        EXPECT_NEAR(back.y(), y, 1e-6) << lens_model_name(lens.model);
      }
}

TEST(Lens, SimpleRadialFollowsItsFormula) {
  const Lens lens = {LensModel::kSimpleRadial, 100, 100, {50, 40, 60, 0.1}};
  const Vector2d p = lens.distort({0.3, -0.4});  // r^2 = 0.25
  EXPECT_NEAR(p.x(), 50 * 0.3 * 1.025 + 40, 1e-12);
  EXPECT_NEAR(p.y(), 50 * -0.4 * 1.025 + 60, 1e-12);
}

TEST(Lens, LongerPolynomialsFollowTheirFormulas) {
  const Vector2d at(0.3, -0.4);  // r^2 = 0.25
  const double p1 = 0.01, p2 = -0.02;
  const Vector2d tangential(2 * p1 * 0.3 * -0.4 + p2 * (0.25 + 2 * 0.09),
                            2 * p2 * 0.3 * -0.4 + p1 * (0.25 + 2 * 0.16));
  const Lens brown = {LensModel::kBrown, 100, 100, {50, 40, 1, 2, 0.1, 0.2, 0.3, 0.4, p1, p2}};
  const double radial = 1 + 0.1 / 4 + 0.2 / 16 + 0.3 / 64 + 0.4 / 256;
  EXPECT_NEAR(brown.distort(at).x(), 50 * (0.3 * radial + tangential.x()) + 1, 1e-12);
  EXPECT_NEAR(brown.distort(at).y(), 40 * (-0.4 * radial + tangential.y()) + 2, 1e-12);
  const Lens full = {
      LensModel::kFullOpenCV, 100, 100, {50, 40, 1, 2, 0.1, 0.2, p1, p2, 0.3, 0.4, 0.5, 0.6}};
  const double ratio = (1 + 0.1 / 4 + 0.2 / 16 + 0.3 / 64) / (1 + 0.4 / 4 + 0.5 / 16 + 0.6 / 64);
  EXPECT_NEAR(full.distort(at).x(), 50 * (0.3 * ratio + tangential.x()) + 1, 1e-12);
  EXPECT_NEAR(full.distort(at).y(), 40 * (-0.4 * ratio + tangential.y()) + 2, 1e-12);
}

TEST(Lens, FisheyeMeasuresAngles) {
  const Lens lens = {LensModel::kOpenCVFisheye, 100, 100, {50, 50, 50, 50, 0, 0, 0, 0}};
  EXPECT_NEAR(lens.distort({1, 0}).x(), 50 * M_PI / 4 + 50, 1e-12);
  EXPECT_NEAR(lens.undistort({50 * M_PI / 3 + 50, 50}).x(), std::tan(M_PI / 3), 1e-9);
}

TEST(Lens, OptimalPinholeSeesThePhotoOnlyAndNearlyAllOfIt) {
  for (const Lens& lens : lenses()) {
    const Camera c = lens.optimal_pinhole();
    EXPECT_EQ(c.width, lens.width);
    EXPECT_EQ(c.height, lens.height);
    double nearest = 1e9;  // of the mapped border to the photo's border, px: 0 = touches it
    for (int y = 0; y < c.height; ++y)
      for (int x = 0; x < c.width; ++x) {
        const Vector2d q = lens.distort({(x + 0.5 - c.cx) / c.fx, (y + 0.5 - c.cy) / c.fy});
        const double room = std::min(
            {q.x() - 0.5, q.y() - 0.5, lens.width - 0.5 - q.x(), lens.height - 0.5 - q.y()});
        ASSERT_GE(room, -0.02) << lens_model_name(lens.model) << " at " << x << " " << y;
        nearest = std::min(nearest, room);
      }
    EXPECT_LT(nearest, 1.0) << lens_model_name(lens.model);
  }
}

TEST(Lens, UndistortedPhotoHoldsPointsWhereThePinholeProjectsThem) {
  // A grid of 3-D points leaves a bright dot each in the distorted photo (a smooth blob, so that
  // its centre is known to a fraction of a pixel). After undistortion each blob's centroid must be
  // where the pinhole camera projects its point.
  for (const Lens& lens : lenses()) {
    const Undistorter flat(lens);
    const Camera& camera = flat.camera();
    std::vector<Vector2d> where;
    data::Image8 photo(lens.height, lens.width, 1);
    std::vector<double> light(photo.pixels.size(), 0);
    for (double v = 20; v < lens.height; v += 40)
      for (double u = 20; u < lens.width; u += 40) {
        const Vector3d point =
            3.7 * Vector3d((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1);
        where.push_back(camera.project(point));
        // The blob is round in the undistorted picture: each photo pixel is lit by its distance
        // there.
        for (int y = 0; y < photo.height; ++y)
          for (int x = 0; x < photo.width; ++x) {
            const Vector2d seen = lens.distort(point.head<2>() / point.z());
            if ((Vector2d(x + 0.5, y + 0.5) - seen).norm() > 16) continue;
            const Vector2d ideal = lens.undistort({x + 0.5, y + 0.5});
            const Vector2d px(camera.fx * ideal.x() + camera.cx, camera.fy * ideal.y() + camera.cy);
            light[static_cast<size_t>(y) * photo.width + x] +=
                250 * std::exp(-(px - where.back()).squaredNorm() / (2 * 2.5 * 2.5));
          }
      }
    for (size_t i = 0; i < light.size(); ++i)
      photo.pixels[i] = static_cast<uint8_t>(std::lround(std::min(255.0, light[i])));
    const data::Image8 straight = flat.photo(photo);
    for (const Vector2d& at : where) {
      double sum = 0;
      Vector2d centroid(0, 0);
      for (int y = static_cast<int>(at.y()) - 9; y <= static_cast<int>(at.y()) + 9; ++y)
        for (int x = static_cast<int>(at.x()) - 9; x <= static_cast<int>(at.x()) + 9; ++x) {
          if (x < 0 || y < 0 || x >= straight.width || y >= straight.height) continue;
          const double v = *straight.at(y, x);
          sum += v;
          centroid += v * Vector2d(x + 0.5, y + 0.5);
        }
      centroid /= sum;
      EXPECT_LT((centroid - at).norm(), 0.05)
          << lens_model_name(lens.model) << " at " << at.transpose();
    }
  }
}

TEST(Lens, MasksStayTwoValued) {
  const Lens lens = lenses()[6];
  data::Image8 mask(lens.height, lens.width, 1);
  for (int y = 0; y < mask.height; ++y)
    for (int x = 0; x < mask.width; ++x) *mask.at(y, x) = (x / 20 + y / 20) % 2 ? 255 : 0;
  const data::Image8 out = Undistorter(lens).mask(mask);
  EXPECT_THAT(out.pixels, testing::Each(testing::AnyOf(0, 255)));
  EXPECT_NE(out.pixels, mask.pixels);
}

TEST(Lens, DepthIsNotMixedAcrossEdges) {
  const Lens lens = lenses()[4];
  data::ImageF depth(lens.height, lens.width, 1);
  for (int y = 0; y < lens.height; ++y)
    for (int x = 0; x < lens.width; ++x) *depth.at(y, x) = x < 150 ? 2.0f : 7.0f;
  const data::ImageF flat = Undistorter(lens).depth(depth);
  for (const float z : flat.pixels) EXPECT_TRUE(z == 2.0f || z == 7.0f) << z;
  EXPECT_EQ(*flat.at(100, 3), 2.0f);
  EXPECT_EQ(*flat.at(100, 316), 7.0f);
}

TEST(Lens, UndistortingAConstantPhotoKeepsIt) {
  for (const Lens& lens : lenses()) {
    data::Image8 photo(lens.height, lens.width, 3);
    std::fill(photo.pixels.begin(), photo.pixels.end(), uint8_t{201});
    EXPECT_THAT(Undistorter(lens).photo(photo).pixels, testing::Each(201));
  }
}

TEST(Lens, BadLensesAreNamed) {
  const auto message = [](const Lens& lens) {
    try {
      lens.check("cameras.bin: camera 1");
    } catch (const Error& e) {
      EXPECT_EQ(e.where(), "cameras.bin: camera 1");
      return e.message();
    }
    return std::string("none");
  };
  EXPECT_THAT(message({LensModel::kPinhole, 10, 10, {1, 2, 3}}), HasSubstr("takes 4"));
  EXPECT_THAT(message({LensModel::kPinhole, 0, 10, {1, 2, 3, 4}}), HasSubstr("size"));
  EXPECT_THAT(message({LensModel::kPinhole, 10, 10, {NAN, 2, 3, 4}}), HasSubstr("finite"));
  EXPECT_THAT(message({LensModel::kPinhole, 10, 10, {-1, 2, 3, 4}}), HasSubstr("focal"));
  EXPECT_EQ(message({LensModel::kPinhole, 10, 10, {1, 2, 3, 4}}), "none");
  try {
    lens_model("FOV");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.message(), HasSubstr("FOV"));
    EXPECT_THAT(e.hint(), HasSubstr("OPENCV_FISHEYE"));
  }
  // Strong negative distortion folds the corners over: there is no valid picture.
  EXPECT_THROW((Lens{LensModel::kSimpleRadial, 100, 100, {20, 50, 50, -3.0}}.optimal_pinhole()),
               Error);
}

RC_GTEST_PROP(Camera, ProjectInvertsRayForEachProjection, ()) {
  const auto number = [](double low, double high) {
    return low + (high - low) * (*rc::gen::inRange(0, 10000)) / 10000.0;
  };
  Camera c;
  c.width = 640;
  c.height = 480;
  c.fx = number(200, 800);
  c.fy = number(200, 800);
  c.cx = number(200, 400);
  c.cy = number(150, 300);
  c.projection = *rc::gen::element(Projection::kPinhole, Projection::kFisheye);
  c.cam_from_world.topLeftCorner<3, 3>() =
      Eigen::Quaterniond(number(-1, 1), number(-1, 1), number(-1, 1), number(0.1, 1))
          .normalized()
          .toRotationMatrix();
  c.cam_from_world.topRightCorner<3, 1>() = Vector3d(number(-5, 5), number(-5, 5), number(-5, 5));
  const double x = number(0, 640), y = number(0, 480);
  const Vector2d back = c.project(c.centre() + number(0.5, 20) * c.ray(x, y));
  RC_ASSERT(std::abs(back.x() - x) < 1e-6);
  RC_ASSERT(std::abs(back.y() - y) < 1e-6);
  RC_ASSERT(std::abs(c.ray(c.cx, c.cy).dot(c.forward()) - 1) < 1e-9);
}

TEST(Camera, ScaledCameraSeesTheSamePointsAtScaledPixels) {
  Camera c;
  c.width = 101;
  c.height = 53;
  c.fx = 90;
  c.fy = 80;
  c.cx = 49;
  c.cy = 27;
  const Camera s = c.scaled(25, 13);
  const Vector3d p(0.3, -0.2, 2);
  EXPECT_NEAR(s.project(p).x(), c.project(p).x() * 25 / 101, 1e-12);
  EXPECT_NEAR(s.project(p).y(), c.project(p).y() * 13 / 53, 1e-12);
}

}  // namespace
}  // namespace covary::scene
