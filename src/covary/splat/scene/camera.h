// Cameras: the ideal ones that renderers take, and the lenses that photos come with.
//
// Conventions: OpenCV axes (x right, y down, z forward), pixel centres at +0.5, poses named
// target_from_source in double. World units are the scene's.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <Eigen/Geometry>

namespace covary::scene {

enum class Projection { kPinhole, kOrthographic, kFisheye };  // fisheye: equidistant, r = f * angle

// An ideal camera. Orthographic: fx, fy are px a world unit.
struct Camera {
  int width = 0, height = 0;              // px
  double fx = 0, fy = 0, cx = 0, cy = 0;  // px
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();
  Projection projection = Projection::kPinhole;

  Eigen::Vector3d centre() const;   // of projection, in world coordinates
  Eigen::Vector3d forward() const;  // optical axis in world coordinates
  Eigen::Vector2d project(
      const Eigen::Vector3d& world_point) const;       // px; meaningless behind the camera
  Eigen::Vector3d ray(double x, double y) const;       // unit direction in world coordinates
  Camera scaled(int new_width, int new_height) const;  // K by the actual ratios
};

// Lens models by COLMAP's names and parameter order; BROWN is ours, for programs whose radial
// polynomial has up to four terms (Metashape, RealityCapture, OpenMVG).
enum class LensModel {
  kSimplePinhole,
  kPinhole,
  kSimpleRadial,
  kRadial,
  kOpenCV,
  kOpenCVFisheye,
  kFullOpenCV,
  kBrown
};
struct Lens {
  LensModel model = LensModel::kPinhole;
  int width = 0, height = 0;
  std::vector<double>
      params;  // SIMPLE_PINHOLE f cx cy; PINHOLE fx fy cx cy; SIMPLE_RADIAL f cx cy k; RADIAL f cx
               // cy k1 k2; OPENCV fx fy cx cy k1 k2 p1 p2; OPENCV_FISHEYE fx fy cx cy k1 k2 k3 k4;
               // FULL_OPENCV fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6, radial part (1 + k1 r^2 + k2 r^4
               // + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6); BROWN fx fy cx cy k1 k2 k3 k4 p1 p2,
               // radial part 1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8
  // Error(kData, where): number of parameters, size, finite, focal length > 0. The functions below
  // take it as checked.
  void check(const std::string& where) const;
  Lens scaled(int new_width, int new_height) const;             // for photos of another size
  bool distorted() const;                                       // any coefficient not 0, or fisheye
  Eigen::Vector2d distort(const Eigen::Vector2d& ideal) const;  // normalised ideal -> px
  Eigen::Vector2d undistort(const Eigen::Vector2d& px) const;   // px -> normalised ideal (Newton)
  // The pinhole whose image holds valid pixels only: the largest upright rectangle of ideal
  // coordinates that the photo covers, at the photo's size (so focal lengths grow a little instead
  // of the picture shrinking). Fisheyes are cut at twice the view of a pinhole with their focal
  // length. Error(kData) when the distortion folds the picture over.
  Camera optimal_pinhole() const;
};
LensModel lens_model(
    const std::string& colmap_name);  // Error(kData) for a model we do not read, naming those we do
std::string lens_model_name(LensModel model);
size_t lens_param_count(LensModel model);

}  // namespace covary::scene
