#include "covary/splat/fit/camera_refinement.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/LU>
#include <Eigen/SVD>

#include "covary/core/geometry/rigid.h"
#include "covary/splat/fit/camera_delta.h"

namespace covary::fit {
namespace {

// A camera is seen some 150 times in a run. Moments that remember a thousand updates still count the large gradients of
// the first ones and brake: with (0.9, 0.999) cameras end twice as far from the truth. A lens is
// seen at every step: it takes the usual ones.
constexpr double kBeta1 = 0.5, kBeta2 = 0.9;

auto lens_key(const scene::Camera& c) {
  return std::tuple(c.width, c.height, static_cast<int>(c.projection), c.fx, c.fy, c.cx, c.cy);
}

}  // namespace

nlohmann::json CameraChange::to_json() const {
  return {{"turned_deg", turned_deg}, {"shifted_extents", shifted}, {"focal_change", focal_change}};
}

CameraRefinement::CameraRefinement(const scene::Capture& capture, const RefineOptions& options,
                                   int64_t steps, int64_t views_drawn)
    : options_(options) {
  const size_t n = capture.views.size();
  pose_of_.assign(n, -1);
  lens_of_.assign(n, -1);
  for (const scene::View& v : capture.views) {
    given_.push_back(v.camera);
    frames_.push_back({v.camera.cam_from_world, capture.extent,
                       depth_of_interest(v.camera, capture.points, capture.extent)});
  }
  int64_t poses = 0;
  std::map<decltype(lens_key({})), std::pair<int64_t, int64_t>> lenses;  // row, photos
  for (const int64_t i : capture.train) {
    const auto v = static_cast<size_t>(i);
    pose_of_[v] = poses++;
    const auto found =
        lenses.try_emplace(lens_key(given_[v]), static_cast<int64_t>(lenses.size()), 0).first;
    ++found->second.second;
  }
  lenses_ = static_cast<int64_t>(lenses.size());
  for (size_t v = 0; v < n; ++v)
    if (const auto found = lenses.find(lens_key(given_[v])); found != lenses.end())
      lens_of_[v] = found->second.first;
  // The lens of the fewest photos is seen least.
  int64_t fewest = poses;
  for (const auto& [key, lens] : lenses) fewest = std::min(fewest, lens.second);
  const double seen = static_cast<double>(views_drawn) / static_cast<double>(poses);
  const auto schedule = [&](double rate) {
    return nn::exponential(rate, rate * options.rate_final_factor, steps);
  };
  if (options.pose_opt)
    poses_ = PhotoRows({poses, 6}, at::kDouble, schedule(options.pose_rate_of(seen)));
  if (options.intrinsics_opt)
    changes_ = PhotoRows({lenses_, 4}, at::kDouble,
                         schedule(options.intrinsics_rate_of(std::min<double>(
                             static_cast<double>(steps), seen * static_cast<double>(fewest)))));
}

void CameraRefinement::reset(scene::Capture& capture) {
  if (options_.pose_opt) poses_.reset();
  if (options_.intrinsics_opt) changes_.reset();
  write_to(capture);
}

render::Views CameraRefinement::views(int64_t view, int width, int height) {
  const auto v = static_cast<size_t>(view);
  const scene::Camera& given = given_.at(v);
  const scene::Camera camera =
      given.width == width && given.height == height ? given : given.scaled(width, height);
  render::Views out = render::views_of({camera});
  if (options_.pose_opt && pose_of_[v] >= 0)
    out.cam_from_world = moved_pose(poses_.row(pose_of_[v]), frames_[v], at::kFloat);
  if (options_.intrinsics_opt && lens_of_[v] >= 0)
    out.intrinsics = changed_intrinsics(changes_.row(lens_of_[v]), camera, at::kFloat);
  return out;
}

void CameraRefinement::update(int64_t step, scene::Capture& capture) {
  const PhotoRowsOptions how{
      .beta1 = kBeta1, .beta2 = kBeta2, .weight_decay = options_.weight_decay};
  if (options_.pose_opt) poses_.update(step, how, "refine.pose_opt");
  if (options_.intrinsics_opt)
    changes_.update(step, {.weight_decay = options_.weight_decay}, "refine.intrinsics_opt");
  write_to(capture);
}

void CameraRefinement::retime(int64_t steps) {
  poses_.retime(steps);
  changes_.retime(steps);
}

scene::Camera CameraRefinement::refined(size_t v) const {
  scene::Camera camera = given_[v];
  if (options_.pose_opt && pose_of_[v] >= 0)
    camera.cam_from_world =
        moved_pose(poses_.values().const_data_ptr<double>() + 6 * pose_of_[v], frames_[v]);
  if (options_.intrinsics_opt && lens_of_[v] >= 0)
    camera = with_changed_intrinsics(camera,
                                     changes_.values().const_data_ptr<double>() + 4 * lens_of_[v]);
  return camera;
}

Eigen::Matrix4d CameraRefinement::refined_from_given() const {
  if (!options_.pose_opt) return Eigen::Matrix4d::Identity();
  // The mean turn in the world, then the mean shift and growth of the centres.
  Eigen::Matrix3d turns = Eigen::Matrix3d::Zero();
  Eigen::Vector3d mean_given = Eigen::Vector3d::Zero(), mean_refined = mean_given;
  std::vector<std::pair<Eigen::Vector3d, Eigen::Vector3d>> centres;
  for (size_t v = 0; v < given_.size(); ++v) {
    if (pose_of_[v] < 0) continue;
    const scene::Camera moved = refined(v);
    turns += moved.cam_from_world.topLeftCorner<3, 3>().transpose() *
             given_[v].cam_from_world.topLeftCorner<3, 3>();
    centres.emplace_back(given_[v].centre(), moved.centre());
    mean_given += centres.back().first;
    mean_refined += centres.back().second;
  }
  mean_given /= static_cast<double>(centres.size());
  mean_refined /= static_cast<double>(centres.size());
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(turns, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Eigen::Matrix3d turn = svd.matrixU() * svd.matrixV().transpose();
  double along = 0, spread = 0;
  for (const auto& [given, moved] : centres) {
    along += (moved - mean_refined).dot(turn * (given - mean_given));
    spread += (given - mean_given).squaredNorm();
  }
  const double extent = frames_.front().extent;
  const double growth = spread > 1e-6 * extent * extent && along > 0 ? along / spread : 1;
  Eigen::Matrix4d out = Eigen::Matrix4d::Identity();
  out.topLeftCorner<3, 3>() = growth * turn;
  out.topRightCorner<3, 1>() = mean_refined - growth * turn * mean_given;
  return out;
}

void CameraRefinement::write_to(scene::Capture& capture) const {
  const Eigen::Matrix4d drift = refined_from_given();
  for (size_t v = 0; v < given_.size(); ++v) {
    const scene::Camera camera = refined(v);
    capture.views.at(v).camera =
        pose_of_[v] >= 0 || !options_.pose_opt ? camera : scene::transformed(camera, drift);
  }
}

CameraChange CameraRefinement::change() const {
  CameraChange c;
  if (options_.pose_opt) {
    const Eigen::Matrix4d back = refined_from_given().inverse();
    for (size_t v = 0; v < given_.size(); ++v) {
      if (pose_of_[v] < 0) continue;
      const scene::Camera camera = scene::transformed(refined(v), back);
      const Eigen::Matrix3d turn = camera.cam_from_world.topLeftCorner<3, 3>() *
                                   given_[v].cam_from_world.topLeftCorner<3, 3>().transpose();
      c.turned_deg += geometry::so3_log(turn).norm() * 180 / std::numbers::pi;
      c.shifted += (camera.centre() - given_[v].centre()).norm() / frames_[v].extent;
    }
    c.turned_deg /= static_cast<double>(poses_.size());
    c.shifted /= static_cast<double>(poses_.size());
  }
  if (options_.intrinsics_opt)
    c.focal_change = changes_.values().narrow(1, 0, 2).expm1().abs().max().item<double>();
  return c;
}

void CameraRefinement::save(nn::NamedTensors& arrays, nlohmann::json& document) const {
  if (options_.pose_opt) poses_.save("poses", arrays, document);
  if (options_.intrinsics_opt) changes_.save("lenses", arrays, document);
}

void CameraRefinement::restore(const nn::NamedTensors& arrays, const nlohmann::json& document) {
  if (options_.pose_opt) poses_.restore("poses", arrays, document);
  if (options_.intrinsics_opt) changes_.restore("lenses", arrays, document);
}

}  // namespace covary::fit
