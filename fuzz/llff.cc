// LLFF's poses_bounds.npy, and depth as .npy.
#include <cstdint>

#include "fuzz/capture_folder.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static covary::fuzz::CaptureFolder folder;
  covary::fuzz::expect_error_or_success([&] {
    const covary::fuzz::MemoryFile file(data, size);
    covary::scene::read_llff_capture(folder.path(), file.path(), {});
  });
  return covary::fuzz::expect_error_or_success(
      [&] { covary::scene::read_depth(folder.put("d.npy", data, size), 0); });
}
