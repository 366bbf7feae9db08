#include "covary/splat/serve/allowance.h"

#include <gtest/gtest.h>

#include "covary/core/base/machine.h"

namespace covary::serve {
namespace {

TEST(Allowance, MakesWorkWaitForItsShare) {
  Allowance a(0.5);
  EXPECT_TRUE(a.free());
  const double begin = wall_seconds();
  a.spend(0.05);  // as much again must pass
  EXPECT_FALSE(a.free());
  EXPECT_TRUE(a.wait([] { return false; }));
  EXPECT_GE(wall_seconds() - begin, 0.05);
  EXPECT_TRUE(a.free());
}

TEST(Allowance, IsGivenUpAndLifted) {
  Allowance a(0.001);
  a.spend(100);
  int asked = 0;
  EXPECT_FALSE(a.wait([&] { return ++asked == 2; }));
  EXPECT_EQ(asked, 2);
  a.set_share(1);
  EXPECT_TRUE(a.free());
  a.spend(100);
  EXPECT_TRUE(a.free());
  EXPECT_FALSE(a.wait([] { return true; }));  // nothing is owed, but nobody wants it any more
}

}  // namespace
}  // namespace covary::serve
