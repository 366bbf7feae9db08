#include "covary/splat/render/truth_scene.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/rigid.h"

namespace covary::render {

using Eigen::Matrix3d;
using Eigen::Matrix4d;
using Eigen::Vector3d;
using Eigen::Vector3f;

namespace {

constexpr double kPi = std::numbers::pi;
constexpr float kTable = 1.25f;   // radius of the turntable
constexpr float kFloor = -0.28f;  // z of the floor
constexpr float kWall = 7;        // radius of the dome over the floor
constexpr int kKeySamples = 24, kSkySamples = 64;
constexpr float kSkyStrength = 0.62f;  // of the light from all around, against the key lamp
const Vector3f kKeyPosition(2.6f, -2.0f, 3.9f), kKeyColor(1.3f, 1.16f, 0.96f);
constexpr float kKeyRadius = 0.34f;

Matrix4d pose(double x, double y, double z, double turn = 0, double tilt = 0) {
  return geometry::rigid(geometry::so3_exp({0, 0, turn}) * geometry::so3_exp({tilt, 0, 0}),
                         {x, y, z});
}

// An even set of points in the unit square (additive recurrence of the plastic number).
Eigen::Vector2f even_point(int i) {
  const double a = 0.7548776662466927, b = 0.5698402909980532;
  const double x = 0.5 + a * i, y = 0.5 + b * i;
  return {static_cast<float>(x - std::floor(x)), static_cast<float>(y - std::floor(y))};
}

// Two axes across a direction, without a jump except at -z.
void axes_across(const Vector3f& n, Vector3f& a, Vector3f& b) {
  const float s = 1 / (1 + std::max(n.z(), -0.9999f)), c = -n.x() * n.y() * s;
  a = Vector3f(1 - n.x() * n.x() * s, c, -n.x());
  b = Vector3f(c, 1 - n.y() * n.y() * s, -n.y());
}

// A profile through the given points, rounded by a cubic through each.
geometry::Profile spline_profile(std::vector<Eigen::Vector2d> points) {
  return [points = std::move(points)](double t) -> Eigen::Vector2d {
    const int n = static_cast<int>(points.size());
    const double x = std::clamp(t, 0.0, 1.0) * (n - 1);
    const int i = std::min(static_cast<int>(x), n - 2);
    const double f = x - i;
    const auto p = [&](int k) { return points[static_cast<size_t>(std::clamp(k, 0, n - 1))]; };
    const Eigen::Vector2d a = p(i), b = p(i + 1), da = 0.5 * (p(i + 1) - p(i - 1)),
                          db = 0.5 * (p(i + 2) - p(i));
    Eigen::Vector2d r =
        a + f * (da + f * ((3 * (b - a) - 2 * da - db) + f * (2 * (a - b) + da + db)));
    r.x() = std::max(r.x(), 0.0);
    return r;
  };
}

geometry::Profile polyline_profile(std::vector<Eigen::Vector2d> points, std::vector<double> ends) {
  return [points = std::move(points), ends = std::move(ends)](double t) -> Eigen::Vector2d {
    size_t i = 0;
    while (i + 2 < ends.size() && t > ends[i + 1]) ++i;
    const double f = (t - ends[i]) / (ends[i + 1] - ends[i]);
    return points[i] + f * (points[i + 1] - points[i]);
  };
}

}  // namespace

struct Studio::Point {
  const Part* part = nullptr;
  float distance = 0;
  Vector3f position, normal, light;
  float key = 0;
  TexturePoint texture;
};

Vector3f tone_map(const Vector3f& linear) {
  return linear.unaryExpr([](float x) {
    constexpr float kKnee = 0.6f;
    x = std::max(x, 0.f);
    return x < kKnee ? x : kKnee + (1 - kKnee) * (1 - std::exp((kKnee - x) / (1 - kKnee)));
  });
}

Studio::Studio(bool room) : room_(room) {
  furnish();
  for (Part& part : parts_) bvh_.add(part.mesh);
  bvh_.build();
  bake();
  if (!room_) {  // the floor gave its light; now it goes
    parts_.erase(parts_.begin() + floor_part_);
    bvh_ = geometry::Bvh();
    for (const Part& part : parts_) bvh_.add(part.mesh);
    bvh_.build();
  }
}

int Studio::object(const std::string& name) {
  objects_.push_back(name);
  return static_cast<int>(objects_.size()) - 1;
}

void Studio::add(int object, geometry::Mesh mesh, const Matrix4d& world_from_mesh,
                 Material material, double interest) {
  Part part;
  part.local = mesh.vertices;
  part.local_per_world = static_cast<float>(1 / geometry::similarity_scale(world_from_mesh));
  geometry::transform(mesh, world_from_mesh);
  part.mesh = std::move(mesh);
  part.material = std::move(material);
  part.object = object;
  part.interest = interest;
  parts_.push_back(std::move(part));
}

void Studio::furnish() {
  using namespace geometry;
  if (room_) wall_object_ = object("wall");
  {
    const int id = object("floor");
    floor_part_ = static_cast<int>(parts_.size());
    const Texture parquet = parquet_texture(0.5f), rug = rug_texture(2.3f);
    add(id,
        make_lathe(polyline_profile({{kWall, 0}, {3, 0}, {1, 0}, {0, 0}}, {0, 0.3, 0.95, 1}), 160,
                   60),
        pose(0, 0, kFloor),
        {.color =
             [=](const TexturePoint& t) {
               return std::hypot(t.position.x(), t.position.y()) < 2.3f ? rug(t) : parquet(t);
             }},
        0.12);
  }
  {
    const int id = object("turntable");
    const double r = kTable, h = kFloor;
    add(id,
        make_lathe(polyline_profile({{r - 0.1, h},
                                     {r - 0.1, h + 0.1},
                                     {r, h + 0.12},
                                     {r, -0.02},
                                     {r - 0.02, 0},
                                     {0, 0}},
                                    {0, 0.05, 0.09, 0.14, 0.16, 1}),
                   200, 120),
        pose(0, 0, 0), {.color = turntable_texture(kTable), .gloss = 0.035f, .shininess = 60}, 1);
  }
  {
    const int id = object("pedestal");
    add(id,
        make_lathe(spline_profile({{0.29, 0},
                                   {0.29, 0.02},
                                   {0.285, 0.045},
                                   {0.25, 0.06},
                                   {0.225, 0.09},
                                   {0.215, 0.13},
                                   {0.235, 0.16},
                                   {0.265, 0.18},
                                   {0.27, 0.2},
                                   {0.265, 0.218},
                                   {0.25, 0.22},
                                   {0.15, 0.22},
                                   {0, 0.22}}),
                   96, 96),
        pose(0, 0, 0),
        {.color = marble_texture(rgb(232, 228, 220), rgb(96, 100, 110), 0.2f),
         .gloss = 0.05f,
         .shininess = 120},
        2);
  }
  {
    const int id = object("knot");
    add(id, make_torus_knot(2, 3, 0.215, 0.09, 0.05, 480, 24),
        pose(0, 0, 0.22 + 0.335, 0.35, kPi / 2),
        {.color = knot_texture(3.4f), .gloss = 0.045f, .shininess = 90}, 2.5);
  }
  {
    const int id = object("vase");
    const Matrix4d place = pose(-0.66, 0.42, 0);
    add(id,
        make_lathe(spline_profile({{0, 0.002},
                                   {0.08, 0.002},
                                   {0.1, 0.01},
                                   {0.13, 0.07},
                                   {0.165, 0.15},
                                   {0.178, 0.23},
                                   {0.165, 0.31},
                                   {0.12, 0.38},
                                   {0.085, 0.43},
                                   {0.08, 0.46},
                                   {0.1, 0.5},
                                   {0.108, 0.505},
                                   {0.1, 0.5},
                                   {0.074, 0.46},
                                   {0.07, 0.44},
                                   {0, 0.44}}),
                   96, 120),
        place, {.color = vase_texture(), .gloss = 0.05f, .shininess = 110}, 2.5);
    const int plant = object("plant");
    const Random rng(5, stream_of("studio.plant"));
    for (int i = 0; i < 11; ++i) {
      const auto at = [&](int k) { return rng.uniform(static_cast<uint64_t>(8 * i + k)); };
      const double turn = 2.4 * i + 0.5 * at(0), lean = 0.14 + 0.22 * at(1),
                   tall = 0.3 + 0.28 * at(2);
      const Vector3d side(std::cos(turn), std::sin(turn), 0),
          base(0.03 * side.x(), 0.03 * side.y(), 0.42);
      const auto stem = [=](double t) -> Vector3d {
        return base + side * lean * t * t + Vector3d(0, 0, tall * t * (1 - 0.25 * t));
      };
      add(plant, make_tube(stem, 0.0065, false, 14, 8), place,
          {.color = [](const TexturePoint&) { return rgb(86, 118, 58); }, .gloss = 0.03f}, 3);
      const Vector3d tip = stem(1);
      if (i % 3 == 2) {  // a blossom: petals about a golden heart
        add(plant, make_sphere(0.024, 20, 12), place * pose(tip.x(), tip.y(), tip.z()),
            {.color = speckled_texture(rgb(236, 180, 50), rgb(140, 80, 20), 0.006f)}, 4);
        for (int k = 0; k < 6; ++k) {
          Mesh petal = make_sphere(1, 16, 10);
          const Matrix4d shape =
              rigid(Vector3d(0.034, 0.018, 0.006).asDiagonal(), {0.046, 0, 0.004});
          std::vector<Vector3f> local = petal.vertices;
          transform(petal, shape);
          add(plant, petal, place * pose(tip.x(), tip.y(), tip.z(), k * kPi / 3, 0.25),
              {.color =
                   [](const TexturePoint& t) {
                     const float x = (t.position.x() - 0.012f) / 0.068f;
                     return Vector3f(rgb(178, 40, 86) + (rgb(244, 176, 190) - rgb(178, 40, 86)) *
                                                            std::clamp(x, 0.f, 1.f));
                   },
               .gloss = 0.02f},
              4);
        }
        continue;
      }
      for (int k = 0; k < 3; ++k) {  // leaves along the stem, bent by their weight
        const double t = 1 - 0.27 * k, size = 0.115 - 0.015 * k, droop = 0.35 + 0.4 * at(3 + k);
        Mesh leaf = make_sphere(1, 20, 14);
        std::vector<Vector3f> flat = leaf.vertices;
        for (size_t v = 0; v < leaf.vertices.size(); ++v) {
          const double x = leaf.vertices[v].x(), y = leaf.vertices[v].y(), z = leaf.vertices[v].z();
          const double along = (x + 1) * size, wide = 0.4 * size * (1 - 0.35 * x) * y;
          leaf.vertices[v] = Vector3d(along, wide,
                                      0.05 * size * z + 0.25 * std::abs(wide) +
                                          along * (0.35 - droop * along / size * 0.5))
                                 .cast<float>();
        }
        compute_normals(leaf);
        const Vector3d p = stem(t);
        add(plant, leaf, place * pose(p.x(), p.y(), p.z(), turn + (k == 0 ? 0 : 2.1 * k), 0),
            {.color = leaf_texture(), .gloss = 0.035f, .shininess = 25}, 3);
        parts_.back().local = std::move(flat);
        parts_.back().local_per_world = static_cast<float>(1 / size);
      }
    }
  }
  {
    const int id = object("sphere");
    add(id, make_sphere(0.21, 96, 64), pose(0.6, 0.5, 0.21, 0.4, 0.5),
        {.color = brushed_texture(rgb(226, 172, 96)),
         .gloss = 0.75f,
         .shininess = 60,
         .metal = true},
        2);
  }
  {
    const int id = object("books");
    struct Book {
      Vector3f cover;
      const char* title;
      Vector3d half;
      double turn;
    };
    const std::array<Book, 3> books = {{{rgb(92, 28, 36), "CAUSALITY", {0.2, 0.27, 0.04}, 0.2},
                                        {rgb(28, 66, 70), "SPLATS", {0.175, 0.24, 0.032}, -0.12},
                                        {rgb(42, 46, 96), "GAUSS", {0.15, 0.2, 0.036}, 0.35}}};
    double z = 0;
    for (const Book& b : books) {
      add(id, make_rounded_box(b.half, 0.007, 15), pose(0.74, -0.22, z + b.half.z(), b.turn),
          {.color = book_texture(b.cover, b.title, b.half.cast<float>()),
           .gloss = 0.02f,
           .shininess = 30},
          2.5);
      z += 2 * b.half.z() + 0.001;
    }
    const int gem = object("gem");
    Mesh stone = make_icosahedron(0.12);
    add(gem, stone, pose(0.72, -0.2, z + 0.0955, 0.3, 0.3649),  // resting on a face
        {.color = facet_texture(0.12f), .gloss = 0.08f, .shininess = 50}, 3);
  }
  {
    const int id = object("blocks");
    const char* word = "COVARY";
    const std::array<Vector3f, 6> paints = {rgb(196, 48, 44),  rgb(30, 96, 168),
                                            rgb(36, 128, 74),  rgb(222, 140, 28),
                                            rgb(122, 52, 140), rgb(20, 128, 140)};
    const std::array<double, 6> loose = {0.08, -0.12, 0.05, 0.14, -0.06, 0.1};
    for (size_t i = 0; i < 6; ++i) {
      const double angle = -kPi / 2 + (static_cast<double>(i) - 2.5) * 0.222, h = 0.085;
      add(id, make_rounded_box({h, h, h}, 0.012, 12),
          pose(0.94 * std::cos(angle), 0.94 * std::sin(angle), h, angle + kPi / 2 + loose[i]),
          {.color = letter_block_texture(word[i], paints[i], static_cast<float>(h)),
           .gloss = 0.03f},
          2.5);
    }
  }
  {
    const int id = object("bell");
    add(id,
        make_lathe(
            [](double t) {
              const double r = 0.33 * (1 - t);
              return Eigen::Vector2d(r, 0.012 + 0.4 * std::exp(-0.5 * r * r / (0.105 * 0.105)));
            },
            96, 64),
        pose(-0.68, -0.3, 0), {.color = contour_texture(0.42f), .gloss = 0.04f, .shininess = 60},
        2);
    add(id, make_cylinder(0.33, 0.0125, 96, 2), pose(-0.68, -0.3, 0.0),
        {.color = [](const TexturePoint&) { return rgb(46, 30, 80); }, .gloss = 0.04f}, 1);
  }
  {
    const int id = object("ball");
    add(id, make_sphere(0.15, 64, 40), pose(-0.02, 0.82, 0.15 + 0.05, 0.3, 0.9),
        {.color = checker_texture(rgb(28, 28, 32), rgb(240, 236, 226), 16, 8, 0.94f),
         .gloss = 0.045f,
         .shininess = 80},
        2.5);
    const int ring = object("ring");
    add(ring, make_torus(0.155, 0.045, 96, 24), pose(-0.02, 0.82, 0.045),
        {.color = speckled_texture(rgb(198, 92, 60), rgb(248, 226, 196), 0.018f),
         .gloss = 0.04f,
         .shininess = 50},
        2.5);
  }
  {
    const int id = object("marbles");
    struct Bead {
      double x, y, r;
      Vector3f color;
    };
    const std::array<Bead, 7> beads = {{{0.33, 0.86, 0.05, rgb(170, 36, 44)},
                                        {0.22, 0.98, 0.035, rgb(38, 120, 86)},
                                        {-0.33, 0.93, 0.045, rgb(40, 72, 150)},
                                        {0.36, -0.5, 0.05, rgb(214, 150, 40)},
                                        {0.24, -0.56, 0.034, rgb(150, 60, 130)},
                                        {-0.3, -0.52, 0.04, rgb(30, 128, 140)},
                                        {1.02, 0.26, 0.045, rgb(90, 140, 60)}}};
    for (const Bead& b : beads) {
      const float size = static_cast<float>(b.r) * 0.9f;
      const Texture swirl = marble_texture(b.color, rgb(244, 238, 226), size);
      add(id, make_sphere(b.r, 32, 20), pose(b.x, b.y, b.r, b.x * 9, b.y * 5),
          {.color = swirl, .gloss = 0.07f, .shininess = 150}, 3);
    }
  }
}

Studio::Point Studio::at(const geometry::Hit& hit, const Vector3f& origin,
                         const Vector3f& direction, float spread) const {
  Point p;
  p.part = &parts_[static_cast<size_t>(hit.mesh)];
  const Part& part = *p.part;
  const Eigen::Vector3i& t = part.mesh.triangles[static_cast<size_t>(hit.triangle)];
  const std::array<size_t, 3> c = {static_cast<size_t>(t[0]), static_cast<size_t>(t[1]),
                                   static_cast<size_t>(t[2])};
  const float w = 1 - hit.u - hit.v;
  p.distance = hit.distance;
  p.position = origin + hit.distance * direction;
  p.normal = (w * part.mesh.normals[c[0]] + hit.u * part.mesh.normals[c[1]] +
              hit.v * part.mesh.normals[c[2]])
                 .normalized();
  if (p.normal.dot(direction) >
      0) {  // a smooth normal that leans away at a silhouette, or a far side
    p.normal = hit.normal.dot(direction) < 0 ? hit.normal : Vector3f(-hit.normal);
  }
  if (!part.light.empty()) {
    p.light = w * part.light[c[0]] + hit.u * part.light[c[1]] + hit.v * part.light[c[2]];
    p.key = w * part.key[c[0]] + hit.u * part.key[c[1]] + hit.v * part.key[c[2]];
  } else {
    p.light = Vector3f::Zero();
  }
  p.texture.position = w * part.local[c[0]] + hit.u * part.local[c[1]] + hit.v * part.local[c[2]];
  p.texture.uv =
      w * part.mesh.uvs[c[0]] + hit.u * part.mesh.uvs[c[1]] + hit.v * part.mesh.uvs[c[2]];
  // A footprint seen at an angle is longer than wide: its geometric mean stands for both.
  const float cosine = std::max(0.08f, std::abs(p.normal.dot(direction)) / direction.norm());
  p.texture.width = spread * hit.distance / std::sqrt(cosine) * part.local_per_world;
  return p;
}

bool Studio::wall(const Vector3f& origin, const Vector3f& direction, Seen& seen) const {
  if (!room_) return false;
  const Vector3f o = origin - Vector3f(0, 0, kFloor);
  const float a = direction.squaredNorm(), b = o.dot(direction),
              c = o.squaredNorm() - kWall * kWall;
  const float root = b * b - a * c;
  if (root <= 0) return false;
  const float distance = (-b + std::sqrt(root)) / a;
  if (!(distance > 0)) return false;
  seen.distance = distance;
  seen.normal = -(o + distance * direction).normalized();
  seen.object = wall_object_;
  return true;
}

Vector3f Studio::shade(const Point& p, const Vector3f& d) const {
  const Material& m = p.part->material;
  const Vector3f albedo = m.color(p.texture).cwiseMax(0.f).cwiseMin(0.95f);
  Vector3f c = albedo.cwiseProduct(p.light) * (m.metal ? 0.3f : 1.f);
  if (m.gloss <= 0) return c;
  const float facing = std::clamp(-p.normal.dot(d), 0.f, 1.f);
  const float grazing = std::pow(1 - facing, 5.f);
  const Vector3f mirror = d + 2 * facing * p.normal;
  const Vector3f tint = m.metal ? albedo : Vector3f::Ones();
  const Vector3f strength =
      tint * m.gloss + (Vector3f::Ones() - tint * m.gloss) * (0.35f * grazing);
  // The room, dimmed where the surroundings keep the light out; below the horizon the turntable.
  const float open = std::clamp(p.light.sum() / 3, 0.f, 1.f);
  static const Vector3f kTabletop = rgb(170, 130, 92) * 0.9f;
  const float above = std::clamp(0.5f + mirror.z() * 4, 0.f, 1.f);
  const float blur = std::clamp(8 / m.shininess, 0.02f, 0.5f);
  const Vector3f room = kTabletop * (1 - above) + studio_light(mirror, blur) * above;
  c += strength.cwiseProduct(room) * open;
  // The key lamp's highlight.
  const Vector3f to_key = (kKeyPosition - p.position).normalized();
  const Vector3f half = (to_key - d).normalized();
  const float lit = p.key * std::max(0.f, p.normal.dot(to_key));
  const float lobe =
      std::pow(std::max(0.f, p.normal.dot(half)), m.shininess) * (m.shininess + 8) / 25;
  c += strength.cwiseProduct(kKeyColor) * lobe * lit;
  return c;
}

Studio::Seen Studio::look(const Vector3f& origin, const Vector3f& direction, float spread) const {
  Seen seen;
  if (const auto hit = bvh_.first_hit(origin, direction)) {
    const Point p = at(*hit, origin, direction, spread);
    seen.distance = p.distance;
    seen.normal = p.normal;
    seen.object = p.part->object;
    seen.color = shade(p, direction.normalized());
  } else if (wall(origin, direction, seen)) {
    seen.color = studio_wall(-seen.normal, spread * seen.distance / kWall);
  }
  return seen;
}

const Studio& Studio::built(bool room) {
  static const Studio with_room(true);
  if (room) return with_room;
  static const Studio alone(false);
  return alone;
}

Studio::Seen Studio::probe(const Vector3f& origin, const Vector3f& direction) const {
  Seen seen;
  if (const auto hit = bvh_.first_hit(origin, direction)) {
    const Point p = at(*hit, origin, direction, 0);
    seen.distance = p.distance;
    seen.normal = p.normal;
    seen.object = p.part->object;
  } else {
    wall(origin, direction, seen);
  }
  return seen;
}

void Studio::bake() {
  struct Slot {
    size_t part, vertex;
  };
  std::vector<Slot> slots;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const size_t n = parts_[i].mesh.vertices.size();
    for (size_t v = 0; v < n; ++v) slots.push_back({i, v});
  }
  const int64_t n = static_cast<int64_t>(slots.size());
  constexpr float kLift = 1.5e-3f;  // off the surface, so that a ray does not meet its own triangle

  // The key lamp: a disc, seen from every vertex through an even set of points.
  Vector3f key_a, key_b;
  const Vector3f key_axis = kKeyPosition.normalized();
  axes_across(key_axis, key_a, key_b);
  std::vector<Vector3f> lamp;
  for (int k = 0; k < kKeySamples; ++k) {
    const Eigen::Vector2f e = even_point(k);
    const float r = kKeyRadius * std::sqrt(e.x()), a = 2 * static_cast<float>(kPi) * e.y();
    lamp.push_back(kKeyPosition + r * (std::cos(a) * key_a + std::sin(a) * key_b));
  }
  std::vector<Vector3f> direct(slots.size());
  std::vector<float> share(slots.size());
  parallel_for(n, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Slot s = slots[static_cast<size_t>(i)];
      const geometry::Mesh& mesh = parts_[s.part].mesh;
      const Vector3f normal = mesh.normals[s.vertex], p = mesh.vertices[s.vertex] + kLift * normal;
      float sum = 0, seen = 0;
      for (const Vector3f& l : lamp) {
        const Vector3f to = l - p;
        const float cosine = normal.dot(to) / to.norm();
        if (cosine <= 0 || bvh_.occluded(p, to, 0, 1)) continue;
        sum += cosine;
        seen += 1;
      }
      direct[static_cast<size_t>(i)] = kKeyColor * (sum / kKeySamples);
      share[static_cast<size_t>(i)] = seen / kKeySamples;
    }
  });
  for (size_t i = 0; i < slots.size(); ++i) {
    parts_[slots[i].part].light.push_back(direct[i]);
    parts_[slots[i].part].key.push_back(share[i]);
  }

  // Light from all around: the room where a ray leaves, else what the surface there sends on of the
  // key lamp, and a little for what reaches that surface on longer ways.
  std::vector<Vector3f> sent(slots.size());
  std::vector<int64_t> first(parts_.size());
  for (size_t i = slots.size(); i-- > 0;) first[slots[i].part] = static_cast<int64_t>(i);
  parallel_for(n, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Slot s = slots[static_cast<size_t>(i)];
      const Part& part = parts_[s.part];
      const TexturePoint t{part.local[s.vertex], part.mesh.uvs[s.vertex],
                           0.06f * part.local_per_world};
      const Vector3f albedo = part.material.color(t).cwiseMax(0.f).cwiseMin(0.95f);
      sent[static_cast<size_t>(i)] =
          albedo.cwiseProduct(direct[static_cast<size_t>(i)] + Vector3f::Constant(0.15f));
    }
  });
  std::vector<Vector3f> sky;
  for (int k = 0; k < kSkySamples; ++k) {
    const Eigen::Vector2f e = even_point(k);
    const float r = std::sqrt(e.x()), a = 2 * static_cast<float>(kPi) * e.y();
    sky.emplace_back(r * std::cos(a), r * std::sin(a), std::sqrt(1 - e.x()));  // by cosine
  }
  std::vector<Vector3f> around(slots.size());
  parallel_for(n, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Slot s = slots[static_cast<size_t>(i)];
      const geometry::Mesh& mesh = parts_[s.part].mesh;
      const Vector3f normal = mesh.normals[s.vertex], p = mesh.vertices[s.vertex] + kLift * normal;
      Vector3f a, b, sum = Vector3f::Zero();
      axes_across(normal, a, b);
      for (const Vector3f& e : sky) {
        const Vector3f d = e.x() * a + e.y() * b + e.z() * normal;
        const auto hit = bvh_.first_hit(p, d);
        if (!hit) {
          sum += studio_light(d, 0.3f);
        } else if (hit->normal.dot(d) < 0) {
          const size_t part = static_cast<size_t>(hit->mesh);
          const Eigen::Vector3i& t =
              parts_[part].mesh.triangles[static_cast<size_t>(hit->triangle)];
          const Vector3f* corner = sent.data() + first[part];
          sum +=
              (1 - hit->u - hit->v) * corner[t[0]] + hit->u * corner[t[1]] + hit->v * corner[t[2]];
        }
      }
      around[static_cast<size_t>(i)] = sum * (kSkyStrength / kSkySamples);
    }
  });
  for (size_t i = 0; i < slots.size(); ++i)
    parts_[slots[i].part].light[slots[i].vertex] += around[i];
}

std::vector<Studio::SurfacePoint> Studio::sample(int64_t n, uint64_t seed) const {
  std::vector<double> weight;
  double total = 0;
  for (const Part& part : parts_) {
    weight.push_back(geometry::surface_area(part.mesh) * part.interest);
    total += weight.back();
  }
  const double for_wall = room_ ? 0.12 * total : 0;
  std::vector<SurfacePoint> points;
  double share = 0;
  int64_t given = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    share += weight[i] / (total + for_wall);
    const int64_t upto = std::llround(share * static_cast<double>(n));
    for (const geometry::SurfacePoint& p : geometry::sample_surface(
             parts_[i].mesh, upto - given, Random(seed, stream_of("studio.points", i)))) {
      points.push_back({p.position, p.normal});
    }
    given = upto;
  }
  const Random rng(seed, stream_of("studio.points.wall"));
  for (int64_t i = given; i < n; ++i) {
    const double a = 2 * kPi * rng.uniform(2 * static_cast<uint64_t>(i));
    const double z = 0.75 * rng.uniform(2 * static_cast<uint64_t>(i) + 1), r = std::sqrt(1 - z * z);
    const Vector3f d(static_cast<float>(r * std::cos(a)), static_cast<float>(r * std::sin(a)),
                     static_cast<float>(z));
    points.push_back({Vector3f(0, 0, kFloor) + kWall * d, -d});
  }
  return points;
}

}  // namespace covary::render
