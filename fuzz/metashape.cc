// Metashape's XML of exported cameras.
#include <cstdint>

#include "fuzz/capture_folder.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static covary::fuzz::CaptureFolder folder;
  return covary::fuzz::expect_error_or_success([&] {
    const covary::fuzz::MemoryFile file(data, size);
    covary::scene::read_metashape_capture(folder.path(), file.path(), {});
  });
}
