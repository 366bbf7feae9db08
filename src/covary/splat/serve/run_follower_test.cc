#include "covary/splat/serve/run_follower.h"

#include <gtest/gtest.h>

#include <fstream>

#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::serve {
namespace {

TEST(RunFollower, SeesASceneThatIsReplaced) {
  const TemporaryFolder run("run_follower");
  RunFollower follower(run.path());
  EXPECT_FALSE(follower.scene_changed());
  make_folder(run.path() / "checkpoint");
  write_file(run.path() / "checkpoint" / "state.cov", "one");
  EXPECT_TRUE(follower.scene_changed());
  EXPECT_FALSE(follower.scene_changed());
  write_file(run.path() / "scene.ply", "the scene");
  EXPECT_TRUE(follower.scene_changed());
  write_file(run.path() / "checkpoint" / "state.cov", "later");  // the finished scene counts
  EXPECT_FALSE(follower.scene_changed());
}

TEST(RunFollower, TakesWholeLinesOfTheLogAndBeginsAnewWithIt) {
  const TemporaryFolder run("run_follower");
  RunFollower follower(run.path());
  EXPECT_TRUE(follower.new_figures().empty());
  const auto append = [&](const std::string& text) {
    std::ofstream(run.path() / "log.jsonl", std::ios::app) << text;
  };
  append(
      "{\"step\": 1, \"loss\": 0.5, \"event\": \"start\", \"terms\": {}}\nnot json\n{\"loss\": "
      "1}\n{\"step\": 2");
  auto figures = follower.new_figures();
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures[0], nlohmann::json({{"step", 1}, {"loss", 0.5}}));
  append("}\n");
  figures = follower.new_figures();
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures[0]["step"], 2);
  write_file(run.path() / "log.jsonl", "{\"step\": 7}\n");
  figures = follower.new_figures();
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures[0]["step"], 7);
}

}  // namespace
}  // namespace covary::serve
