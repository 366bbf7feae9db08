#include "covary/splat/serve/allowance.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "covary/core/base/machine.h"

namespace covary::serve {
namespace {
constexpr std::chrono::milliseconds kPoll{20};
}

Allowance::Allowance(double share) : share_(share) {}

void Allowance::set_share(double share) {
  const std::lock_guard lock(mutex_);
  share_ = share;
  if (share >= 1) next_ = 0;
}

bool Allowance::free() const {
  const std::lock_guard lock(mutex_);
  return wall_seconds() >= next_;
}

void Allowance::spend(double seconds) {
  const std::lock_guard lock(mutex_);
  next_ = std::max(next_, wall_seconds()) + seconds * (1 - share_) / share_;
}

bool Allowance::wait(const std::function<bool()>& give_up) const {
  while (!free()) {
    if (give_up()) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return !give_up();
}

}  // namespace covary::serve
