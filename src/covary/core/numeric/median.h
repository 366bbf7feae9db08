// The median as an element of the sample: of an even number the upper of the two in the middle.
//
//   const double typical = upper_median(std::move(distances));     // not empty
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace covary::numeric {

template <class T>
T upper_median(std::vector<T> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace covary::numeric
