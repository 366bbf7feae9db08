// A mixture and a thread's memory as the tiles of simd.cc want them. Within gaussian only.
//
//   const PackedMixture p(view);
//   TileWork w(p, true);            // with room for the sums of a step of EM
//
// Points of a tile lie in columns, [d4][kTileColumn]; dimensions are padded to fours with zeros.
#pragma once

#include <cstdint>
#include <vector>

#include <hwy/aligned_allocator.h>

#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::compute {

constexpr int64_t kQueue = 128;  // points that a component gathers before their scatter is summed
// Columns of a tile and of a queue lie so far apart: powers of two would share few sets of the cache.
constexpr int64_t kTileColumn = kGaussianTile + 8;
constexpr int64_t kQueueColumn = kQueue + 8;
constexpr int64_t kWidestLanes = 8;  // doubles of the widest vector

// Sums are kept as vectors of lanes until a block ends. The scatter of a component, row by row of
// blocks of four: the blocks before the diagonal, then the diagonal one, sixteen vectors each (of
// the diagonal block a triangle is used).
constexpr int64_t scatter_blocks(int64_t d4) { return d4 / 4 * (d4 / 4 + 1) / 2; }

struct PackedMixture {
  explicit PackedMixture(const GaussianMixtureView& view);

  bool matrices() const { return !triangles.empty(); }

  GaussianMixtureView m;
  int64_t d4, triangle;            // triangle: doubles of one packed W
  std::vector<double> means;       // [k,d4]
  std::vector<double> constants;   // [k] log w - d/2 log 2 pi + log det W
  std::vector<double> negligible;  // [k] log(kNegligible w) - kLogBound
  std::vector<double> scales;      // [k,d4] spherical and diagonal: W; tied: the whitened means
  std::vector<double> triangles;   // rows in fours: for each column the four values
  std::vector<double> centre;      // [d4], tied: the middle of the means
  // Tied: every mean lies within kNearCentre deviations of the centre. Then the scatter is summed
  // once, about the centre, and moved to the means: what that subtracts is at most kNearCentre^2
  // times what is left, ten bits of 53.
  bool near_centre = false;
};

constexpr double kNearCentre = 32;

// log(1 + q) <= q / 64 + kLogBound for q >= 0: the tangent at 63.
constexpr double kLogBound = 3.18;

struct TileWork {
  TileWork(const PackedMixture& p, bool statistics);
  void clear_sums();

  hwy::AlignedFreeUniquePtr<double[]> memory;
  double *x, *whitened;                           // [d4,kTileColumn]
  double* joint;                                  // [k,kTileColumn], then responsibilities
  double *log_density, *entropy, *weight, *live;  // [kTileColumn]; live: weight, 0 without density
  double* queue;             // [k,d4+1,kQueueColumn] points, and their weighted responsibilities
  double *centred, *scaled;  // [d4,kTileColumn], [4,kTileColumn]
  double *mass, *shift, *square,
      *scatter;                  // lanes of the sums: [k], [k,d4], [k,d4], [slots,blocks,16]
  int64_t lanes_of_sums = 0;     // doubles from mass on
  std::vector<int64_t> waiting;  // [k] points in the queue; without queues, of the tile that count
};

}  // namespace covary::compute
