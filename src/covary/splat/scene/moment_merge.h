// Neighbouring Gaussians merged into one that has their moments, pair by pair, cheapest first.
//
//   Merged m = merged_by_moments(cloud, contributions, {.target = cloud.size() / 4});
//   m.cloud, m.into                       // the row of m.cloud that each row went into
//
// Each Gaussian has a mass: how much of the pictures it makes. Two become one with the mean and the covariance of
// their mixture, weighted by mass; so are the spherical harmonics. The opacity is that which leaves what they cover:
// the sum of opacity times area where they lie apart, one behind the other where they overlap. Extra columns are those
// of the heavier one.
//
// What a merge costs is the mass times its divergence: Runnalls' upper bound of the Kullback-Leibler
// divergence between the mixture before and after, plus the squared difference of colours, both a unit of
// mass. Candidates are nearest neighbours; a round merges disjoint pairs, at most a quarter of the rows, and then
// neighbours are found again. O(n log n) a round. Same bits on any number of threads.
//
// Source: Runnalls 2007 (the bound, greedy pairs); Kerbl et al. 2024 (hierarchies of Gaussians by matched
// moments).
#pragma once

#include <cstdint>
#include <limits>

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

struct MergeOptions {
  int64_t target = 1;                                           // rows that are to be left
  double divergence = std::numeric_limits<double>::infinity();  // most of a pair, nats; then more
                                                                // rows than the target may be left
  int64_t neighbours = 8;  // of each, that it may be merged with
  double colour =
      0.2;  // difference of display colours that counts as much as one deviation of place

  void check() const;  // Error(kUsage) naming the field
};

struct Merged {
  Cloud cloud;
  at::Tensor mass;  // [M] double
  at::Tensor into;  // [N] int64
  int64_t rounds = 0;
  double worst = 0;  // divergence of a pair that was merged, nats
};

// mass [N], not negative. A cloud that has no more than the target comes back as it is. Error(kData)
// when a place, scale or mass is not finite.
Merged merged_by_moments(const Cloud& cloud, const at::Tensor& mass, const MergeOptions& options);

}  // namespace covary::scene
