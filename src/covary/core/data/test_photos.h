// Photos with what a camera writes into them, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/core/base/file.h"
#include "covary/core/data/image.h"

namespace covary::data {

// The picture as JPEG with an EXIF block ("Exif", two zeros, a TIFF header, ...) behind the first marker.
inline void write_jpeg_with_block(const std::filesystem::path& path, const Image8& picture,
                                  const std::string& block) {
  const std::vector<uint8_t> jpeg = encode_jpeg(picture, 95);
  const std::string bytes(jpeg.begin(), jpeg.end());
  const size_t size = block.size() + 2;
  std::string marker = "\xff\xe1";
  marker += static_cast<char>(size >> 8);
  marker += static_cast<char>(size & 255);
  write_file(path, bytes.substr(0, 2) + marker + block + bytes.substr(2));
}

}  // namespace covary::data
