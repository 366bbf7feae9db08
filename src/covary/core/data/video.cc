#include "covary/core/data/video.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <utility>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/names.h"

extern char** environ;

namespace covary::data {
namespace {

namespace fs = std::filesystem;

std::string number(double x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

// Writing to a pipe whose reader has gone must be an error of write(), not a signal.
class NoSigpipe {
 public:
  NoSigpipe() {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &old_);
  }
  ~NoSigpipe() { sigaction(SIGPIPE, &old_, nullptr); }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  struct sigaction old_{};
};

}  // namespace

bool is_video(const fs::path& path) {
  const std::string e = lower_extension(path);
  return e == ".mp4" || e == ".mov" || e == ".mkv" || e == ".webm" || e == ".gif";
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path file = fs::path(folder.empty() ? "." : folder) / name;
    std::error_code ignored;
    if (fs::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0) return file.string();
  }
  return "";
}

VideoWriter::VideoWriter(fs::path path, int width, int height, const VideoOptions& options)
    : path_(std::move(path)), width_(width), height_(height) {
  if (width < 2 || height < 2)
    throw Error(
        ExitCode::kUsage,
        "a video of " + std::to_string(width) + "x" + std::to_string(height) + " px is too small",
        path_.string(), "use a larger --scale");
  const std::string program = find_program("ffmpeg");
  if (program.empty())
    throw Error(ExitCode::kData, "a video needs the program ffmpeg, which is not installed",
                path_.string(),
                "apt-get install ffmpeg, or name a folder to get pictures: -o frames/");
  // The writer of whole files says best what is wrong with the place.
  {
    AtomicFile probe(path_);
  }
  const std::string name = path_.stem().string() + ".tmp-" + std::to_string(getpid());
  temporary_ = path_.parent_path() / ("." + name + lower_extension(path_));
  messages_ = path_.parent_path() / ("." + name + ".log");

  std::vector<std::string> words = {
      program,     "-hide_banner",
      "-loglevel", "error",
      "-nostdin",  "-y",
      "-f",        "rawvideo",
      "-pix_fmt",  "rgb24",
      "-s",        std::to_string(width) + "x" + std::to_string(height),
      "-r",        number(options.fps),
      "-i",        "-"};
  const std::string e = lower_extension(path_), even = "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0";
  const std::string quality = std::to_string(options.quality);
  std::vector<std::string> coder;
  if (e == ".gif")
    coder = {"-filter_complex", "[0:v]split[a][b];[a]palettegen[p];[b][p]paletteuse"};
  else if (e == ".webm")
    coder = {"-vf",   even,   "-c:v", "libvpx-vp9", "-crf",
             quality, "-b:v", "0",    "-pix_fmt",   "yuv420p"};
  else
    coder = {"-vf",  even,    "-c:v",     "libx264", "-preset",   "medium",
             "-crf", quality, "-pix_fmt", "yuv420p", "-movflags", "+faststart"};
  words.insert(words.end(), coder.begin(), coder.end());
  words.push_back(fs::absolute(temporary_).string());
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw Error(ExitCode::kFailed, "cannot make a pipe", path_.string(),
                "too many files may be open");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, messages_.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  // Its own process group: Ctrl-C is for us, who then stop it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int failed =
      posix_spawn(&child_, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  pipe_ = ends[1];
  if (failed != 0) {
    close(pipe_);
    pipe_ = -1;
    child_ = -1;
    throw Error(ExitCode::kFailed, "cannot start " + program, path_.string(),
                "try the program by hand");
  }
}

VideoWriter::~VideoWriter() {
  if (child_ > 0) {
    kill(child_, SIGKILL);
    wait();
  }
  std::error_code ignored;
  fs::remove(temporary_, ignored);
  fs::remove(messages_, ignored);
}

int VideoWriter::wait() {
  if (pipe_ >= 0) close(pipe_);
  pipe_ = -1;
  int status = 0;
  while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void VideoWriter::fail() {
  if (child_ > 0) wait();
  std::string why;
  try {
    why = read_file(messages_);
  } catch (const Error&) {
  }
  why = why.substr(0, why.find('\n'));
  throw Error(ExitCode::kFailed, "ffmpeg failed" + (why.empty() ? "" : ": " + why), path_.string(),
              "check the disk, and that this ffmpeg has the encoder (ffmpeg -encoders); or name a "
              "folder to get pictures");
}

void VideoWriter::write(const Image8& frame) {
  if (frame.width != width_ || frame.height != height_ || frame.channels != 3)
    throw Error(ExitCode::kFailed, "a frame has another size than the video", path_.string());
  const NoSigpipe guard;
  for (size_t done = 0; done < frame.pixels.size();) {
    const ssize_t n = ::write(pipe_, frame.pixels.data() + done, frame.pixels.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail();
    done += static_cast<size_t>(n);
  }
}

void VideoWriter::commit() {
  if (wait() != 0) fail();
  std::error_code error;
  fs::rename(temporary_, path_, error);
  if (error)
    throw Error(ExitCode::kData, "cannot be written (" + error.message() + ")", path_.string(),
                "choose another place");
}

}  // namespace covary::data
