#include "covary/core/base/child.h"

#include <chrono>

#include <gtest/gtest.h>

namespace covary {
namespace {

TEST(Child, TextInAndOut) {
  const ChildResult r = run_shell("read a b; echo \"$b-$a\"; exit 3", "left right\n");
  EXPECT_EQ(r.output, "right-left\n");
  EXPECT_EQ(r.status, 3);
  EXPECT_FALSE(r.timed_out);
}

TEST(Child, MuchTextBothWays) {
  const std::string text(3000000, 'x');
  EXPECT_EQ(run_shell("cat", text).output, text);
  EXPECT_EQ(run_shell("true", text).status, 0);  // not read
}

TEST(Child, EndsAtTheLimitWithItsChildren) {
  const auto begin = std::chrono::steady_clock::now();
  const ChildResult r = run_shell("sleep 60 & sleep 60", "", 0.2);
  EXPECT_TRUE(r.timed_out);
  EXPECT_EQ(r.status, 128 + 15);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(Child, NoSuchProgramIsAStatus) {
  EXPECT_EQ(run_shell("/no/such/program 2>/dev/null", "").status, 127);
}

}  // namespace
}  // namespace covary
