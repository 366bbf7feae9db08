// Ctrl-C and TERM as a flag that long work polls between steps, so that it can write a checkpoint and leave.
//
//   const InterruptGuard guard;                       // first signal sets the flag; a second one kills at once
//   for (...) { if (interrupted()) { save(); throw Interrupted(); } ... }
#pragma once

namespace covary {

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

int interrupted();  // 0, or 128 + the signal's number (130 for Ctrl-C, 143 for TERM)

struct Interrupted {
  int exit_code;  // 130 or 143
};

}  // namespace covary
