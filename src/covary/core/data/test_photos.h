// Photos with what a camera writes into them, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/core/base/file.h"
#include "covary/core/data/exif.h"
#include "covary/core/data/image.h"

namespace covary::data {

// The picture as JPEG with an EXIF block ("Exif", two zeros, a TIFF header, ...) behind the first marker.
inline void write_jpeg_with_block(const std::filesystem::path& path, const Image8& picture,
                                  const std::string& block) {
  const std::vector<uint8_t> file = with_exif_block(encode_jpeg(picture, 95), block);
  write_file(path, std::string(file.begin(), file.end()));
}

}  // namespace covary::data
