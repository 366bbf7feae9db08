#include "covary/core/base/schedule.h"

#include <gtest/gtest.h>

#include <vector>

#include "covary/core/base/error.h"

namespace covary {
namespace {

TEST(Schedule, EqualCostsFillEveryWorker) {
  const std::vector<double> costs(32, 2.0);
  EXPECT_DOUBLE_EQ(busy_share_of_tasks(costs, 16), 1);
  EXPECT_DOUBLE_EQ(busy_share_of_chunks(costs, 16), 1);
}

TEST(Schedule, TasksGoToTheWorkerThatIsFreeFirstInIndexOrder) {
  // Two workers: 3 | 1 1 1 then 4 to either: ends at 7 and 3, of 10 units of work.
  const std::vector<double> late = {3, 1, 1, 1, 4};
  EXPECT_DOUBLE_EQ(busy_share_of_tasks(late, 2), 10.0 / 14.0);
  // The long one first: 4 | 3 1, then 1 1: both end at 5.
  const std::vector<double> early = {4, 3, 1, 1, 1};
  EXPECT_DOUBLE_EQ(busy_share_of_tasks(early, 2), 1);
}

TEST(Schedule, ChunksAreNeighbours) {
  // ceil(5 / 2) = 3 items, then 2: 3 + 1 + 1 and 1 + 4.
  EXPECT_DOUBLE_EQ(busy_share_of_chunks(std::vector<double>{3, 1, 1, 1, 4}, 2), 1);
  EXPECT_DOUBLE_EQ(busy_share_of_chunks(std::vector<double>{1, 1, 1, 0, 0}, 2), 0.5);
}

TEST(Schedule, FewerItemsThanWorkersLeaveWorkersIdle) {
  EXPECT_DOUBLE_EQ(busy_share_of_tasks(std::vector<double>{5}, 16), 1.0 / 16);
  EXPECT_DOUBLE_EQ(busy_share_of_chunks(std::vector<double>{5}, 16), 1.0 / 16);
}

TEST(Schedule, NothingToDoKeepsNobodyWaiting) {
  EXPECT_DOUBLE_EQ(busy_share_of_tasks({}, 4), 1);
  EXPECT_DOUBLE_EQ(busy_share_of_chunks({}, 4), 1);
  EXPECT_THROW(busy_share_of_tasks({}, 0), Error);
}

}  // namespace
}  // namespace covary
