#include "covary/core/data/video_frames.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>

#include "covary/core/base/child.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/names.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/video.h"

namespace covary::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostHeader = 64;  // bytes of a PGM header

std::string ffmpeg(const fs::path& video) {
  if (!fs::is_regular_file(video))
    throw Error(ExitCode::kData, "there is no such video", video.string(), "check the path");
  const std::string program = find_program("ffmpeg");
  if (program.empty())
    throw Error(ExitCode::kData, "a video needs the program ffmpeg, which is not installed",
                video.string(), "apt-get install ffmpeg, or give a folder of photos");
  return program;
}

// What a finished ffmpeg has to say, as our error.
void check_ended(const ChildResult& result, const fs::path& log, const fs::path& video) {
  if (result.interrupted) throw Interrupted{interrupted()};
  if (result.status == 0) return;
  // The last line says what it came to; those before are of its parts.
  std::string said = read_file(log);
  while (said.ends_with('\n')) said.pop_back();
  throw Error(ExitCode::kData, "ffmpeg cannot read it: " + said.substr(said.rfind('\n') + 1),
              video.string(), "check that the file plays, or convert it to .mp4");
}

// A stream of binary PGM pictures, as ffmpeg's image2pipe writes them.
class GreyPictures {
 public:
  explicit GreyPictures(std::function<void(int64_t, const Image8&)> visit)
      : visit_(std::move(visit)) {}

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!in_picture_) {
        // "P5\nWIDTH HEIGHT\n255\n": three line ends.
        while (!bytes.empty() && lines_ < 3) {
          header_ += bytes[0];
          lines_ += bytes[0] == '\n';
          bytes.remove_prefix(1);
          if (header_.size() > kMostHeader) fail();
        }
        if (lines_ == 3) begin();
        continue;
      }
      const size_t n = std::min(bytes.size(), picture_.pixels.size() - filled_);
      std::copy_n(bytes.data(), n, picture_.pixels.data() + filled_);
      filled_ += n;
      bytes.remove_prefix(n);
      if (filled_ == picture_.pixels.size()) {
        visit_(count_++, picture_);
        in_picture_ = false;
        header_.clear();
        lines_ = 0;
      }
    }
  }

  int64_t count() const { return count_; }

 private:
  [[noreturn]] static void fail() {
    throw Error(ExitCode::kFailed, "is no stream of PGM pictures", "ffmpeg",
                "this ffmpeg may be too old: 5.1 works");
  }
  void begin() {
    int width = 0, height = 0, most = 0;
    if (std::sscanf(header_.c_str(), "P5 %d %d %d", &width, &height, &most) != 3 || width < 1 ||
        height < 1 || width > 65536 || height > 65536 || most != 255)
      fail();
    if (picture_.width != width || picture_.height != height) picture_ = Image8(height, width, 1);
    filled_ = 0;
    in_picture_ = true;
  }

  std::function<void(int64_t, const Image8&)> visit_;
  std::string header_;
  int lines_ = 0;
  bool in_picture_ = false;
  Image8 picture_;
  size_t filled_ = 0;
  int64_t count_ = 0;
};

}  // namespace

bool is_readable_video(const fs::path& path) {
  const std::string e = lower_extension(path);
  for (const char* known : {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mts", ".m2ts",
                            ".mpg", ".mpeg", ".wmv", ".3gp", ".gif"})
    if (e == known) return true;
  return false;
}

int64_t for_each_grey_frame(const fs::path& video, int long_side,
                            const std::function<void(int64_t, const Image8&)>& visit) {
  const std::string program = ffmpeg(video), side = std::to_string(long_side);
  const TemporaryFolder folder("frames");
  const fs::path log = folder.path() / "ffmpeg.log";
  GreyPictures pictures(visit);
  // Not enlarged; even sizes, which every pixel format has.
  const std::string scale = "scale='trunc(iw*min(1," + side +
                            "/max(iw,ih))/2)*2':"
                            "'trunc(ih*min(1," +
                            side + "/max(iw,ih))/2)*2':flags=area";
  check_ended(
      run_program(
          {program, "-v", "error", "-nostdin", "-i", fs::absolute(video).string(), "-map", "0:v:0",
           "-vf", scale, "-pix_fmt", "gray", "-vsync", "passthrough", "-f", "image2pipe", "-c:v",
           "pgm", "-"},
          {.log = log, .on_line = {}, .on_bytes = [&](std::string_view b) { pictures.add(b); }}),
      log, video);
  if (pictures.count() == 0)
    throw Error(ExitCode::kData, "holds no frames", video.string(), "check that the file plays");
  return pictures.count();
}

std::vector<fs::path> write_frames(const fs::path& video, const std::vector<int64_t>& indices,
                                   const fs::path& folder) {
  const std::string program = ffmpeg(video);
  std::string select;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < (i == 0 ? 0 : indices[i - 1] + 1))
      throw Error(ExitCode::kFailed, "the frames' numbers do not ascend", video.string());
    select += (i == 0 ? "eq(n," : "+eq(n,") + std::to_string(indices[i]) + ")";
  }
  if (indices.empty()) return {};
  const TemporaryFolder temporary("frames");
  const fs::path log = temporary.path() / "ffmpeg.log", script = temporary.path() / "select.txt",
                 part = folder / (".frames.part-" + std::to_string(getpid()));
  write_file(script, "select='" + select + "'");
  make_folder(part);
  std::vector<fs::path> files;
  std::error_code ignored;
  try {
    check_ended(run_program({program, "-v", "error", "-nostdin", "-i", fs::absolute(video).string(),
                             "-map", "0:v:0", "-filter_script:v", script.string(), "-vsync",
                             "passthrough", "-frames:v", std::to_string(indices.size()), "-q:v",
                             "2", (fs::absolute(part) / "%06d.jpg").string()},
                            {.log = log, .on_line = {}, .on_bytes = {}}),
                log, video);
    for (size_t i = 0; i < indices.size(); ++i) {
      char from[32], to[48];
      std::snprintf(from, sizeof from, "%06zu.jpg", i + 1);
      std::snprintf(to, sizeof to, "frame_%06lld.jpg", static_cast<long long>(indices[i]));
      if (!fs::is_regular_file(part / from))
        throw Error(ExitCode::kData, "has no frame " + std::to_string(indices[i]), video.string(),
                    "the file may be damaged there");
      fs::rename(part / from, folder / to);
      files.push_back(folder / to);
    }
  } catch (...) {
    fs::remove_all(part, ignored);
    for (const fs::path& file : files) fs::remove(file, ignored);
    throw;
  }
  fs::remove_all(part, ignored);
  return files;
}

}  // namespace covary::data
