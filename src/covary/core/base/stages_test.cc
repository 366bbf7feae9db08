#include "covary/core/base/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"

namespace covary {
namespace {

std::map<std::string, StageTotal> by_path(StageClock& clock) {
  std::map<std::string, StageTotal> all;
  for (const StageTotal& s : clock.take()) all[s.path] = s;
  return all;
}

// Keeps the processor busy until its own clock has moved.
void work() {
  for (const double until = wall_seconds() + 0.002; wall_seconds() < until;) continue;
}

TEST(Stages, NothingIsKeptWithoutAListener) {
  {
    StageTimer stage("before");
    stage.add_items(3);
  }
  StageClock clock;
  EXPECT_TRUE(clock.take().empty());
}

TEST(Stages, AStageThatBeganBeforeTheListenerIsNotTimed) {
  {
    const StageTimer stage("early");
    StageClock clock;
    {
      const StageTimer inner("inner");
    }
    EXPECT_EQ(by_path(clock).count("inner"), 1u) << "an untimed stage is no parent";
  }
  StageClock clock;
  EXPECT_TRUE(clock.take().empty());
}

TEST(Stages, ChildrenAreLeftOutOfSelfTimeAndCallsAndItemsAddUp) {
  StageClock clock;
  {
    const StageTimer step("step");
    work();
    for (int i = 0; i < 3; ++i) {
      StageTimer inner("project");
      work();
      inner.add_items(10 + i);
    }
  }
  const auto all = by_path(clock);
  ASSERT_EQ(all.size(), 2u);
  const StageTotal &step = all.at("step"), &project = all.at("step/project");
  EXPECT_EQ(step.calls, 1);
  EXPECT_EQ(project.calls, 3);
  EXPECT_EQ(project.items, 33);
  EXPECT_EQ(project.self_wall_s, project.wall_s);
  EXPECT_NEAR(step.self_wall_s + project.wall_s, step.wall_s, 1e-12);
  EXPECT_NEAR(step.self_cpu_s + project.cpu_s, step.cpu_s, 1e-12);
  EXPECT_GE(step.self_wall_s, 0.002);
  EXPECT_GE(project.wall_s, 0.006);
  EXPECT_TRUE(clock.take().empty()) << "taken totals are gone";
}

TEST(Stages, AnotherThreadHasItsOwnOutermostStage) {
  StageClock clock;
  {
    const StageTimer outer("outer");
    std::thread other([] {
      const StageTimer stage("other");
      {
        const StageTimer inner("inner");
      }
    });
    other.join();
  }
  const auto all = by_path(clock);
  EXPECT_EQ(all.count("outer"), 1u);
  EXPECT_EQ(all.count("other"), 1u);
  EXPECT_EQ(all.count("other/inner"), 1u);
  EXPECT_EQ(all.size(), 3u);
}

TEST(Stages, AStageEndsWhenAnExceptionLeavesIt) {
  StageClock clock;
  try {
    const StageTimer stage("thrown");
    throw 1;
  } catch (int) {
  }
  {
    const StageTimer stage("after");
  }
  const auto all = by_path(clock);
  EXPECT_EQ(all.count("thrown"), 1u);
  EXPECT_EQ(all.count("after"), 1u);
}

TEST(Stages, OneListenerAtATime) {
  StageClock clock;
  EXPECT_THROW(StageClock(), Error);
  {
    const StageTimer stage("still heard");
  }
  EXPECT_EQ(clock.take().size(), 1u);
}

}  // namespace
}  // namespace covary
