#include "covary/core/geometry/tsdf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <tuple>

#include <Eigen/Geometry>
#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/marching_cubes.h"

namespace covary::geometry {
namespace {

constexpr double kVoxelsOfTruncation = 4;
constexpr double kMostVoxelsOfTruncation = 1000;  // each pixel walks along all of it
constexpr double kFarthestBlock = 1 << 28;        // so that voxels stay within 32 bits

// Depth at a place in the picture: between the four pixels around it where they belong to one surface, else of the pixel itself. 0 =
// nothing is known.
double depth_at(const DepthView& view, double u, double v, double one_surface) {
  const auto known = [](double z) { return z > 0 && std::isfinite(z); };
  const double own = view.depth[static_cast<int64_t>(v) * view.width + static_cast<int64_t>(u)];
  if (!known(own)) return 0;
  const double x = u - 0.5, y = v - 0.5;
  if (!(x >= 0 && y >= 0 && x < view.width - 1 && y < view.height - 1)) return own;
  const auto column = static_cast<int64_t>(x), row = static_cast<int64_t>(y);
  const float* p = view.depth + row * view.width + column;
  const double a = p[0], b = p[1], c = p[view.width], d = p[view.width + 1];
  if (!known(a) || !known(b) || !known(c) || !known(d) ||
      std::max({a, b, c, d}) - std::min({a, b, c, d}) > one_surface)
    return own;
  const double s = x - static_cast<double>(column), t = y - static_cast<double>(row);
  return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d);
}

bool before(const Eigen::Vector3i& a, const Eigen::Vector3i& b) {
  return std::tie(a.z(), a.y(), a.x()) < std::tie(b.z(), b.y(), b.x());
}

}  // namespace

void TsdfOptions::check() const {
  const auto fail = [](const char* field, const std::string& what) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (!(voxel > 0) || !std::isfinite(voxel)) fail("voxel", "must be a length above 0");
  if (!(truncation >= 0) || !std::isfinite(truncation)) fail("truncation", "must not be negative");
  if (truncation > kMostVoxelsOfTruncation * voxel)
    fail("truncation", "is more than 1,000 voxels: choose larger voxels, or a shorter truncation");
  if (most_blocks < 1) fail("most_blocks", "must be at least 1");
}

size_t TsdfVolume::Hash::operator()(const Key& k) const {
  const auto u = [](int v) { return static_cast<uint64_t>(static_cast<uint32_t>(v)); };
  uint64_t h = u(k.x()) * 0x9e3779b97f4a7c15u ^ u(k.y()) * 0xc2b2ae3d27d4eb4fu ^
               u(k.z()) * 0x165667b19e3779f9u;
  return static_cast<size_t>(h ^ h >> 29);
}

TsdfVolume::TsdfVolume(const TsdfOptions& options)
    : options_(options),
      truncation_(options.truncation > 0 ? options.truncation
                                         : kVoxelsOfTruncation * options.voxel) {
  options.check();
}

void TsdfVolume::fuse(const DepthView& view) {
  touch(view);
  parallel_for(blocks(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) update(b, view);
  });
}

// Adds the blocks that a surface of the view may reach: along each pixel's ray, from a truncation before it to one behind.
void TsdfVolume::touch(const DepthView& view) {
  const Eigen::Matrix4d world_from_cam = view.cam_from_world.inverse();
  const Eigen::Matrix3d turn = world_from_cam.topLeftCorner<3, 3>();
  const Eigen::Vector3d centre = world_from_cam.topRightCorner<3, 1>();
  const double block = kEdge * options_.voxel;
  std::vector<std::vector<Key>> rows(static_cast<size_t>(view.height));
  parallel_for(view.height, 4, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      std::vector<Key>& found = rows[static_cast<size_t>(y)];
      for (int64_t x = 0; x < view.width; ++x) {
        const double z = view.depth[y * view.width + x];
        if (!(z > 0) || !std::isfinite(z)) continue;
        const Eigen::Vector3d ray =
            turn * Eigen::Vector3d((static_cast<double>(x) + 0.5 - view.cx) / view.fx,
                                   (static_cast<double>(y) + 0.5 - view.cy) / view.fy, 1);
        // Half a block a step, so that a ray passes no block by more than a corner of it.
        const double step = 0.5 * block / ray.norm();
        for (double t = z - truncation_; t < z + truncation_ + step; t += step) {
          const Eigen::Vector3d at = (centre + std::min(t, z + truncation_) * ray) / block;
          if (!(at.cwiseAbs().maxCoeff() < kFarthestBlock)) continue;
          const Key key = at.array().floor().cast<int>();
          if (found.empty() || found.back() != key) found.push_back(key);
        }
      }
      std::sort(found.begin(), found.end(), before);
      found.erase(std::unique(found.begin(), found.end()), found.end());
    }
  });
  std::vector<Key> all;
  for (const auto& found : rows)
    for (const Key& key : found)
      if (!index_.contains(key)) all.push_back(key);
  std::sort(all.begin(), all.end(), before);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (blocks() + static_cast<int64_t>(all.size()) > options_.most_blocks)
    throw Error(ExitCode::kData,
                "the surfaces take more than " + std::to_string(options_.most_blocks) +
                    " blocks of 8 x 8 x 8 voxels",
                "voxel", "choose larger voxels, or leave out what is far");
  for (const Key& key : all) {
    index_.emplace(key, static_cast<int32_t>(keys_.size()));
    keys_.push_back(key);
    voxels_.emplace_back(kVoxels);
  }
}

void TsdfVolume::update(int64_t b, const DepthView& view) {
  const Eigen::Matrix3d turn = view.cam_from_world.topLeftCorner<3, 3>();
  const Eigen::Vector3d shift = view.cam_from_world.topRightCorner<3, 1>();
  const Eigen::Vector3d corner =
      keys_[static_cast<size_t>(b)].cast<double>() * kEdge * options_.voxel;
  // A block that is behind the camera or beside the picture is left at once.
  const double reach = 0.5 * std::sqrt(3.0) * kEdge * options_.voxel;
  const Eigen::Vector3d middle =
      turn * (corner.array() + 0.5 * kEdge * options_.voxel).matrix() + shift;
  if (middle.z() < -reach) return;
  Voxel* voxels = voxels_[static_cast<size_t>(b)].data();
  for (int i = 0; i < kVoxels; ++i) {
    const Eigen::Vector3d local(i % kEdge, i / kEdge % kEdge, i / (kEdge * kEdge));
    const Eigen::Vector3d p = turn * (corner + local * options_.voxel) + shift;
    if (!(p.z() > 0)) continue;
    const double u = view.fx * p.x() / p.z() + view.cx, v = view.fy * p.y() / p.z() + view.cy;
    if (!(u >= 0 && v >= 0 && u < view.width && v < view.height)) continue;
    const int64_t pixel = static_cast<int64_t>(v) * view.width + static_cast<int64_t>(u);
    const double z = depth_at(view, u, v, truncation_);
    if (z == 0) continue;
    const double distance = z - p.z();
    if (distance < -truncation_) continue;  // hidden: nothing is known
    const float w = view.weight ? view.weight[pixel] : 1.0f;
    if (!(w > 0)) continue;
    Voxel& to = voxels[i];
    const float sum = to.weight + w, share = w / sum;
    const auto d = static_cast<float>(std::min(1.0, distance / truncation_));
    to.distance += share * (d - to.distance);
    if (view.color && d < 1) {
      const float* c = view.color + 3 * pixel;
      to.red += share * (c[0] - to.red);
      to.green += share * (c[1] - to.green);
      to.blue += share * (c[2] - to.blue);
    }
    to.weight = sum;
  }
}

Mesh TsdfVolume::mesh(double least_weight) const {
  std::vector<int32_t> order(keys_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return before(keys_[static_cast<size_t>(a)], keys_[static_cast<size_t>(b)]);
  });
  Mesh mesh;
  // The vertex on the edge from a voxel along an axis.
  struct EdgeHash {
    size_t operator()(const Eigen::Vector4i& e) const {
      return Hash()(e.head<3>()) * 4 + static_cast<size_t>(e[3]);
    }
  };
  std::unordered_map<Eigen::Vector4i, int32_t, EdgeHash> vertices;
  for (const int32_t b : order) {
    const Key& key = keys_[static_cast<size_t>(b)];
    // The block and the seven that its last cells reach into.
    std::array<const Voxel*, 8> around{};
    for (int k = 0; k < 8; ++k) {
      const auto found = index_.find(key + Key(k & 1, k >> 1 & 1, k >> 2));
      if (found != index_.end())
        around[static_cast<size_t>(k)] = voxels_[static_cast<size_t>(found->second)].data();
    }
    for (int i = 0; i < kVoxels; ++i) {
      const Eigen::Vector3i cell(i % kEdge, i / kEdge % kEdge, i / (kEdge * kEdge));
      std::array<const Voxel*, 8> corners{};
      uint8_t inside = 0;
      bool known = true;
      for (int k = 0; k < 8 && known; ++k) {
        const Eigen::Vector3i at = cell + Eigen::Vector3i(k & 1, k >> 1 & 1, k >> 2);
        const int block = (at.x() == kEdge) | (at.y() == kEdge) << 1 | (at.z() == kEdge) << 2;
        const Voxel* voxels = around[static_cast<size_t>(block)];
        known = voxels != nullptr;
        if (!known) break;
        const Voxel* v =
            voxels + at.x() % kEdge + kEdge * (at.y() % kEdge + kEdge * (at.z() % kEdge));
        known = v->weight >= static_cast<float>(least_weight) && v->weight > 0;
        corners[static_cast<size_t>(k)] = v;
        if (v->distance < 0) inside |= static_cast<uint8_t>(1 << k);
      }
      if (!known || inside == 0 || inside == 255) continue;
      const Eigen::Vector3i lowest = key * kEdge + cell;
      const auto vertex = [&](int edge) {
        const auto ends = edge_corners(edge);
        const Eigen::Vector3i from =
            lowest + Eigen::Vector3i(ends[0] & 1, ends[0] >> 1 & 1, ends[0] >> 2);
        const auto [place, fresh] =
            vertices.try_emplace(Eigen::Vector4i(from.x(), from.y(), from.z(), edge / 4),
                                 static_cast<int32_t>(mesh.vertices.size()));
        if (fresh) {
          const Voxel &a = *corners[static_cast<size_t>(ends[0])],
                      &c = *corners[static_cast<size_t>(ends[1])];
          const float t = a.distance / (a.distance - c.distance);
          Eigen::Vector3d p = from.cast<double>();
          p[edge / 4] += t;
          mesh.vertices.emplace_back((p * options_.voxel).cast<float>());
          const auto mix = [&](float x, float y) {
            return std::clamp(x + t * (y - x), 0.0f, 1.0f);
          };
          mesh.colors.emplace_back(mix(a.red, c.red), mix(a.green, c.green), mix(a.blue, c.blue));
        }
        return place->second;
      };
      const CubeCase& c = cube_case(inside);
      for (int t = 0; t < c.triangles; ++t) {
        const auto at = static_cast<size_t>(3 * t);
        mesh.triangles.emplace_back(vertex(c.edges[at]), vertex(c.edges[at + 1]),
                                    vertex(c.edges[at + 2]));
      }
    }
  }
  compute_normals(mesh);
  return mesh;
}

}  // namespace covary::geometry
