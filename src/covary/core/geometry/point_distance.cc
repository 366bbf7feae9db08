#include "covary/core/geometry/point_distance.h"

#include <algorithm>
#include <cmath>
#include <nanoflann.hpp>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::geometry {
namespace {

constexpr int64_t kGrain = 1024;  // points

// nanoflann's interface.
struct PointSet {
  std::span<const Eigen::Vector3f> points;
  size_t kdtree_get_point_count() const { return points.size(); }
  float kdtree_get_pt(size_t i, size_t k) const { return points[i][static_cast<Eigen::Index>(k)]; }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

void check(std::span<const Eigen::Vector3f> points, const char* name) {
  if (points.empty()) throw Error(ExitCode::kData, "there are no points", name);
  for (size_t i = 0; i < points.size(); ++i)
    if (!points[i].allFinite())
      throw Error(ExitCode::kData, "point " + std::to_string(i) + " is not finite", name);
}

}  // namespace

std::vector<double> distances_to(std::span<const Eigen::Vector3f> from,
                                 std::span<const Eigen::Vector3f> to) {
  check(from, "from");
  check(to, "to");
  const PointSet set{to};
  using Tree = nanoflann::KDTreeSingleIndexAdaptor<nanoflann::L2_Simple_Adaptor<float, PointSet>,
                                                   PointSet, 3, size_t>;
  const Tree tree(3, set, nanoflann::KDTreeSingleIndexAdaptorParams(16));
  std::vector<double> out(from.size());
  parallel_for(static_cast<int64_t>(from.size()), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      size_t index = 0;
      float squared = 0;
      tree.knnSearch(from[static_cast<size_t>(i)].data(), 1, &index, &squared);
      out[static_cast<size_t>(i)] = std::sqrt(static_cast<double>(squared));
    }
  });
  return out;
}

SurfaceScore surface_score(std::span<const Eigen::Vector3f> ours,
                           std::span<const Eigen::Vector3f> truth, double threshold) {
  const std::vector<double> there = distances_to(ours, truth), back = distances_to(truth, ours);
  const auto share = [&](const std::vector<double>& d) {
    return static_cast<double>(
               std::count_if(d.begin(), d.end(), [&](double x) { return x < threshold; })) /
           static_cast<double>(d.size());
  };
  SurfaceScore s{share(there), share(back)};
  if (s.precision + s.recall > 0) s.f = 2 * s.precision * s.recall / (s.precision + s.recall);
  for (const double d : there) s.mean_error += d / static_cast<double>(there.size());
  return s;
}

}  // namespace covary::geometry
