// Video files, written by the program ffmpeg through a pipe.
//
//   VideoWriter out("scene.mp4", width, height, {.fps = 30});   // Error(kData) with a hint when ffmpeg is missing
//   for (...) out.write(picture);                                // H x W x 3
//   out.commit();                                                // without it no file appears
//
// H.264 in 4:2:0 for .mp4, .mov and .mkv, VP9 for .webm, a palette of its own for .gif. Odd sizes lose their last row or column, as 4:2:0 asks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <sys/types.h>

#include "covary/core/data/image.h"

namespace covary::data {

struct VideoOptions {
  double fps = 30;   // frames/s
  int quality = 18;  // constant rate factor, 0..51, lower is better
};

// Whether the file's extension is that of a video we write.
bool is_video(const std::filesystem::path& path);
// The program's path, or empty when it is not installed ($PATH).
std::string find_program(const std::string& name);

class VideoWriter {
 public:
  VideoWriter(std::filesystem::path path, int width, int height, const VideoOptions& options);
  ~VideoWriter();  // stops ffmpeg and removes what it wrote, unless committed
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  void write(const Image8& frame);  // Error(kFailed) when ffmpeg ended, with its message
  void commit();

 private:
  [[noreturn]] void fail();
  int wait();

  std::filesystem::path path_, temporary_, messages_;
  int width_, height_;
  pid_t child_ = -1;
  int pipe_ = -1;
};

}  // namespace covary::data
