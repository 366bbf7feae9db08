#include "covary/core/data/zip.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "covary/core/base/error.h"

namespace covary::data {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr uint64_t kMost32 = 0xffffffffu;
constexpr const char* kHint = "the file is truncated or altered: write or copy it again";

template <class T>
void append(std::vector<uint8_t>& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
}

template <class T>
T get(const uint8_t* p) {
  uint64_t v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) v |= static_cast<uint64_t>(p[i]) << (8 * i);
  return static_cast<T>(v);
}

// zlib would begin anew at a null pointer, which the data of an empty array may be.
uint32_t crc_of(uint32_t crc, const uint8_t* data, uint64_t size) {
  return size == 0 ? crc : static_cast<uint32_t>(crc32_z(crc, data, size));
}

// Sizes that do not fit 32 bits move to an extra field, in this order.
std::vector<uint8_t> extra64(std::initializer_list<uint64_t> values) {
  std::vector<uint8_t> extra;
  append<uint16_t>(extra, 1);
  append<uint16_t>(extra, static_cast<uint16_t>(8 * values.size()));
  for (const uint64_t v : values) append<uint64_t>(extra, v);
  return extra;
}

}  // namespace

void ZipWriter::put(const std::vector<uint8_t>& bytes) {
  file_.write(bytes.data(), bytes.size());
  offset_ += bytes.size();
}

void ZipWriter::add(const std::string& name,
                    std::initializer_list<std::span<const uint8_t>> parts) {
  if (name.empty() || name.size() > 0xffff)
    throw Error(ExitCode::kFailed, "bad name of an archive entry", name);
  for (const ZipEntry& e : entries_)
    if (e.name == name) throw Error(ExitCode::kFailed, "two archive entries of one name", name);
  ZipEntry entry;
  entry.name = name;
  entry.header_offset = offset_;
  for (const auto& part : parts) {
    entry.crc = crc_of(entry.crc, part.data(), part.size());
    entry.size += part.size();
  }
  entry.packed = entry.size;
  const bool large = entry.size >= kMost32;
  std::vector<uint8_t> head;
  append<uint32_t>(head, kLocal);
  append<uint16_t>(head, large ? 45 : 20);  // version needed
  append<uint16_t>(head, 0);                // flags
  append<uint16_t>(head, 0);                // stored
  append<uint32_t>(head, 0x00210000);       // 1980-01-01: the same arrays give the same bytes
  append<uint32_t>(head, entry.crc);
  append<uint32_t>(head, large ? kMost32 : entry.size);
  append<uint32_t>(head, large ? kMost32 : entry.size);
  append<uint16_t>(head, name.size());
  append<uint16_t>(head, large ? 20 : 0);
  head.insert(head.end(), name.begin(), name.end());
  if (large) {
    const auto extra = extra64({entry.size, entry.size});
    head.insert(head.end(), extra.begin(), extra.end());
  }
  put(head);
  for (const auto& part : parts) file_.write(part.data(), part.size());
  offset_ += entry.size;
  entries_.push_back(std::move(entry));
}

void ZipWriter::commit() {
  const uint64_t start = offset_;
  for (const ZipEntry& e : entries_) {
    const bool large = e.size >= kMost32 || e.header_offset >= kMost32;
    std::vector<uint8_t> head;
    append<uint32_t>(head, kCentral);
    append<uint16_t>(head, large ? 45 : 20);  // version made by
    append<uint16_t>(head, large ? 45 : 20);  // version needed
    append<uint16_t>(head, 0);
    append<uint16_t>(head, 0);
    append<uint32_t>(head, 0x00210000);
    append<uint32_t>(head, e.crc);
    append<uint32_t>(head, large ? kMost32 : e.size);
    append<uint32_t>(head, large ? kMost32 : e.size);
    append<uint16_t>(head, e.name.size());
    append<uint16_t>(head, large ? 28 : 0);
    append<uint16_t>(head, 0);  // comment
    append<uint16_t>(head, 0);  // disk
    append<uint16_t>(head, 0);
    append<uint32_t>(head, 0);
    append<uint32_t>(head, large ? kMost32 : e.header_offset);
    head.insert(head.end(), e.name.begin(), e.name.end());
    if (large) {
      const auto extra = extra64({e.size, e.size, e.header_offset});
      head.insert(head.end(), extra.begin(), extra.end());
    }
    put(head);
  }
  const uint64_t directory = offset_ - start, count = entries_.size();
  const bool large = start >= kMost32 || count >= 0xffff;
  std::vector<uint8_t> tail;
  if (large) {
    append<uint32_t>(tail, kEnd64);
    append<uint64_t>(tail, 44);
    append<uint16_t>(tail, 45);
    append<uint16_t>(tail, 45);
    append<uint32_t>(tail, 0);
    append<uint32_t>(tail, 0);
    append<uint64_t>(tail, count);
    append<uint64_t>(tail, count);
    append<uint64_t>(tail, directory);
    append<uint64_t>(tail, start);
    append<uint32_t>(tail, kLocator64);
    append<uint32_t>(tail, 0);
    append<uint64_t>(tail, offset_);
    append<uint32_t>(tail, 1);
  }
  append<uint32_t>(tail, kEnd);
  append<uint32_t>(tail, 0);
  append<uint16_t>(tail, large ? 0xffff : count);
  append<uint16_t>(tail, large ? 0xffff : count);
  append<uint32_t>(tail, large ? kMost32 : directory);
  append<uint32_t>(tail, large ? kMost32 : start);
  append<uint16_t>(tail, 0);
  put(tail);
  file_.commit();
}

ZipReader::ZipReader(const std::filesystem::path& path) : path_(path.string()) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (file_ < 0 || fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
    const std::string reason = file_ < 0 ? std::strerror(errno) : "not a file";
    if (file_ >= 0) close(file_);
    throw Error(ExitCode::kData, "cannot open the archive (" + reason + ")", path_,
                "check the path");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  try {
    read_directory();
  } catch (...) {
    close(file_);
    throw;
  }
}

ZipReader::~ZipReader() { close(file_); }

std::vector<uint8_t> ZipReader::bytes(uint64_t offset, uint64_t count,
                                      const std::string& where) const {
  if (offset > size_ || count > size_ - offset)
    throw Error(ExitCode::kData, "the archive points past its end", where, kHint);
  std::vector<uint8_t> out(count);
  for (uint64_t done = 0; done < count;) {
    const ssize_t n =
        pread(file_, out.data() + done, count - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(ExitCode::kData, "cannot read the archive", where, kHint);
    done += static_cast<uint64_t>(n);
  }
  return out;
}

void ZipReader::read_directory() {
  // The end record stands at the end, before a comment of at most 65535 bytes.
  const uint64_t tail_size = std::min<uint64_t>(size_, 22 + 65535);
  const std::vector<uint8_t> tail = bytes(size_ - tail_size, tail_size, path_);
  int64_t at = static_cast<int64_t>(tail_size) - 22;
  while (at >= 0 && get<uint32_t>(tail.data() + at) != kEnd) --at;
  if (at < 0)
    throw Error(ExitCode::kData, "not a ZIP archive, or its end is missing", path_, kHint);
  const uint8_t* end = tail.data() + at;
  uint64_t count = get<uint16_t>(end + 10), length = get<uint32_t>(end + 12),
           start = get<uint32_t>(end + 16);
  if (at >= 20 && get<uint32_t>(end - 20) == kLocator64) {
    const std::vector<uint8_t> end64 = bytes(get<uint64_t>(end - 20 + 8), 56, path_);
    if (get<uint32_t>(end64.data()) != kEnd64)
      throw Error(ExitCode::kData, "the zip64 end record is damaged", path_, kHint);
    count = get<uint64_t>(end64.data() + 32);
    length = get<uint64_t>(end64.data() + 40);
    start = get<uint64_t>(end64.data() + 48);
  }
  const std::vector<uint8_t> directory = bytes(start, length, path_);
  if (count > directory.size() / 46)
    throw Error(ExitCode::kData,
                "the archive says it has " + std::to_string(count) +
                    " entries, more than its directory holds",
                path_, kHint);
  size_t p = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t* h = directory.data() + p;
    if (directory.size() - p < 46 || get<uint32_t>(h) != kCentral)
      throw Error(ExitCode::kData, "the directory is damaged at entry " + std::to_string(i), path_,
                  kHint);
    const size_t name = get<uint16_t>(h + 28), extra = get<uint16_t>(h + 30),
                 comment = get<uint16_t>(h + 32);
    if (directory.size() - p < 46 + name + extra + comment)
      throw Error(ExitCode::kData, "the directory is damaged at entry " + std::to_string(i), path_,
                  kHint);
    ZipEntry e;
    e.name.assign(reinterpret_cast<const char*>(h + 46), name);
    e.method = get<uint16_t>(h + 10);
    e.crc = get<uint32_t>(h + 16);
    e.packed = get<uint32_t>(h + 20);
    e.size = get<uint32_t>(h + 24);
    e.header_offset = get<uint32_t>(h + 42);
    if ((get<uint16_t>(h + 8) & 1) != 0)
      throw Error(ExitCode::kData, "the entry is encrypted", where(e.name));
    // zip64: only the fields that are all ones are there, in this order.
    const uint8_t* x = h + 46 + name;
    for (size_t used = 0; used + 4 <= extra;) {
      const size_t id = get<uint16_t>(x + used), n = get<uint16_t>(x + used + 2);
      if (n > extra - used - 4) break;
      if (id == 1) {
        size_t q = used + 4;
        for (uint64_t* field : {&e.size, &e.packed, &e.header_offset}) {
          if (*field != kMost32 || q + 8 > used + 4 + n) continue;
          *field = get<uint64_t>(x + q);
          q += 8;
        }
      }
      used += 4 + n;
    }
    entries_.push_back(std::move(e));
    p += 46 + name + extra + comment;
  }
}

std::vector<uint8_t> ZipReader::read(const ZipEntry& e) const {
  const std::string at = where(e.name);
  const std::vector<uint8_t> head = bytes(e.header_offset, 30, at);
  if (get<uint32_t>(head.data()) != kLocal)
    throw Error(ExitCode::kData, "the entry's header is damaged", at, kHint);
  const uint64_t body =
      e.header_offset + 30 + get<uint16_t>(head.data() + 26) + get<uint16_t>(head.data() + 28);
  std::vector<uint8_t> out;
  if (e.method == 0) {
    if (e.size != e.packed)
      throw Error(ExitCode::kData, "a stored entry with two sizes", at, kHint);
    out = bytes(body, e.size, at);
  } else if (e.method == 8) {
    // Deflate shrinks at most 1032 times: a header of a few bytes must not make us allocate
    // gigabytes.
    if (e.size / 1032 > e.packed + 8)
      throw Error(
          ExitCode::kData,
          "the entry says it unpacks to " + std::to_string(e.size) + " bytes, more than it can", at,
          kHint);
    const std::vector<uint8_t> packed = bytes(body, e.packed, at);
    out.resize(e.size);
    z_stream z{};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
      throw Error(ExitCode::kFailed, "out of memory in zlib", at);
    uint64_t in = 0, done = 0;
    int code = Z_OK;
    uint8_t spill = 0;  // where output beyond the stated size would land
    const uint64_t most = std::numeric_limits<uInt>::max();
    while (code == Z_OK) {
      z.next_in = const_cast<Bytef*>(packed.data() + in);
      z.avail_in = static_cast<uInt>(std::min(most, e.packed - in));
      const bool full = done == e.size;
      z.next_out = full ? &spill : out.data() + done;
      z.avail_out = full ? 1 : static_cast<uInt>(std::min(most, e.size - done));
      const uInt in_before = z.avail_in, out_before = z.avail_out;
      code = inflate(&z, Z_NO_FLUSH);
      in += in_before - z.avail_in;
      if (full && out_before != z.avail_out) code = Z_DATA_ERROR;
      if (!full) done += out_before - z.avail_out;
      if (code == Z_OK && in_before == z.avail_in && out_before == z.avail_out) code = Z_BUF_ERROR;
    }
    inflateEnd(&z);
    if (code != Z_STREAM_END || done != e.size)
      throw Error(ExitCode::kData,
                  "the entry does not unpack to its " + std::to_string(e.size) + " bytes", at,
                  kHint);
  } else {
    throw Error(ExitCode::kData, "compression method " + std::to_string(e.method) + " is not read",
                at, "store or deflate it");
  }
  if (crc_of(0, out.data(), out.size()) != e.crc)
    throw Error(ExitCode::kData, "the checksum does not match", at, kHint);
  return out;
}

}  // namespace covary::data
