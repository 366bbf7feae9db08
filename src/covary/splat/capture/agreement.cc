#include "covary/splat/capture/agreement.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/geometry/rigid.h"
#include "covary/core/numeric/median.h"

namespace covary::capture {
namespace {

using Eigen::Matrix3d;
using Eigen::Matrix4d;
using Eigen::Vector3d;

constexpr size_t kMostHypotheses = 2000;

struct Pair {
  std::string name;
  Matrix3d ra, rb;  // world to camera
  Vector3d ca, cb;  // centres
};

Matrix4d similarity(double scale, const Matrix3d& rotation, const Vector3d& translation) {
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = scale * rotation;
  m.topRightCorner<3, 1>() = translation;
  return m;
}

double degrees_between(const Matrix3d& a, const Matrix3d& b) {
  // Of the chord, which keeps small angles.
  return 2 * std::asin(std::min(1.0, (a - b).norm() / std::sqrt(8.0))) * 180 / std::numbers::pi;
}

class Comparison {
 public:
  Comparison(std::vector<Pair> pairs, const AgreementOptions& options)
      : pairs_(std::move(pairs)), options_(options) {
    Vector3d low = pairs_[0].cb, high = low;
    for (const Pair& p : pairs_) {
      low = low.cwiseMin(p.cb);
      high = high.cwiseMax(p.cb);
    }
    extent_ = std::max((high - low).norm(), 1e-300);
  }

  double rotation_deg(const Pair& p, const Matrix4d& m) const {
    return degrees_between(p.ra * geometry::similarity_rotation(m).transpose(), p.rb);
  }
  double centre(const Pair& p, const Matrix4d& m) const {
    return (geometry::apply(m, p.ca) - p.cb).norm() / extent_;
  }
  bool agrees(const Pair& p, const Matrix4d& m) const {
    return rotation_deg(p, m) <= options_.rotation_deg && centre(p, m) <= options_.centre;
  }

  // The similarity that photos i and j give: orientation of i, scale and place of both.
  bool hypothesis(size_t i, size_t j, Matrix4d* m) const {
    const Pair &p = pairs_[i], &q = pairs_[j];
    const double la = (p.ca - q.ca).norm(), lb = (p.cb - q.cb).norm();
    if (!(la > 0) || !(lb > 1e-3 * extent_)) return false;  // too close to say a scale
    const Matrix3d r = p.rb.transpose() * p.ra;
    const double scale = lb / la;
    *m = similarity(scale, r, p.cb - scale * (r * p.ca));
    return m->allFinite();
  }

  Matrix4d best() const {
    const size_t n = pairs_.size();
    Matrix4d found = Matrix4d::Identity();
    size_t most = 0;
    const auto look = [&](size_t i, size_t j) {
      Matrix4d m;
      if (i == j || !hypothesis(i, j, &m)) return;
      const auto agreeing = static_cast<size_t>(
          std::count_if(pairs_.begin(), pairs_.end(), [&](const Pair& p) { return agrees(p, m); }));
      if (agreeing > most) {
        most = agreeing;
        found = m;
      }
    };
    if (n * n <= kMostHypotheses) {
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) look(i, j);
    } else {
      const Random random(1, stream_of("capture.agreement"));
      for (size_t k = 0; k < kMostHypotheses; ++k) {
        const auto words = random.words(k);
        look(words[0] % n, words[1] % n);
      }
    }
    return refined(found, most);
  }

 private:
  // Least squares on those that agree, when that leaves no fewer agreeing.
  Matrix4d refined(const Matrix4d& m, size_t agreeing) const {
    std::vector<Vector3d> from, to;
    for (const Pair& p : pairs_)
      if (agrees(p, m)) {
        from.push_back(p.ca);
        to.push_back(p.cb);
      }
    Matrix4d better = m;
    try {
      better = geometry::fit_similarity(from, to, true);
    } catch (const Error&) {
      return m;  // cameras on a line
    }
    const auto after = static_cast<size_t>(std::count_if(
        pairs_.begin(), pairs_.end(), [&](const Pair& p) { return agrees(p, better); }));
    return after >= agreeing ? better : m;
  }

  std::vector<Pair> pairs_;
  AgreementOptions options_;
  double extent_ = 1;
};

}  // namespace

Poses poses_of(const scene::ColmapModel& model) {
  Poses poses;
  for (const scene::ColmapImage& image : model.images) poses[image.name] = image.cam_from_world;
  return poses;
}

Agreement compare_poses(const Poses& a, const Poses& b, const AgreementOptions& options) {
  std::vector<Pair> pairs;
  for (const auto& [name, pose] : a) {
    const auto other = b.find(name);
    if (other == b.end()) continue;
    const auto split = [](const Matrix4d& m, Matrix3d* r, Vector3d* c) {
      *r = m.topLeftCorner<3, 3>();
      *c = -r->transpose() * m.topRightCorner<3, 1>();
    };
    Pair p;
    p.name = name;
    split(pose, &p.ra, &p.ca);
    split(other->second, &p.rb, &p.cb);
    pairs.push_back(p);
  }
  Agreement out;
  out.common = static_cast<int64_t>(pairs.size());
  if (pairs.size() < 3) {
    for (const Pair& p : pairs) out.differing.push_back(p.name);
    return out;
  }
  const Comparison comparison(pairs, options);
  out.b_from_a = comparison.best();
  std::vector<double> rotations, centres;
  for (const Pair& p : pairs) {
    rotations.push_back(comparison.rotation_deg(p, out.b_from_a));
    centres.push_back(comparison.centre(p, out.b_from_a));
    if (!comparison.agrees(p, out.b_from_a)) out.differing.push_back(p.name);
  }
  out.share = 1 - static_cast<double>(out.differing.size()) / static_cast<double>(pairs.size());
  out.median_rotation_deg = numeric::upper_median(std::move(rotations));
  out.median_centre = numeric::upper_median(std::move(centres));
  return out;
}

}  // namespace covary::capture
