// SOG: an archive as it is; or, as checksums would hide the rest from the search, two bytes with the length of a
// meta.json, the text, and one picture that stands for all of them.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "fuzz/scene_format.h"

namespace {

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
}

// A stored ZIP file of these entries.
class Archive {
 public:
  void add(const std::string& name, const std::string& body) {
    const auto crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
    const auto tail = [&](std::string& out) {
      put<uint32_t>(out, 0);  // stored
      put<uint32_t>(out, 0);
      put<uint32_t>(out, crc);
      put<uint32_t>(out, static_cast<uint32_t>(body.size()));
      put<uint32_t>(out, static_cast<uint32_t>(body.size()));
      put<uint16_t>(out, static_cast<uint16_t>(name.size()));
      put<uint16_t>(out, 0);
    };
    const auto offset = static_cast<uint32_t>(file_.size());
    put<uint32_t>(file_, 0x04034b50);
    put<uint16_t>(file_, 20);
    std::string fields;
    tail(fields);
    file_ += fields + name + body;
    put<uint32_t>(directory_, 0x02014b50);
    put<uint16_t>(directory_, 20);
    put<uint16_t>(directory_, 20);
    directory_ += fields;
    put<uint64_t>(directory_, 0);
    put<uint16_t>(directory_, 0);
    put<uint32_t>(directory_, offset);
    directory_ += name;
    ++count_;
  }
  std::string bytes() const {
    std::string out = file_ + directory_;
    put<uint32_t>(out, 0x06054b50);
    put<uint32_t>(out, 0);
    put<uint16_t>(out, count_);
    put<uint16_t>(out, count_);
    put<uint32_t>(out, static_cast<uint32_t>(directory_.size()));
    put<uint32_t>(out, static_cast<uint32_t>(file_.size()));
    put<uint16_t>(out, 0);
    return out;
  }

 private:
  std::string file_, directory_;
  uint16_t count_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || (data[0] == 'P' && data[1] == 'K'))
    return covary::fuzz::read_scene("sog", data, size);
  const size_t text = std::min<size_t>(size - 2, data[0] + 256u * data[1]);
  const auto* chars = reinterpret_cast<const char*>(data) + 2;
  const std::string picture(chars + text, size - 2 - text);
  Archive zip;
  zip.add("meta.json", std::string(chars, text));
  for (const char* name : {"a", "b"}) zip.add(name, picture);
  const std::string bytes = zip.bytes();
  return covary::fuzz::read_scene("sog", reinterpret_cast<const uint8_t*>(bytes.data()),
                                  bytes.size());
}
