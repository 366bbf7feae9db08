// The region that a front leaves undominated, cut into boxes that do not overlap: what an expected
// improvement of the hypervolume is integrated over. All objectives are maximised.
//
//   const BoxDecomposition boxes(points, reference);      // points [n,m], reference [m]
//   const double gain = boxes.improvement(y);             // hypervolume that y [m] would add
//
// Box k is {lower_j < y_j <= upper_j for all j}; together the boxes are all y > reference that no
// point dominates or equals. Their sides are values of the points, the reference, or infinite: they
// are kept as indices into the sorted levels of each objective, so that a function of one side (a
// normal's partial expectation, say) is computed once a level and not once a box.
//
// Boxes for n points on the front: 1 for one objective, n + 1 for two, at most 2n + 1 for three
// (sweep with a staircase), of order n^floor(m/2) beyond: about 200 for 30 and 900 for 100 points
// in four. Costs: O(n^2) small steps up to three objectives, O(n boxes + boxes^2) beyond.
// Points at or below the reference and dominated ones are left out. Throws as hypervolume.h, and
// Error(kFailed) above a million boxes (fewer from six objectives on): scalarise then (chebyshev.h).
// Sources: Yang, Emmerich, Deutz and Baeck 2019 (three objectives); Lacour, Klamroth and Fonseca
// 2017, with the local bounds of Klamroth, Lacour and Vanderpooten 2015 (more).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace covary::stat {

class BoxDecomposition {
 public:
  BoxDecomposition(std::span<const double> points, std::span<const double> reference);

  int64_t objectives() const { return static_cast<int64_t>(reference_.size()); }
  int64_t size() const { return size_; }  // boxes, at least 1
  std::span<const double> reference() const { return reference_; }
  std::span<const double> front() const { return front_; }  // [points, m]

  // Of objective j: ascending, from the reference to infinity.
  std::span<const double> levels(int64_t j) const { return levels_[static_cast<size_t>(j)]; }
  // Of objective j, a box: indices into levels(j), lower below upper.
  std::span<const int32_t> lower(int64_t j) const { return lower_[static_cast<size_t>(j)]; }
  std::span<const int32_t> upper(int64_t j) const { return upper_[static_cast<size_t>(j)]; }

  // hypervolume(front and point) - hypervolume(front), without the cancellation: O(m boxes).
  // Throws Error(kUsage) for a wrong size, Error(kData) for a value that is not finite.
  double improvement(std::span<const double> point) const;

 private:
  std::vector<double> reference_, front_;
  int64_t size_ = 0;
  std::vector<std::vector<double>> levels_;
  std::vector<std::vector<int32_t>> lower_, upper_;
};

}  // namespace covary::stat
