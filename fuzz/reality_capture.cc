// RealityCapture's CSV of camera parameters.
#include "covary/splat/scene/reality_capture.h"

#include <cstdint>

#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    covary::scene::parse_reality_capture({reinterpret_cast<const char*>(data), size}, "input");
  });
}
