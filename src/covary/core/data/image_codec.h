// The codecs behind image.h: one PNG and one JPEG file, from and to bytes in memory. Within data
// only.
//
// libpng and libjpeg report errors by longjmp. Each codec catches that inside one function whose
// frame holds no C++ object, and throws Error(kData, ..., where) after it has returned.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "covary/core/data/image.h"

namespace covary::data {

bool is_png(std::span<const uint8_t> bytes);
bool is_jpeg(std::span<const uint8_t> bytes);

ImageInfo png_info(std::span<const uint8_t> bytes, const std::string& where);
Image8 decode_png(std::span<const uint8_t> bytes, const std::string& where);
Image16 decode_png16(std::span<const uint8_t> bytes, const std::string& where);
std::vector<uint8_t> encode_png16(const Image16& image);

ImageInfo jpeg_info(std::span<const uint8_t> bytes, const std::string& where);
Image8 decode_jpeg(std::span<const uint8_t> bytes, const std::string& where);

// Refuses over 1 Gpx, and sizes that the file's bytes cannot hold even at the codec's best ratio
// (pixels a byte): a header of a few bytes must not make us allocate gigabytes.
void check_size(uint64_t height, uint64_t width, uint64_t bytes, double pixels_per_byte,
                const std::string& where);

}  // namespace covary::data
