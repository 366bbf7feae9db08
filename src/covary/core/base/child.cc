#include "covary/core/base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"

extern char** environ;

namespace covary {
namespace {

constexpr size_t kMostOutput = 16 << 20;
constexpr int kPollMs = 50;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close_now(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void close_now() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// What a child is given and what is done with what it says.
struct Child {
  std::vector<std::string> words;
  std::string name;  // for errors
  std::string_view input;
  std::filesystem::path log;
  double limit_s = 0;
  std::function<void(std::string_view)> on_bytes;
};

// Ends the group if the scope is left while the child is alive.
class RunningGroup {
 public:
  explicit RunningGroup(pid_t child) : child_(child) {}
  ~RunningGroup() {
    if (child_ <= 0) return;
    kill(-child_, SIGKILL);
    int status = 0;
    while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  RunningGroup(const RunningGroup&) = delete;
  RunningGroup& operator=(const RunningGroup&) = delete;
  void ended() { child_ = 0; }

 private:
  pid_t child_;
};

ChildResult run(Child what) {
  using Clock = std::chrono::steady_clock;
  const auto fail = [&](const char* why) {
    throw Error(ExitCode::kFailed, why, what.name, "too many files or processes may be open");
  };
  // A socket for its stdin: a child that does not read must not end us by a signal.
  int in[2], out[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) fail("cannot make a pipe");
  Descriptor in_here(in[0]), in_there(in[1]);
  if (pipe2(out, O_CLOEXEC) != 0) fail("cannot make a pipe");
  Descriptor out_here(out[0]), out_there(out[1]);
  fcntl(in_here.get(), F_SETFL, O_NONBLOCK);
  fcntl(out_here.get(), F_SETFL, O_NONBLOCK);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in_there.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, out_there.get(), 1);
  if (!what.log.empty())
    posix_spawn_file_actions_addopen(&actions, 2, what.log.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0666);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (std::string& word : what.words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = -1;
  const int failed = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT || failed == EACCES)
    throw Error(ExitCode::kFailed, "there is no such program", what.words[0],
                "install it, or check $PATH");
  if (failed != 0) fail("cannot start the program");
  RunningGroup group(child);
  in_there.close_now();
  out_there.close_now();

  ChildResult result;
  const auto begin = Clock::now();
  Clock::time_point asked_to_end{};
  bool ended = false, reading = true;
  int status = 0;
  if (what.input.empty()) in_here.close_now();
  while (!ended || reading) {
    pollfd fds[2] = {{reading ? out_here.get() : -1, POLLIN, 0}, {in_here.get(), POLLOUT, 0}};
    poll(fds, 2, ended ? 0 : kPollMs);
    if (fds[1].revents != 0) {
      const ssize_t sent = send(in_here.get(), what.input.data(), what.input.size(), MSG_NOSIGNAL);
      if (sent > 0) what.input.remove_prefix(static_cast<size_t>(sent));
      if (what.input.empty() || (sent < 0 && errno != EAGAIN && errno != EINTR))
        in_here.close_now();
    }
    if (reading) {
      char buffer[65536];
      const ssize_t got = read(out_here.get(), buffer, sizeof buffer);
      if (got > 0) {
        const std::string_view bytes(buffer, static_cast<size_t>(got));
        if (what.on_bytes)
          what.on_bytes(bytes);
        else if (result.output.size() < kMostOutput)
          result.output.append(bytes);
      }
      // A grandchild may hold the pipe open: what is there when the child ends is all.
      if (got == 0 || (got < 0 && ended)) reading = false;
    }
    if (!ended && waitpid(child, &status, WNOHANG) == child) {
      ended = true;
      group.ended();
    }
    if (ended) continue;
    const auto now = Clock::now();
    const bool late =
        what.limit_s > 0 && std::chrono::duration<double>(now - begin).count() > what.limit_s;
    if (asked_to_end == Clock::time_point{} && (late || interrupted())) {
      result.timed_out = late && !interrupted();
      result.interrupted = !result.timed_out;
      kill(-child, SIGTERM);
      asked_to_end = now;
    } else if (asked_to_end != Clock::time_point{} &&
               now - asked_to_end > std::chrono::seconds(1)) {
      kill(-child, SIGKILL);
    }
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace

ChildResult run_shell(const std::string& command, std::string_view input, double limit_s) {
  return run({.words = {"/bin/sh", "-c", command},
              .name = command,
              .input = input,
              .log = {},
              .limit_s = limit_s,
              .on_bytes = {}});
}

ChildResult run_program(const std::vector<std::string>& words, const ProgramOptions& options) {
  if (words.empty()) throw Error(ExitCode::kFailed, "no program is named", "run_program");
  std::string rest;  // of a line that is not whole yet
  const auto lines = [&](std::string_view bytes) {
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos;
         bytes.remove_prefix(end + 1)) {
      rest.append(bytes.substr(0, end));
      options.on_line(rest);
      rest.clear();
    }
    rest.append(bytes);
    if (rest.size() > kMostOutput)
      throw Error(ExitCode::kFailed, "a line of its output does not end", words[0]);
  };
  Child child{.words = words,
              .name = words[0],
              .input = {},
              .log = options.log,
              .limit_s = options.limit_s,
              .on_bytes = options.on_bytes};
  if (options.on_line) child.on_bytes = lines;
  const ChildResult result = run(std::move(child));
  if (options.on_line && !rest.empty()) options.on_line(rest);
  return result;
}

}  // namespace covary
