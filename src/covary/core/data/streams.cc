#include "covary/core/data/streams.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::data {
namespace {

constexpr const char* kHint = "the file is damaged or incomplete: write or copy it again";
constexpr uint64_t kBlock = 1 << 20;   // bytes that are packed on their own
constexpr uint64_t kWindow = 1 << 15;  // that DEFLATE looks back
constexpr uint64_t kFirst = 1 << 16;   // room that unpacking begins with
constexpr uint64_t kMostUnit = std::numeric_limits<uInt>::max();

// A piece of one DEFLATE stream: it knows the bytes before it, and ends at a byte's border.
std::vector<uint8_t> deflate_piece(std::span<const uint8_t> bytes, uint64_t from, uint64_t count,
                                   bool last, int level) {
  z_stream z{};
  if (deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw Error(ExitCode::kFailed, "out of memory in zlib", "gzip");
  const uint64_t before = std::min(from, kWindow);
  if (before > 0) deflateSetDictionary(&z, bytes.data() + from - before, static_cast<uInt>(before));
  std::vector<uint8_t> out(deflateBound(&z, count) + 16);
  z.next_in = const_cast<Bytef*>(bytes.data() + from);
  z.avail_in = static_cast<uInt>(count);
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&z, last ? Z_FINISH : Z_SYNC_FLUSH);
  const uint64_t written = z.total_out;
  const bool whole = z.avail_in == 0 && (last ? code == Z_STREAM_END : code == Z_OK);
  deflateEnd(&z);
  if (!whole) throw Error(ExitCode::kFailed, "zlib could not pack the bytes", "gzip");
  out.resize(written);
  return out;
}

}  // namespace

bool is_gzip(std::span<const uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

std::vector<uint8_t> gunzip(std::span<const uint8_t> packed, uint64_t most,
                            const std::string& where) {
  z_stream z{};
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
    throw Error(ExitCode::kFailed, "out of memory in zlib", where);
  std::vector<uint8_t> out;
  uint64_t in = 0, done = 0;
  int code = Z_OK;
  while (done < most) {
    if (done == out.size()) out.resize(std::min(most, std::max(kFirst, 2 * done)));
    z.next_in = const_cast<Bytef*>(packed.data() + in);
    z.avail_in = static_cast<uInt>(std::min(kMostUnit, packed.size() - in));
    z.next_out = out.data() + done;
    z.avail_out = static_cast<uInt>(std::min<uint64_t>(kMostUnit, out.size() - done));
    const uInt in_before = z.avail_in, out_before = z.avail_out;
    code = inflate(&z, Z_NO_FLUSH);
    in += in_before - z.avail_in;
    done += out_before - z.avail_out;
    if (code == Z_STREAM_END) {
      // Another member may follow; other bytes after the end do not matter, as gzip has it.
      if (!is_gzip(packed.subspan(in)) || inflateReset(&z) != Z_OK) break;
    } else if (code != Z_OK || (in_before == z.avail_in && out_before == z.avail_out)) {
      code = Z_DATA_ERROR;
      break;
    }
  }
  inflateEnd(&z);
  if (code == Z_DATA_ERROR || code == Z_BUF_ERROR)
    throw Error(ExitCode::kData,
                "the gzip stream is damaged or ends early, at byte " + std::to_string(in), where,
                kHint);
  out.resize(done);
  return out;
}

GzipStream::GzipStream(Out out, int level) : out_(std::move(out)), level_(level) {
  constexpr std::array<uint8_t, 10> kHead = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  out_(kHead);
}

void GzipStream::write(std::span<const uint8_t> bytes) {
  // As many pieces at once as there are threads. One byte more than they hold tells that none is the last.
  const uint64_t most = static_cast<uint64_t>(threads()) * kBlock + 1;
  while (!bytes.empty()) {
    const uint64_t count = std::min<uint64_t>(bytes.size(), before_ + most - held_.size());
    held_.insert(held_.end(), bytes.begin(), bytes.begin() + static_cast<int64_t>(count));
    bytes = bytes.subspan(count);
    if (held_.size() == before_ + most) pack(false);
  }
}

void GzipStream::pack(bool last) {
  const uint64_t ready = held_.size() - before_;
  const uint64_t pieces =
      last ? std::max<uint64_t>(1, (ready + kBlock - 1) / kBlock) : ready / kBlock;
  std::vector<std::vector<uint8_t>> packed(pieces);
  std::vector<uLong> sums(pieces);
  const auto count_of = [&](uint64_t i) { return std::min<uint64_t>(kBlock, ready - i * kBlock); };
  parallel_tasks(static_cast<int64_t>(pieces), [&](int64_t task) {
    const auto i = static_cast<uint64_t>(task);
    const uint64_t from = before_ + i * kBlock;
    packed[i] = deflate_piece(held_, from, count_of(i), last && i + 1 == pieces, level_);
    sums[i] = crc32_z(0, held_.data() + from, count_of(i));
  });
  uint64_t done = before_;
  for (uint64_t i = 0; i < pieces; ++i) {
    out_(packed[i]);
    sum_ = static_cast<uint32_t>(
        total_ == 0 ? sums[i] : crc32_combine(sum_, sums[i], static_cast<z_off_t>(count_of(i))));
    total_ += count_of(i);
    done += count_of(i);
  }
  const uint64_t keep = std::min(done, kWindow);
  held_.erase(held_.begin(), held_.begin() + static_cast<int64_t>(done - keep));
  before_ = keep;
}

void GzipStream::finish() {
  pack(true);
  std::array<uint8_t, 8> tail{};
  for (size_t k = 0; k < 4; ++k) {
    tail[k] = static_cast<uint8_t>(sum_ >> (8 * k));
    tail[4 + k] = static_cast<uint8_t>(total_ >> (8 * k));
  }
  out_(tail);
}

std::vector<uint8_t> gzip(std::span<const uint8_t> bytes, int level) {
  std::vector<uint8_t> out;
  GzipStream stream([&](std::span<const uint8_t> p) { out.insert(out.end(), p.begin(), p.end()); },
                    level);
  stream.write(bytes);
  stream.finish();
  return out;
}

namespace {

[[noreturn]] void fail_zstd(size_t code) {
  throw Error(ExitCode::kFailed, std::string("zstd: ") + ZSTD_getErrorName(code), "zstd_pack");
}

}  // namespace

ZstdStream::ZstdStream(Out out, uint64_t size, int level)
    : out_(std::move(out)), context_(ZSTD_createCCtx()), packed_(ZSTD_CStreamOutSize()) {
  if (!context_) throw Error(ExitCode::kFailed, "out of memory in zstd", "zstd_pack");
  ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setPledgedSrcSize(context_, size);
}

ZstdStream::~ZstdStream() { ZSTD_freeCCtx(context_); }

void ZstdStream::pack(std::span<const uint8_t> bytes, bool last) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (size_t left = 1; last ? left > 0 : in.pos < in.size;) {
    ZSTD_outBuffer out{packed_.data(), packed_.size(), 0};
    left = ZSTD_compressStream2(context_, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) fail_zstd(left);
    out_(std::span(packed_).first(out.pos));
  }
}

void ZstdStream::write(std::span<const uint8_t> bytes) { pack(bytes, false); }

void ZstdStream::finish() { pack({}, true); }

std::vector<uint8_t> zstd_unpack(std::span<const uint8_t> packed, uint64_t size,
                                 const std::string& where) {
  std::vector<uint8_t> out(size);
  const size_t done = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(done) || done != size)
    throw Error(ExitCode::kData,
                "the Zstandard stream does not unpack to its " + std::to_string(size) + " bytes" +
                    (ZSTD_isError(done) ? std::string(" (") + ZSTD_getErrorName(done) + ")"
                                        : std::string()),
                where, kHint);
  return out;
}

std::vector<uint8_t> zstd_pack(std::span<const uint8_t> bytes, int level) {
  std::vector<uint8_t> out(ZSTD_compressBound(bytes.size()));
  const size_t done = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
  if (ZSTD_isError(done)) fail_zstd(done);
  out.resize(done);
  return out;
}

}  // namespace covary::data
