#include "covary/stat/process/iterative_cost.h"

#include <cmath>

#include <gtest/gtest.h>

namespace covary::stat {
namespace {

TEST(IterativeCost, CountsWhatASolveDoes) {
  const IterativeSize size{.rows = 20000, .rank = 1000, .sides = 16, .fits = 10};
  const IterativeWork w = iterative_work(size);
  // 1/2 sqrt(1 + 3 / 0.01) log(200) = 45.9...
  EXPECT_EQ(w.steps, 46);
  EXPECT_DOUBLE_EQ(w.products, 46.0 * 11 * 2 * 4e8 * 16);
  EXPECT_DOUBLE_EQ(w.entries, 2e8 * (11 * 5 + 40));
  EXPECT_DOUBLE_EQ(w.dense, 95 * 2e10 + 506 * 4 * 2e7 * 16 + 10 * 2 * 2e8 * 32);
}

TEST(IterativeCost, GrowsWithWhatMakesItHard) {
  IterativeSize size{.rows = 20000, .rank = 1000, .fits = 10};
  const IterativeWork before = iterative_work(size);
  size.share = 1e-4;
  EXPECT_NEAR(iterative_work(size).steps / before.steps, 10, 0.5);
  size.share = 1e-2;
  size.memory = 1e6;  // entries are computed anew for every product
  const IterativeWork anew = iterative_work(size);
  EXPECT_DOUBLE_EQ(anew.entries - before.entries, 46.0 * 11 * 2e8);
  EXPECT_DOUBLE_EQ(anew.products, before.products);
  size.fits = 0;
  EXPECT_LT(iterative_work(size).products, 0.1 * anew.products);
}

TEST(IterativeCost, SecondsAreWorkOverRates) {
  const IterativeWork w{.steps = 1, .entries = 6e9, .products = 4e11, .dense = 1e11};
  EXPECT_DOUBLE_EQ(iterative_seconds(w, {.entries = 3e8, .products = 2e11, .dense = 5e10}), 24);
  const IterativeRates rates = measured_rates(Kernel::parse("const*matern52(ard) + white", 8));
  for (const double rate : {rates.entries, rates.products, rates.dense}) {
    EXPECT_GT(rate, 1e5);
    EXPECT_TRUE(std::isfinite(rate));
  }
}

TEST(IterativeCost, RankIsThatOfTheRowsAsMemoryAllows) {
  EXPECT_EQ(preconditioner_rank(50, 0, 4e9), 50);
  EXPECT_EQ(preconditioner_rank(10000, 0, 4e9), 800);
  EXPECT_EQ(preconditioner_rank(10000, 300, 4e9), 300);
  EXPECT_EQ(preconditioner_rank(1000000, 0, 4e9), 125);
  EXPECT_EQ(preconditioner_rank(1000000, 0, 1e9), 100);
}

}  // namespace
}  // namespace covary::stat
