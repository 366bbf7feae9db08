#include "covary/splat/scene/claimed_rows.h"

#include <charconv>
#include <cstring>
#include <span>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/data/streams.h"

namespace covary::scene {
namespace {

constexpr std::string_view kSpzMark = "NGSP", kCount = "element vertex ";
constexpr size_t kSpzHeader = 16, kSpzCount = 8;  // bytes; where the count stands
constexpr size_t kKsplatHeader = 4096, kKsplatCount = 16;
constexpr uint64_t kSplatRow = 32;  // bytes

std::optional<int64_t> number_at(std::string_view bytes, size_t at) {
  uint32_t v = 0;
  if (bytes.size() < at + sizeof v) return std::nullopt;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

std::optional<int64_t> of_ply(std::string_view head) {
  if (const size_t end = head.find("\nend_header"); end != std::string_view::npos)
    head = head.substr(0, end + 1);
  for (size_t at = 0; (at = head.find(kCount, at)) != std::string_view::npos; ++at) {
    if (at == 0 || head[at - 1] != '\n') continue;
    const char *from = head.data() + at + kCount.size(), *end = head.data() + head.size();
    int64_t count = 0;
    const auto [stop, fault] = std::from_chars(from, end, count);
    // A line that is cut by the end of the head may have more digits.
    if (fault != std::errc() || stop == end) return std::nullopt;
    return count;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> claimed_rows(std::string_view head, uint64_t bytes,
                                    const std::string& extension) {
  if (head.starts_with("ply")) return of_ply(head);
  if (head.starts_with(kSpzMark)) return number_at(head, kSpzCount);
  const std::span<const uint8_t> packed(reinterpret_cast<const uint8_t*>(head.data()), head.size());
  if (data::is_gzip(packed)) {
    try {
      const std::vector<uint8_t> first = data::gunzip(packed, kSpzHeader, "");
      const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
      if (text.starts_with(kSpzMark)) return number_at(text, kSpzCount);
    } catch (const Error&) {
    }
    return std::nullopt;
  }
  if (extension == ".splat") return static_cast<int64_t>(bytes / kSplatRow);
  if (extension == ".ksplat" && bytes >= kKsplatHeader) return number_at(head, kKsplatCount);
  return std::nullopt;
}

}  // namespace covary::scene
