// Triangle meshes: plain arrays, builders of common shapes, surface sampling.
//
//   Mesh ring = make_torus(0.4, 0.1, 96, 48);             // about +z
//   transform(ring, rigid(so3_exp({1.5, 0, 0}), {0, 0, 0.5}));
//   for (const SurfacePoint& p : sample_surface(ring, 4000, Random(1))) use(p.position, p.normal);
//
// Triangles are counter-clockwise seen from outside. Shapes stand about the origin with +z up and
// carry vertex normals and uv coordinates in [0, 1]; seams and hard edges repeat their vertices.
// Lengths are in the caller's unit.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

#include "covary/core/base/random.h"

namespace covary::geometry {

struct Mesh {
  std::vector<Eigen::Vector3f> vertices;
  std::vector<Eigen::Vector3i> triangles;  // indices into vertices
  std::vector<Eigen::Vector3f> normals;    // unit, one a vertex; may be empty
  std::vector<Eigen::Vector2f> uvs;        // one a vertex; may be empty
  std::vector<Eigen::Vector3f> colors;     // [0, 1], one a vertex; may be empty

  // Sizes agree, every index names a vertex, every vertex is finite; Error(kData) naming what is
  // wrong.
  void check() const;
};

// Adds the second mesh's vertices and triangles; what only one of the two carries is dropped.
void append(Mesh& mesh, const Mesh& other);
// A 4 x 4 similarity or other affine map with positive determinant.
void transform(Mesh& mesh, const Eigen::Matrix4d& target_from_mesh);
// Area-weighted vertex normals; vertices that are repeated (seams, hard edges) stay apart.
void compute_normals(Mesh& mesh);

double triangle_area(const Mesh& mesh, int64_t triangle);
double surface_area(const Mesh& mesh);

// Position and smooth normal at barycentric weights (1 - u - v, u, v) of a triangle's corners.
Eigen::Vector3f position_at(const Mesh& mesh, int64_t triangle, float u, float v);
Eigen::Vector3f normal_at(const Mesh& mesh, int64_t triangle, float u, float v);

struct SurfacePoint {
  int64_t triangle = 0;
  float u = 0, v = 0;  // barycentric weights of the second and third corner
  Eigen::Vector3f position, normal;
};
// Points spread evenly by area, stratified; a pure function of the mesh, n and the random stream.
std::vector<SurfacePoint> sample_surface(const Mesh& mesh, int64_t n, const Random& random);

// A grid of (columns + 1) x (rows + 1) vertices over uv in [0, 1]^2, normals by central differences
// of the surface; u x v must point outward. What every curved builder below is made of.
using Surface = std::function<Eigen::Vector3d(double u, double v)>;
Mesh make_surface(const Surface& surface, int columns, int rows);

// Faces of cells x cells quads; uv runs over each face.
Mesh make_box(const Eigen::Vector3d& half_size, int cells = 1);
// A box whose edges and corners are rounded off with this radius; uv as for the box.
Mesh make_rounded_box(const Eigen::Vector3d& half_size, double radius, int cells = 12);
Mesh make_plane(double half_x, double half_y, int columns, int rows);  // z = 0, facing +z
Mesh make_disc(double radius, int rings, int sectors);                 // z = 0, facing +z
Mesh make_sphere(double radius, int columns, int rows);                // by longitude and latitude
Mesh make_icosphere(double radius, int subdivisions);                  // 20 * 4^n even triangles
Mesh make_icosahedron(double radius);                                  // flat faces, hard edges
Mesh make_cylinder(double radius, double height, int sectors, int rows);  // closed, base at z = 0
Mesh make_torus(double major_radius, double minor_radius, int columns, int rows);

// A profile of (radius, height), from bottom to top outside, turned about z.
using Profile = std::function<Eigen::Vector2d(double t)>;
Mesh make_lathe(const Profile& profile, int sectors, int rows);

// A tube along a curve, t in [0, 1], with a radius; u runs along, v around. The frame is carried
// along the curve without twist and, on closed curves, the rest of the turn is spread evenly. Open
// ends stay open.
using Curve = std::function<Eigen::Vector3d(double t)>;
Mesh make_tube(const Curve& curve, double radius, bool closed, int columns, int rows);
// The torus knot that winds p times about the axis and q times about the ring.
Mesh make_torus_knot(int p, int q, double major_radius, double minor_radius, double tube_radius,
                     int columns, int rows);

}  // namespace covary::geometry
