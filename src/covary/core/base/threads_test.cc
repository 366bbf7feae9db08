#include "covary/core/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>

namespace covary {
namespace {

class ThreadsTest : public ::testing::Test {
 protected:
  void TearDown() override { set_threads(0); }
};

TEST_F(ThreadsTest, ParallelForCoversEachIndexOnce) {
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    std::vector<std::atomic<int>> seen(1001);
    parallel_for(1001, 10, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    for (const auto& s : seen) ASSERT_EQ(s, 1);
  }
}

TEST_F(ThreadsTest, TasksRunOnceWithAWorkerInRange) {
  set_threads(3);
  std::vector<std::atomic<int>> seen(100);
  std::atomic<bool> in_range{true};
  parallel_tasks(100, [&](int64_t i, int worker) {
    ++seen[static_cast<size_t>(i)];
    if (worker < 0 || worker >= 3) in_range = false;
  });
  for (const auto& s : seen) ASSERT_EQ(s, 1);
  EXPECT_TRUE(in_range);
}

TEST_F(ThreadsTest, OrderedSumHasTheSameBitsOnAnyNumberOfThreads) {
  const auto f = [](int64_t i) { return std::sin(static_cast<double>(i)) * 1e6; };
  set_threads(1);
  const double one = ordered_sum(100000, f);
  set_threads(4);
  EXPECT_EQ(ordered_sum(100000, f), one);
}

TEST_F(ThreadsTest, AnExceptionReachesTheCaller) {
  set_threads(2);
  EXPECT_THROW(parallel_tasks(10,
                              [](int64_t i) {
                                if (i == 7) throw std::runtime_error("seven");
                              }),
               std::runtime_error);
  EXPECT_THROW(parallel_for(10, 1, [](int64_t, int64_t) { throw std::runtime_error("all"); }),
               std::runtime_error);
}

TEST_F(ThreadsTest, TheExceptionIsTheOneThatASerialLoopMeetsFirst) {
  set_threads(4);
  const auto caught = [](auto&& loop) -> std::string {
    try {
      loop();
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "nothing";
  };
  const auto fail = [](int64_t i) {
    // the first to fail is the last to be done
    if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    throw std::runtime_error(std::to_string(i));
  };
  for (int repeat = 0; repeat < 5; ++repeat) {
    EXPECT_EQ(caught([&] { parallel_tasks(64, fail); }), "0");
    EXPECT_EQ(caught([&] { parallel_for(64, 1, [&](int64_t begin, int64_t) { fail(begin); }); }),
              "0");
  }
}

TEST_F(ThreadsTest, NestedLoopsRunInside) {
  set_threads(2);
  std::atomic<int> count{0};
  parallel_tasks(4, [&](int64_t) {
    parallel_for(100, 1,
                 [&](int64_t begin, int64_t end) { count += static_cast<int>(end - begin); });
  });
  EXPECT_EQ(count, 400);
}

TEST_F(ThreadsTest, NothingToDoDoesNothing) {
  parallel_for(0, 1, [](int64_t, int64_t) { FAIL(); });
  parallel_tasks(-1, [](int64_t) { FAIL(); });
}

}  // namespace
}  // namespace covary
