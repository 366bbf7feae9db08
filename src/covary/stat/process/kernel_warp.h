// An input warp: columns seen through the distribution function of Kumaraswamy, so that a stationary
// kernel may change faster at one end of a column than at the other.
//
// With u = (x - low) / (high - low) in [0, 1]:  w(u) = 1 - (1 - u^a)^b,  x -> low + (high - low) w(u).
// Outside of [low, high] a point stays where it is. a = b = 1 changes nothing; the warped column keeps
// its range, and so length scales keep their unit. a < 1 stretches the lower end, b < 1 the upper.
// The slope at an end is that of a point a millionth of the range inside: for a < 1 it has no limit.
// Source: Kumaraswamy 1980; Snoek, Swersky, Zemel and Adams 2014 (as a warp of inputs).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace covary::stat {

struct KernelWarp {
  std::string name;                      // "warp", "warp2"
  std::vector<int64_t> columns;          // that it moves
  int64_t first = -1;                    // parameter: a of every column, then b of every column
  std::vector<double> low, high;         // a column's range
  bool ranged = false;                   // the range is that of data, or of the text
  int64_t node = -1;                     // of the kernel's tree: what is warped
  int64_t first_leaf = 0, end_leaf = 0;  // of the kernel, in there

  int64_t count() const { return static_cast<int64_t>(columns.size()); }
};

struct WarpedCoordinate {
  double value = 0, by_x = 1, by_log_a = 0, by_log_b = 0;
};
WarpedCoordinate warped_coordinate(double x, double low, double high, double a, double b);

}  // namespace covary::stat
