#include "covary/core/base/base64.h"

#include <algorithm>

#include "covary/core/base/error.h"

namespace covary {
namespace {

constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(std::span<const uint8_t> bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t v = 0;
    for (size_t k = 0; k < 3; ++k) v = v << 8 | (k < left ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= left ? kLetters[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::vector<uint8_t> from_base64(std::string_view text, const std::string& where) {
  std::vector<uint8_t> out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t letter = kLetters.find(c);
    if (letter == std::string_view::npos)
      throw Error(ExitCode::kData, "bad base64", where, "the file is damaged: copy it again");
    bits = bits << 6 | static_cast<uint32_t>(letter);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out.push_back(static_cast<uint8_t>(bits >> have));
    }
  }
  return out;
}

}  // namespace covary
