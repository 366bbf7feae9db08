// PNG and JPEG.
#include <cstdint>
#include <span>

#include "covary/core/data/image.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    covary::data::image_info(std::span(data, size), "input");
    covary::data::decode_image(std::span(data, size), "input");
  });
}
