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
#include <numeric>

#include <c10/util/Half.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
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
constexpr uint8_t kAntialiased = 1;
constexpr double kColour = 0.15;   // of f_dc in a colour byte
constexpr double kScaleLow = -10;  // log scale of code 0
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

Cloud parse4(ByteReader& in) {
  const Fields f = fields_of(in, in.size());
  const auto streams = in.get<uint8_t>("stream count");
  const auto toc = in.get<uint32_t>("offset of the table of contents");
  const auto widths = widths_of(f.version, f.degree);
  const size_t needed = f.degree > 0 ? 6 : 5;
  if (streams < needed)
    in.fail("stream count",
            std::to_string(streams) + " streams, but " + std::to_string(needed) + " attributes");
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
  return decode(f, at);
}

Cloud parse123(ByteReader& in, uint64_t file_bytes) {
  const Fields f = fields_of(in, file_bytes);
  if (f.version == 4) in.fail("version", "version 4 within gzip");
  in.seek(kHeader);
  std::array<const uint8_t*, 6> at{};
  const auto widths = widths_of(f.version, f.degree);
  for (size_t k = 0; k < 6; ++k) at[k] = in.take(f.count, widths[k], kAttributes[k]);
  return decode(f, at);
}

// Positions take as many bits after the point as let the farthest fit.
int fraction_bits_for(const CloudValues& in) {
  double most = 0;
  for (int64_t i = 0; i < 3 * in.n; ++i) most = std::max<double>(most, std::abs(in.means[i]));
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
  // Neighbours have like numbers, which pack better one after the other.
  std::vector<int64_t> order(static_cast<size_t>(in.n));
  std::iota(order.begin(), order.end(), 0);
  if (!options.keep_order) order = geometry::morton_order(in.means, in.n);
  const auto version = static_cast<uint32_t>(options.spz_version);
  const auto widths = widths_of(version, degree);
  std::array<std::vector<uint8_t>, 6> out;
  for (size_t k = 0; k < 6; ++k) out[k].resize(widths[k] * static_cast<uint64_t>(in.n));
  const double unit = std::ldexp(1.0, fraction_bits);
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = order[static_cast<size_t>(i)];
      for (int64_t k = 0; k < 3; ++k) {
        const double x =
            std::clamp<double>(std::round(in.means[3 * r + k] * unit), -kMostFixed, kMostFixed);
        const auto fixed = static_cast<uint32_t>(static_cast<int32_t>(x));
        for (int64_t b = 0; b < 3; ++b)
          out[0][static_cast<size_t>(9 * i + 3 * k + b)] = static_cast<uint8_t>(fixed >> (8 * b));
        const auto at = static_cast<size_t>(3 * i + k);
        out[2][at] = byte_of(in.sh0[3 * r + k] * (kColour * 255) + 127.5);
        out[3][at] = byte_of((in.scales[3 * r + k] - kScaleLow) / kScaleStep);
      }
      out[1][static_cast<size_t>(i)] = byte_of(sigmoid(in.opacities[r]) * 255);
      auto q = unit_quat(in.quats + 4 * r);
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
              sh_code(in.shN[(r * in.rest + k) * 3 + c], bits_of(k, options));
    }
  });
  return out;
}

int zstd_level(size_t attribute, std::span<const uint8_t> bytes) {
  const auto sample = bytes.subspan((bytes.size() - std::min(bytes.size(), kSample)) / 2,
                                    std::min(bytes.size(), kSample));
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

void write(const fs::path& path, const Cloud& cloud, const WriteOptions& options) {
  const std::vector<uint8_t> bytes = pack_spz(cloud, options);
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

std::vector<std::string> also_lost(const Cloud& cloud, const WriteOptions&) {
  std::vector<std::string> lost;
  const CloudValues in(cloud);
  const int bits = fraction_bits_for(in);
  if (bits < kFractionBits)
    lost.push_back("positions finer than 1/" + std::to_string(1 << bits) +
                   " (the farthest splat takes the bits)");
  int64_t scales = 0, harmonics = 0;
  for (int64_t i = 0; i < 3 * in.n; ++i)
    scales +=
        in.scales[i] < kScaleLow - kScaleStep / 2 || in.scales[i] > kScaleLow + kScaleStep * 255.5;
  for (int64_t i = 0; i < 3 * in.n * in.rest; ++i) harmonics += std::abs(in.shN[i]) > 1;
  if (scales > 0)
    lost.push_back(std::to_string(scales) + " scales outside exp(-10) .. exp(5.94) are clipped");
  if (harmonics > 0)
    lost.push_back(std::to_string(harmonics) + " SH coefficients outside -1 .. 1 are clipped");
  return lost;
}

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
  const std::vector<uint8_t> whole = data::gunzip(bytes, size, where);
  ByteReader in(whole, where);
  return parse123(in, bytes.size());
}

std::vector<uint8_t> pack_spz(const Cloud& cloud, const WriteOptions& options) {
  const CloudValues in(cloud);
  if (in.n > UINT32_MAX / 72)
    throw Error(ExitCode::kFailed, "more splats than the format can count", "spz");
  const int bits = fraction_bits_for(in), degree = cloud.sh_degree();
  const auto streams = encode(in, options, degree, bits);
  const bool four = options.spz_version == 4;
  std::vector<uint8_t> out(four ? kHeader4 : kHeader);
  store_as(out.data(), kMagic);
  store_as(out.data() + 4, static_cast<uint32_t>(options.spz_version));
  store_as(out.data() + 8, static_cast<uint32_t>(in.n));
  out[12] = static_cast<uint8_t>(degree);
  out[13] = static_cast<uint8_t>(bits);
  out[14] = cloud.antialiased ? kAntialiased : 0;
  if (!four) {
    for (const auto& s : streams) out.insert(out.end(), s.begin(), s.end());
    return data::gzip(out, kGzipLevel);
  }
  const size_t count = degree > 0 ? 6 : 5;
  out[15] = static_cast<uint8_t>(count);
  store_as(out.data() + 16, static_cast<uint32_t>(kHeader4));
  std::array<std::vector<uint8_t>, 6> packed;
  parallel_tasks(static_cast<int64_t>(count), [&](int64_t i) {
    // The largest come last in the file; they are begun first.
    const size_t k = count - 1 - static_cast<size_t>(i);
    packed[k] = data::zstd_pack(streams[k], zstd_level(k, streams[k]));
  });
  for (size_t k = 0; k < count; ++k)
    for (const uint64_t v :
         {static_cast<uint64_t>(packed[k].size()), static_cast<uint64_t>(streams[k].size())}) {
      out.resize(out.size() + 8);
      store_as(out.data() + out.size() - 8, v);
    }
  for (size_t k = 0; k < count; ++k) out.insert(out.end(), packed[k].begin(), packed[k].end());
  return out;
}

SceneFormat spz_format() {
  SceneFormat f;
  f.name = "spz";
  f.help = "Niantic's .spz: 20 to 65 bytes a splat before gzip or Zstandard";
  f.extensions = {".spz"};
  f.axes = "rub";
  f.antialiased = true;
  f.precision =
      "positions 1/4096, log scales 1/16, rotations 10 bits (version 2: 8), colours and opacity 8 "
      "bits, SH 5 bits (degree 1) and 4 bits within -1 .. 1";
  f.is = is_spz;
  f.read = read;
  f.write = write;
  f.also_lost = also_lost;
  return f;
}

}  // namespace covary::scene
