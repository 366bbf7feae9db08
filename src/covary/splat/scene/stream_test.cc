#include "covary/splat/scene/stream.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/ply.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using namespace testing_clouds;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int64_t kCount = 2 * kRowsAtOnce + 777;  // three pieces, the last no multiple of 256

class Stream : public testing::Test {
 protected:
  // Both ways: the same bytes and the same losses.
  void expect_the_same(const fs::path& in, const std::string& name, const WriteOptions& how = {},
                       const ReadOptions& reading = {}, const RowEdit& edit = {}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(can_stream(in, folder_ / name));
    Cloud cloud = load_cloud(in, reading);
    if (edit) cloud = edit(cloud, 0);
    save_cloud(folder_ / ("whole-" + name), cloud, how);
    const Streamed s = stream_scene(in, reading, folder_ / name, how, "", edit);
    EXPECT_EQ(s.rows_written, cloud.size());
    EXPECT_EQ(s.lost, losses(format_of_output(name), cloud, how));
    EXPECT_TRUE(read_file(folder_ / name) == read_file(folder_ / ("whole-" + name)));
    for (const auto& entry : fs::directory_iterator(folder_))
      EXPECT_NE(entry.path().filename().string()[0], '.') << "nothing is left behind: " << entry;
  }
  const TemporaryFolder temporary_{"stream"};
  const fs::path folder_ = temporary_.path();
  const std::vector<std::string> outputs_ = {"a.ply", "a.csv", "a.splat", "a.spz",
                                             "a.compressed.ply"};
};

TEST_F(Stream, WritesTheBytesOfAWholeConversion) {
  Cloud cloud = random_cloud(kCount, 1);
  cloud.columns["label"] = at::arange(kCount, at::kInt);
  cloud.columns["nx"] = at::rand({kCount});
  cloud.means[5][0] = 3000;  // takes bits of a .spz
  cloud.scales[9][1] = -15;
  cloud.antialiased = true;
  write_ply(folder_ / "in.ply", cloud);
  for (const std::string& name : outputs_) {
    expect_the_same(folder_ / "in.ply", name);
    expect_the_same(folder_ / "in.ply", name, {.sh_degree = 0, .keep_order = true});
  }
  expect_the_same(folder_ / "in.ply", "v4.spz", {.spz_version = 4});
  expect_the_same(folder_ / "in.ply", "v2.spz", {.spz_version = 2});
  expect_the_same(folder_ / "in.ply", "turned.ply", {.axes = "rfu"}, {.axes = "rub"});
}

TEST_F(Stream, WithEditsThatDropRowsAndColumns) {
  Cloud cloud = random_cloud(kCount, 1);
  cloud.columns["label"] = at::arange(kCount, at::kInt);
  write_ply(folder_ / "in.ply", cloud);
  const RowEdit edit = [](const Cloud& rows, int64_t) {
    Cloud out = select(rows, rows.columns.at("label").remainder(5).ne(2));
    out.means = out.means * 2;
    out.columns.erase("label");
    return with_degree(out, 0);
  };
  for (const std::string& name : outputs_)
    for (const bool keeps : {false, true})
      expect_the_same(folder_ / "in.ply", name, {.keep_order = keeps}, {}, edit);
}

TEST_F(Stream, TheCountOfAPlyIsMendedWhereItHasFewerDigits) {
  write_ply(folder_ / "in.ply", random_cloud(kCount, 0));
  for (const int64_t left : {int64_t{0}, int64_t{9}, int64_t{99999999}})
    expect_the_same(folder_ / "in.ply", "a.ply", {}, {}, [&](const Cloud& rows, int64_t first) {
      return slice(rows, 0, std::clamp<int64_t>(left - first, 0, rows.size()));
    });
}

TEST_F(Stream, WhatIsNotFiniteIsRefusedOrDropped) {
  Cloud cloud = random_cloud(kCount, 0);
  cloud.sh0[kCount - 3][0][1] = std::nanf("");
  write_ply(folder_ / "in.ply", cloud);
  EXPECT_THAT(
      error_of([&] { stream_scene(folder_ / "in.ply", {}, folder_ / "b.spz", {}); }).message(),
      HasSubstr("splat " + std::to_string(kCount - 3)));
  EXPECT_FALSE(fs::exists(folder_ / "b.spz"));
  cloud.means[kCount - 7][2] = INFINITY;
  write_ply(folder_ / "in.ply", cloud);
  EXPECT_THAT(
      error_of([&] { stream_scene(folder_ / "in.ply", {}, folder_ / "b.ply", {}); }).message(),
      HasSubstr("splat " + std::to_string(kCount - 7)));
  for (const std::string& name : outputs_)
    expect_the_same(folder_ / "in.ply", name, {}, {.not_finite = "drop"});
}

TEST_F(Stream, OtherOrdersOfBytesAndOtherFilesAreWhatTheyAre) {
  const Cloud cloud = random_cloud(20, 0);
  save_cloud(folder_ / "a.spz", cloud);
  EXPECT_FALSE(can_stream(folder_ / "a.spz", folder_ / "b.ply"));
  write_ply(folder_ / "a.ply", cloud);
  EXPECT_FALSE(can_stream(folder_ / "a.ply", folder_ / "b.sog"));
  // Big-endian rows have places too; those of text have none.
  std::string text = read_file(folder_ / "a.ply"), big = text;
  const size_t body = text.find("end_header\n") + 11;
  for (size_t i = body; i < big.size(); i += 4) std::reverse(big.begin() + i, big.begin() + i + 4);
  big.replace(big.find("little"), 6, "big");
  write_file(folder_ / "big.ply", big);
  expect_the_same(folder_ / "big.ply", "c.ply");
  EXPECT_EQ(read_file(folder_ / "c.ply"), text);
  write_file(
      folder_ / "text.ply",
      "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty "
      "float z\nproperty float opacity\nproperty float scale_0\nproperty float "
      "scale_1\nproperty float scale_2\nproperty float rot_0\nproperty float rot_1\nproperty "
      "float rot_2\nproperty float rot_3\nproperty float f_dc_0\nproperty float "
      "f_dc_1\nproperty float f_dc_2\nend_header\n");
  EXPECT_FALSE(can_stream(folder_ / "text.ply", folder_ / "b.ply"));
}

TEST_F(Stream, TheSameBytesAtAnyNumberOfThreads) {
  write_ply(folder_ / "in.ply", random_cloud(kCount, 1));
  for (const std::string& name : outputs_) {
    set_threads(1);
    stream_scene(folder_ / "in.ply", {}, folder_ / name, {});
    const std::string one = read_file(folder_ / name);
    set_threads(3);
    stream_scene(folder_ / "in.ply", {}, folder_ / name, {});
    set_threads(0);
    EXPECT_TRUE(read_file(folder_ / name) == one) << name;
  }
}

}  // namespace
}  // namespace covary::scene
