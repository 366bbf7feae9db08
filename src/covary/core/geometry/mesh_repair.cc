#include "covary/core/geometry/mesh_repair.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <Eigen/Geometry>
#include <Eigen/LU>

namespace covary::geometry {
namespace {

uint64_t edge_key(int a, int b) {
  return static_cast<uint64_t>(static_cast<uint32_t>(std::min(a, b))) << 32 |
         static_cast<uint32_t>(std::max(a, b));
}

// Keeps the vertices that triangles use, in their order.
void drop_unused(Mesh& mesh) {
  std::vector<int> to(mesh.vertices.size(), -1);
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) to[static_cast<size_t>(t[k])] = 0;
  int count = 0;
  for (int& v : to)
    if (v == 0) v = count++;
  const auto shrink = [&](auto& list) {
    if (list.empty()) return;
    for (size_t i = 0; i < to.size(); ++i)
      if (to[i] >= 0) list[static_cast<size_t>(to[i])] = list[i];
    list.resize(static_cast<size_t>(count));
  };
  shrink(mesh.vertices);
  shrink(mesh.normals);
  shrink(mesh.uvs);
  shrink(mesh.colors);
  for (Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) t[k] = to[static_cast<size_t>(t[k])];
}

// A symmetric 4 x 4 matrix as the sum of squared distances to planes.
using Quadric = Eigen::Matrix4d;

Quadric plane_quadric(const Eigen::Vector3d& normal, const Eigen::Vector3d& point, double weight) {
  Eigen::Vector4d p;
  p << normal, -normal.dot(point);
  return weight * p * p.transpose();
}

// The work of simplify(): who neighbours whom, and what each collapse would cost.
class Collapser {
 public:
  explicit Collapser(Mesh& mesh)
      : mesh_(mesh),
        of_vertex_(mesh.vertices.size()),
        quadrics_(mesh.vertices.size(), Quadric::Zero()),
        version_(mesh.vertices.size()),
        border_(mesh.vertices.size()) {
    alive_.assign(mesh.triangles.size(), true);
    std::unordered_map<uint64_t, int> uses;
    for (size_t t = 0; t < mesh.triangles.size(); ++t)
      for (int k = 0; k < 3; ++k) {
        of_vertex_[at(t, k)].push_back(static_cast<int>(t));
        ++uses[edge_key(mesh.triangles[t][k], mesh.triangles[t][(k + 1) % 3])];
      }
    for (size_t t = 0; t < mesh.triangles.size(); ++t) {
      const Eigen::Vector3d n = normal(t);
      const double area = n.norm();
      for (int k = 0; k < 3; ++k) {
        if (area > 0) quadrics_[at(t, k)] += plane_quadric(n / area, place(at(t, k)), area);
        if (uses[edge_key(mesh.triangles[t][k], mesh.triangles[t][(k + 1) % 3])] != 2)
          border_[at(t, k)] = border_[at(t, (k + 1) % 3)] = true;
      }
    }
    for (size_t t = 0; t < mesh.triangles.size(); ++t)
      for (int k = 0; k < 3; ++k) {
        const int a = mesh.triangles[t][k], b = mesh.triangles[t][(k + 1) % 3];
        if (a < b || uses[edge_key(a, b)] == 1) offer(a, b);
      }
    left_ = static_cast<int64_t>(mesh.triangles.size());
  }

  void run(int64_t goal) {
    while (left_ > goal && !queue_.empty()) {
      const Offer o = queue_.top();
      queue_.pop();
      if (version_[size(o.a)] + version_[size(o.b)] == o.version && may(o)) collapse(o);
    }
    size_t kept = 0;
    for (size_t t = 0; t < alive_.size(); ++t)
      if (alive_[t]) mesh_.triangles[kept++] = mesh_.triangles[t];
    mesh_.triangles.resize(kept);
  }

 private:
  struct Offer {
    double cost;
    int a, b;  // b goes
    int64_t version;
    Eigen::Vector3f to;
    bool operator<(const Offer& o) const {  // of a queue whose top is the cheapest
      return std::tie(o.cost, o.a, o.b) < std::tie(cost, a, b);
    }
  };

  static size_t size(int i) { return static_cast<size_t>(i); }
  size_t at(size_t t, int k) const { return size(mesh_.triangles[t][k]); }
  Eigen::Vector3d place(size_t v) const { return mesh_.vertices[v].cast<double>(); }
  Eigen::Vector3d normal(size_t t) const {
    return (place(at(t, 1)) - place(at(t, 0))).cross(place(at(t, 2)) - place(at(t, 0)));
  }

  void offer(int a, int b) {
    if (border_[size(a)] || border_[size(b)]) return;
    const Quadric q = quadrics_[size(a)] + quadrics_[size(b)];
    // The best place, where the planes say one; else the better of the ends and their middle.
    std::vector<Eigen::Vector3d> places = {0.5 * (place(size(a)) + place(size(b))), place(size(a)),
                                           place(size(b))};
    const Eigen::Matrix3d m = q.topLeftCorner<3, 3>();
    if (std::abs(m.determinant()) > 1e-6 * std::pow(m.trace() / 3, 3)) {
      const Eigen::Vector3d best = -(m.inverse() * q.topRightCorner<3, 1>());
      if ((best - places[0]).norm() < (places[1] - places[2]).norm()) places.push_back(best);
    }
    Offer o{INFINITY, a, b, version_[size(a)] + version_[size(b)], {}};
    for (const Eigen::Vector3d& p : places) {
      const Eigen::Vector4d h = p.homogeneous();
      const double cost = std::max(0.0, h.dot(q * h));
      if (cost < o.cost) {
        o.cost = cost;
        o.to = p.cast<float>();
      }
    }
    if (std::isfinite(o.cost)) queue_.push(o);
  }

  // In ascending order.
  std::vector<int> neighbours(int v) const {
    std::vector<int> all;
    for (const int t : of_vertex_[size(v)])
      for (int k = 0; k < 3; ++k)
        if (mesh_.triangles[size(t)][k] != v) all.push_back(mesh_.triangles[size(t)][k]);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  // The ends share their two common neighbours alone, and no triangle turns over or becomes a line.
  bool may(const Offer& o) const {
    const std::vector<int> na = neighbours(o.a), nb = neighbours(o.b);
    if (!std::binary_search(na.begin(), na.end(), o.b)) return false;
    std::vector<int> shared;
    std::set_intersection(na.begin(), na.end(), nb.begin(), nb.end(), std::back_inserter(shared));
    if (shared.size() != 2 || na.size() + nb.size() < 8) return false;
    for (const int v : {o.a, o.b})
      for (const int t : of_vertex_[size(v)]) {
        const Eigen::Vector3i& c = mesh_.triangles[size(t)];
        if ((c.array() == o.a).any() && (c.array() == o.b).any()) continue;
        std::array<Eigen::Vector3d, 3> p;
        for (int k = 0; k < 3; ++k)
          p[size(k)] = c[k] == v ? o.to.cast<double>() : place(size(c[k]));
        const Eigen::Vector3d before = normal(size(t)), after = (p[1] - p[0]).cross(p[2] - p[0]);
        if (!(after.dot(before) > 0.2 * after.norm() * before.norm())) return false;
      }
    return true;
  }

  void collapse(const Offer& o) {
    const size_t a = size(o.a), b = size(o.b);
    mesh_.vertices[a] = o.to;
    if (!mesh_.colors.empty()) mesh_.colors[a] = 0.5f * (mesh_.colors[a] + mesh_.colors[b]);
    quadrics_[a] += quadrics_[b];
    for (const int t : of_vertex_[b]) {
      Eigen::Vector3i& c = mesh_.triangles[size(t)];
      if ((c.array() == o.a).any()) {
        alive_[size(t)] = false;
        --left_;
        for (int k = 0; k < 3; ++k)
          if (c[k] != o.b) std::erase(of_vertex_[size(c[k])], t);
        continue;
      }
      for (int k = 0; k < 3; ++k)
        if (c[k] == o.b) c[k] = o.a;
      of_vertex_[a].push_back(t);
    }
    of_vertex_[b].clear();
    ++version_[a];
    version_[b] += int64_t{1} << 40;  // no offer names it again
    for (const int v : neighbours(o.a)) offer(std::min(o.a, v), std::max(o.a, v));
  }

  Mesh& mesh_;
  std::vector<std::vector<int>> of_vertex_;  // triangles
  std::vector<Quadric> quadrics_;
  std::vector<int64_t> version_;
  std::vector<char> border_, alive_;
  std::priority_queue<Offer> queue_;
  int64_t left_ = 0;
};

}  // namespace

void merge_vertices(Mesh& mesh) {
  std::map<std::array<float, 3>, int> first;
  std::vector<int> to;
  for (const Eigen::Vector3f& v : mesh.vertices)
    to.push_back(
        first.try_emplace({v.x(), v.y(), v.z()}, static_cast<int>(to.size())).first->second);
  for (Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) t[k] = to[static_cast<size_t>(t[k])];
  std::erase_if(mesh.triangles, [](const Eigen::Vector3i& t) {
    return t[0] == t[1] || t[1] == t[2] || t[2] == t[0];
  });
  drop_unused(mesh);
  if (!mesh.normals.empty()) compute_normals(mesh);
}

int64_t keep_components(Mesh& mesh, double least_share) {
  mesh.check();
  std::vector<int> root(mesh.vertices.size());
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&](int v) {
    while (root[static_cast<size_t>(v)] != v) {
      int& up = root[static_cast<size_t>(v)];
      up = root[static_cast<size_t>(up)];
      v = up;
    }
    return v;
  };
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 1; k < 3; ++k) {
      const int a = find(t[0]), b = find(t[k]);
      root[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
    }
  std::map<int, double> area;
  for (size_t t = 0; t < mesh.triangles.size(); ++t)
    area[find(mesh.triangles[t][0])] += triangle_area(mesh, static_cast<int64_t>(t));
  double most = 0;
  for (const auto& [part, a] : area) most = std::max(most, a);
  const auto stays = [&](double a) { return a >= least_share * most; };
  std::erase_if(mesh.triangles,
                [&](const Eigen::Vector3i& t) { return !stays(area.at(find(t[0]))); });
  drop_unused(mesh);
  return std::count_if(area.begin(), area.end(), [&](const auto& p) { return !stays(p.second); });
}

int64_t close_holes(Mesh& mesh) {
  mesh.check();
  std::unordered_map<uint64_t, int> uses;
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) ++uses[edge_key(t[k], t[(k + 1) % 3])];
  // Open edges lead on by their vertices, each the other way round than its triangle has it.
  std::multimap<int, int> next;
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k)
      if (uses[edge_key(t[k], t[(k + 1) % 3])] == 1) next.emplace(t[(k + 1) % 3], t[k]);
  int64_t rings = 0;
  while (!next.empty()) {
    std::vector<int> ring;
    for (auto step = next.begin(); step != next.end();) {
      ring.push_back(step->first);
      const int to = step->second;
      next.erase(step);
      // A ring that comes back to one of its vertices is closed there; what came before it goes on.
      const auto met = std::find(ring.begin(), ring.end(), to);
      if (met != ring.end()) {
        const std::vector<int> closed(met, ring.end());
        ring.erase(met, ring.end());
        ++rings;
        if (closed.size() == 3) {
          mesh.triangles.emplace_back(closed[0], closed[1], closed[2]);
        } else if (closed.size() > 3) {
          const int middle = static_cast<int>(mesh.vertices.size());
          Eigen::Vector3f sum = Eigen::Vector3f::Zero(), color = sum;
          for (const int v : closed) {
            sum += mesh.vertices[static_cast<size_t>(v)];
            if (!mesh.colors.empty()) color += mesh.colors[static_cast<size_t>(v)];
          }
          const auto n = static_cast<float>(closed.size());
          mesh.vertices.emplace_back(sum / n);
          if (!mesh.colors.empty()) mesh.colors.emplace_back(color / n);
          if (!mesh.normals.empty()) mesh.normals.emplace_back(Eigen::Vector3f::UnitZ());
          if (!mesh.uvs.empty()) mesh.uvs.emplace_back(Eigen::Vector2f::Zero());
          for (size_t i = 0; i < closed.size(); ++i)
            mesh.triangles.emplace_back(middle, closed[i], closed[(i + 1) % closed.size()]);
        }
      }
      step = next.find(to);
    }
  }
  if (!mesh.normals.empty()) compute_normals(mesh);
  return rings;
}

void simplify(Mesh& mesh, int64_t triangles) {
  mesh.check();
  if (static_cast<int64_t>(mesh.triangles.size()) <= triangles) return;
  mesh.uvs.clear();
  const bool had_normals = !mesh.normals.empty();
  mesh.normals.clear();
  Collapser(mesh).run(triangles);
  drop_unused(mesh);
  if (had_normals) compute_normals(mesh);
}

EdgeFacts edge_facts(const Mesh& mesh) {
  std::unordered_map<uint64_t, int> uses;
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) ++uses[edge_key(t[k], t[(k + 1) % 3])];
  EdgeFacts f;
  for (const auto& [edge, count] : uses) {
    f.open += count == 1;
    f.crowded += count > 2;
  }
  return f;
}

}  // namespace covary::geometry
