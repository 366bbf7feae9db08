// From each point of one set to the nearest of another, and how well two surfaces agree by it.
//
//   std::vector<double> d = distances_to(mesh_points, truth_points);
//   const SurfaceScore s = surface_score(mesh_points, truth_points, 0.01 * extent);   // s.f, s.precision, s.recall
//
// Points are floats [n,3]. A kd-tree, queries in parallel; the same bits at any number of threads. Error(kData) when a set is empty
// or a coordinate is not finite.
// Source: Knapitsch et al. 2017 (Tanks and Temples): precision, recall and their harmonic mean.
#pragma once

#include <span>
#include <vector>

#include <Eigen/Core>

namespace covary::geometry {

std::vector<double> distances_to(std::span<const Eigen::Vector3f> from,
                                 std::span<const Eigen::Vector3f> to);

struct SurfaceScore {
  double precision = 0, recall = 0;  // shares of points nearer than the threshold
  double f = 0;                      // their harmonic mean
  double mean_error = 0;             // of `ours` to `truth`, world
};
SurfaceScore surface_score(std::span<const Eigen::Vector3f> ours,
                           std::span<const Eigen::Vector3f> truth, double threshold);

}  // namespace covary::geometry
