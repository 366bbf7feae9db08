#include "covary/splat/scene/claimed_rows.h"

#include <gtest/gtest.h>

#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using namespace testing_clouds;

std::optional<int64_t> of(const std::string& text, const std::string& extension) {
  return claimed_rows(text, text.size(), extension);
}

TEST(ClaimedRows, AreThoseOfTheFile) {
  const TemporaryFolder folder("claimed");
  const Cloud cloud = random_cloud(321, 1);
  const auto written = [&](const std::string& name, const WriteOptions& how = {}) {
    save_cloud(folder.path() / name, cloud, how);
    return read_file(folder.path() / name);
  };
  for (const char* extension : {".ply", ".compressed.ply", ".spz", ".splat", ".ksplat"}) {
    const std::string text = written(std::string("a") + extension);
    EXPECT_EQ(of(text, extension), 321) << extension;
    // The first bytes are enough.
    EXPECT_EQ(claimed_rows(std::string_view(text).substr(0, 4096), text.size(), extension), 321)
        << extension;
  }
  EXPECT_EQ(of(written("four.spz", {.spz_version = 4}), ".spz"), 321);
  EXPECT_EQ(of(written("b.ply"), ".txt"), 321);  // by its own mark
  for (const char* extension : {".sog", ".glb", ".npz", ".csv"})
    EXPECT_EQ(of(written(std::string("a") + extension), extension), std::nullopt) << extension;
}

TEST(ClaimedRows, OfWhatIsNoFileThereIsNone) {
  EXPECT_EQ(of("", ".ply"), std::nullopt);
  EXPECT_EQ(of("ply\nelement vertex", ".ply"), std::nullopt);
  EXPECT_EQ(of("ply\nelement vertex 12", ".ply"), std::nullopt);  // 12 or more
  EXPECT_EQ(of("ply\nelement vertex many\nend_header\n", ".ply"), std::nullopt);
  EXPECT_EQ(of("ply\nelement vertex 99999999999999999999\nend_header\n", ".ply"), std::nullopt);
  EXPECT_EQ(of("ply\ncomment element vertex 5\nend_header\nelement vertex 7\n", ".ply"),
            std::nullopt);
  EXPECT_EQ(of("ply\nelement face 3\nelement vertex 5000000000\nend_header\n", ".ply"), 5000000000);
  EXPECT_EQ(of("NGSP1234", ".spz"), std::nullopt);
  EXPECT_EQ(of("\x1f\x8bhello, this is no stream", ".spz"), std::nullopt);
  EXPECT_EQ(of("short", ".ksplat"), std::nullopt);
  EXPECT_EQ(claimed_rows("", 64, ".splat"), 2);
}

}  // namespace
}  // namespace covary::scene
