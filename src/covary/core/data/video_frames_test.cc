#include "covary/core/data/video_frames.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/video.h"

namespace covary::data {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class VideoFrames : public testing::Test {
 protected:
  void SetUp() override {
    if (find_program("ffmpeg").empty()) GTEST_SKIP() << "ffmpeg is not installed";
  }
  // Frame k is of one grey, 10 k + 20, 64 x 48.
  fs::path video(int frames) const {
    const fs::path path = temporary_.path() / "v.mp4";
    VideoWriter w(path, 64, 48, {.fps = 10, .quality = 10});
    for (int k = 0; k < frames; ++k) {
      Image8 picture(48, 64, 3);
      std::fill(picture.pixels.begin(), picture.pixels.end(), static_cast<uint8_t>(10 * k + 20));
      w.write(picture);
    }
    w.commit();
    return path;
  }

  const TemporaryFolder temporary_{"frames"};
};

TEST_F(VideoFrames, EveryFrameOnceAndInOrder) {
  std::vector<int> greys;
  const int64_t n = for_each_grey_frame(video(12), 32, [&](int64_t i, const Image8& grey) {
    EXPECT_EQ(i, static_cast<int64_t>(greys.size()));
    EXPECT_EQ(grey.width, 32);
    EXPECT_EQ(grey.height, 24);
    EXPECT_EQ(grey.channels, 1);
    greys.push_back(grey.at(12, 16)[0]);
  });
  EXPECT_EQ(n, 12);
  ASSERT_EQ(greys.size(), 12u);
  for (int k = 0; k < 12; ++k) EXPECT_NEAR(greys[static_cast<size_t>(k)], 10 * k + 20, 6) << k;
}

TEST_F(VideoFrames, SmallOnesAreNotEnlarged) {
  for_each_grey_frame(video(2), 1000, [&](int64_t, const Image8& grey) {
    EXPECT_EQ(grey.width, 64);
    EXPECT_EQ(grey.height, 48);
  });
}

TEST_F(VideoFrames, ThoseAskedForAreWritten) {
  const auto files = write_frames(video(12), {0, 3, 11}, temporary_.path());
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[1].filename(), "frame_000003.jpg");
  const int expected[] = {20, 50, 130};
  for (size_t i = 0; i < 3; ++i) {
    const Image8 picture = read_image(files[i]);
    EXPECT_EQ(picture.width, 64);
    EXPECT_NEAR(picture.at(20, 20)[0], expected[i], 6) << i;
  }
}

TEST_F(VideoFrames, AskingForTooManyLeavesNothing) {
  const fs::path path = video(4), folder = temporary_.path() / "to";
  make_folder(folder);
  EXPECT_THROW(write_frames(path, {1, 9}, folder), Error);
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(VideoFrames, WhatIsNoVideoIsSaidSo) {
  const fs::path path = temporary_.path() / "bad.mp4";
  write_file(path, "this is no video");
  try {
    for_each_grey_frame(path, 32, [](int64_t, const Image8&) {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_THAT(e.message(), HasSubstr("Invalid data"));
    EXPECT_THAT(e.where(), HasSubstr("bad.mp4"));
  }
  EXPECT_THROW(for_each_grey_frame("absent.mp4", 32, [](int64_t, const Image8&) {}), Error);
}

}  // namespace
}  // namespace covary::data
