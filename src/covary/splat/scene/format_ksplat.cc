// .ksplat: sections of splats in buckets of a grid. Level 0 stores floats, level 1 halves and 16-bit
// places within a bucket's block, level 2 the SH in bytes besides.
//
// A header of 4096 bytes, headers of 1024 bytes for each section, then of each section: lengths of its
// partly filled buckets, centres of all buckets (full ones first), and the splats in the order of their
// buckets. A splat is position, standard deviations, rotation (w x y z), colour and opacity in bytes, and
// SH band by band, each band channel-major.
// Source: Kellogg, GaussianSplats3D (a viewer for the web), its file version 0.1.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include <c10/util/Half.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/quantise.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kHeader = 4096, kSectionHeader = 1024;  // bytes
constexpr uint32_t kBucket = 256;                          // splats
constexpr float kBlock = 5;                                // side of a bucket's block, world
constexpr uint32_t kRange = 32767;                         // codes of half a block
constexpr float kShDefault = 1.5;
constexpr int64_t kGrain = 4096;                  // rows
constexpr int64_t kMostCells = int64_t{1} << 20;  // a side of the grid

struct Layout {
  uint64_t number;  // bytes of a scale, rotation
  uint64_t place;   // of a coordinate
  uint64_t sh;      // of an SH coefficient
  uint64_t row(int64_t rest) const {
    return 3 * place + 7 * number + 4 + 3 * static_cast<uint64_t>(rest) * sh;
  }
};
constexpr std::array<Layout, 3> kLayouts = {{{4, 4, 4}, {2, 2, 2}, {2, 2, 1}}};

float half_at(const uint8_t* p) {
  return static_cast<float>(c10::Half(load_as<uint16_t>(p), c10::Half::from_bits()));
}

float number_at(const uint8_t* p, uint64_t width) {
  return width == 4 ? load_as<float>(p) : half_at(p);
}

void store_number(uint8_t* p, uint64_t width, float v) {
  if (width == 4)
    store_as(p, v);
  else
    store_as(p, c10::Half(v).x);
}

// Place of coefficient k (above degree 0) and channel c in a row's SH.
int64_t place_of(int64_t k, int64_t c) {
  int64_t l = 1;
  while (rest_of_degree(l) <= k) ++l;
  const int64_t before = rest_of_degree(l - 1), width = 2 * l + 1;
  return 3 * before + c * width + (k - before);
}

struct Section {
  uint32_t splats, most, bucket_size, buckets, range, full, partial;
  float block;
  uint64_t bucket_bytes;
  int degree;
};

struct Header {
  int level = 0;
  float sh_low = -kShDefault, sh_high = kShDefault;
  std::vector<Section> sections;
};

Header header_of(ByteReader& in) {
  if (in.size() < kHeader) in.fail("header", "the file has less than the 4096 bytes of a header");
  const auto major = in.get<uint8_t>("version"), minor = in.get<uint8_t>("version");
  if (major != 0 || minor < 1)
    in.fail("version", "version " + std::to_string(major) + "." + std::to_string(minor) +
                           " is not read; 0.1 is");
  Header h;
  in.seek(4);
  const auto sections = in.get<uint32_t>("section count");
  in.seek(20);
  h.level = in.get<uint16_t>("compression level");
  if (h.level > 2) in.fail("compression level", std::to_string(h.level) + " is none of 0, 1, 2");
  in.seek(36);
  const auto low = in.get<float>("SH minimum"), high = in.get<float>("SH maximum");
  if (low != 0) h.sh_low = low;
  if (high != 0) h.sh_high = high;
  in.seek(kHeader);
  if (sections > in.left() / kSectionHeader)
    in.fail("section count", std::to_string(sections) + " sections do not fit the file");
  for (uint32_t i = 0; i < sections; ++i) {
    const uint64_t at = kHeader + i * kSectionHeader;
    const std::string name = "section " + std::to_string(i);
    const auto field = [&](uint64_t offset) {
      in.seek(at + offset);
      return in.get<uint32_t>(name);
    };
    Section s{};
    s.splats = field(0);
    s.most = field(4);
    s.bucket_size = field(8);
    s.buckets = field(12);
    in.seek(at + 16);
    s.block = in.get<float>(name);
    s.bucket_bytes = in.get<uint16_t>(name);
    s.range = field(24);
    if (s.range == 0) s.range = h.level == 0 ? 1 : kRange;
    s.full = field(32);
    s.partial = field(36);
    in.seek(at + 40);
    s.degree = in.get<uint16_t>(name);
    if (s.degree > 3) in.fail(name, "spherical harmonics of degree " + std::to_string(s.degree));
    if (s.splats > s.most) in.fail(name, "more splats than it has room for");
    h.sections.push_back(s);
  }
  return h;
}

// The bucket of each splat of a section, by their lengths.
std::vector<uint32_t> buckets_of(const Section& s, const uint8_t* lengths, ByteReader& in,
                                 const std::string& name) {
  std::vector<uint32_t> bucket(s.splats);
  uint64_t at = 0;
  for (uint64_t b = 0; b < uint64_t{s.full} + s.partial && at < s.splats; ++b) {
    const uint64_t length =
        b < s.full ? s.bucket_size : load_as<uint32_t>(lengths + 4 * (b - s.full));
    if (length == 0 && b < s.full) in.fail(name, "buckets of no splats");
    if (b >= s.buckets) in.fail(name, "more buckets than centres");
    const uint64_t end = std::min<uint64_t>(s.splats, at + length);
    std::fill(bucket.begin() + static_cast<int64_t>(at), bucket.begin() + static_cast<int64_t>(end),
              static_cast<uint32_t>(b));
    at = end;
  }
  if (at < s.splats) in.fail(name, "its buckets hold less than its splats");
  return bucket;
}

Cloud read(const fs::path& path, const ReadOptions&) {
  const std::string file = read_file(path);
  ByteReader in(as_bytes(file), path.string());
  const Header h = header_of(in);
  const Layout& layout = kLayouts[static_cast<size_t>(h.level)];

  // Where each section lies, before memory is taken for its splats.
  struct Part {
    const uint8_t *lengths, *centres, *rows;
    int64_t first;
  };
  std::vector<Part> parts;
  int degree = 0;
  int64_t n = 0;
  in.seek(kHeader + h.sections.size() * kSectionHeader);
  for (size_t i = 0; i < h.sections.size(); ++i) {
    const Section& s = h.sections[i];
    const std::string name = "section " + std::to_string(i);
    if (h.level > 0 && s.buckets > 0 && s.bucket_bytes < 12)
      in.fail(name, "bucket centres of " + std::to_string(s.bucket_bytes) + " bytes");
    Part part{};
    part.lengths = in.take(s.partial, 4, name + ", bucket lengths");
    part.centres = in.take(s.buckets, s.bucket_bytes, name + ", bucket centres");
    part.rows = in.take(s.most, layout.row(rest_of_degree(s.degree)), name + ", splats");
    part.first = n;
    n += s.splats;
    if (s.splats > 0) degree = std::max(degree, s.degree);
    parts.push_back(part);
  }
  NewCloud out(n, degree);
  const auto logits = logits_of_bytes();
  for (size_t i = 0; i < parts.size(); ++i) {
    const Section& s = h.sections[i];
    const Part& part = parts[i];
    const int64_t rest = rest_of_degree(s.degree);
    const uint64_t row = layout.row(rest);
    std::vector<uint32_t> bucket;
    if (h.level > 0) bucket = buckets_of(s, part.lengths, in, "section " + std::to_string(i));
    std::vector<int64_t> places;
    for (int64_t k = 0; k < rest; ++k)
      for (int64_t c = 0; c < 3; ++c) places.push_back(place_of(k, c));
    const double step = static_cast<double>(s.block) / 2 / s.range;
    parallel_for(s.splats, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const int64_t r = part.first + j;
        const uint8_t* p = part.rows + static_cast<uint64_t>(j) * row;
        for (int64_t k = 0; k < 3; ++k) {
          if (h.level == 0) {
            out.means[3 * r + k] = load_as<float>(p + 4 * k);
          } else {
            const uint8_t* centre = part.centres + bucket[static_cast<size_t>(j)] * s.bucket_bytes;
            out.means[3 * r + k] = static_cast<float>(
                (static_cast<double>(load_as<uint16_t>(p + 2 * k)) - s.range) * step +
                load_as<float>(centre + 4 * k));
          }
        }
        p += 3 * layout.place;
        for (int64_t k = 0; k < 3; ++k)
          out.scales[3 * r + k] =
              log_of_scale(number_at(p + static_cast<uint64_t>(k) * layout.number, layout.number));
        p += 3 * layout.number;
        std::array<float, 4> q{};
        for (size_t k = 0; k < 4; ++k) q[k] = number_at(p + k * layout.number, layout.number);
        for (size_t k = 0; k < 4; ++k) out.quats[4 * r + static_cast<int64_t>(k)] = q[k];
        p += 4 * layout.number;
        for (int64_t k = 0; k < 3; ++k) out.sh0[3 * r + k] = sh0_of_colour(p[k] / 255.0);
        out.opacities[r] = logits[p[3]];
        p += 4;
        float* sh = out.shN + r * out.rest * 3;
        std::fill(sh, sh + out.rest * 3, 0.f);
        for (size_t k = 0; k < places.size(); ++k) {
          const uint8_t* at = p + static_cast<uint64_t>(places[k]) * layout.sh;
          sh[k] = layout.sh == 1
                      ? static_cast<float>(
                            h.sh_low + *at / 255.0 * (static_cast<double>(h.sh_high) - h.sh_low))
                      : number_at(at, layout.sh);
        }
      }
    });
  }
  return out.cloud;
}

// Rows by blocks of the grid: full buckets first, then those that are left.
struct Buckets {
  std::vector<int64_t> order;     // rows
  std::vector<uint32_t> partial;  // lengths
  std::vector<float> centres;     // [buckets,3]
  uint32_t full = 0;
};

Buckets buckets_for(const CloudValues& in, std::array<float, 3> low) {
  std::map<std::array<int64_t, 3>, std::vector<int64_t>> blocks;
  for (int64_t r = 0; r < in.n; ++r) {
    std::array<int64_t, 3> cell{};
    for (size_t k = 0; k < 3; ++k)
      cell[k] = static_cast<int64_t>(std::floor(
          (static_cast<double>(in.means[3 * r + static_cast<int64_t>(k)]) - low[k]) / kBlock));
    blocks[cell].push_back(r);
  }
  Buckets b;
  std::vector<float> partial_centres;
  std::vector<int64_t> partial_rows;
  for (const auto& [cell, rows] : blocks) {
    std::array<float, 3> centre{};
    for (size_t k = 0; k < 3; ++k)
      centre[k] = static_cast<float>((static_cast<double>(cell[k]) + 0.5) * kBlock + low[k]);
    for (size_t first = 0; first < rows.size(); first += kBucket) {
      const size_t last = std::min(rows.size(), first + kBucket);
      const bool full = last - first == kBucket;
      std::vector<int64_t>& to = full ? b.order : partial_rows;
      to.insert(to.end(), rows.begin() + static_cast<int64_t>(first),
                rows.begin() + static_cast<int64_t>(last));
      std::vector<float>& at = full ? b.centres : partial_centres;
      at.insert(at.end(), centre.begin(), centre.end());
      if (full)
        ++b.full;
      else
        b.partial.push_back(static_cast<uint32_t>(last - first));
    }
  }
  b.order.insert(b.order.end(), partial_rows.begin(), partial_rows.end());
  b.centres.insert(b.centres.end(), partial_centres.begin(), partial_centres.end());
  return b;
}

void write(const fs::path& path, const Cloud& cloud, const WriteOptions& options) {
  const CloudValues in(cloud);
  const auto level = static_cast<size_t>(options.ksplat_level);
  const Layout& layout = kLayouts[level];
  if (in.n > UINT32_MAX)
    throw Error(ExitCode::kFailed, "more splats than the format can count", path.string());
  std::array<float, 3> low{}, high{};
  for (int64_t r = 0; r < in.n; ++r)
    for (size_t k = 0; k < 3; ++k) {
      const float x = in.means[3 * r + static_cast<int64_t>(k)];
      low[k] = r == 0 ? x : std::min(low[k], x);
      high[k] = r == 0 ? x : std::max(high[k], x);
    }
  Buckets b;
  if (level == 0) {
    b.order.resize(static_cast<size_t>(in.n));
    std::iota(b.order.begin(), b.order.end(), 0);
  } else {
    for (size_t k = 0; k < 3; ++k)
      if ((static_cast<double>(high[k]) - low[k]) / kBlock > static_cast<double>(kMostCells))
        throw Error(ExitCode::kData,
                    "the scene is too wide for the blocks of 5 units of the format", path.string(),
                    "write level 0: --ksplat-level 0");
    b = buckets_for(in, low);
  }
  float sh_low = 0, sh_high = 0;
  for (int64_t i = 0; i < in.n * in.rest * 3; ++i) {
    sh_low = std::min(sh_low, in.shN[i]);
    sh_high = std::max(sh_high, in.shN[i]);
  }
  // 0 would be read as the default.
  if (sh_low == 0) sh_low = -kShDefault;
  if (sh_high == 0) sh_high = kShDefault;

  const auto buckets = static_cast<uint32_t>(b.centres.size() / 3);
  const uint64_t row = layout.row(in.rest), n = static_cast<uint64_t>(in.n);
  std::vector<uint8_t> bytes(kHeader + kSectionHeader + 4 * b.partial.size() + 12 * buckets +
                             row * n);
  uint8_t* h = bytes.data();
  h[1] = 1;  // version 0.1
  store_as<uint32_t>(h + 4, 1);
  store_as<uint32_t>(h + 8, 1);
  store_as(h + 12, static_cast<uint32_t>(n));
  store_as(h + 16, static_cast<uint32_t>(n));
  store_as(h + 20, static_cast<uint16_t>(level));
  for (size_t k = 0; k < 3; ++k) store_as(h + 24 + 4 * k, (low[k] + high[k]) / 2);
  store_as(h + 36, sh_low);
  store_as(h + 40, sh_high);
  uint8_t* s = h + kHeader;
  store_as(s, static_cast<uint32_t>(n));
  store_as(s + 4, static_cast<uint32_t>(n));
  store_as(s + 8, level == 0 ? 0u : kBucket);
  store_as(s + 12, buckets);
  store_as(s + 16, kBlock);
  store_as<uint16_t>(s + 20, 12);
  store_as(s + 24, level == 0 ? 1u : kRange);
  store_as(s + 28, static_cast<uint32_t>(std::min<uint64_t>(row * n, UINT32_MAX)));
  store_as(s + 32, b.full);
  store_as(s + 36, static_cast<uint32_t>(b.partial.size()));
  store_as(s + 40, static_cast<uint16_t>(cloud.sh_degree()));
  uint8_t* p0 = s + kSectionHeader;
  std::copy_n(reinterpret_cast<const uint8_t*>(b.partial.data()), 4 * b.partial.size(), p0);
  p0 += 4 * b.partial.size();
  std::copy_n(reinterpret_cast<const uint8_t*>(b.centres.data()), 4 * b.centres.size(), p0);
  p0 += 4 * b.centres.size();

  std::vector<uint32_t> bucket;
  for (uint32_t i = 0; i < b.full; ++i) bucket.insert(bucket.end(), kBucket, i);
  for (size_t i = 0; i < b.partial.size(); ++i)
    bucket.insert(bucket.end(), b.partial[i], b.full + static_cast<uint32_t>(i));
  std::vector<int64_t> places;
  for (int64_t k = 0; k < in.rest; ++k)
    for (int64_t c = 0; c < 3; ++c) places.push_back(place_of(k, c));
  const double step = kBlock / 2.0 / kRange;
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = b.order[static_cast<size_t>(i)];
      uint8_t* p = p0 + static_cast<uint64_t>(i) * row;
      for (int64_t k = 0; k < 3; ++k) {
        const float x = in.means[3 * r + k];
        if (level == 0)
          store_as(p + 4 * k, x);
        else
          store_as(
              p + 2 * k,
              static_cast<uint16_t>(code_of(
                  (x - b.centres[bucket[static_cast<size_t>(i)] * 3 + static_cast<size_t>(k)]) /
                          step +
                      kRange,
                  2 * kRange + 1)));
      }
      p += 3 * layout.place;
      for (int64_t k = 0; k < 3; ++k, p += layout.number)
        store_number(p, layout.number, std::exp(in.scales[3 * r + k]));
      const auto q = unit_quat(in.quats + 4 * r);
      for (size_t k = 0; k < 4; ++k, p += layout.number)
        store_number(p, layout.number, static_cast<float>(q[k]));
      for (int64_t k = 0; k < 3; ++k) p[k] = byte_of(colour_of_sh0(in.sh0[3 * r + k]) * 255);
      p[3] = byte_of(sigmoid(in.opacities[r]) * 255);
      p += 4;
      const float* sh = in.shN + r * in.rest * 3;
      for (size_t k = 0; k < places.size(); ++k) {
        uint8_t* at = p + static_cast<uint64_t>(places[k]) * layout.sh;
        if (layout.sh == 1)
          *at = byte_of((sh[k] - sh_low) / (static_cast<double>(sh_high) - sh_low) * 255);
        else
          store_number(at, layout.sh, sh[k]);
      }
    }
  });
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

bool is_ksplat(const Probe& p) { return p.has_extension(".ksplat") && p.size > 0; }

}  // namespace

SceneFormat ksplat_format() {
  SceneFormat f;
  f.name = "ksplat";
  f.help = "GaussianSplats3D's .ksplat: three levels of precision";
  f.extensions = {".ksplat"};
  f.sh_degree = 2;
  f.precision =
      "colours and opacity 8 bits (colours beyond 0 .. 1 are clipped); from level 1 on positions "
      "16 "
      "bits in blocks of 5 units, scales, rotations and SH as halves; at level 2 SH 8 bits";
  f.is = is_ksplat;
  f.read = read;
  f.write = write;
  return f;
}

}  // namespace covary::scene
