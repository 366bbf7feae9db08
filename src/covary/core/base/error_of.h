// For tests: the error that a call ends with.
//
//   EXPECT_EQ(error_of([&] { read_table("gone.csv"); }).code(), ExitCode::kData);
#pragma once

#include <functional>

#include "covary/core/base/error.h"

namespace covary {

// ExitCode::kDone where there is none.
inline Error error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error(ExitCode::kDone, "no error");
}

}  // namespace covary
