// JSON of cameras: cameras.json, and transforms.json up to the photos.
#include <cstdint>

#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture_source.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    const covary::fuzz::MemoryFile file(data, size);
    const bool ours = size > 0 && data[size - 1] == 10;
    if (ours)
      covary::scene::read_cameras(file.path());
    else
      covary::scene::read_transforms_capture("/nonexistent", file.path(), {});
  });
}
