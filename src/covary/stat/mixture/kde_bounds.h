// Bounds of columns, for densities that live on an interval: what a kernel puts beyond an edge is
// folded back about it. Within mixture and the command line.
//
//   parse_bounds("age=0:,share=0:1", {"age", "share"});     // {[0, inf), [0, 1]}
//
// A folded density is p(q) = sum over images r of q of f(r), where f knows of no bounds: it
// integrates to 1 over the bounded domain for any kernel (it is the law of a draw from f, folded),
// and its slope at an edge is 0 (Schuster 1985). On an interval of length L the images are q + 2 m L
// and 2 low - q + 2 m L for whole m; those that no kernel reaches are left out.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace covary::mixture {

struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open() const;  // has no edge
  bool holds(double v) const { return v >= low && v <= high; }
  double folded(double v) const;  // v moved into the interval by reflections
};

// "COLUMN=LOW:HIGH,..." for columns of these names; either end may be left out. One interval a
// column; empty when the text is. Error(kUsage) names what cannot be read.
std::vector<Interval> parse_bounds(const std::string& text, const std::vector<std::string>& names);
// The same text with numbers for names, from 0.
std::string numbered_bounds(const std::string& text, const std::vector<std::string>& names);

// An image of a coordinate v: sign * v + shift.
struct Image {
  double sign = 1, shift = 0;
};
// Those of an interval whose distance to it can be below reach; v itself first.
std::vector<Image> images_of(const Interval& interval, double reach);

}  // namespace covary::mixture
