// Bytes that are written first and read later, on disk and not in memory: a file without a name in the folder where the
// result will stand, gone with the object.
//
//   Spool s("out");                          // the folder
//   s.append(bytes);
//   for (uint64_t at = 0; at < s.size();) at += s.read(at, buffer);
//
// Error(kData) when the folder cannot be written or the disk is full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace covary {

class Spool {
 public:
  explicit Spool(const std::filesystem::path& folder);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void append(std::span<const uint8_t> bytes);
  uint64_t size() const { return size_; }
  // As many bytes from there as there are, up to the size of `to`; gives their number.
  size_t read(uint64_t at, std::span<uint8_t> to) const;

 private:
  std::filesystem::path folder_;
  int file_ = -1;
  uint64_t size_ = 0;
};

}  // namespace covary
