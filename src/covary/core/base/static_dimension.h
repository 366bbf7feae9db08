// A number of dimensions that is known when the program runs, as a constant of the code that it chooses.
//
//   with_dimension<8>(d, [&]<int kDims>() { evaluate<kDims>(x, n); });      // 1 <= d <= 8
#pragma once

#include <cstdint>

namespace covary {

// body.operator()<d>(), d in [1, kMost].
template <int kMost, class F>
auto with_dimension(int64_t d, F&& body) {
  if constexpr (kMost > 1) {
    if (d < kMost) return with_dimension<kMost - 1>(d, body);
  }
  return body.template operator()<kMost>();
}

}  // namespace covary
