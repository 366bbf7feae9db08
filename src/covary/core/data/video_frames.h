// The frames of a video file, read by the program ffmpeg.
//
//   const int64_t n = for_each_grey_frame("walk.mp4", 320, [&](int64_t i, const Image8& grey) { score(grey); });
//   write_frames("walk.mp4", {0, 14, 31}, "out/images");     // out/images/frame_000000.jpg, frame_000014.jpg, ...
//
// Frames count from 0 in the order of display; both functions count alike, so that what was scored is what is written.
// A video's turn (phones store it beside the picture) is done already. Errors: Error(kData) naming the file, with what
// ffmpeg says: no such file, no video in it, damaged, ffmpeg missing. Ctrl-C: Interrupted, nothing is left behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "covary/core/data/image.h"

namespace covary::data {

// Whether the name ends as that of a video which ffmpeg may read.
bool is_readable_video(const std::filesystem::path& path);

// Every frame, H x W x 1, shrunk so that its longer side is at most long_side px. The number of frames.
int64_t for_each_grey_frame(const std::filesystem::path& video, int long_side,
                            const std::function<void(int64_t index, const Image8& grey)>& visit);

// The frames of these numbers, ascending, at full size as JPEG (ffmpeg's quality 2), into a folder that is there. The
// files in the same order. Error(kData) when the video has fewer.
std::vector<std::filesystem::path> write_frames(const std::filesystem::path& video,
                                                const std::vector<int64_t>& indices,
                                                const std::filesystem::path& folder);

}  // namespace covary::data
