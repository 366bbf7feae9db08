// .spz files of every version.
#include <cstdint>

#include "fuzz/scene_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::read_scene("spz", data, size);
}
