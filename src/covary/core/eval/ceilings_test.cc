#include "covary/core/eval/ceilings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "covary/core/base/threads.h"
#include "covary/core/eval/ceilings_kernel.h"

namespace covary::eval {
namespace {

TEST(CeilingsKernel, WorkIsCountedAndNotOptimisedAway) {
  float one = 0, two = 0;
  const int64_t lanes = run_fma(1, &one);
  EXPECT_EQ(run_fma(1000, &two), 1000 * lanes);
  EXPECT_TRUE(std::isfinite(two));
  EXPECT_NE(one, two);
  EXPECT_EQ(run_exp(1000, &one), 1000 * run_exp(1, &two));
  // Every chain runs to the fixed point of x <- exp(min(x, -1/2)) / -2 - 1/2.
  const float lanes_of_exp = static_cast<float>(run_exp(1, &two));
  double x = -1;
  for (int i = 0; i < 200; ++i) x = -0.5 * std::exp(std::min(x, -0.5)) - 0.5;
  EXPECT_NEAR(one / lanes_of_exp, x, 1e-4);
}

TEST(Ceilings, RatesArePositiveAndTheThreadCountIsGivenBack) {
  const int before = threads();
  const Ceilings c = measure_ceilings(0.05);
  EXPECT_EQ(threads(), before);
  for (const CeilingRates& r : {c.one, c.two}) {
    EXPECT_GT(r.fma, 1e6);
    EXPECT_GT(r.exp, 1e5);
    EXPECT_GT(r.copy, 1e6);
  }
  EXPECT_GT(c.one.fma, c.one.exp);  // an exponential is many multiply-adds
  EXPECT_FALSE(c.simd.empty());
}

}  // namespace
}  // namespace covary::eval
