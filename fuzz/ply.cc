// Splat .ply files.
#include <cstdint>

#include "covary/splat/scene/ply.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success(
      [&] { covary::scene::read_ply(covary::fuzz::MemoryFile(data, size).path()); });
}
