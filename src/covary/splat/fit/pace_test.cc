#include "covary/splat/fit/pace.h"

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

namespace covary::fit {
namespace {

struct Ended {
  int64_t steps = 0;
  double seconds = 0;
};

// A run whose step costs cost(step, planned) seconds.
Ended run(double budget, int64_t first, int64_t most,
          const std::function<double(int64_t, int64_t)>& cost) {
  Pace pace(budget, most);
  Ended e;
  int64_t planned = first;
  while (e.steps < planned && e.seconds < budget) {
    e.seconds += cost(e.steps, planned);
    ++e.steps;
    planned = pace.steps(e.steps, e.seconds, planned);
  }
  return e;
}

TEST(Pacing, ConstantCost) {
  for (const int64_t first : {300, 3000, 20000}) {
    const Ended e = run(100, first, 30000, [](int64_t, int64_t) { return 0.02; });
    EXPECT_NEAR(e.seconds, 100, 3) << first;
    EXPECT_NEAR(static_cast<double>(e.steps), 5000, 150) << first;
  }
}

TEST(Pacing, CostThatGrowsTenfoldUntilHalfOfTheRun) {
  const Ended e = run(120, 4000, 30000, [](int64_t step, int64_t planned) {
    const double share =
        std::min(1.0, 2.0 * static_cast<double>(step) / static_cast<double>(planned));
    return 0.004 * (1 + 9 * share);
  });
  EXPECT_NEAR(e.seconds, 120, 6);
}

TEST(Pacing, CostThatJumpsLate) {
  const Ended e =
      run(100, 5000, 30000, [](int64_t step, int64_t) { return step < 2500 ? 0.01 : 0.03; });
  EXPECT_NEAR(e.seconds, 100, 5);
}

TEST(Pacing, NoMoreThanTheMost) {
  const Ended e = run(1000, 2000, 3000, [](int64_t, int64_t) { return 0.01; });
  EXPECT_EQ(e.steps, 3000);
  EXPECT_NEAR(e.seconds, 30, 1e-6);
}

TEST(Pacing, ATinyBudgetEndsAtOnce) {
  const Ended e = run(0.05, 300, 30000, [](int64_t, int64_t) { return 0.02; });
  EXPECT_LE(e.steps, 4);
}

TEST(Pacing, ThePlanIsLeftAloneBetweenLooksAndAtTheEnd) {
  Pace pace(100, 30000);
  EXPECT_EQ(pace.steps(3, 1, 5000), 5000);
  EXPECT_EQ(pace.steps(4900, 10, 5000), 5000);
}

}  // namespace
}  // namespace covary::fit
