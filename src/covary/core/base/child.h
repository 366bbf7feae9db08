// Child programs: a shell command as a function, text in and text out, and a program whose lines are read as it works.
//
//   const ChildResult r = run_shell("./sim 0.3 7", "", 60);
//   if (r.status == 0) use(r.output);
//
//   run_program({"python3", "worker.py", "job.json"}, {.log = "worker.log", .on_line = [&](std::string_view line) {
//     progress.update(parse(line)); }});
//
// A child runs in a process group of its own. At the time limit, and when this program is interrupted (interrupt.h), the
// whole group gets TERM, a second later KILL. Several threads may run commands.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace covary {

struct ChildResult {
  int status = 0;      // exit status; 128 + the signal's number when a signal ended it
  std::string output;  // of stdout, at most 16 MB
  bool timed_out = false, interrupted = false;
};

// By /bin/sh; stderr is ours. input: its stdin. limit_s: 0 = none. Throws Error(kFailed) when no process can be started.
ChildResult run_shell(const std::string& command, std::string_view input, double limit_s = 0);

struct ProgramOptions {
  std::filesystem::path log = {};  // its stderr is appended to this file; empty: stderr is ours
  // Called with each whole line of stdout, and with what stands behind the last one; what it is given is not in
  // ChildResult::output. An exception ends the child and goes on to the caller.
  std::function<void(std::string_view)> on_line = {};
  // The same for bytes as they come, instead of lines.
  std::function<void(std::string_view)> on_bytes = {};
  double limit_s = 0;  // 0 = none
};

// words[0] is looked up in $PATH when it holds no slash; no shell reads the words. stdin is empty. Throws Error(kFailed)
// when the program cannot be started.
ChildResult run_program(const std::vector<std::string>& words, const ProgramOptions& options);

}  // namespace covary
