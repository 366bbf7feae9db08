// Rays against triangle meshes, by Embree: what is hit first, and whether anything is in the way.
//
//   Bvh bvh;
//   const int id = bvh.add(mesh);            // ids count from 0
//   bvh.build();
//   if (const auto hit = bvh.first_hit(origin, direction))
//     use(hit->distance, hit->mesh, hit->normal);
//   const bool dark = bvh.occluded(point, to_light, 1e-4f, distance_to_light);
//
// Queries are const and safe from many threads at once; they give the same bits on any number of
// them. Directions need not be unit: distances are in multiples of their length. The meshes are
// copied.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <memory>
#include <optional>

#include "covary/core/geometry/mesh.h"

namespace covary::geometry {

struct Hit {
  float distance = 0;      // in units of the direction's length
  int mesh = 0;            // as add() numbered it
  int triangle = 0;        // in that mesh
  float u = 0, v = 0;      // barycentric weights of the second and third corner
  Eigen::Vector3f normal;  // of the triangle's plane, unit, on its counter-clockwise side
};

class Bvh {
 public:
  static constexpr float kFar = std::numeric_limits<float>::infinity();

  Bvh();  // Error(kFailed) when Embree cannot start
  ~Bvh();
  Bvh(Bvh&&) noexcept;
  Bvh& operator=(Bvh&&) noexcept;

  int add(const Mesh&
              mesh);  // before build(); Error(kData) for a mesh that fails its check or is empty
  void build();

  std::optional<Hit> first_hit(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction,
                               float near = 0, float far = kFar) const;
  bool occluded(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction, float near = 0,
                float far = kFar) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace covary::geometry
