// Errors that a person can act on: what went wrong, where (file and field), and how to mend it.
//
//   throw Error(ExitCode::kData, "no images match the model", "fox/images", "pass --images DIR");
//
// The command line prints one line "error: WHERE: WHAT" and one line "hint: HINT", and exits with the code.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace covary {

// Exit codes of the command line; every error knows its own.
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,  // failed while working: out of memory, diverged, a child program failed, internal
  kUsage = 2,   // wrong from the command line and its config alone
  kData = 3,    // an input is missing or unusable, an output cannot be written
  kClaim = 4,   // a study's bar failed, a certificate was rejected
  kInterrupted = 130  // Ctrl-C: checkpoint written, resumable
};

class Error : public std::runtime_error {
 public:
  // what: the fault in one clause; where: the file and field, may be empty; hint: the mend, may be empty.
  Error(ExitCode code, std::string what, std::string where = "", std::string hint = "")
      : std::runtime_error(where.empty() ? what : where + ": " + what),
        code_(code),
        message_(std::move(what)),
        where_(std::move(where)),
        hint_(std::move(hint)) {}

  ExitCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }
  const std::string& hint() const { return hint_; }

 private:
  ExitCode code_;
  std::string message_, where_, hint_;
};

}  // namespace covary
