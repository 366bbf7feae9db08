#include "covary/core/geometry/mesh.h"

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/geometry/rigid.h"

namespace covary::geometry {
namespace {

constexpr double kPi = std::numbers::pi;

Eigen::Vector3f corner(const Mesh& mesh, int64_t triangle, int k) {
  return mesh.vertices[static_cast<size_t>(mesh.triangles[static_cast<size_t>(triangle)][k])];
}

Eigen::Vector3d cross_of(const Mesh& mesh, int64_t triangle) {
  const Eigen::Vector3d a = corner(mesh, triangle, 0).cast<double>();
  return (corner(mesh, triangle, 1).cast<double>() - a)
      .cross(corner(mesh, triangle, 2).cast<double>() - a);
}

// Two triangles a cell of a grid of vertices that starts at `first`.
void add_grid_triangles(Mesh& mesh, int first, int columns, int rows) {
  const int stride = columns + 1;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const int a = first + r * stride + c, b = a + 1, d = a + stride, e = d + 1;
      mesh.triangles.emplace_back(a, b, e);
      mesh.triangles.emplace_back(a, e, d);
    }
  }
}

// One side of a box: the plane at +half[axis] or -half[axis], uv as seen from outside.
void add_box_side(Mesh& mesh, const Eigen::Vector3d& half, int axis, int sign, int cells,
                  double radius) {
  Eigen::Vector3d normal = Eigen::Vector3d::Zero(), right, up;
  normal[axis] = sign;
  up = axis == 2 ? Eigen::Vector3d(0, sign, 0) : Eigen::Vector3d(0, 0, 1);
  right = up.cross(normal);
  const double half_right = std::abs(right.dot(half)), half_up = std::abs(up.dot(half));
  const Eigen::Vector3d inner = half - Eigen::Vector3d::Constant(radius);
  const int first = static_cast<int>(mesh.vertices.size());
  // Rounded boxes spend a third of the cells on each edge, at even angles of the arc.
  const auto place = [&](int i, double half_length) {
    const double s = static_cast<double>(i) / cells;
    if (radius <= 0) return (2 * s - 1) * half_length;
    const double band = 1.0 / 3, flat = half_length - radius;
    if (s < band) return -flat - radius * std::tan((1 - s / band) * kPi / 4);
    if (s > 1 - band) return flat + radius * std::tan((s - 1 + band) / band * kPi / 4);
    return flat * (2 * (s - band) / (1 - 2 * band) - 1);
  };
  for (int r = 0; r <= cells; ++r) {
    for (int c = 0; c <= cells; ++c) {
      const double x = place(c, half_right), y = place(r, half_up);
      Eigen::Vector3d p = normal * half[axis] + right * x + up * y, n = normal;
      if (radius > 0) {
        const Eigen::Vector3d core = p.cwiseMax(-inner).cwiseMin(inner);
        n = (p - core).normalized();
        p = core + radius * n;
      }
      mesh.vertices.push_back(p.cast<float>());
      mesh.normals.push_back(n.cast<float>());
      mesh.uvs.emplace_back(static_cast<float>(0.5 + 0.5 * x / half_right),
                            static_cast<float>(0.5 + 0.5 * y / half_up));
    }
  }
  add_grid_triangles(mesh, first, cells, cells);
}

Mesh box(const Eigen::Vector3d& half, double radius, int cells) {
  Mesh mesh;
  for (int axis = 0; axis < 3; ++axis) {
    for (const int sign : {1, -1}) add_box_side(mesh, half, axis, sign, cells, radius);
  }
  return mesh;
}

// The icosahedron's corners and faces.
void icosahedron(std::vector<Eigen::Vector3d>& corners, std::vector<Eigen::Vector3i>& faces) {
  const double g = std::numbers::phi;
  for (const double a : {-1.0, 1.0}) {
    for (const double b : {-g, g}) {
      corners.emplace_back(0, a, b);
      corners.emplace_back(a, b, 0);
      corners.emplace_back(b, 0, a);
    }
  }
  // Faces are the triples of corners at mutual distance 2, turned outward.
  for (int i = 0; i < 12; ++i) {
    for (int j = i + 1; j < 12; ++j) {
      for (int k = j + 1; k < 12; ++k) {
        const auto& [p, q, r] =
            std::tie(corners[static_cast<size_t>(i)], corners[static_cast<size_t>(j)],
                     corners[static_cast<size_t>(k)]);
        if ((p - q).norm() > 2.1 || (q - r).norm() > 2.1 || (r - p).norm() > 2.1) continue;
        faces.emplace_back((q - p).cross(r - p).dot(p) > 0 ? Eigen::Vector3i(i, j, k)
                                                           : Eigen::Vector3i(i, k, j));
      }
    }
  }
  for (Eigen::Vector3d& c : corners) c.normalize();
}

void set_spherical_uvs(Mesh& mesh) {
  for (const Eigen::Vector3f& n : mesh.normals) {
    mesh.uvs.emplace_back(
        static_cast<float>(0.5 + std::atan2(static_cast<double>(n.y()), n.x()) / (2 * kPi)),
        static_cast<float>(0.5 + std::asin(std::clamp<double>(n.z(), -1, 1)) / kPi));
  }
}

}  // namespace

void Mesh::check() const {
  const auto fail = [](const std::string& what) { throw Error(ExitCode::kData, what, "mesh"); };
  for (const auto& [name, size] :
       {std::pair{"normals", normals.size()}, std::pair{"uvs", uvs.size()},
        std::pair{"colors", colors.size()}}) {
    if (size != 0 && size != vertices.size()) {
      fail(std::to_string(size) + " " + name + " for " + std::to_string(vertices.size()) +
           " vertices");
    }
  }
  for (const Eigen::Vector3f& v : vertices) {
    if (!v.allFinite()) fail("a vertex is not finite");
  }
  const int64_t n = static_cast<int64_t>(vertices.size());
  for (const Eigen::Vector3i& t : triangles) {
    if (t.minCoeff() < 0 || t.maxCoeff() >= n) fail("a triangle names a vertex that is not there");
  }
}

void append(Mesh& mesh, const Mesh& other) {
  if (mesh.vertices.empty()) {
    mesh = other;
    return;
  }
  const int first = static_cast<int>(mesh.vertices.size());
  const auto join = [](auto& a, const auto& b) {
    if (a.empty() || b.empty()) {
      a.clear();
    } else {
      a.insert(a.end(), b.begin(), b.end());
    }
  };
  mesh.vertices.insert(mesh.vertices.end(), other.vertices.begin(), other.vertices.end());
  join(mesh.normals, other.normals);
  join(mesh.uvs, other.uvs);
  join(mesh.colors, other.colors);
  for (const Eigen::Vector3i& t : other.triangles) {
    mesh.triangles.emplace_back(t + Eigen::Vector3i::Constant(first));
  }
}

void transform(Mesh& mesh, const Eigen::Matrix4d& target_from_mesh) {
  const Eigen::Matrix3d linear = target_from_mesh.topLeftCorner<3, 3>();
  if (!(linear.determinant() > 0)) {
    throw Error(ExitCode::kFailed, "the map turns the mesh inside out or flattens it", "transform");
  }
  const Eigen::Matrix3d for_normals = linear.inverse().transpose();
  for (Eigen::Vector3f& v : mesh.vertices)
    v = apply(target_from_mesh, v.cast<double>()).cast<float>();
  for (Eigen::Vector3f& n : mesh.normals)
    n = (for_normals * n.cast<double>()).normalized().cast<float>();
}

void compute_normals(Mesh& mesh) {
  std::vector<Eigen::Vector3d> sums(mesh.vertices.size(), Eigen::Vector3d::Zero());
  for (size_t t = 0; t < mesh.triangles.size(); ++t) {
    const Eigen::Vector3d n = cross_of(mesh, static_cast<int64_t>(t));
    for (int k = 0; k < 3; ++k) sums[static_cast<size_t>(mesh.triangles[t][k])] += n;
  }
  mesh.normals.clear();
  for (const Eigen::Vector3d& s : sums) {
    mesh.normals.push_back(s.norm() > 0 ? Eigen::Vector3f(s.normalized().cast<float>())
                                        : Eigen::Vector3f::UnitZ());
  }
}

double triangle_area(const Mesh& mesh, int64_t triangle) {
  return 0.5 * cross_of(mesh, triangle).norm();
}

double surface_area(const Mesh& mesh) {
  double sum = 0;
  for (size_t t = 0; t < mesh.triangles.size(); ++t)
    sum += triangle_area(mesh, static_cast<int64_t>(t));
  return sum;
}

Eigen::Vector3f position_at(const Mesh& mesh, int64_t triangle, float u, float v) {
  return (1 - u - v) * corner(mesh, triangle, 0) + u * corner(mesh, triangle, 1) +
         v * corner(mesh, triangle, 2);
}

Eigen::Vector3f normal_at(const Mesh& mesh, int64_t triangle, float u, float v) {
  if (mesh.normals.empty()) return cross_of(mesh, triangle).normalized().cast<float>();
  const Eigen::Vector3i& t = mesh.triangles[static_cast<size_t>(triangle)];
  const auto n = [&](int k) -> const Eigen::Vector3f& {
    return mesh.normals[static_cast<size_t>(t[k])];
  };
  return ((1 - u - v) * n(0) + u * n(1) + v * n(2)).normalized();
}

std::vector<SurfacePoint> sample_surface(const Mesh& mesh, int64_t n, const Random& random) {
  std::vector<SurfacePoint> points;
  if (n <= 0) return points;
  std::vector<double> cumulative(mesh.triangles.size());
  double total = 0;
  for (size_t t = 0; t < mesh.triangles.size(); ++t) {
    total += triangle_area(mesh, static_cast<int64_t>(t));
    cumulative[t] = total;
  }
  if (!(total > 0))
    throw Error(ExitCode::kFailed, "a mesh without area has no points", "sample_surface");
  points.reserve(static_cast<size_t>(n));
  size_t t = 0;
  for (int64_t i = 0; i < n; ++i) {
    // One point in each of n equal shares of the area; shares are visited in triangle order.
    const uint64_t e = 2 * static_cast<uint64_t>(i);
    const double target =
        (static_cast<double>(i) + random.uniform(e)) / static_cast<double>(n) * total;
    while (t + 1 < cumulative.size() && cumulative[t] <= target) ++t;
    const std::array<uint32_t, 4> w = random.words(e + 1);
    double a = w[0] * 0x1p-32, b = w[1] * 0x1p-32;
    if (a + b > 1) {
      a = 1 - a;
      b = 1 - b;
    }
    SurfacePoint p;
    p.triangle = static_cast<int64_t>(t);
    p.u = static_cast<float>(a);
    p.v = static_cast<float>(b);
    p.position = position_at(mesh, p.triangle, p.u, p.v);
    p.normal = normal_at(mesh, p.triangle, p.u, p.v);
    points.push_back(p);
  }
  return points;
}

Mesh make_surface(const Surface& surface, int columns, int rows) {
  Mesh mesh;
  for (int r = 0; r <= rows; ++r) {
    for (int c = 0; c <= columns; ++c) {
      const double u = static_cast<double>(c) / columns, v = static_cast<double>(r) / rows;
      constexpr double kStep = 1e-5;
      Eigen::Vector3d du = surface(u + kStep, v) - surface(u - kStep, v);
      Eigen::Vector3d dv = surface(u, v + kStep) - surface(u, v - kStep);
      // At a pole one of the two vanishes: look a little inward, where the normal is nearly the
      // same.
      if (du.norm() < 1e-9 || dv.norm() < 1e-9) {
        const double inward = v < 0.5 ? v + 1e-3 : v - 1e-3;
        du = surface(u + kStep, inward) - surface(u - kStep, inward);
        dv = surface(u, inward + kStep) - surface(u, inward - kStep);
      }
      mesh.vertices.push_back(surface(u, v).cast<float>());
      mesh.normals.push_back(du.cross(dv).normalized().cast<float>());
      mesh.uvs.emplace_back(static_cast<float>(u), static_cast<float>(v));
    }
  }
  add_grid_triangles(mesh, 0, columns, rows);
  return mesh;
}

Mesh make_box(const Eigen::Vector3d& half_size, int cells) { return box(half_size, 0, cells); }

Mesh make_rounded_box(const Eigen::Vector3d& half_size, double radius, int cells) {
  if (!(radius > 0) || radius > half_size.minCoeff()) {
    throw Error(ExitCode::kFailed, "the radius must be positive and at most the smallest half size",
                "make_rounded_box");
  }
  return box(half_size, radius, (cells + 2) / 3 * 3);  // edge bands end on a line of vertices
}

Mesh make_plane(double half_x, double half_y, int columns, int rows) {
  return make_surface(
      [=](double u, double v) {
        return Eigen::Vector3d((2 * u - 1) * half_x, (2 * v - 1) * half_y, 0);
      },
      columns, rows);
}

Mesh make_disc(double radius, int rings, int sectors) {
  Mesh mesh = make_surface(
      [=](double u, double v) {
        const double a = 2 * kPi * u, r = radius * (1 - v);
        return Eigen::Vector3d(r * std::cos(a), r * std::sin(a), 0);
      },
      sectors, rings);
  for (Eigen::Vector3f& n : mesh.normals) n = Eigen::Vector3f::UnitZ();
  return mesh;
}

Mesh make_sphere(double radius, int columns, int rows) {
  Mesh mesh = make_surface(
      [=](double u, double v) {
        const double a = 2 * kPi * u, b = kPi * (v - 0.5);
        return Eigen::Vector3d(radius * std::cos(b) * std::cos(a),
                               radius * std::cos(b) * std::sin(a), radius * std::sin(b));
      },
      columns, rows);
  for (size_t i = 0; i < mesh.vertices.size(); ++i) mesh.normals[i] = mesh.vertices[i].normalized();
  return mesh;
}

Mesh make_icosphere(double radius, int subdivisions) {
  std::vector<Eigen::Vector3d> points;
  Mesh mesh;
  icosahedron(points, mesh.triangles);
  for (int s = 0; s < subdivisions; ++s) {
    std::map<std::pair<int, int>, int> middles;
    const auto middle = [&](int a, int b) {
      const auto [it, is_new] =
          middles.try_emplace({std::min(a, b), std::max(a, b)}, static_cast<int>(points.size()));
      if (is_new) {
        points.push_back(
            (points[static_cast<size_t>(a)] + points[static_cast<size_t>(b)]).normalized());
      }
      return it->second;
    };
    std::vector<Eigen::Vector3i> finer;
    for (const Eigen::Vector3i& t : mesh.triangles) {
      const int ab = middle(t[0], t[1]), bc = middle(t[1], t[2]), ca = middle(t[2], t[0]);
      finer.emplace_back(t[0], ab, ca);
      finer.emplace_back(t[1], bc, ab);
      finer.emplace_back(t[2], ca, bc);
      finer.emplace_back(ab, bc, ca);
    }
    mesh.triangles = std::move(finer);
  }
  for (const Eigen::Vector3d& p : points) {
    mesh.vertices.push_back((radius * p).cast<float>());
    mesh.normals.push_back(p.cast<float>());
  }
  set_spherical_uvs(mesh);
  return mesh;
}

Mesh make_icosahedron(double radius) {
  std::vector<Eigen::Vector3d> corners;
  std::vector<Eigen::Vector3i> faces;
  icosahedron(corners, faces);
  Mesh mesh;
  for (const Eigen::Vector3i& f : faces) {
    const int first = static_cast<int>(mesh.vertices.size());
    const Eigen::Vector3d centre = corners[static_cast<size_t>(f[0])] +
                                   corners[static_cast<size_t>(f[1])] +
                                   corners[static_cast<size_t>(f[2])];
    for (int k = 0; k < 3; ++k) {
      mesh.vertices.push_back((radius * corners[static_cast<size_t>(f[k])]).cast<float>());
      mesh.normals.push_back(centre.normalized().cast<float>());
    }
    mesh.uvs.emplace_back(0.f, 0.f);
    mesh.uvs.emplace_back(1.f, 0.f);
    mesh.uvs.emplace_back(0.5f, 1.f);
    mesh.triangles.emplace_back(first, first + 1, first + 2);
  }
  return mesh;
}

Mesh make_cylinder(double radius, double height, int sectors, int rows) {
  Mesh mesh = make_surface(
      [=](double u, double v) {
        const double a = 2 * kPi * u;
        return Eigen::Vector3d(radius * std::cos(a), radius * std::sin(a), height * v);
      },
      sectors, rows);
  Mesh lid = make_disc(radius, rows, sectors), base = lid;
  transform(lid, rigid(Eigen::Matrix3d::Identity(), {0, 0, height}));
  transform(base, rigid(so3_exp({kPi, 0, 0}), Eigen::Vector3d::Zero()));
  append(mesh, lid);
  append(mesh, base);
  return mesh;
}

Mesh make_torus(double major_radius, double minor_radius, int columns, int rows) {
  return make_surface(
      [=](double u, double v) {
        const double a = 2 * kPi * u, b = 2 * kPi * v,
                     r = major_radius + minor_radius * std::cos(b);
        return Eigen::Vector3d(r * std::cos(a), r * std::sin(a), minor_radius * std::sin(b));
      },
      columns, rows);
}

Mesh make_lathe(const Profile& profile, int sectors, int rows) {
  return make_surface(
      [&](double u, double v) {
        const Eigen::Vector2d p = profile(std::clamp(v, 0.0, 1.0));
        const double a = 2 * kPi * u;
        return Eigen::Vector3d(p.x() * std::cos(a), p.x() * std::sin(a), p.y());
      },
      sectors, rows);
}

Mesh make_tube(const Curve& curve, double radius, bool closed, int columns, int rows) {
  constexpr double kStep = 1e-4;
  const auto tangent = [&](double t) -> Eigen::Vector3d {
    const double low = closed ? t - kStep : std::max(0.0, t - kStep);
    const double high = closed ? t + kStep : std::min(1.0, t + kStep);
    return (curve(high) - curve(low)).normalized();
  };
  std::vector<Eigen::Vector3d> sides;
  Eigen::Vector3d forward = tangent(0);
  Eigen::Index smallest = 0;
  forward.cwiseAbs().minCoeff(&smallest);
  sides.push_back(forward.cross(Eigen::Vector3d(Eigen::Vector3d::Unit(smallest))).normalized());
  for (int c = 1; c <= columns; ++c) {
    const Eigen::Vector3d next = tangent(static_cast<double>(c) / columns);
    const Eigen::Vector3d side = quat_rotate(
        [&] {
          const Eigen::Quaterniond q = Eigen::Quaterniond::FromTwoVectors(forward, next);
          return Eigen::Vector4d(q.w(), q.x(), q.y(), q.z());
        }(),
        sides.back());
    sides.push_back((side - side.dot(next) * next).normalized());
    forward = next;
  }
  const double rest = closed ? -std::atan2(sides.back().cross(sides.front()).dot(forward),
                                           sides.back().dot(sides.front()))
                             : 0;
  Mesh mesh;
  for (int r = 0; r <= rows; ++r) {
    for (int c = 0; c <= columns; ++c) {
      const double t = static_cast<double>(c) / columns;
      const Eigen::Vector3d along = tangent(t), side = sides[static_cast<size_t>(c)];
      const double a = 2 * kPi * r / rows + rest * t;
      const Eigen::Vector3d n = std::cos(a) * side - std::sin(a) * along.cross(side);
      mesh.vertices.push_back((curve(t) + radius * n).cast<float>());
      mesh.normals.push_back(n.cast<float>());
      mesh.uvs.emplace_back(static_cast<float>(t),
                            static_cast<float>(r) / static_cast<float>(rows));
    }
  }
  add_grid_triangles(mesh, 0, columns, rows);
  return mesh;
}

Mesh make_torus_knot(int p, int q, double major_radius, double minor_radius, double tube_radius,
                     int columns, int rows) {
  return make_tube(
      [=](double t) {
        const double a = 2 * kPi * p * t, b = 2 * kPi * q * t,
                     r = major_radius + minor_radius * std::cos(b);
        return Eigen::Vector3d(r * std::cos(a), r * std::sin(a), minor_radius * std::sin(b));
      },
      tube_radius, true, columns, rows);
}

}  // namespace covary::geometry
