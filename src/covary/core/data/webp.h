// Lossless WebP: RGBA pictures whose every byte comes back, also the colours under alpha 0. Splats in
// SOG files are stored so.
//
//   std::vector<uint8_t> file = encode_webp(image);           // image has 4 channels
//   Image8 same = decode_webp(file, "quats.webp");            // 4 channels, lossy files too
//
// Alpha is straight. Errors: Error(kData, where) for what is no WebP, is truncated, or says a size that
// its bytes cannot hold. Source: Google's libwebp 1.2, "WebP Lossless Bitstream Specification".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "covary/core/data/image.h"

namespace covary::data {

constexpr int kMostWebpSide = 16383;  // px

bool is_webp(std::span<const uint8_t> bytes);
ImageInfo webp_info(std::span<const uint8_t> bytes, const std::string& where);
Image8 decode_webp(std::span<const uint8_t> bytes, const std::string& where);

// effort 0..9: time for size. Error(kFailed) for a size that WebP does not have or no 4 channels.
std::vector<uint8_t> encode_webp(const Image8& image, int effort = 5);

}  // namespace covary::data
