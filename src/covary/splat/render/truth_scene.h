// The studio: a turntable with things on it in a lit room, as a picture function of rays.
//
//   const Studio studio(true);   // builds and bakes its light: about a second
//   const Studio::Seen s = studio.look(origin, direction, 0.001f);
//
// Light does not depend on the camera but for highlights and reflections: soft shadows and light
// from all around, once reflected from neighbours, are computed at the vertices when the studio is
// built. So images carry no noise and views agree. World: z up, the turntable's top at z = 0 with
// radius 1.25; colours linear, tone-mapped to [0, 1].
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/geometry/bvh.h"
#include "covary/splat/render/truth_materials.h"

namespace covary::render {

class Studio {
 public:
  // With floor and walls, or the turntable and its things alone. Takes about two seconds of one core.
  explicit Studio(bool room);
  // The same, built once a process.
  static const Studio& built(bool room);

  struct Seen {
    Eigen::Vector3f color = Eigen::Vector3f::Zero();
    float distance = 0;  // in multiples of the direction's length; 0 = nothing
    Eigen::Vector3f normal = Eigen::Vector3f::Zero();  // unit, towards the viewer
    int object = 0;                                    // index into objects(); 0 = nothing
  };
  // spread: width of the ray's footprint at distance 1 along it, world units.
  Seen look(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction, float spread) const;
  // The same without colour.
  Seen probe(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction) const;

  // Names by id; 0 is "nothing".
  const std::vector<std::string>& objects() const { return objects_; }

  struct SurfacePoint {
    Eigen::Vector3f position, normal;
  };
  // About n points on everything that can be seen, more densely on the things than on floor and
  // walls.
  std::vector<SurfacePoint> sample(int64_t n, uint64_t seed) const;

 private:
  struct Part {
    geometry::Mesh mesh;
    std::vector<Eigen::Vector3f> local;  // vertices in the material's axes
    float local_per_world = 1;
    Material material;
    int object = 0;
    double interest = 1;                 // density of sampled points against that of the turntable
    std::vector<Eigen::Vector3f> light;  // that reaches a vertex, key lamp included
    std::vector<float> key;              // share of the key lamp seen from it
  };
  struct Point;  // a hit with what is interpolated there

  int object(const std::string& name);
  void add(int object, geometry::Mesh mesh, const Eigen::Matrix4d& world_from_mesh,
           Material material, double interest);
  void furnish();
  void bake();
  Point at(const geometry::Hit& hit, const Eigen::Vector3f& origin,
           const Eigen::Vector3f& direction, float spread) const;
  bool wall(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction, Seen& seen) const;
  Eigen::Vector3f shade(const Point& point, const Eigen::Vector3f& unit_direction) const;

  bool room_;
  std::vector<std::string> objects_ = {"nothing"};
  std::vector<Part> parts_;
  int wall_object_ = 0, floor_part_ = -1;
  geometry::Bvh bvh_;
};

// Shoulder of the film: identity below 0.6, rolls off to 1 above.
Eigen::Vector3f tone_map(const Eigen::Vector3f& linear);

}  // namespace covary::render
