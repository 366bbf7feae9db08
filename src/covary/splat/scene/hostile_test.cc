// Small good files, damaged at random: every parser must succeed or throw covary::Error, and
// nothing else. The seeds are fixed. fuzz/ searches the same parsers without end.
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/image.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/colmap.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/ply.h"
#include "covary/splat/scene/test_clouds.h"
#include "covary/splat/scene/test_models.h"

namespace covary::scene {
namespace {

using namespace testing_captures;

// A file in memory, for readers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : file_(memfd_create("covary", MFD_CLOEXEC)) {
    if (file_ < 0 ||
        ::write(file_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }
  ~MemoryFile() { ::close(file_); }
  fs::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

// One to eight bytes changed, or the end cut off, or both; now and then a run of bytes becomes all
// ones, which makes absurd counts.
std::string damaged(std::string bytes, uint64_t trial) {
  const Random random(20, trial);
  uint64_t draw = 0;
  const auto below = [&](uint64_t n) { return random.below(n, draw++); };
  const uint64_t kind = below(4);
  if (kind != 0)
    for (uint64_t n = 1 + below(8); n > 0; --n)
      bytes[below(bytes.size())] = static_cast<char>(below(256));
  if (kind == 1)
    for (uint64_t at = below(bytes.size()), n = 1 + below(8); n > 0 && at < bytes.size(); --n, ++at)
      bytes[at] = '\xff';
  if (kind == 0 || kind == 2) bytes.resize(below(bytes.size()));
  return bytes;
}

void survives(const std::string& good, const std::function<void(const std::string&)>& parse,
              uint64_t trials = 2000) {
  ASSERT_NO_THROW(parse(good));
  uint64_t refused = 0;
  for (uint64_t trial = 0; trial < trials; ++trial) {
    try {
      parse(damaged(good, trial));
    } catch (const Error& e) {
      ++refused;
      EXPECT_EQ(e.code(), ExitCode::kData) << e.what();
      EXPECT_FALSE(e.where().empty()) << e.what();
    } catch (const std::exception& e) {
      FAIL() << "trial " << trial << ": " << e.what();
    }
  }
  EXPECT_GT(refused, trials / 5) << "a quarter of the trials only cut the end off";
}

// Without the care for power cuts that write_file takes, and that file systems take of a file that
// is written over.
void write_in_place(const fs::path& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

std::span<const uint8_t> as_bytes(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

TEST(DamagedFiles, ColmapCameras) {
  TestScene scene;
  std::string good = cameras_bin(scene);
  survives(good, [](const std::string& b) {
    // A lens that was read must also work, or say that it does not.
    for (const auto& [id, lens] : parse_colmap_cameras_bin(b, "cameras.bin"))
      lens.optimal_pinhole();
  });
}

TEST(DamagedFiles, ColmapImages) {
  survives(images_bin(TestScene(4)),
           [](const std::string& b) { parse_colmap_images_bin(b, "images.bin", true); });
}

TEST(DamagedFiles, ColmapPoints) {
  survives(points_bin(TestScene(1, 10)), [](const std::string& b) {
    std::vector<ColmapSighting> sightings;
    parse_colmap_points_bin(b, "points3D.bin", &sightings);
    EXPECT_LE(sightings.size() * 8, b.size());
  });
}

// Models of every other kind, with their photos.
TEST(DamagedFiles, ModelsOfOtherKinds) {
  for (const SmallModel& m : small_models()) {
    const TemporaryFolder folder("hostile");
    const fs::path file = write_small(m.kind, folder.path());
    CaptureOptions options = raw();
    SCOPED_TRACE(m.kind);
    survives(
        m.text,
        [&](const std::string& b) {
          write_in_place(file, b);
          read_source(folder.path(), options);
        },
        400);
  }
}

TEST(DamagedFiles, Ply) {
  const TemporaryFolder folder("hostile");
  Cloud cloud;
  cloud.means = at::rand({3, 3});
  cloud.quats = at::rand({3, 4});
  cloud.scales = at::rand({3, 3});
  cloud.opacities = at::rand({3});
  cloud.sh0 = at::rand({3, 1, 3});
  cloud.shN = at::rand({3, 3, 3});
  cloud.columns["label"] = at::ones({3}, at::kByte);
  write_ply(folder.path() / "a.ply", cloud);
  survives(read_file(folder.path() / "a.ply"),
           [](const std::string& b) { read_ply(MemoryFile(b).path()); });
}

TEST(DamagedFiles, ScenesOfEveryFormat) {
  const TemporaryFolder folder("hostile");
  for (const SceneFormat& f : scene_formats())
    for (const int64_t kind : {0, 1}) {
      SCOPED_TRACE(f.name);
      const fs::path file = folder.path() / ("a" + std::to_string(kind) + f.extensions[0]);
      save_cloud(file, testing_clouds::random_cloud(5, f.sh_degree > 0),
                 {.spz_version = 3 + kind, .ksplat_level = 2 * kind});
      survives(
          read_file(file), [&](const std::string& b) { f.read(MemoryFile(b).path(), {}); }, 1000);
    }
}

TEST(DamagedFiles, Npz) {
  const TemporaryFolder folder("hostile");
  const std::vector<float> values(12, 0.5f);
  data::CovWriter w(folder.path() / "a.cov");
  w.json({{"a", 1}});
  w.array("v", data::DType::kFloat32, {3, 4}, values.data());
  w.commit();
  survives(read_file(folder.path() / "a.cov"), [](const std::string& b) {
    const MemoryFile file(b);
    data::read_npz(file.path());
    data::CovReader r(file.path());
    for (const auto& n : r.names()) r.array(n);
  });
}

TEST(DamagedFiles, Png) {
  const auto bytes = data::encode_png(plain(9, 7, 4, 120, 200));
  survives({bytes.begin(), bytes.end()},
           [](const std::string& b) { data::decode_image(as_bytes(b), "a.png"); });
}

TEST(DamagedFiles, Jpeg) {
  const auto bytes = data::encode_jpeg(plain(16, 16, 3, 120), 80);
  survives({bytes.begin(), bytes.end()},
           [](const std::string& b) { data::decode_image(as_bytes(b), "a.jpg"); });
}

}  // namespace
}  // namespace covary::scene
