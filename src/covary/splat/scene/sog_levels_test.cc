#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/lod.h"
#include "covary/splat/scene/sog.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using namespace testing_clouds;
using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr LevelFiles kSmall{.splats = 150, .leaf = 60};

class SogLevels : public testing::Test {
 protected:
  // 700, 350 and 175 splats.
  static Cloud tree() {
    const Cloud cloud = random_cloud(700, 1);
    return with_levels(cloud, at::ones({700}, at::kDouble), {.levels = 3, .ratio = 0.5});
  }
  static Cloud level_of(const Cloud& c, int64_t level) {
    return select(c, c.columns.at("lod").eq(level));
  }
  const TemporaryFolder temporary_{"levels"};
  const fs::path path_ = temporary_.path() / "out" / "lod-meta.json";
};

struct Leaf {
  json bound, lods;
};
void leaves_of(const json& node, std::vector<Leaf>& out) {
  ASSERT_TRUE(node.contains("bound"));
  if (!node.contains("children")) {
    out.push_back({node["bound"], node["lods"]});
    return;
  }
  for (const json& child : node["children"]) {
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_LE(node["bound"]["min"][k], child["bound"]["min"][k]);
      EXPECT_GE(node["bound"]["max"][k], child["bound"]["max"][k]);
    }
    leaves_of(child, out);
  }
}

TEST_F(SogLevels, EachLevelComesBack) {
  const Cloud all = tree();
  write_sog_levels(path_, all, {}, kSmall);
  for (int64_t level = 0; level < 3; ++level) {
    const Cloud want = level_of(all, level), got = load_cloud(path_, {.level = level});
    ASSERT_EQ(got.size(), want.size());
    EXPECT_EQ(got.sh_degree(), 1);
    // Every splat is there once: the nearest of each are one another's, and near.
    const auto [distance, nearest] =
        at::cdist(want.means.to(at::kDouble), got.means.to(at::kDouble)).min(1);
    EXPECT_LE(distance.max().item<double>(), 1e-3);
    EXPECT_EQ(std::get<0>(at::_unique(nearest)).numel(), want.size());
    EXPECT_LE((got.opacities.index_select(0, nearest).sigmoid() - want.opacities.sigmoid())
                  .abs()
                  .max()
                  .item<double>(),
              0.51 / 255);
  }
  EXPECT_THAT(error_of([&] { load_cloud(path_, {.level = 3}); }).message(),
              HasSubstr("no level 3"));
}

TEST_F(SogLevels, RangesTileTheFilesAndBoxesHoldTheirSplats) {
  const Cloud all = tree();
  write_sog_levels(path_, all, {}, kSmall);
  const json meta = parse_json_file(path_);
  EXPECT_EQ(meta["lodLevels"], 3);
  EXPECT_EQ(meta["counts"], json({700, 350, 175}));
  std::vector<Cloud> files;
  for (const json& name : meta["filenames"])
    files.push_back(read_sog_folder(path_.parent_path() / name.get<std::string>()));
  EXPECT_GT(files.size(), 6u);  // more than one of each level
  std::vector<Leaf> leaves;
  leaves_of(meta["tree"], leaves);
  EXPECT_GE(leaves.size(), 1225u / 60);
  std::vector<int64_t> next(files.size());
  for (const Leaf& leaf : leaves)
    for (const auto& [level, range] : leaf.lods.items()) {
      const auto f = range["file"].get<size_t>();
      EXPECT_TRUE(meta["filenames"][f].get<std::string>().starts_with(level + "_"));
      EXPECT_EQ(range["offset"], next[f]);
      const auto count = range["count"].get<int64_t>();
      const Cloud part = slice(files[f], next[f], count);
      next[f] += count;
      for (int64_t k = 0; k < 3; ++k) {
        const auto at = static_cast<size_t>(k);
        EXPECT_GE(part.means.select(1, k).min().item<double>(),
                  leaf.bound["min"][at].get<double>());
        EXPECT_LE(part.means.select(1, k).max().item<double>(),
                  leaf.bound["max"][at].get<double>());
      }
    }
  for (size_t f = 0; f < files.size(); ++f) EXPECT_EQ(next[f], files[f].size());
}

TEST_F(SogLevels, ASceneWithoutLevelsHasOneAndTheSameBytesEachTime) {
  const Cloud cloud = random_cloud(300, 0);
  save_cloud(path_, cloud);
  const std::string first = read_file(path_);
  EXPECT_EQ(format_of(path_)->name, "sog");
  uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path_.parent_path()))
    if (entry.is_regular_file()) bytes += entry.file_size();
  EXPECT_EQ(bytes_on_disk(path_), static_cast<int64_t>(bytes));
  EXPECT_EQ(load_cloud(path_).size(), 300);
  const std::string picture = read_file(path_.parent_path() / "0_0" / "means_l.webp");
  save_cloud(path_, cloud);
  EXPECT_EQ(read_file(path_), first);
  EXPECT_EQ(read_file(path_.parent_path() / "0_0" / "means_l.webp"), picture);
}

TEST_F(SogLevels, ANewSetReplacesTheOldOneAndNothingElse) {
  write_sog_levels(path_, tree(), {}, kSmall);
  const fs::path folder = path_.parent_path();
  EXPECT_TRUE(fs::exists(folder / "2_1" / "meta.json"));
  write_file(folder / "1_0" / "notes.txt", "mine");
  fs::create_directory(folder / "7_7");
  write_file(folder / "7_7" / "meta.json", "another's");
  const std::vector<fs::path> there = in_the_way(path_);
  EXPECT_EQ(std::count(there.begin(), there.end(), folder / "2_1" / "quats.webp"), 1);
  save_cloud(path_, random_cloud(50, 0));
  std::set<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) left.insert(fs::relative(entry.path(), folder).string());
  EXPECT_EQ(left, (std::set<std::string>{"0_0/means_l.webp", "0_0/means_u.webp", "0_0/meta.json",
                                         "0_0/quats.webp", "0_0/scales.webp", "0_0/sh0.webp",
                                         "1_0/notes.txt", "7_7/meta.json", "lod-meta.json"}));
  EXPECT_FALSE(fs::exists(folder / "2_1"));
}

TEST_F(SogLevels, OtherColumnsOfThatNameAreRefused) {
  Cloud cloud = random_cloud(5, 0);
  for (const double level : {-1.0, 0.5, 64.0}) {
    cloud.columns["lod"] = at::full({5}, level);
    const Error e = error_of([&] { save_cloud(path_, cloud); });
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_THAT(e.message(), HasSubstr("splat 0"));
  }
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_EQ(error_of([&] { save_cloud(path_, random_cloud(0, 0)); }).code(), ExitCode::kData);
}

TEST_F(SogLevels, SplatsAtOnePlaceAreCutAllTheSame) {
  Cloud cloud = random_cloud(500, 0);
  cloud.means.fill_(2);
  write_sog_levels(path_, cloud, {}, kSmall);
  EXPECT_EQ(load_cloud(path_).size(), 500);
}

}  // namespace
}  // namespace covary::scene
