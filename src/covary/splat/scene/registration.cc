#include "covary/splat/scene/registration.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <nanoflann.hpp>
#include <optional>
#include <vector>

#include <Eigen/Dense>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/cloud_arrays.h"

namespace covary::scene {
namespace {

using Eigen::Matrix3d;
using Eigen::Matrix4d;
using Eigen::Vector3d;
using Matrix7d = Eigen::Matrix<double, 7, 7>;
using Vector7d = Eigen::Matrix<double, 7, 1>;

constexpr double kFaint = 0.2;  // opacity, below which a splat is left out
constexpr int64_t kTrialPoints = 2000;
constexpr int kTrialSteps = 20;
constexpr double kColourWeight =
    0.5;                         // of a difference of display colours, against the scene's size
constexpr double kSoft = 1e-3;   // of the scene's size: what shapes are blurred by
constexpr double kStill = 1e-9;  // a step below this is the last

struct Splats {
  std::vector<Vector3d> x, colour;
  std::vector<Matrix3d> shape;
  Vector3d mean = Vector3d::Zero();
  Matrix3d axes = Matrix3d::Identity();  // of the spread, columns, a rotation
  double size = 1;                       // root mean square distance from the mean
};

struct PointSet {
  const std::vector<Vector3d>& x;
  size_t kdtree_get_point_count() const { return x.size(); }
  double kdtree_get_pt(size_t i, size_t k) const { return x[i][static_cast<int>(k)]; }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

class Nearest {
 public:
  explicit Nearest(const std::vector<Vector3d>& x)
      : set_{x}, tree_(3, set_, nanoflann::KDTreeSingleIndexAdaptorParams(16)) {
    tree_.buildIndex();
  }
  int64_t of(const Vector3d& x, double* square) const {
    size_t index = 0;
    tree_.knnSearch(x.data(), 1, &index, square);
    return static_cast<int64_t>(index);
  }

 private:
  PointSet set_;
  nanoflann::KDTreeSingleIndexAdaptor<nanoflann::L2_Simple_Adaptor<double, PointSet>, PointSet, 3,
                                      size_t>
      tree_;
};

Splats splats_of(const Cloud& cloud, int64_t most, uint64_t seed, const char* which) {
  const CloudValues v(cloud);
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < v.n; ++i) {
    bool good = std::isfinite(v.opacities[i]) || v.opacities[i] > 0;
    for (int k = 0; k < 3; ++k)
      good =
          good && std::isfinite(v.means[3 * i + k]) && std::isfinite(std::exp(v.scales[3 * i + k]));
    if (good && 1 / (1 + std::exp(-v.opacities[i])) >= kFaint) rows.push_back(i);
  }
  if (rows.size() < 10)
    throw Error(ExitCode::kData, "has fewer than 10 splats that are not faint", which,
                "scenes are aligned by what is opaque in both");
  if (static_cast<int64_t>(rows.size()) > most) {
    const std::vector<int64_t> order =
        Random(seed, stream_of("registration")).permutation(static_cast<int64_t>(rows.size()));
    std::vector<int64_t> some;
    for (int64_t i = 0; i < most; ++i)
      some.push_back(rows[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    std::sort(some.begin(), some.end());
    rows = std::move(some);
  }
  Splats s;
  for (const int64_t i : rows) {
    s.x.push_back(Eigen::Map<const Eigen::Vector3f>(v.means + 3 * i).cast<double>());
    s.colour.push_back(display_colour(v.sh0 + 3 * i));
    s.shape.push_back(covariance_of(v.quats + 4 * i, v.scales + 3 * i));
    s.mean += s.x.back();
  }
  s.mean /= static_cast<double>(s.x.size());
  Matrix3d spread = Matrix3d::Zero();
  for (const Vector3d& x : s.x) spread += (x - s.mean) * (x - s.mean).transpose();
  s.size = std::max(std::sqrt(spread.trace() / static_cast<double>(s.x.size())), 1e-12);
  s.axes = Eigen::SelfAdjointEigenSolver<Matrix3d>(spread).eigenvectors();
  if (s.axes.determinant() < 0) s.axes.col(0) = -s.axes.col(0);
  return s;
}

struct Match {
  int64_t moving, fixed;
  double square;  // of their distance in the fixed scene
};

class Icp {
 public:
  Icp(const Splats& moving, const Splats& fixed, const RegistrationOptions& options)
      : moving_(moving),
        fixed_(fixed),
        options_(options),
        of_moving_(moving.x),
        of_fixed_(fixed.x) {}

  // The believed pairs of both ways, each way using every stride-th splat.
  std::vector<Match> matches(const Matrix4d& m, size_t stride) const {
    const double scale = geometry::similarity_scale(m);
    const Matrix4d back = m.inverse();
    const auto n = static_cast<int64_t>((moving_.x.size() + stride - 1) / stride),
               k = static_cast<int64_t>((fixed_.x.size() + stride - 1) / stride);
    std::vector<Match> all(static_cast<size_t>(n + k));
    parallel_for(n + k, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Match& a = all[static_cast<size_t>(i)];
        if (i < n) {
          a.moving = i * static_cast<int64_t>(stride);
          a.fixed =
              of_fixed_.of(geometry::apply(m, moving_.x[static_cast<size_t>(a.moving)]), &a.square);
        } else {
          a.fixed = (i - n) * static_cast<int64_t>(stride);
          a.moving = of_moving_.of(geometry::apply(back, fixed_.x[static_cast<size_t>(a.fixed)]),
                                   &a.square);
          a.square *= scale * scale;
        }
      }
    });
    const auto believed = std::max<std::ptrdiff_t>(
        10, std::llround(options_.overlap * static_cast<double>(all.size())));
    std::sort(all.begin(), all.end(), [](const Match& a, const Match& b) {
      return std::tie(a.square, a.moving, a.fixed) < std::tie(b.square, b.moving, b.fixed);
    });
    all.resize(std::min(all.size(), static_cast<size_t>(believed)));
    return all;
  }

  // One step; returns how far it went, as a share of the scene's size.
  double step(Matrix4d* m, size_t stride) const {
    const std::vector<Match> pairs = matches(*m, stride);
    const Matrix3d linear = m->topLeftCorner<3, 3>();
    const double soft = std::pow(kSoft * fixed_.size, 2);
    constexpr int64_t kBlock = 512;
    const auto n = static_cast<int64_t>(pairs.size());
    const int64_t blocks = (n + kBlock - 1) / kBlock;
    std::vector<Matrix7d> hessians(static_cast<size_t>(blocks), Matrix7d::Zero());
    std::vector<Vector7d> gradients(static_cast<size_t>(blocks), Vector7d::Zero());
    // Motion in coordinates about the middle of the fixed scene, in units of its size.
    parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        for (int64_t i = b * kBlock; i < std::min(n, (b + 1) * kBlock); ++i) {
          const Match& p = pairs[static_cast<size_t>(i)];
          const Vector3d q = geometry::apply(*m, moving_.x[static_cast<size_t>(p.moving)]);
          const Vector3d local = (q - fixed_.mean) / fixed_.size;
          const Vector3d residual = (q - fixed_.x[static_cast<size_t>(p.fixed)]) / fixed_.size;
          const Matrix3d shape =
              (fixed_.shape[static_cast<size_t>(p.fixed)] +
               linear * moving_.shape[static_cast<size_t>(p.moving)] * linear.transpose() +
               soft * Matrix3d::Identity()) /
              (fixed_.size * fixed_.size);
          // Weighted by shape alone: of one volume, whatever the size.
          const Matrix3d weight = shape.inverse() * std::cbrt(shape.determinant());
          Eigen::Matrix<double, 3, 7> j;
          j.leftCols<3>() = -geometry::skew(local);
          j.middleCols<3>(3) = Matrix3d::Identity();
          j.col(6) = local;
          hessians[static_cast<size_t>(b)] += j.transpose() * weight * j;
          gradients[static_cast<size_t>(b)] += j.transpose() * weight * residual;
        }
    });
    Matrix7d h = 1e-12 * Matrix7d::Identity();
    Vector7d g = Vector7d::Zero();
    for (int64_t b = 0; b < blocks; ++b) {
      h += hessians[static_cast<size_t>(b)];
      g += gradients[static_cast<size_t>(b)];
    }
    Vector7d d = Vector7d::Zero();
    if (options_.scale)
      d = -h.ldlt().solve(g);
    else
      d.head<6>() = -h.topLeftCorner<6, 6>().ldlt().solve(g.head<6>());
    if (!d.allFinite()) return 0;
    const double length = d.norm();
    if (length > 0.5) d *= 0.5 / length;
    const Matrix3d turn = std::exp(d[6]) * geometry::so3_exp(d.head<3>());
    Matrix4d motion = Matrix4d::Identity();
    motion.topLeftCorner<3, 3>() = turn;
    motion.topRightCorner<3, 1>() =
        fixed_.mean - turn * fixed_.mean + fixed_.size * d.segment<3>(3);
    *m = motion * *m;
    return length;
  }

  // Mean square of the believed pairs, colours included, in units of the scene's size.
  double cost(const Matrix4d& m, size_t stride, bool colours) const {
    double sum = 0;
    const std::vector<Match> pairs = matches(m, stride);
    for (const Match& p : pairs)
      sum += p.square / (fixed_.size * fixed_.size) +
             (colours ? kColourWeight * (moving_.colour[static_cast<size_t>(p.moving)] -
                                         fixed_.colour[static_cast<size_t>(p.fixed)])
                                            .squaredNorm()
                      : 0);
    return sum / static_cast<double>(pairs.size());
  }

 private:
  const Splats &moving_, &fixed_;
  const RegistrationOptions& options_;
  Nearest of_moving_, of_fixed_;
};

}  // namespace

void RegistrationOptions::check() const {
  if (!(overlap >= 0.05 && overlap <= 1))
    throw Error(ExitCode::kUsage, "is out of range", "overlap", "give a share between 0.05 and 1");
  if (steps < 1 || points < 10)
    throw Error(ExitCode::kUsage, "is too small", steps < 1 ? "steps" : "points");
}

Registration registered(const Cloud& moving, const Cloud& fixed,
                        const RegistrationOptions& options) {
  options.check();
  const Splats a = splats_of(moving, options.points, options.seed, "the scene that moves"),
               b = splats_of(fixed, options.points, options.seed, "the scene that stays");
  const Icp icp(a, b, options);
  std::vector<Matrix4d> beginnings = {Matrix4d::Identity()};
  const double factor = options.scale ? b.size / a.size : 1;
  const Vector3d signs[] = {{1, 1, 1}, {1, -1, -1}, {-1, 1, -1}, {-1, -1, 1}};
  for (const Vector3d& s : signs) {
    const Matrix3d linear = factor * b.axes * s.asDiagonal() * a.axes.transpose();
    Matrix4d m = Matrix4d::Identity();
    m.topLeftCorner<3, 3>() = linear;
    m.topRightCorner<3, 1>() = b.mean - linear * a.mean;
    beginnings.push_back(m);
  }
  const size_t stride =
      std::max<size_t>(1, std::max(a.x.size(), b.x.size()) / static_cast<size_t>(kTrialPoints));
  Registration best;
  double least = std::numeric_limits<double>::infinity();
  for (Matrix4d m : beginnings) {
    for (int k = 0; k < kTrialSteps && icp.step(&m, stride) > kStill; ++k) {
    }
    const double cost = icp.cost(m, stride, true);
    if (cost < least) {
      least = cost;
      best.fixed_from_moving = m;
    }
  }
  while (best.steps < options.steps) {
    ++best.steps;
    if (icp.step(&best.fixed_from_moving, 1) <= kStill) break;
  }
  best.distance = b.size * std::sqrt(icp.cost(best.fixed_from_moving, 1, false));
  return best;
}

}  // namespace covary::scene
