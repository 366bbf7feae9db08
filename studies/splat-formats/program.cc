#include "studies/splat-formats/program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "covary/core/base/error.h"

namespace covary::studies {
namespace {

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

// Largest resident set so far of a process that runs, bytes; 0 when it is gone. What wait4 tells has the memory in it that
// the child shared with us before it became another program.
double memory_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return 1024 * std::stod(line.substr(6));
  return 0;
}

struct Ended {
  Taken taken;
  bool stopped = false;  // by the limit
};

// cpu_limit_s: 0 = none.
Ended run(const std::vector<std::string>& words, int cpu_limit_s) {
  const std::string program = words[0] == "covary" ? "/proc/self/exe" : words[0];
  std::vector<char*> argv;
  for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  int started[2];  // closed when the child has become the program
  if (pipe2(started, O_CLOEXEC) != 0)
    throw Error(ExitCode::kFailed, "the program cannot be run", words[0]);
  const pid_t child = fork();
  if (child == 0) {
    (void)!freopen("/dev/null", "w", stdout);
    (void)!freopen("/dev/null", "w", stderr);
    if (cpu_limit_s > 0) {
      const auto limit = static_cast<rlim_t>(cpu_limit_s);
      const rlimit both{limit, limit};
      setrlimit(RLIMIT_CPU, &both);
    }
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  close(started[1]);
  char none = 0;
  (void)!read(started[0], &none, 1);
  close(started[0]);
  int status = 0;
  rusage usage{};
  double memory = 0;
  pid_t ended = 0;
  while (child > 0 && (ended = wait4(child, &status, WNOHANG, &usage)) == 0) {
    memory = std::max(memory, memory_of(child));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (child < 0 || ended != child)
    throw Error(ExitCode::kFailed, "the program cannot be run", words[0]);
  const Taken taken{seconds(usage.ru_utime) + seconds(usage.ru_stime), memory};
  // The limit is counted in clock ticks, a little more than was used.
  if (cpu_limit_s > 0 && WIFSIGNALED(status) && taken.cpu_s > 0.9 * cpu_limit_s)
    return {taken, true};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(ExitCode::kFailed, "the program did not end well",
                words.size() > 1 ? words[0] + " " + words[1] : words[0]);
  return {taken, false};
}

}  // namespace

Taken taken_by(const std::vector<std::string>& words) { return run(words, 0).taken; }

std::optional<Taken> taken_within(int cpu_limit_s, const std::vector<std::string>& words) {
  const Ended ended = run(words, cpu_limit_s);
  return ended.stopped ? std::nullopt : std::optional(ended.taken);
}

}  // namespace covary::studies
