// For tests: runs a body once for every instruction set that was compiled and that this machine
// has.
//
//   on_every_target([&](const char* target) { SCOPED_TRACE(target); EXPECT_EQ(...); });
#pragma once

#include <hwy/highway.h>

namespace covary::compute {

template <class F>
void on_every_target(F&& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(0);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace covary::compute
