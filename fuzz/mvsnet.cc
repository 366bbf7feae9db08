// MVSNet's _cam.txt, up to the lens for a photo of some size.
#include "covary/splat/scene/mvsnet.h"

#include <cstdint>

#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    const covary::scene::MvsnetCamera camera =
        covary::scene::parse_mvsnet_camera({reinterpret_cast<const char*>(data), size}, "input");
    covary::scene::mvsnet_lens(camera, 640, 480, "input");
  });
}
