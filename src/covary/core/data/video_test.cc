#include "covary/core/data/video.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::data {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class VideoTest : public ::testing::Test {
 protected:
  int64_t entries() const {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  }
  const TemporaryFolder temporary{"video"};
  const fs::path folder = temporary.path();
};

TEST(IsVideo, KnowsExtensions) {
  EXPECT_TRUE(is_video("a.mp4"));
  EXPECT_TRUE(is_video("a.GIF"));
  EXPECT_FALSE(is_video("a.png"));
  EXPECT_FALSE(is_video("frames"));
}

TEST_F(VideoTest, WritesAWholeFileOrNone) {
  if (find_program("ffmpeg").empty()) GTEST_SKIP() << "ffmpeg is not installed";
  const fs::path path = folder / "a.mp4";
  {
    VideoWriter out(path, 33, 24, {});  // odd sizes are cut
    for (int i = 0; i < 5; ++i) out.write(Image8(24, 33, 3));
    EXPECT_FALSE(fs::exists(path));
    out.commit();
  }
  EXPECT_GT(fs::file_size(path), 200u);
  {
    VideoWriter out(folder / "b.mp4", 32, 24, {});
    out.write(Image8(24, 32, 3));
  }
  EXPECT_EQ(entries(), 1);
}

TEST_F(VideoTest, AMissingProgramIsSaidWithAHint) {
  const std::string old = std::getenv("PATH");
  setenv("PATH", folder.c_str(), 1);
  try {
    VideoWriter out(folder / "a.mp4", 32, 24, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_THAT(e.hint(), HasSubstr("install ffmpeg"));
  }
  setenv("PATH", old.c_str(), 1);
  EXPECT_EQ(entries(), 0);
}

TEST_F(VideoTest, AFailingProgramIsReportedWithItsMessage) {
  const fs::path program = folder / "ffmpeg";
  FILE* f = std::fopen(program.c_str(), "w");
  std::fputs("#!/bin/sh\necho 'no such encoder' >&2\nexit 1\n", f);
  std::fclose(f);
  fs::permissions(program, fs::perms::owner_all);
  const std::string old = std::getenv("PATH");
  setenv("PATH", (folder.string() + ":" + old).c_str(), 1);
  try {
    VideoWriter out(folder / "a.mp4", 320, 240, {});
    for (int i = 0; i < 100; ++i) out.write(Image8(240, 320, 3));
    out.commit();
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kFailed);
    EXPECT_THAT(e.what(), HasSubstr("no such encoder"));
  }
  setenv("PATH", old.c_str(), 1);
  EXPECT_EQ(entries(), 1);  // the program alone
}

TEST_F(VideoTest, APlaceThatCannotBeWrittenIsSaidFirst) {
  if (find_program("ffmpeg").empty()) GTEST_SKIP() << "ffmpeg is not installed";
  EXPECT_THROW(VideoWriter(folder / "no" / "a.mp4", 32, 24, {}), Error);
}

}  // namespace
}  // namespace covary::data
