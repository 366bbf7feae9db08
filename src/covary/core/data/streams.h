// Bytes through gzip and Zstandard, in memory.
//
//   std::vector<uint8_t> file = gzip(bytes);                        // one member, on all threads
//   std::vector<uint8_t> head = gunzip(file, 16, "a.spz");          // the first 16 bytes of it
//   std::vector<uint8_t> back = zstd_unpack(frame, 4096, "a.spz");  // exactly 4096 bytes, or an error
//
// Nothing trusts a size that the stream states: the caller says how much there may be. The same bytes
// pack to the same stream at any number of threads. Errors: Error(kData, where) for damaged streams.
// Sources: RFC 1951, 1952 (DEFLATE, gzip), RFC 8878 (Zstandard).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

struct ZSTD_CCtx_s;

namespace covary::data {

bool is_gzip(std::span<const uint8_t> bytes);

// Up to `most` bytes of all members one after the other; fewer where the stream has fewer.
std::vector<uint8_t> gunzip(std::span<const uint8_t> packed, uint64_t most,
                            const std::string& where);
// level 1..9.
std::vector<uint8_t> gzip(std::span<const uint8_t> bytes, int level = 6);

// The same stream for bytes that come one after the other, in memory for a few megabytes; packed bytes go to `out`.
class GzipStream {
 public:
  using Out = std::function<void(std::span<const uint8_t>)>;
  explicit GzipStream(Out out, int level = 6);
  void write(std::span<const uint8_t> bytes);
  void finish();  // once, at the end

 private:
  void pack(bool last);

  Out out_;
  int level_;
  std::vector<uint8_t> held_;  // up to a window that was packed, then what was not
  uint64_t before_ = 0;        // bytes of that window
  uint64_t total_ = 0;
  uint32_t sum_ = 0;
};

// One frame of bytes that come one after the other, of a size that is known, in memory for the window alone.
class ZstdStream {
 public:
  using Out = std::function<void(std::span<const uint8_t>)>;
  ZstdStream(Out out, uint64_t size, int level = 12);  // as zstd_pack
  ~ZstdStream();
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;
  void write(std::span<const uint8_t> bytes);
  void finish();  // once, at the end; Error(kFailed) when other than `size` bytes came

 private:
  void pack(std::span<const uint8_t> bytes, bool last);

  Out out_;
  ZSTD_CCtx_s* context_;
  std::vector<uint8_t> packed_;
};

// Exactly `size` bytes.
std::vector<uint8_t> zstd_unpack(std::span<const uint8_t> packed, uint64_t size,
                                 const std::string& where);
// level 1..22; the frame states its size.
std::vector<uint8_t> zstd_pack(std::span<const uint8_t> bytes, int level = 12);

}  // namespace covary::data
