// A scene of one format, whatever the bytes look like.
#pragma once

#include <cstdint>

#include "covary/splat/scene/format.h"
#include "fuzz/memory_file.h"

namespace covary::fuzz {

inline int read_scene(const char* format, const uint8_t* data, size_t size) {
  return expect_error_or_success([&] {
    const scene::Cloud cloud = scene::find_format(format)->read(MemoryFile(data, size).path(), {});
    cloud.check();
  });
}

}  // namespace covary::fuzz
