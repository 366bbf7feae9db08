// PlayCanvas's compressed .ply: chunks of 256 splats with the bounds of each, and 16 bytes a splat.
//
// Elements: `chunk` with min_x .. max_z, min_scale_x .. max_scale_z and, in newer files, min_r .. max_b;
// `vertex` with four uint: positions and scales 11-10-11 bits between the bounds, the rotation as its
// smallest three in 10 bits each (order w x y z), colour and opacity a byte each; `sh` with f_rest_0 ..
// as bytes over -4 .. 4, channel-major as in the plain .ply. Splats of a chunk should lie together: the
// writer puts them on a Morton curve.
// Source: PlayCanvas, "compressed PLY" (developer.playcanvas.com, Gaussian splatting formats).
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/spool.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/ply_file.h"
#include "covary/splat/scene/quantise.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunk = 256;
constexpr std::array<int, 3> kBits = {11, 10, 11};  // x y z
constexpr std::array<int, 3> kShift = {21, 11, 0};
constexpr int kRotationBits = 10;
constexpr double kMostLogScale = 20;  // of the bounds
constexpr double kShRange = 8;        // -4 .. 4
constexpr std::array<const char*, 18> kBounds = {
    "min_x",       "min_y",       "min_z",       "max_x",       "max_y",       "max_z",
    "min_scale_x", "min_scale_y", "min_scale_z", "max_scale_x", "max_scale_y", "max_scale_z",
    "min_r",       "min_g",       "min_b",       "max_r",       "max_g",       "max_b"};
constexpr std::array<const char*, 4> kPacked = {"packed_position", "packed_rotation",
                                                "packed_scale", "packed_color"};

double unpack(uint32_t code, int k) {
  const auto i = static_cast<size_t>(k);
  const uint32_t most = (1u << kBits[i]) - 1;
  return static_cast<double>((code >> kShift[i]) & most) / most;
}

float lerp(double low, double high, double t) {
  return static_cast<float>(low * (1 - t) + high * t);
}

uint32_t pack(const double* x, const float* bounds) {  // bounds: three lows, three highs
  uint32_t code = 0;
  for (size_t k = 0; k < 3; ++k) {
    const double low = bounds[k], width = bounds[k + 3] - low;
    code |=
        code_of(width > 0 ? (x[k] - low) / width * ((1u << kBits[k]) - 1) : 0, (1u << kBits[k]) - 1)
        << kShift[k];
  }
  return code;
}

bool is_compressed(const Probe& probe) {
  return probe.head.starts_with("ply") && probe.head.find("packed_position") != std::string::npos;
}

// Bytes of an element that must hold so many rows, all of uchar, in file order.
int count_sh(const PlyFile& sh, std::vector<int>* columns) {
  const auto n = static_cast<int>(sh.properties().size());
  int degree = 0;
  while (degree < 4 && 3 * rest_of_degree(degree) < n) ++degree;
  for (const PlyProperty& p : sh.properties())
    if (p.type != PlyType::kUInt8)
      throw Error(ExitCode::kData, "the coefficients are no bytes", sh.path() + ": sh: " + p.name,
                  kDamagedHint);
  if (3 * rest_of_degree(degree) != n)
    throw Error(ExitCode::kData,
                "there are " + std::to_string(n) + " coefficients: no degree has so many",
                sh.path() + ": sh", kDamagedHint);
  for (int i = 0; i < n; ++i) columns->push_back(sh.require("f_rest_" + std::to_string(i)));
  return degree;
}

Cloud read(const fs::path& path, const ReadOptions&) {
  const PlyFile chunks(path, "chunk"), vertices(path);
  const int64_t n = vertices.count();
  const int64_t chunk_count = (n + kChunk - 1) / kChunk;
  if (chunks.count() != chunk_count)
    throw Error(ExitCode::kData,
                std::to_string(n) + " splats take " + std::to_string(chunk_count) +
                    " chunks, but there are " + std::to_string(chunks.count()),
                path.string() + ": element chunk", kDamagedHint);
  const size_t columns = chunks.find("min_r") >= 0 ? 18 : 12;
  std::vector<int> bound_at, packed_at, sh_at;
  for (size_t k = 0; k < columns; ++k) bound_at.push_back(chunks.require(kBounds[k]));
  for (const char* name : kPacked) {
    packed_at.push_back(vertices.require(name));
    if (vertices.properties()[static_cast<size_t>(packed_at.back())].type != PlyType::kUInt32)
      throw Error(ExitCode::kData, "the property is no uint", path.string() + ": vertex." + name,
                  kDamagedHint);
  }
  std::vector<float> bounds(static_cast<size_t>(chunk_count) * 18);
  chunks.read([&](int64_t first, int64_t count, const PlyRows& rows) {
    for (int64_t i = 0; i < count; ++i) {
      float* to = bounds.data() + (first + i) * 18;
      for (size_t k = 12; k < 18; ++k) to[k] = k < 15 ? 0.f : 1.f;
      for (size_t k = 0; k < columns; ++k) to[k] = rows.single(i, bound_at[k]);
    }
  });
  int degree = 0;
  std::unique_ptr<PlyFile> sh;
  if (vertices.has_element("sh")) {
    sh = std::make_unique<PlyFile>(path, "sh");
    degree = count_sh(*sh, &sh_at);
    if (sh->count() != n)
      throw Error(ExitCode::kData,
                  std::to_string(sh->count()) + " rows for " + std::to_string(n) + " splats",
                  path.string() + ": element sh", kDamagedHint);
  }
  NewCloud out(n, degree);
  const auto logits = logits_of_bytes();
  vertices.read([&](int64_t first, int64_t count, const PlyRows& rows) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      const float* b = bounds.data() + r / kChunk * 18;
      std::array<uint32_t, 4> code{};
      for (size_t k = 0; k < 4; ++k) code[k] = static_cast<uint32_t>(rows.number(i, packed_at[k]));
      for (int k = 0; k < 3; ++k) {
        out.means[3 * r + k] = lerp(b[k], b[k + 3], unpack(code[0], k));
        out.scales[3 * r + k] = lerp(b[k + 6], b[k + 9], unpack(code[2], k));
        out.sh0[3 * r + k] =
            sh0_of_colour(lerp(b[k + 12], b[k + 15], ((code[3] >> (24 - 8 * k)) & 255) / 255.0));
      }
      out.opacities[r] = logits[code[3] & 255];
      SmallestThree s;
      s.largest = code[1] >> 30;
      for (size_t k = 0; k < 3; ++k)
        s.rest[k] = (((code[1] >> (20 - kRotationBits * k)) & 1023) / 1023.0 - 0.5) * kSqrt2;
      const auto q = from_smallest_three(s);
      for (size_t k = 0; k < 4; ++k)
        out.quats[4 * r + static_cast<int64_t>(k)] = static_cast<float>(q[k]);
    }
  });
  if (sh) {
    std::array<float, 256> value{};
    for (size_t b = 0; b < 256; ++b)
      value[b] = b == 0 ? -4.f
                 : b == 255
                     ? 4.f
                     : static_cast<float>(((static_cast<double>(b) + 0.5) / 256 - 0.5) * kShRange);
    sh->read([&](int64_t first, int64_t count, const PlyRows& rows) {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < 3; ++c)
          for (int64_t k = 0; k < out.rest; ++k)
            out.shN[((first + i) * out.rest + k) * 3 + c] = value[static_cast<size_t>(std::clamp(
                rows.number(i, sh_at[static_cast<size_t>(c * out.rest + k)]), 0.0, 255.0))];
    });
  }
  return out.cloud;
}

std::string header_of(int64_t n, int64_t rest) {
  std::string h = "ply\nformat binary_little_endian 1.0\nelement chunk " +
                  std::to_string((n + kChunk - 1) / kChunk) + "\n";
  for (const char* name : kBounds) h += std::string("property float ") + name + "\n";
  h += "element vertex " + std::to_string(n) + "\n";
  for (const char* name : kPacked) h += std::string("property uint ") + name + "\n";
  if (rest > 0) h += "element sh " + std::to_string(n) + "\n";
  for (int64_t i = 0; i < 3 * rest; ++i) h += "property uchar f_rest_" + std::to_string(i) + "\n";
  return h + "end_header\n";
}

// The elements of the file stand one after the other: what belongs to the later two waits on disk.
class Sink : public RowSink {
 public:
  Sink(const fs::path& path, const RowPlan& plan)
      : file_(path), packed_(path.parent_path()), sh_(path.parent_path()) {
    file_.write(header_of(plan.count, plan.like.shN.size(1)));
  }

  void append(const Cloud& rows) override {
    const CloudValues in(rows);
    const int64_t chunks = (in.n + kChunk - 1) / kChunk;
    std::vector<float> bounds(static_cast<size_t>(chunks) * 18);
    std::vector<uint32_t> packed(static_cast<size_t>(in.n) * 4);
    std::vector<uint8_t> sh(static_cast<size_t>(in.n * in.rest) * 3);
    parallel_for(chunks, 8, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        encode(in, c * kChunk, std::min(in.n, (c + 1) * kChunk), bounds.data() + c * 18,
               packed.data() + c * kChunk * 4, sh.data() + c * kChunk * in.rest * 3);
    });
    file_.write(bounds.data(), bounds.size() * sizeof(float));
    packed_.append({reinterpret_cast<const uint8_t*>(packed.data()), packed.size() * 4});
    sh_.append(sh);
  }

  void commit() override {
    std::vector<uint8_t> block(1 << 20);
    for (const Spool* s : {&packed_, &sh_})
      for (uint64_t at = 0; at < s->size();) {
        const size_t n = s->read(at, block);
        file_.write(block.data(), n);
        at += n;
      }
    file_.commit();
  }

 private:
  // The rows of one chunk: their bounds, four numbers each, and their harmonics.
  static void encode(const CloudValues& in, int64_t first, int64_t last, float* b, uint32_t* code,
                     uint8_t* sh) {
    for (size_t k = 0; k < 18; k += 6)
      for (size_t j = 0; j < 3; ++j) {
        b[k + j] = std::numeric_limits<float>::infinity();
        b[k + 3 + j] = -std::numeric_limits<float>::infinity();
      }
    // Position, log scale, colour of a splat, in the order of the bounds.
    const auto values = [&](int64_t r, double* v) {
      for (int k = 0; k < 3; ++k) {
        v[k] = in.means[3 * r + k];
        v[3 + k] = std::clamp<double>(in.scales[3 * r + k], -kMostLogScale, kMostLogScale);
        v[6 + k] = colour_of_sh0(in.sh0[3 * r + k]);
      }
    };
    std::array<double, 9> v{};
    for (int64_t r = first; r < last; ++r) {
      values(r, v.data());
      for (size_t k = 0; k < 9; ++k) {
        float* low = b + k / 3 * 6 + k % 3;
        low[0] = std::min(low[0], static_cast<float>(v[k]));
        low[3] = std::max(low[3], static_cast<float>(v[k]));
      }
    }
    for (int64_t r = first; r < last; ++r, code += 4) {
      values(r, v.data());
      code[0] = pack(v.data(), b);
      code[2] = pack(v.data() + 3, b + 6);
      const SmallestThree s = smallest_three(unit_quat(in.quats + 4 * r));
      code[1] = s.largest << 30;
      for (size_t k = 0; k < 3; ++k)
        code[1] |= code_of((s.rest[k] / kSqrt2 + 0.5) * 1023, 1023) << (20 - kRotationBits * k);
      for (size_t k = 0; k < 3; ++k) {
        const double low = b[12 + k], width = b[15 + k] - low;
        code[3] |= static_cast<uint32_t>(byte_of(width > 0 ? (v[6 + k] - low) / width * 255 : 0))
                   << (24 - 8 * k);
      }
      code[3] |= byte_of(sigmoid(in.opacities[r]) * 255);
      for (int64_t ch = 0; ch < 3; ++ch)
        for (int64_t k = 0; k < in.rest; ++k)
          *sh++ = static_cast<uint8_t>(
              std::clamp((in.shN[(r * in.rest + k) * 3 + ch] / kShRange + 0.5) * 256, 0.0, 255.0));
    }
  }

  AtomicFile file_;
  Spool packed_, sh_;
};

}  // namespace

SceneFormat compressed_ply_format() {
  SceneFormat f;
  f.name = "compressed-ply";
  f.help = "PlayCanvas's compressed .ply: 16 bytes a splat and one an SH coefficient";
  f.extensions = {".compressed.ply"};
  f.sh_degree = 3;
  f.precision =
      "positions and scales 10 to 11 bits between the bounds of 256 neighbours, rotations 10 bits, "
      "colours and opacity 8 bits, SH 1/64 within -4 .. 4";
  f.is = is_compressed;
  f.read = read;
  f.order = RowOrder::kMorton;
  f.create = [](const fs::path& path, const RowPlan& plan,
                const WriteOptions&) -> std::unique_ptr<RowSink> {
    return std::make_unique<Sink>(path, plan);
  };
  return f;
}

}  // namespace covary::scene
