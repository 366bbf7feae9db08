// For tests: the message that work ends with.
//
//   EXPECT_THAT(refusal([] { GibbsMixture({.draws = 0}); }), HasSubstr("draws"));
#pragma once

#include <string>

#include "covary/core/base/error.h"

namespace covary {

// What the Error says, or "accepted" where there is none.
template <class F>
std::string refusal(F&& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace covary
