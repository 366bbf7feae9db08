// Bytes as text of 64 letters, and back (RFC 4648, section 4).
//
//   std::string text = base64(bytes);                        // padded by '='
//   std::vector<uint8_t> bytes = from_base64(text, "a.gltf"); // Error(kData) at a letter that is none of them
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace covary {

std::string base64(std::span<const uint8_t> bytes);

// Padding may be missing, and ends the text; `where` is named in the error.
std::vector<uint8_t> from_base64(std::string_view text, const std::string& where);

}  // namespace covary
