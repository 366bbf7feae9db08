// A truncated signed distance field in sparse blocks, fused from depth images: surfaces from many views.
//
//   TsdfVolume volume({.voxel = 0.01});
//   for (const DepthView& view : views) volume.fuse(view);
//   Mesh mesh = volume.mesh(2);                    // what at least two views saw, with colours
//
// Memory is taken for blocks of 8 x 8 x 8 voxels near surfaces alone: about 10 kB each, no more than `most_blocks`. A voxel
// holds the mean of (depth - its own z) / truncation, cut at 1, over the views that see it, and their colours. What a view
// sees to be empty in front of its surface clears voxels that other views filled.
//
// Lengths in the caller's unit. The same views in the same order give the same bits at any number of threads.
// Sources: Curless and Levoy 1996 (fusion), Newcombe et al. 2011 (projective distances), Niessner et al. 2013 (sparse blocks).
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include <Eigen/Core>

#include "covary/core/geometry/mesh.h"

namespace covary::geometry {

struct TsdfOptions {
  double voxel = 0.01;            // edge, world
  double truncation = 0;          // of distances, world, at most 1,000 voxels; 0 = 4 voxels
  int64_t most_blocks = 1 << 18;  // 2.7 GB

  void check() const;  // Error(kUsage) naming the field
};

// A pinhole view. Rows from the top; pixel centres at +0.5; axes x right, y down, z forward.
struct DepthView {
  int width = 0, height = 0;
  double fx = 0, fy = 0, cx = 0, cy = 0;  // px
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();
  const float* depth = nullptr;   // [H,W] camera z; 0 or not finite = nothing is known
  const float* color = nullptr;   // [H,W,3] in 0 .. 1; null = none
  const float* weight = nullptr;  // [H,W] of what is seen; null = 1
};

class TsdfVolume {
 public:
  explicit TsdfVolume(const TsdfOptions& options);

  // Error(kData) when more blocks are needed than may be.
  void fuse(const DepthView& view);

  // The zero set where all eight corners of a cell have at least this much weight. Vertices have colours.
  Mesh mesh(double least_weight = 1) const;

  int64_t blocks() const { return static_cast<int64_t>(keys_.size()); }

 private:
  static constexpr int kEdge = 8, kVoxels = kEdge * kEdge * kEdge;
  struct Voxel {
    float distance = 0, weight = 0;  // share of the truncation
    float red = 0, green = 0, blue = 0;
  };
  using Key = Eigen::Vector3i;  // of a block: its lowest voxel / 8
  struct Hash {
    size_t operator()(const Key& k) const;
  };

  void touch(const DepthView& view);
  void update(int64_t block, const DepthView& view);

  TsdfOptions options_;
  double truncation_;
  std::vector<Key> keys_;
  std::vector<std::vector<Voxel>> voxels_;  // kVoxels each
  std::unordered_map<Key, int32_t, Hash> index_;
};

}  // namespace covary::geometry
