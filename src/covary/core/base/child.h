// A shell command as a function: text in, text out.
//
//   const ChildResult r = run_shell("./sim 0.3 7", "", 60);
//   if (r.status == 0) use(r.output);
//
// The command runs by /bin/sh in a process group of its own; stderr is ours. At the time limit, and when this program
// is interrupted (interrupt.h), the whole group gets TERM, a second later KILL. Several threads may run commands.
#pragma once

#include <string>
#include <string_view>

namespace covary {

struct ChildResult {
  int status = 0;      // exit status; 128 + the signal's number when a signal ended it
  std::string output;  // of stdout, at most 16 MB
  bool timed_out = false, interrupted = false;
};

// input: its stdin. limit_s: 0 = none. Throws Error(kFailed) when no process can be started.
ChildResult run_shell(const std::string& command, std::string_view input, double limit_s = 0);

}  // namespace covary
