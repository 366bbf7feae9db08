// glTF with splats.
#include <cstdint>

#include "fuzz/scene_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::read_scene("gltf", data, size);
}
