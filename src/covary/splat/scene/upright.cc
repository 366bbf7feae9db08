#include "covary/splat/scene/upright.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <Eigen/Dense>
#include <Eigen/Geometry>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/scene/cloud_arrays.h"

namespace covary::scene {
namespace {

using Eigen::Vector3d;

constexpr int64_t kMostPoints = 20'000;
constexpr int64_t kPlanes = 1000;
constexpr double kNear = 0.02;  // of the scene's size: a centre lies on a plane
constexpr double kOnIt = 0.1;   // of the opacity, at least
constexpr double kAbove = 0.9;  // of what is not on it
constexpr int kRefinements = 5;

struct Points {
  std::vector<Vector3d> x;
  std::vector<double> weight;  // sums to 1
  double size = 1;             // median distance from the median
};

Points points_of(const Cloud& cloud, uint64_t seed) {
  Points p;
  const CloudValues v(cloud);
  const Random random(seed, stream_of("ground.points"));
  const bool all = v.n <= kMostPoints;
  const int64_t count = std::min(v.n, kMostPoints);
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = all ? k
                          : static_cast<int64_t>(
                                random.below(static_cast<uint64_t>(v.n), static_cast<uint64_t>(k)));
    const Vector3d x = Eigen::Map<const Eigen::Vector3f>(v.means + 3 * i).cast<double>();
    if (!x.allFinite()) continue;
    p.x.push_back(x);
    p.weight.push_back(1 / (1 + std::exp(-static_cast<double>(v.opacities[i]))));
    sum += p.weight.back();
  }
  for (double& w : p.weight) w /= sum;
  if (p.x.empty()) return p;
  Vector3d middle;
  for (int k = 0; k < 3; ++k) {
    std::vector<double> c;
    for (const Vector3d& x : p.x) c.push_back(x[k]);
    middle[k] = numeric::upper_median(std::move(c));
  }
  std::vector<double> d;
  for (const Vector3d& x : p.x) d.push_back((x - middle).norm());
  p.size = std::max(numeric::upper_median(std::move(d)), 1e-12);
  return p;
}

// The share of the opacity on the plane, 0 where too much of the rest is below it; sign: which side is up.
double share_on(const Points& p, const Vector3d& normal, double height, double sign) {
  const double near = kNear * p.size;
  double on = 0, above = 0;
  for (size_t i = 0; i < p.x.size(); ++i) {
    const double d = sign * (normal.dot(p.x[i]) - height);
    on += std::abs(d) <= near ? p.weight[i] : 0;
    above += d > near ? p.weight[i] : 0;
  }
  return above >= kAbove * (1 - on) ? on : 0;
}

}  // namespace

Vector3d up_of(const std::vector<Camera>& cameras) {
  Vector3d up = Vector3d::Zero();
  for (const Camera& c : cameras) up -= c.cam_from_world.block<1, 3>(1, 0).transpose();
  const double length = cameras.empty() ? 0 : up.norm() / static_cast<double>(cameras.size());
  return length > 0.1 ? Vector3d(up.normalized()) : Vector3d::Zero();
}

std::optional<Ground> find_ground(const Cloud& cloud, const Vector3d& roughly, uint64_t seed) {
  const Points p = points_of(cloud, seed);
  if (p.x.size() < 3) return {};
  const Random random(seed, stream_of("ground.planes"));
  const bool known = roughly.norm() > 0;
  const Vector3d wanted = known ? Vector3d(roughly.normalized()) : Vector3d::Zero();
  std::vector<Ground> found(kPlanes);
  parallel_for(kPlanes, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      Vector3d corner[3];
      for (uint64_t k = 0; k < 3; ++k)
        corner[k] = p.x[random.below(p.x.size(), 3 * static_cast<uint64_t>(t) + k)];
      const Vector3d across = (corner[1] - corner[0]).cross(corner[2] - corner[0]);
      if (!(across.norm() > 1e-9 * p.size * p.size)) continue;
      Vector3d normal = across.normalized();
      if (known && normal.dot(wanted) < 0) normal = -normal;
      if (known && normal.dot(wanted) < std::sqrt(0.5)) continue;
      const double height = normal.dot(corner[0]);
      for (const double sign : {1.0, -1.0}) {
        if (known && sign < 0) continue;
        const double share = share_on(p, normal, height, sign);
        if (share > found[static_cast<size_t>(t)].share)
          found[static_cast<size_t>(t)] = {sign * normal, sign * height, share};
      }
    }
  });
  Ground best = *std::max_element(found.begin(), found.end(), [](const Ground& a, const Ground& b) {
    return a.share < b.share;
  });
  if (best.share < kOnIt) return {};
  for (int round = 0; round < kRefinements; ++round) {
    Vector3d mean = Vector3d::Zero();
    Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
    double sum = 0;
    const auto on = [&](size_t i) {
      return std::abs(best.up.dot(p.x[i]) - best.height) <= kNear * p.size;
    };
    for (size_t i = 0; i < p.x.size(); ++i)
      if (on(i)) {
        mean += p.weight[i] * p.x[i];
        sum += p.weight[i];
      }
    if (sum <= 0) break;
    mean /= sum;
    for (size_t i = 0; i < p.x.size(); ++i)
      if (on(i)) spread += p.weight[i] * (p.x[i] - mean) * (p.x[i] - mean).transpose();
    Vector3d normal = Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(spread).eigenvectors().col(0);
    if (normal.dot(best.up) < 0) normal = -normal;
    best.up = normal;
    best.height = normal.dot(mean);
    best.share = sum;
  }
  return best;
}

Eigen::Matrix4d upright(const Vector3d& up, std::optional<double> height, const Vector3d& pivot) {
  const Eigen::Matrix3d turn =
      Eigen::Quaterniond::FromTwoVectors(up, -Vector3d::UnitY()).toRotationMatrix();
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = turn;
  m.topRightCorner<3, 1>() = pivot - turn * pivot;
  // A place of the ground, carried along.
  if (height) m(1, 3) -= (turn * (up * *height / up.squaredNorm()) + m.topRightCorner<3, 1>()).y();
  return m;
}

}  // namespace covary::scene
