// Niantic's .spz: each attribute of all splats together in few bits, then gzip (versions 1 to 3) or
// Zstandard (version 4).
//
// Positions 3 x 24 bits fixed point (version 1: halves); opacity, colour and log scale a byte each;
// rotation 3 bytes (versions 1, 2: x y z with w >= 0) or 32 bits (the smallest three of x y z w, each a
// sign and 9 bits); SH a byte each, coefficient-outer, of which the low bits are cleared so that they pack.
// Source: Niantic, "SPZ file format" (its README), versions 1 to 4.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include <c10/util/Half.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/spool.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/streams.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/quantise.h"
#include "covary/splat/scene/spz.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kMagic = 0x5053474e;  // NGSP
constexpr uint64_t kHeader = 16, kHeader4 = 32;
constexpr uint8_t kAntialiased = 1, kExtended = 2;  // flags
constexpr uint64_t kMostRecords = 1 << 20;          // bytes of extension records
constexpr double kColour = 0.15;                    // of f_dc in a colour byte
constexpr double kScaleLow = -10;                   // log scale of code 0
constexpr double kScaleStep = 1.0 / 16;
constexpr int kFractionBits = 12;  // of positions, where they fit
constexpr int32_t kMostFixed = (1 << 23) - 1;
constexpr uint64_t kMostShrink = 1032;  // of DEFLATE
constexpr int64_t kGrain = 8192;        // rows
constexpr int kGzipLevel = 6;
// Of Zstandard, an attribute each: higher ones take times as long for a few per cent.
constexpr std::array<int, 6> kZstdLevels = {6, 1, 6, 1, 1, 3};
// But what a sample shows to pack well packs quickly at a high level too, and gains a fifth.
constexpr int kHighLevel = 12;
constexpr size_t kSample = 1 << 20, kPacksWell = 6;  // bytes; times

struct Fields {
  uint32_t version = 0, count = 0;
  int degree = 0, fraction_bits = 0;
  uint8_t flags = 0;
};

// Bytes a splat of each attribute, in file order: positions, opacities, colours, scales, rotations, SH.
std::array<uint64_t, 6> widths_of(uint32_t version, int degree) {
  return {version == 1 ? 6u : 9u,
          1,
          3,
          3,
          version < 3 ? 3u : 4u,
          3 * static_cast<uint64_t>(rest_of_degree(degree))};
}
constexpr std::array<const char*, 6> kAttributes = {
    "positions", "opacities", "colours", "scales", "rotations", "spherical harmonics"};

Fields fields_of(ByteReader& in, uint64_t file_bytes) {
  Fields f;
  if (in.get<uint32_t>("magic") != kMagic) in.fail("magic", "the bytes are no .spz");
  f.version = in.get<uint32_t>("version");
  f.count = in.get<uint32_t>("splat count");
  f.degree = in.get<uint8_t>("SH degree");
  f.fraction_bits = in.get<uint8_t>("fractional bits");
  f.flags = in.get<uint8_t>("flags");
  if (f.version < 1 || f.version > 4)
    in.fail("version", "version " + std::to_string(f.version) + " is not read; 1 to 4 are");
  if (f.degree > 4)
    in.fail("SH degree", "spherical harmonics of degree " + std::to_string(f.degree));
  if (f.fraction_bits > 24)
    in.fail("fractional bits", std::to_string(f.fraction_bits) + " of 24 bits are a fraction");
  if (f.count > file_bytes * 1024 / 9)
    in.fail("splat count", "the header says " + std::to_string(f.count) +
                               " splats, but the file has " + std::to_string(file_bytes) +
                               " bytes");
  return f;
}

// Rotations of version 3: sign and magnitude of the smallest three of (x, y, z, w).
std::array<double, 4> rotation_of(uint32_t code) {
  SmallestThree s;
  s.largest = code >> 30;
  for (size_t k = 0; k < 3; ++k) {
    const uint32_t part = code >> (20 - 10 * k);
    s.rest[k] = (part & 511) / 511.0 / kSqrt2 * ((part & 512) != 0 ? -1 : 1);
  }
  const auto q = from_smallest_three(s);
  return {q[3], q[0], q[1], q[2]};
}

uint32_t code_of_rotation(const std::array<double, 4>& q) {
  const SmallestThree s = smallest_three({q[1], q[2], q[3], q[0]});
  uint32_t code = s.largest << 30;
  for (size_t k = 0; k < 3; ++k) {
    const uint32_t part = code_of(std::abs(s.rest[k]) * kSqrt2 * 511, 511);
    code |= (part | (s.rest[k] < 0 ? 512u : 0u)) << (20 - 10 * k);
  }
  return code;
}

double fixed24(const uint8_t* p) {
  const uint32_t v = p[0] | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16;
  return static_cast<double>(static_cast<int32_t>(v << 8) >> 8);
}

Cloud decode(const Fields& f, const std::array<const uint8_t*, 6>& at) {
  NewCloud out(f.count, f.degree);
  out.cloud.antialiased = (f.flags & kAntialiased) != 0;
  const auto logits = logits_of_bytes();
  const double unit = std::ldexp(1.0, -f.fraction_bits);
  parallel_for(out.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = 0; k < 3; ++k) {
        out.means[3 * i + k] =
            f.version == 1 ? static_cast<float>(c10::Half(load_as<uint16_t>(at[0] + 6 * i + 2 * k),
                                                          c10::Half::from_bits()))
                           : static_cast<float>(fixed24(at[0] + 9 * i + 3 * k) * unit);
        out.sh0[3 * i + k] = static_cast<float>((at[2][3 * i + k] / 255.0 - 0.5) / kColour);
        out.scales[3 * i + k] = static_cast<float>(at[3][3 * i + k] * kScaleStep + kScaleLow);
      }
      out.opacities[i] = logits[at[1][i]];
      std::array<double, 4> q{};
      if (f.version < 3) {
        double sum = 0;
        for (size_t k = 0; k < 3; ++k) {
          q[k + 1] = at[4][3 * i + static_cast<int64_t>(k)] / 127.5 - 1;
          sum += q[k + 1] * q[k + 1];
        }
        q[0] = std::sqrt(std::max(0.0, 1 - sum));
      } else {
        q = rotation_of(load_as<uint32_t>(at[4] + 4 * i));
      }
      for (size_t k = 0; k < 4; ++k)
        out.quats[4 * i + static_cast<int64_t>(k)] = static_cast<float>(q[k]);
      for (int64_t k = 0; k < 3 * out.rest; ++k)
        out.shN[3 * out.rest * i + k] =
            static_cast<float>((at[5][3 * out.rest * i + k] - 128) / 128.0);
    }
  });
  return out.cloud;
}

// Extension records one after the other, each {u32 type, u32 length, bytes}: kept as they stand, when they are whole.
std::vector<uint8_t> records_of(std::span<const uint8_t> bytes, const std::string& where) {
  ByteReader in(bytes, where);
  if (bytes.size() > kMostRecords)
    in.fail("extension records", std::to_string(bytes.size()) + " bytes, more than a megabyte");
  while (in.left() > 0) {
    (void)in.get<uint32_t>("type of an extension record");
    const auto length = in.get<uint32_t>("length of an extension record");
    (void)in.span(length, "extension record");
  }
  return {bytes.begin(), bytes.end()};
}

Cloud parse4(ByteReader& in) {
  const Fields f = fields_of(in, in.size());
  const auto streams = in.get<uint8_t>("stream count");
  const auto toc = in.get<uint32_t>("offset of the table of contents");
  const auto widths = widths_of(f.version, f.degree);
  const size_t needed = f.degree > 0 ? 6 : 5;
  if (streams < needed)
    in.fail("stream count",
            std::to_string(streams) + " streams, but " + std::to_string(needed) + " attributes");
  std::vector<uint8_t> records;
  if ((f.flags & kExtended) != 0 && toc > kHeader4) {
    in.seek(kHeader4);
    records = records_of(in.span(toc - kHeader4, "extension records"), in.where());
  }
  in.seek(std::max<uint64_t>(toc, kHeader4), "table of contents");
  ByteReader entries({in.take(streams, 16, "table of contents"), 16u * streams}, in.where());
  std::array<std::span<const uint8_t>, 6> packed;
  for (size_t k = 0; k < needed; ++k) {
    const auto size = entries.get<uint64_t>(kAttributes[k]);
    const auto unpacked = entries.get<uint64_t>(kAttributes[k]);
    if (unpacked != widths[k] * f.count)
      in.fail(kAttributes[k], "unpack to " + std::to_string(unpacked) + " bytes, not " +
                                  std::to_string(widths[k]) + " a splat");
    packed[k] = in.span(size, kAttributes[k]);
  }
  std::array<std::vector<uint8_t>, 6> bytes;
  std::array<const uint8_t*, 6> at{};
  parallel_tasks(static_cast<int64_t>(needed), [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    if (widths[k] * f.count == 0) return;
    bytes[k] =
        data::zstd_unpack(packed[k], widths[k] * f.count, in.where() + ": " + kAttributes[k]);
  });
  for (size_t k = 0; k < 6; ++k) at[k] = bytes[k].data();
  Cloud cloud = decode(f, at);
  cloud.spz_records = std::move(records);
  return cloud;
}

Cloud parse123(ByteReader& in, uint64_t file_bytes) {
  const Fields f = fields_of(in, file_bytes);
  if (f.version == 4) in.fail("version", "version 4 within gzip");
  in.seek(kHeader);
  std::array<const uint8_t*, 6> at{};
  const auto widths = widths_of(f.version, f.degree);
  for (size_t k = 0; k < 6; ++k) at[k] = in.take(f.count, widths[k], kAttributes[k]);
  Cloud cloud = decode(f, at);
  if ((f.flags & kExtended) != 0)
    cloud.spz_records = records_of(in.span(in.left(), "extension records"), in.where());
  return cloud;
}

// Positions take as many bits after the point as let the farthest fit.
int fraction_bits_for(double most) {
  int bits = kFractionBits;
  while (bits > 0 && std::ldexp(most, bits) > kMostFixed) --bits;
  return bits;
}

// Low bits are cleared: what is left of 8 is rounded to the middle of its range.
uint8_t sh_code(float v, int bits) {
  const int step = 1 << (8 - bits);
  const int code = static_cast<int>(code_of(v * 128.0 + 128, 255));
  return static_cast<uint8_t>(std::min(255, (code + step / 2) / step * step));
}

int bits_of(int64_t k, const WriteOptions& options) {
  return options.spz_sh_bits > 0 ? static_cast<int>(options.spz_sh_bits) : k < 3 ? 5 : 4;
}

std::array<std::vector<uint8_t>, 6> encode(const CloudValues& in, const WriteOptions& options,
                                           int degree, int fraction_bits) {
  const auto version = static_cast<uint32_t>(options.spz_version);
  const auto widths = widths_of(version, degree);
  std::array<std::vector<uint8_t>, 6> out;
  for (size_t k = 0; k < 6; ++k) out[k].resize(widths[k] * static_cast<uint64_t>(in.n));
  const double unit = std::ldexp(1.0, fraction_bits);
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = 0; k < 3; ++k) {
        const double x =
            std::clamp<double>(std::round(in.means[3 * i + k] * unit), -kMostFixed, kMostFixed);
        const auto fixed = static_cast<uint32_t>(static_cast<int32_t>(x));
        for (int64_t b = 0; b < 3; ++b)
          out[0][static_cast<size_t>(9 * i + 3 * k + b)] = static_cast<uint8_t>(fixed >> (8 * b));
        const auto at = static_cast<size_t>(3 * i + k);
        out[2][at] = byte_of(in.sh0[3 * i + k] * (kColour * 255) + 127.5);
        out[3][at] = byte_of((in.scales[3 * i + k] - kScaleLow) / kScaleStep);
      }
      out[1][static_cast<size_t>(i)] = byte_of(sigmoid(in.opacities[i]) * 255);
      auto q = unit_quat(in.quats + 4 * i);
      if (version < 3) {
        const double sign = q[0] < 0 ? -1 : 1;
        for (size_t k = 0; k < 3; ++k)
          out[4][static_cast<size_t>(3 * i) + k] = byte_of(127.5 * sign * q[k + 1] + 127.5);
      } else {
        store_as(out[4].data() + 4 * i, code_of_rotation(q));
      }
      for (int64_t k = 0; k < in.rest; ++k)
        for (int64_t c = 0; c < 3; ++c)
          out[5][static_cast<size_t>((i * in.rest + k) * 3 + c)] =
              sh_code(in.shN[(i * in.rest + k) * 3 + c], bits_of(k, options));
    }
  });
  return out;
}

// Where among `size` bytes those begin that tell how well they pack, and how many they are.
std::pair<uint64_t, size_t> sample_of(uint64_t size) {
  const uint64_t count = std::min<uint64_t>(size, kSample);
  return {(size - count) / 2, count};
}

int zstd_level(size_t attribute, std::span<const uint8_t> sample) {
  const bool well = data::zstd_pack(sample, 1).size() * kPacksWell < sample.size();
  return well ? kHighLevel : kZstdLevels[attribute];
}

bool is_spz(const Probe& p) {
  if (p.head.starts_with("NGSP")) return true;
  if (!data::is_gzip(as_bytes(p.head))) return false;
  try {
    const auto head = data::gunzip(as_bytes(p.head), 4, p.path.string());
    return head.size() == 4 && load_as<uint32_t>(head.data()) == kMagic;
  } catch (const Error&) {
    return p.has_extension(".spz");
  }
}

Cloud read(const fs::path& path, const ReadOptions&) {
  const std::string file = read_file(path);
  return parse_spz(as_bytes(file), path.string());
}

// What the numbers of some rows are clipped to.
struct Clipped {
  double farthest = 0;
  int64_t scales = 0, colours = 0, harmonics = 0;

  void count(const CloudValues& in) {
    for (int64_t i = 0; i < 3 * in.n; ++i) {
      farthest = std::max<double>(farthest, std::abs(in.means[i]));
      scales += in.scales[i] < kScaleLow - kScaleStep / 2 ||
                in.scales[i] > kScaleLow + kScaleStep * 255.5;
      colours += std::abs(in.sh0[i]) * kColour * 255 > 128;
    }
    for (int64_t i = 0; i < 3 * in.n * in.rest; ++i) harmonics += std::abs(in.shN[i]) > 1;
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> lost;
    const int bits = fraction_bits_for(farthest);
    if (bits < kFractionBits)
      lost.push_back("positions finer than 1/" + std::to_string(1 << bits) +
                     " (the farthest splat takes the bits)");
    if (scales > 0)
      lost.push_back(std::to_string(scales) + " scales outside exp(-10) .. exp(5.94) are clipped");
    if (colours > 0)
      lost.push_back(std::to_string(colours) + " colours outside -0.44 .. 1.44 are clipped");
    if (harmonics > 0)
      lost.push_back(std::to_string(harmonics) + " SH coefficients outside -1 .. 1 are clipped");
    return lost;
  }
};

std::vector<std::string> also_lost(const Cloud& cloud, const WriteOptions&) {
  Clipped clipped;
  clipped.count(CloudValues(cloud));
  return clipped.lines();
}

using Streams = std::array<std::vector<uint8_t>, 6>;

// What stands before the attributes.
std::vector<uint8_t> header_of(const RowPlan& plan, const WriteOptions& options) {
  if (plan.count > UINT32_MAX / 72)
    throw Error(ExitCode::kFailed, "more splats than the format can count", "spz");
  const bool four = options.spz_version == 4;
  std::vector<uint8_t> out(four ? kHeader4 : kHeader);
  store_as(out.data(), kMagic);
  store_as(out.data() + 4, static_cast<uint32_t>(options.spz_version));
  store_as(out.data() + 8, static_cast<uint32_t>(plan.count));
  out[12] = static_cast<uint8_t>(plan.like.sh_degree());
  out[13] = static_cast<uint8_t>(fraction_bits_for(plan.farthest));
  out[14] = static_cast<uint8_t>((plan.like.antialiased ? kAntialiased : 0) |
                                 (plan.like.spz_records.empty() ? 0 : kExtended));
  if (four) out.insert(out.end(), plan.like.spz_records.begin(), plan.like.spz_records.end());
  return out;
}

// Version 4: the header, and where the attributes stand of these sizes, packed and not.
std::vector<uint8_t> with_contents(std::vector<uint8_t> header,
                                   std::span<const std::pair<uint64_t, uint64_t>> sizes) {
  header[15] = static_cast<uint8_t>(sizes.size());
  store_as(header.data() + 16, static_cast<uint32_t>(header.size()));
  for (const auto& [packed, unpacked] : sizes)
    for (const uint64_t v : {packed, unpacked}) {
      header.resize(header.size() + 8);
      store_as(header.data() + header.size() - 8, v);
    }
  return header;
}

size_t attributes_of(int degree) { return degree > 0 ? 6 : 5; }

// Calls pack(k) for attributes; the largest come last in the file, and are begun first.
template <class Pack>
void each_attribute(size_t count, const Pack& pack) {
  parallel_tasks(static_cast<int64_t>(count),
                 [&](int64_t i) { pack(count - 1 - static_cast<size_t>(i)); });
}

// Attributes of all rows stand together: they wait on disk, but for the first within gzip.
class Sink : public RowSink {
 public:
  Sink(const fs::path& path, const RowPlan& plan, const WriteOptions& options)
      : options_(options),
        folder_(path.parent_path()),
        four_(options.spz_version == 4),
        degree_(plan.like.sh_degree()),
        bits_(fraction_bits_for(plan.farthest)),
        header_(header_of(plan, options)),
        records_(plan.like.spz_records),
        file_(path) {
    for (size_t k = four_ ? 0 : 1; k < attributes_of(degree_); ++k)
      wait_[k] = std::make_unique<Spool>(folder_);
    if (four_) return;
    gzip_.emplace([this](std::span<const uint8_t> p) { file_.write(p.data(), p.size()); },
                  kGzipLevel);
    gzip_->write(header_);
  }

  void append(const Cloud& rows) override {
    const CloudValues in(rows);
    clipped_.count(in);
    const Streams part = encode(in, options_, degree_, bits_);
    for (size_t k = 0; k < attributes_of(degree_); ++k)
      if (wait_[k])
        wait_[k]->append(part[k]);
      else
        gzip_->write(part[k]);
  }

  void commit() override {
    if (four_) {
      write_four();
    } else {
      for (size_t k = 1; k < attributes_of(degree_); ++k)
        in_blocks(*wait_[k], [&](std::span<const uint8_t> bytes) { gzip_->write(bytes); });
      gzip_->write(records_);
      gzip_->finish();
    }
    file_.commit();
  }

  std::vector<std::string> lost() const override { return clipped_.lines(); }

 private:
  void write_four() {
    const size_t count = attributes_of(degree_);
    std::vector<std::unique_ptr<Spool>> packed;
    for (size_t k = 0; k < count; ++k) packed.push_back(std::make_unique<Spool>(folder_));
    each_attribute(count, [&](size_t k) {
      const Spool& in = *wait_[k];
      const auto [at, size] = sample_of(in.size());
      std::vector<uint8_t> sample(size);
      in.read(at, sample);
      data::ZstdStream zstd([&](std::span<const uint8_t> p) { packed[k]->append(p); }, in.size(),
                            zstd_level(k, sample));
      in_blocks(in, [&](std::span<const uint8_t> bytes) { zstd.write(bytes); });
      zstd.finish();
    });
    std::vector<std::pair<uint64_t, uint64_t>> sizes;
    for (size_t k = 0; k < count; ++k) sizes.emplace_back(packed[k]->size(), wait_[k]->size());
    const std::vector<uint8_t> head = with_contents(header_, sizes);
    file_.write(head.data(), head.size());
    for (const auto& spool : packed)
      in_blocks(*spool, [&](std::span<const uint8_t> p) { file_.write(p.data(), p.size()); });
  }

  template <class Use>
  static void in_blocks(const Spool& spool, const Use& use) {
    std::vector<uint8_t> block(1 << 20);
    for (uint64_t at = 0; at < spool.size();) {
      const size_t n = spool.read(at, block);
      use(std::span<const uint8_t>(block).first(n));
      at += n;
    }
  }

  WriteOptions options_;
  fs::path folder_;
  bool four_;
  int degree_, bits_;
  std::vector<uint8_t> header_, records_;
  AtomicFile file_;
  std::optional<data::GzipStream> gzip_;
  std::array<std::unique_ptr<Spool>, 6> wait_;
  Clipped clipped_;
};

}  // namespace

Cloud parse_spz(std::span<const uint8_t> bytes, const std::string& where) {
  if (!data::is_gzip(bytes)) {
    ByteReader in(bytes, where);
    // Some files lack the gzip around versions 1 to 3.
    const bool four = bytes.size() >= 8 && load_as<uint32_t>(bytes.data() + 4) == 4;
    return four ? parse4(in) : parse123(in, bytes.size());
  }
  const std::vector<uint8_t> head = data::gunzip(bytes, kHeader, where);
  ByteReader header(head, where);
  const Fields f = fields_of(header, bytes.size());
  uint64_t size = kHeader;
  for (const uint64_t w : widths_of(f.version, f.degree)) size += w * f.count;
  if (size / kMostShrink > bytes.size())
    header.fail("splat count", std::to_string(bytes.size()) + " bytes of gzip cannot hold " +
                                   std::to_string(size));
  // Records follow the attributes; one byte more than may be tells that there are too many.
  if ((f.flags & kExtended) != 0) size += kMostRecords + 1;
  const std::vector<uint8_t> whole = data::gunzip(bytes, size, where);
  ByteReader in(whole, where);
  return parse123(in, bytes.size());
}

std::vector<uint8_t> pack_spz(const Cloud& cloud, const WriteOptions& options) {
  const Cloud ordered =
      options.keep_order
          ? cloud
          : select(cloud, at::tensor(geometry::morton_order(CloudValues(cloud).means, cloud.size()),
                                     at::kLong));
  const CloudValues in(ordered);
  Clipped clipped;
  clipped.count(in);
  const RowPlan plan{cloud_like(cloud), in.n, static_cast<float>(clipped.farthest)};
  std::vector<uint8_t> out = header_of(plan, options);
  const Streams streams =
      encode(in, options, cloud.sh_degree(), fraction_bits_for(clipped.farthest));
  if (options.spz_version == 4) {
    const size_t count = attributes_of(cloud.sh_degree());
    Streams packed;
    each_attribute(count, [&](size_t k) {
      const auto [at, size] = sample_of(streams[k].size());
      packed[k] =
          data::zstd_pack(streams[k], zstd_level(k, std::span(streams[k]).subspan(at, size)));
    });
    std::vector<std::pair<uint64_t, uint64_t>> sizes;
    for (size_t k = 0; k < count; ++k) sizes.emplace_back(packed[k].size(), streams[k].size());
    out = with_contents(std::move(out), sizes);
    for (const auto& p : packed) out.insert(out.end(), p.begin(), p.end());
    return out;
  }
  for (const auto& s : streams) out.insert(out.end(), s.begin(), s.end());
  out.insert(out.end(), cloud.spz_records.begin(), cloud.spz_records.end());
  return data::gzip(out, kGzipLevel);
}

SceneFormat spz_format() {
  SceneFormat f;
  f.name = "spz";
  f.help = "Niantic's .spz: 20 to 65 bytes a splat before gzip or Zstandard";
  f.extensions = {".spz"};
  f.axes = "rub";
  f.antialiased = f.spz_records = true;
  f.precision =
      "positions 1/4096, log scales 1/16, rotations 10 bits (version 2: 8), colours and opacity 8 "
      "bits, SH 5 bits (degree 1) and 4 bits within -1 .. 1";
  f.is = is_spz;
  f.read = read;
  // Neighbours have like numbers, which pack better one after the other.
  f.order = RowOrder::kMorton;
  f.create = [](const fs::path& path, const RowPlan& plan,
                const WriteOptions& options) -> std::unique_ptr<RowSink> {
    return std::make_unique<Sink>(path, plan, options);
  };
  f.also_lost = also_lost;
  return f;
}

}  // namespace covary::scene
