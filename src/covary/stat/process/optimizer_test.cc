#include "covary/stat/process/optimizer.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/optimizer_test_problems.h"

namespace covary::stat {
namespace {

OptimizerOptions quick(int64_t seed = 1) {
  OptimizerOptions o;
  o.seed = seed;
  o.fit_starts = 1;
  o.candidates = {.trials = 64, .near = 32, .starts = 3, .iterations = 50};
  o.acquisition.draws = 64;
  return o;
}

TEST(Optimizer, SolvesBranin) {
  Optimizer o(SearchSpace::cube(2), {}, quick());
  for (int i = 0; i < 40; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    o.tell(row, {branin(row)});
  }
  EXPECT_LT(o.best()->values[0] - kBraninLeast, 1e-3);
  EXPECT_EQ(o.evaluations().size(), 40u);
  EXPECT_EQ(o.trace().back(), o.best()->values[0]);
}

TEST(Optimizer, MaximisesInBatchesWithPendingRows) {
  Optimizer o(SearchSpace::cube(2), {.objectives = {{.maximise = true}}}, quick());
  std::vector<std::vector<double>> late = o.ask(2);
  for (int i = 0; i < 12; ++i) {
    const auto rows = o.ask(3);
    EXPECT_EQ(o.pending().size(), 5u);
    for (const auto& row : rows) o.tell(row, {-branin(row)});
    if (i == 4) {
      for (const auto& row : late) o.tell(row, {-branin(row)});
      late = o.ask(2);
    }
  }
  EXPECT_GT(o.best()->values[0], -kBraninLeast - 0.1);
}

TEST(Optimizer, HoldsLimits) {
  // Branin with only x0 + x1 >= 1.2 allowed: the valleys at (0.12, 0.82) and (0.54, 0.15) are out.
  Optimizer o(SearchSpace::cube(2), {.limits = {{"c", 0}}}, quick());
  for (int i = 0; i < 30; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    o.tell(row, {branin(row), 1.1 - row[0] - row[1]});
  }
  ASSERT_TRUE(o.best());
  EXPECT_GE(o.best()->row[0] + o.best()->row[1], 1.1);
  EXPECT_LT(o.best()->values[0], 1.0);
}

TEST(Optimizer, GoesOnAfterFailures) {
  Optimizer o(SearchSpace::cube(2), {}, quick());
  int failures = 0, late = 0;
  for (int i = 0; i < 30; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    const bool fails = row[0] < 0.4;
    failures += fails;
    late += fails && i >= 20;
    o.tell(row, {fails ? NAN : branin(row)});
  }
  EXPECT_GT(failures, 2);
  EXPECT_LT(late, 5);
  EXPECT_LT(o.best()->values[0] - kBraninLeast, 0.05);
}

TEST(Optimizer, EnlargesTheFrontOfSeveralObjectives) {
  // Distances to two points: the front is the segment between them, volume to (1, 1) known by hand.
  Optimizer o(SearchSpace::cube(2),
              {.objectives = {{.name = "a", .reference = 1.0}, {.name = "b", .reference = 1.0}}},
              quick());
  const auto f = [](const std::vector<double>& r) {
    return std::vector<double>{std::hypot(r[0] - 0.2, r[1] - 0.5),
                               std::hypot(r[0] - 0.8, r[1] - 0.5)};
  };
  for (int i = 0; i < 10; ++i) {
    for (const auto& row : o.ask(2)) o.tell(row, f(row));
  }
  // Above the line a + b = 0.6: 1 - the triangle of sides 0.6.
  EXPECT_GT(o.trace().back(), 0.93 * (1 - 0.18));
  EXPECT_LE(o.trace().back(), 1 - 0.18);
  EXPECT_GE(o.front().size(), 6u);
  const Optimizer back = Optimizer::of_model(o.model());
  EXPECT_EQ(back.trace(), o.trace());
  EXPECT_EQ(back.goal().to_json(), o.goal().to_json());
  Optimizer forth = o, again = back;
  EXPECT_EQ(forth.ask(1), again.ask(1));
}

TEST(Optimizer, ChoosesIntegersAndWords) {
  const SearchSpace space = SearchSpace::parse(R"({"parameters": [
    {"name": "x", "bounds": [-1, 1]}, {"name": "n", "type": "integer", "bounds": [1, 9]},
    {"name": "c", "values": ["a", "b", "c"]}]})");
  Optimizer o(space, {}, quick());
  const auto f = [](const std::vector<double>& r) {
    return (r[0] - 0.3) * (r[0] - 0.3) + 0.1 * (r[1] - 6) * (r[1] - 6) + (r[2] == 1 ? 0 : 1);
  };
  for (int i = 0; i < 30; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    space.check_row(row, "asked");
    o.tell(row, {f(row)});
  }
  EXPECT_EQ(o.best()->row[1], 6);
  EXPECT_EQ(o.best()->row[2], 1);
  EXPECT_NEAR(o.best()->row[0], 0.3, 0.05);
}

TEST(Optimizer, AsksNoRowTwiceWhereRowsAreFew) {
  const SearchSpace space = SearchSpace::parse(R"({"parameters": [
    {"name": "n", "type": "integer", "bounds": [0, 4]}, {"name": "c", "values": ["a", "b"]}]})");
  Optimizer o(space, {}, quick());
  std::vector<std::vector<double>> seen;
  for (int i = 0; i < 10; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    EXPECT_EQ(std::count(seen.begin(), seen.end(), row), 0);
    seen.push_back(row);
    o.tell(row, {row[0] * row[0] - row[1]});
  }
  EXPECT_EQ(o.ask(2).size(), 2u);  // all ten are known: any will do
}

TEST(Optimizer, ComesBackFromAFileAndAsksTheSame) {
  const TemporaryFolder folder("optimizer");
  Optimizer o(SearchSpace::cube(2), {.limits = {{"c", 5}}}, quick(3));
  for (int i = 0; i < 9; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    if (i == 4)
      o.tell(row, {NAN});
    else
      o.tell(row, {branin(row), row[0]});
  }
  o.ask(1);
  for (const char* name : {"o.json", "o.cov"}) {
    o.save(folder.path() / name);
    Optimizer back = Optimizer::load(folder.path() / name), forth = o;
    EXPECT_EQ(back.pending(), o.pending());
    EXPECT_EQ(back.evaluations().size(), 9u);
    set_threads(1);
    const auto there = back.ask(2);
    set_threads(0);
    EXPECT_EQ(there, forth.ask(2));
  }
}

TEST(Optimizer, SurvivesHostileValues) {
  for (const double scale : {0.0, 1e-12, 1e12, 1e140}) {
    Optimizer o(SearchSpace::cube(2), {}, quick());
    for (int i = 0; i < 9; ++i) {
      const std::vector<double> row = o.ask(1)[0];
      o.tell(row, {scale * branin(row) + (scale < 1 ? 5 : 0)});
      if (i == 3) o.tell(row, {scale * branin(row)});
    }
    const auto rows = o.ask(3);
    for (const double v : rows[2]) EXPECT_TRUE(std::isfinite(v));
  }
}

TEST(Optimizer, TrustRegionStaysNearTheBest) {
  OptimizerOptions options = quick();
  options.trust_region = "on";
  Optimizer o(SearchSpace::cube(6), {}, options);
  for (int i = 0; i < 25; ++i) {
    const std::vector<double> row = o.ask(1)[0];
    o.tell(row, {hartmann6(row)});
  }
  EXPECT_GT(o.report().region, 0);
  EXPECT_LT(o.best()->values[0], -1);
}

TEST(Optimizer, RefusesWhatItCannotUse) {
  Optimizer o(SearchSpace::cube(2));
  EXPECT_THROW(o.ask(0), Error);
  EXPECT_THROW(o.tell({0.1}, {1}), Error);
  EXPECT_THROW(o.tell({0.1, 1.5}, {1}), Error);
  EXPECT_THROW(o.tell({0.1, 0.5}, {1, 2}), Error);
  EXPECT_THROW(o.tell({0.1, 0.5}, {INFINITY}), Error);
  OptimizerOptions bad;
  bad.priors = "wide";
  EXPECT_THROW(Optimizer(SearchSpace::cube(2), {}, bad), Error);
  EXPECT_THROW(OptimizerGoal::of_json(nlohmann::json::parse(R"({"objective": {"goal": "down"}})")),
               Error);
  EXPECT_THROW(OptimizerGoal::of_json(nlohmann::json::parse(R"({"constraints": [{"name": "c"}]})")),
               Error);
  EXPECT_THROW(OptimizerGoal::of_json(
                   nlohmann::json::parse(R"({"constraints": [{"name": "y", "upper": 1}]})")),
               Error);
}

}  // namespace
}  // namespace covary::stat
