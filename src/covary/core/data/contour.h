// Lines of equal value over a grid, and which values bound the regions of highest density.
//
//   const std::vector<double> levels = region_levels(density, {0.5, 0.8, 0.95});
//   for (const ContourLine& line : contour_lines(density, rows, columns, levels[0])) ...
//
// Values [rows,columns]; a line's coordinates are in steps of the grid: (0, 0) is the first value, x
// goes along the columns. What is not finite counts as below every level.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::data {

struct ContourLine {
  std::vector<double> x, y;  // closed lines end where they began
};

// Marching squares: where the edges of cells cross the level, linearly between their ends. Where all
// four edges do, the mean of the corners says which pairs belong together. Open lines (they end at the
// border of the grid) first, then closed ones, each in the order of the grid.
std::vector<ContourLine> contour_lines(const std::vector<double>& values, int64_t rows,
                                       int64_t columns, double level);

// For each share of the sum of the values (above 0), the level above which they add to that share: the
// border of the smallest region that holds it (Hyndman 1996). 0 when the values have no sum.
std::vector<double> region_levels(const std::vector<double>& values,
                                  const std::vector<double>& shares);

}  // namespace covary::data
