// What the reference and the SIMD loops of projection share: the size of a chunk.
#pragma once

#include <cstdint>

namespace covary::compute {

constexpr int64_t kProjectChunk =
    2048;  // primitives a task; the order of camera sums depends on this alone

}  // namespace covary::compute
