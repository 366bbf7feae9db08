#include "covary/core/base/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

namespace covary {
namespace {

TEST(Interrupt, TheFirstSignalSetsTheFlag) {
  const InterruptGuard guard;
  EXPECT_EQ(interrupted(), 0);
  raise(SIGINT);
  EXPECT_EQ(interrupted(), 130);
}

TEST(Interrupt, TermHasItsOwnCodeAndANewGuardStartsClean) {
  const InterruptGuard guard;
  EXPECT_EQ(interrupted(), 0);
  {
    const InterruptGuard inner;
    raise(SIGTERM);
  }
  EXPECT_EQ(interrupted(), 143);
}

TEST(InterruptDeathTest, TheSecondSignalKills) {
  EXPECT_EXIT(
      {
        const InterruptGuard guard;
        raise(SIGINT);
        raise(SIGINT);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(InterruptDeathTest, WithoutAGuardSignalsActAsBefore) {
  EXPECT_EXIT(
      {
        {
          const InterruptGuard guard;
        }
        raise(SIGTERM);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace covary
