// What the reference and the SIMD loop of projection share: the size of a chunk and the joining of
// chunks.
#pragma once

#include <vector>

#include "covary/core/compute/project/project.h"

namespace covary::compute {

constexpr int64_t kProjectChunk =
    2048;  // primitives a task; the order of camera sums depends on this alone

template <class T>
Projection<T> concatenate(const std::vector<Projection<T>>& parts) {
  Projection<T> all;
  const auto join = [&](auto member) {
    auto& to = all.*member;
    size_t size = 0;
    for (const auto& p : parts) size += (p.*member).size();
    to.reserve(size);
    for (const auto& p : parts) to.insert(to.end(), (p.*member).begin(), (p.*member).end());
  };
  join(&Projection<T>::ids);
  join(&Projection<T>::centres);
  join(&Projection<T>::depths);
  join(&Projection<T>::params);
  join(&Projection<T>::opacities);
  join(&Projection<T>::extents);
  join(&Projection<T>::halves);
  return all;
}

}  // namespace covary::compute
