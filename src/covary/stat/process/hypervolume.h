// What a set of points with several objectives dominates, all objectives maximised.
//
//   std::vector<int64_t> best = non_dominated(points, 3);     // rows of points [n,3]
//   double v = hypervolume(points, {{0.0, 0.0, 0.0}});        // volume between reference and front
//
// y dominates z when it is nowhere smaller and somewhere larger. To minimise an objective, negate
// it and its entry of the reference. Points are rows of doubles, one after another; all must be
// finite, or an Error(kData) names the row. A point that is not above the reference everywhere
// adds no volume.
//
// Costs for n points on the front: non_dominated O(n log n) for two and three objectives, O(n^2)
// beyond; hypervolume O(n log n) for two, O(n^2) but with a tiny factor for three, and a factor n
// for each further one. All terms are positive: the volume keeps its digits.
// Sources: Kung, Luccio and Preparata 1975 (filter); Fonseca, Paquete and Lopez-Ibanez 2006 (sweep
// of three objectives by a staircase, slices for more).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace covary::stat {

// Rows that no row dominates, ascending; of equal rows the first. Throws Error(kUsage) when the
// size is not a multiple of objectives >= 1.
std::vector<int64_t> non_dominated(std::span<const double> points, int64_t objectives);

// Volume of {y >= reference, some point dominates or equals y}; 0 for no points. Throws
// Error(kUsage) for an empty or non-finite reference or sizes that do not fit.
double hypervolume(std::span<const double> points, std::span<const double> reference);

// The rows of points (as in non_dominated) that are above the reference everywhere: [front, m].
std::vector<double> front_above(std::span<const double> points, std::span<const double> reference);

}  // namespace covary::stat
