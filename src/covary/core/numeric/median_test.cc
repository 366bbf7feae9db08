#include "covary/core/numeric/median.h"

#include <vector>

#include <gtest/gtest.h>

namespace covary::numeric {
namespace {

TEST(Median, TheUpperOfTwoInTheMiddle) {
  EXPECT_EQ(upper_median(std::vector<double>{3}), 3);
  EXPECT_EQ(upper_median(std::vector<int>{5, 1, 3}), 3);
  EXPECT_EQ(upper_median(std::vector<double>{4, 1, 3, 2}), 3);
}

}  // namespace
}  // namespace covary::numeric
