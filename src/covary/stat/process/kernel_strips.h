// The lower half of a square matrix in tiles, strip by strip of its rows; a strip has row + height
// columns, and ends in its diagonal tile. Within process only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "covary/core/compute/pairwise/pairwise.h"

namespace covary::stat {

struct LowerStrips {
  int64_t n, rows, columns;  // of the matrix, a strip, a tile

  int64_t count() const { return (n + rows - 1) / rows; }
  // Where a tile begins when they lie one after the other.
  int64_t place_of(const compute::PairBlock& t) const {
    return t.row * (t.row + rows) / 2 + t.rows * t.column;
  }
  // use(tile) for those of a strip, the diagonal one last.
  template <class F>
  void over(int64_t strip, F&& use) const {
    const int64_t row = strip * rows, height = std::min(rows, n - row);
    for (int64_t column = 0; column < row; column += columns) {
      use(compute::PairBlock{row, height, column, std::min(columns, row - column)});
    }
    use(compute::PairBlock{row, height, row, height});
  }
};

}  // namespace covary::stat
