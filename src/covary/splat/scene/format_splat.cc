// .splat: 32 bytes a splat and no header: position and standard deviations as floats, colour and opacity
// a byte each, rotation four bytes (w x y z) as 128 + 128 q. No spherical harmonics. The largest and most
// opaque stand first, so that the beginning of a file looks right.
// Source: antimatter15, "splat" (a viewer for the web), 2023.
#include <algorithm>
#include <array>
#include <cmath>

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

constexpr int64_t kRow = 32;      // bytes
constexpr int64_t kGrain = 8192;  // rows

Cloud read(const fs::path& path, const ReadOptions&) {
  const std::string bytes = read_file(path);
  if (bytes.empty() || bytes.size() % kRow != 0)
    throw Error(ExitCode::kData,
                "a .splat takes 32 bytes a splat, and " + std::to_string(bytes.size()) +
                    " are no multiple of that",
                path.string(), kDamagedHint);
  NewCloud out(static_cast<int64_t>(bytes.size()) / kRow, 0);
  const auto logits = logits_of_bytes();
  const uint8_t* rows = as_bytes(bytes).data();
  parallel_for(out.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* p = rows + i * kRow;
      for (int k = 0; k < 3; ++k) {
        out.means[3 * i + k] = load_as<float>(p + 4 * k);
        out.scales[3 * i + k] = log_of_scale(load_as<float>(p + 12 + 4 * k));
        out.sh0[3 * i + k] = sh0_of_colour(p[24 + k] / 255.0);
      }
      out.opacities[i] = logits[p[27]];
      std::array<float, 4> q{};
      for (size_t k = 0; k < 4; ++k) q[k] = static_cast<float>((p[28 + k] - 128) / 128.0);
      const auto unit = unit_quat(q.data());
      for (size_t k = 0; k < 4; ++k)
        out.quats[4 * i + static_cast<int64_t>(k)] = static_cast<float>(unit[k]);
    }
  });
  return out.cloud;
}

class Sink : public RowSink {
 public:
  explicit Sink(const fs::path& path) : file_(path) {}

  void append(const Cloud& rows) override {
    const CloudValues in(rows);
    bytes_.resize(static_cast<size_t>(in.n * kRow));
    parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        uint8_t* p = bytes_.data() + i * kRow;
        for (int k = 0; k < 3; ++k) {
          store_as(p + 4 * k, in.means[3 * i + k]);
          store_as(p + 12 + 4 * k, std::exp(in.scales[3 * i + k]));
          p[24 + k] = byte_of(colour_of_sh0(in.sh0[3 * i + k]) * 255);
        }
        p[27] = byte_of(sigmoid(in.opacities[i]) * 255);
        const auto q = unit_quat(in.quats + 4 * i);
        for (size_t k = 0; k < 4; ++k) p[28 + k] = byte_of(q[k] * 128 + 128);
      }
    });
    file_.write(bytes_.data(), bytes_.size());
  }
  void commit() override { file_.commit(); }

 private:
  AtomicFile file_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

SceneFormat splat_format() {
  SceneFormat f;
  f.name = "splat";
  f.help = "antimatter15's .splat: 32 bytes a splat, one colour each";
  f.extensions = {".splat"};
  f.sh_degree = 0;
  f.precision = "colours and opacity 8 bits (colours beyond 0 .. 1 are clipped), rotations 8 bits";
  f.is = [](const Probe& p) { return p.has_extension(".splat") && p.size > 0; };
  f.read = read;
  f.order = RowOrder::kWeight;
  f.create = [](const fs::path& path, const RowPlan&,
                const WriteOptions&) -> std::unique_ptr<RowSink> {
    return std::make_unique<Sink>(path);
  };
  return f;
}

}  // namespace covary::scene
