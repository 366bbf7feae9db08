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

}  // namespace

ChildResult run_shell(const std::string& command, std::string_view input, double limit_s) {
  using Clock = std::chrono::steady_clock;
  const auto fail = [&](const char* what) {
    throw Error(ExitCode::kFailed, what, command, "too many files or processes may be open");
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
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string text = command, shell = "/bin/sh", option = "-c";
  char* argv[] = {shell.data(), option.data(), text.data(), nullptr};
  pid_t child = -1;
  const int failed = posix_spawn(&child, "/bin/sh", &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) fail("cannot start a shell");
  in_there.close_now();
  out_there.close_now();

  ChildResult result;
  const auto begin = Clock::now();
  Clock::time_point asked_to_end{};
  bool ended = false, reading = true;
  int status = 0;
  if (input.empty()) in_here.close_now();
  while (!ended || reading) {
    pollfd fds[2] = {{reading ? out_here.get() : -1, POLLIN, 0}, {in_here.get(), POLLOUT, 0}};
    poll(fds, 2, ended ? 0 : kPollMs);
    if (fds[1].revents != 0) {
      const ssize_t sent = send(in_here.get(), input.data(), input.size(), MSG_NOSIGNAL);
      if (sent > 0) input.remove_prefix(static_cast<size_t>(sent));
      if (input.empty() || (sent < 0 && errno != EAGAIN && errno != EINTR)) in_here.close_now();
    }
    if (reading) {
      char buffer[65536];
      const ssize_t got = read(out_here.get(), buffer, sizeof buffer);
      if (got > 0 && result.output.size() < kMostOutput)
        result.output.append(buffer, static_cast<size_t>(got));
      // A grandchild may hold the pipe open: what is there when the child ends is all.
      if (got == 0 || (got < 0 && ended)) reading = false;
    }
    if (!ended && waitpid(child, &status, WNOHANG) == child) ended = true;
    if (ended) continue;
    const auto now = Clock::now();
    const bool late = limit_s > 0 && std::chrono::duration<double>(now - begin).count() > limit_s;
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

}  // namespace covary
