// ZIP containers, as much as `.npz`, `.cov` and `.sog` need: stored or deflated entries, zip64, CRC-32.
// For readers and writers of formats; see archive.h for arrays.
//
//   ZipWriter w(path);  w.add("a.npy", {header, body});  w.commit();      // stored; atomic
//   ZipReader r(path);  std::vector<uint8_t> bytes = r.read(r.entries()[0]);
//
// The reader trusts no number of the file: offsets and sizes are checked against the file before
// memory is taken, a deflated entry must end exactly at its stated size, and CRCs must agree.
// Faults are Error(kData) naming file and entry. Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3
// and 4.5.3.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "covary/core/base/file.h"

namespace covary::data {

struct ZipEntry {
  std::string name;
  uint16_t method = 0;  // 0 stored, 8 deflated
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, header_offset = 0;  // bytes
};

class ZipWriter {
 public:
  explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}
  void add(const std::string& name, std::initializer_list<std::span<const uint8_t>> parts);
  void commit();

 private:
  void put(const std::vector<uint8_t>& bytes);

  AtomicFile file_;
  std::vector<ZipEntry> entries_;
  uint64_t offset_ = 0;
};

class ZipReader {
 public:
  explicit ZipReader(const std::filesystem::path& path);
  ~ZipReader();
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  const std::vector<ZipEntry>& entries() const { return entries_; }
  std::vector<uint8_t> read(const ZipEntry& entry) const;  // may be called from several threads
  std::string where(const std::string& name) const { return path_ + ": " + name; }

 private:
  std::vector<uint8_t> bytes(uint64_t offset, uint64_t count, const std::string& where) const;
  void read_directory();

  std::string path_;
  int file_ = -1;
  uint64_t size_ = 0;
  std::vector<ZipEntry> entries_;
};

}  // namespace covary::data
