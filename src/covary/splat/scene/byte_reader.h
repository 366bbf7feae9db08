// Fields of a binary file that is not trusted, in order or by place: nothing is read past the end, and an
// error names file, field and offset. Little-endian. Within scene only.
//
//   ByteReader in(bytes, "a.ksplat");
//   in.seek(4);  const uint32_t sections = in.get<uint32_t>("section count");
//   const uint8_t* rows = in.take(rows, 44, "splats");            // 64-bit product, checked
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "covary/core/base/error.h"

namespace covary::scene {

constexpr const char* kDamagedHint = "the file is damaged or incomplete: write or copy it again";

inline std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class ByteReader {
 public:
  ByteReader(std::span<const uint8_t> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  uint64_t size() const { return bytes_.size(); }
  uint64_t left() const { return bytes_.size() - at_; }
  uint64_t offset() const { return at_; }
  const std::string& where() const { return where_; }

  // `count` items of `width` bytes from here.
  const uint8_t* take(uint64_t count, uint64_t width, const std::string& field) {
    uint64_t need = 0;
    if (__builtin_mul_overflow(count, width, &need) || need > left())
      fail(field, "needs " + std::to_string(count) + " x " + std::to_string(width) +
                      " bytes at offset " + std::to_string(at_) + ", but " +
                      std::to_string(left()) + " are left");
    const uint8_t* p = bytes_.data() + at_;
    at_ += need;
    return p;
  }
  std::span<const uint8_t> span(uint64_t count, const std::string& field) {
    return {take(count, 1, field), count};
  }
  template <class T>
  T get(const std::string& field) {
    T v;
    std::memcpy(&v, take(1, sizeof(T), field), sizeof(T));
    return v;
  }
  void seek(uint64_t offset, const std::string& field = "header") {
    if (offset > bytes_.size())
      fail(field, "stands at offset " + std::to_string(offset) + " of " +
                      std::to_string(bytes_.size()) + " bytes");
    at_ = offset;
  }
  [[noreturn]] void fail(const std::string& field, const std::string& what) const {
    throw Error(ExitCode::kData, what, where_ + ": " + field, kDamagedHint);
  }

 private:
  std::span<const uint8_t> bytes_;
  std::string where_;
  uint64_t at_ = 0;
};

template <class T>
T load_as(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void store_as(uint8_t* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace covary::scene
