// Points that fill a cube evenly: the Sobol sequence, scrambled by a seed.
//
//   const Sobol sobol(6, seed);
//   std::vector<double> x = sobol.points(512);       // [512, 6], inside (0, 1)
//   sobol.point(512, next);                          // any point by its index
//   std::vector<double> z = sobol.normals(512);      // standard normals by the inverse distribution
//
// Every coordinate of the first 2^m points meets each interval [k, k + 1) / 2^m once; pairs of the
// first 64 coordinates are (t, m, 2)-nets of small t (sobol_tables.h), later ones have starting
// numbers by a fixed generator. Scrambling keeps all that: a random lower triangular matrix a
// coordinate, and a random shift. A point is a function of (dimensions not included) its index, its
// coordinate and the seed.
//
// O(32) operations a coordinate for a point by its index, O(1) in points(). At most 2^32 points and
// 20,000 coordinates; Error(kUsage) else.
// Source: Sobol 1967; Gray code order of Antonov and Saleev 1979; scrambling of Matousek 1998.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace covary::numeric {

class Sobol {
 public:
  explicit Sobol(int64_t dimensions, uint64_t seed = 0, bool scramble = true);

  int64_t dimensions() const { return static_cast<int64_t>(directions_.size()); }
  void point(uint64_t index, std::span<double> x) const;
  std::vector<double> points(int64_t count, uint64_t first = 0) const;   // [count, dimensions]
  std::vector<double> normals(int64_t count, uint64_t first = 0) const;  // [count, dimensions]

 private:
  std::vector<std::array<uint32_t, 32>> directions_;  // a coordinate
  std::vector<uint32_t> shift_;
};

}  // namespace covary::numeric
