#include "covary/splat/fit/growth.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/midpoints.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/strategy_parts.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

using testing::HasSubstr;

TEST(Budget, RisesFromTheFirstCountToTheCapForEveryExponent) {
  for (double a = -1; a <= 3.001; a += 0.125) {
    EXPECT_NEAR(budget_at(1, a, 100, 5000), 100, 1e-9) << a;
    EXPECT_NEAR(budget_at(100, a, 100, 5000), 5000, 1e-9) << a;
    double before = 100;
    for (int t = 2; t <= 100; ++t) {
      const double now = budget_at(t, a, 100, 5000);
      EXPECT_GT(now, before) << a << ' ' << t;
      before = now;
    }
  }
  EXPECT_NEAR(budget_at(50.5, 1, 100, 5000), 2550, 1e-9);     // a line
  EXPECT_LT(budget_at(50, 2, 0, 1), budget_at(50, 1, 0, 1));  // later growth
  EXPECT_NEAR(budget_at(10, 0, 0, 1), 0.5, 1e-12);            // the logarithm
  for (const double a : {-2e-3, -1e-3, 1e-3, 2e-3})
    EXPECT_NEAR(budget_at(30, a, 0, 1), budget_at(30, 0, 0, 1), 2e-3);
  EXPECT_EQ(budget_at(0, 1, 3, 9), 3);
  EXPECT_EQ(budget_at(130, 1, 3, 9), 9);
}

// c t^-a with noise, for views that are unlike each other.
double loss_at(int64_t step, double a, double noise, const Random& random) {
  const double of_view = 1 + 0.5 * static_cast<double>(step % 10) / 10;
  return of_view * 0.3 * std::pow(static_cast<double>(step), -a) *
         (1 + noise * random.normal(static_cast<uint64_t>(step)));
}

TEST(Budget, DecayOfAPowerLawIsItsExponent) {
  const Random random(3);
  std::vector<LossPoint> points;
  for (int64_t t = 1; t <= 2000; ++t)
    points.push_back({std::log(static_cast<double>(t)),
                      std::log(2 * std::pow(static_cast<double>(t), -0.4) *
                               (1 + 0.05 * random.normal(static_cast<uint64_t>(t))))});
  ASSERT_TRUE(power_law_decay(points));
  EXPECT_NEAR(*power_law_decay(points), 0.4, 0.02 * 0.4);
  EXPECT_FALSE(power_law_decay(std::span(points).first(2)));
  const std::vector<LossPoint> same(5, {1, 2});
  EXPECT_FALSE(power_law_decay(same));
}

TEST(Budget, DeviationIsWhatLateLossesDoOtherwise) {
  const Random random(4);
  const auto deviation = [&](double late, double noise) {
    Convergence c({}, 10, 4000);
    for (int64_t t = 1; t <= 4000; ++t) {
      const double bend = t > 3500 ? std::pow(static_cast<double>(t) / 3500, -late) : 1;
      c.add(t, loss_at(t, 0.3, noise, random) * bend);
    }
    return c.deviation(4000, 4000);
  };
  EXPECT_NEAR(deviation(0, 0), 0, 2e-3);
  EXPECT_NEAR(deviation(0, 0.02), 0, 0.15);
  EXPECT_GT(deviation(2, 0), 0.5);      // it falls faster than it did
  EXPECT_LT(deviation(-0.3, 0), -0.1);  // it stays where it is
}

TEST(Budget, LossesAroundAResetAreLeftOut) {
  const auto deviation = [&](bool told) {
    Convergence c({}, 10, 4000);
    const Random random(4);
    for (int64_t t = 1; t <= 4000; ++t) {
      if (told && t == 3700) c.reset_at(t);
      c.add(t, loss_at(t, 0.3, 0, random) * (t > 3700 && t < 3990 ? 4 : 1));
    }
    return std::abs(c.deviation(4000, 4000));
  };
  EXPECT_LT(deviation(true), 0.02);
  EXPECT_GT(deviation(false), 0.2);
}

TEST(Budget, StateCarriesTheHistory) {
  const Random random(4);
  Convergence through({}, 7, 3000), first({}, 7, 3000), second({}, 7, 3000);
  for (int64_t t = 1; t <= 2500; ++t) {
    through.add(t, loss_at(t, 0.3, 0.1, random));
    if (t == 1203) second.restore(nlohmann::json::parse(first.state().dump()));
    (t < 1203 ? first : second).add(t, loss_at(t, 0.3, 0.1, random));
  }
  EXPECT_NE(through.deviation(2500, 3000), 0);
  EXPECT_EQ(through.deviation(2500, 3000), second.deviation(2500, 3000));
}

// --- the strategy --------------------------------------------------------------------------------

nn::RowTable table_of(int64_t n) {
  nn::RowTable t;
  at::Tensor means = at::zeros({n, 3}), quats = at::zeros({n, 4});
  means.select(1, 0).copy_(at::arange(n));
  quats.select(1, 0).fill_(1);
  t.add("means", means, nn::constant(1e-3));
  t.add("quats", quats, nn::constant(1e-3));
  t.add("scales", at::full({n, 3}, std::log(0.005)), nn::constant(1e-3));
  t.add("opacities", at::zeros({n}), nn::constant(1e-3));
  t.add("sh0", at::zeros({n, 1, 3}), nn::constant(1e-3));
  return t;
}

// A view in which all rows have this screen gradient (in half image sizes), colour gradient and largest weight.
void see(Strategy& s, const std::vector<float>& screen, const std::vector<float>& color,
         const std::vector<float>& weights, int64_t step = 600, double loss = 1) {
  scene::Camera camera;
  camera.width = camera.height = 2;
  const auto m = static_cast<int64_t>(screen.size());
  render::Footprints f;
  f.ids = at::arange(m);
  f.screen_gradients = at::zeros({m, 4});
  f.screen_gradients.select(1, 0).copy_(at::tensor(screen));
  f.colors = at::zeros({m, 3}).requires_grad_(true);
  at::Tensor g = at::zeros({m, 3});
  g.select(1, 1).copy_(at::tensor(color));
  f.colors.mutable_grad() = g;
  f.largest_weights = at::tensor(weights);
  const at::Tensor value = at::full({}, loss), none;
  s.after_backward({step, 0, camera, f, value, none, none, none});
}

TrainOptions growing() {
  TrainOptions o;
  o.sh_every = 1000;
  return o;
}

TEST(Growth, AppearanceGrowsAtItsShareOfTheRefinementsAndNotBehindANewDegree) {
  int64_t grown = 0, behind = 0;
  constexpr int kRuns = 400;
  for (uint64_t seed = 0; seed < kRuns; ++seed)
    for (const int64_t step : {int64_t{1600}, int64_t{2000}}) {
      TrainOptions o = growing();
      o.growth.appearance = true;
      nn::RowTable t = table_of(3);
      const auto s = make_strategy("default", o);
      s->init(t, {.extent = 1, .seed = seed});
      EXPECT_TRUE(s->reads_color_gradients(step));
      // 0: by the screen, 1: by colour alone, 2: by neither
      see(*s, {3e-4f, 0, 0}, {0, 3e-6f, 1e-6f}, {1, 1, 1}, step);
      const Edits e = s->after_step({.step = step});
      ASSERT_THAT(e.cloned, testing::AnyOf(1, 2));
      (step == 1600 ? grown : behind) += e.cloned == 2;
    }
  EXPECT_NEAR(static_cast<double>(grown) / kRuns, 0.2, 0.06);
  EXPECT_EQ(behind, 0);
}

TEST(Growth, TheCapsRoomGoesToWhatIsFurthestAboveItsThreshold) {
  TrainOptions o = growing();
  o.growth.appearance = true;
  o.growth.appearance_share = 1;
  o.max_gaussians = 5;
  nn::RowTable t = table_of(4);
  const auto s = make_strategy("default", o);
  s->init(t, {});
  // over their thresholds: 1.5, 1.1, 4 by colour, 2
  see(*s, {3e-4f, 2.2e-4f, 0, 4e-4f}, {0, 0, 8e-6f, 0}, {1, 1, 1, 1});
  s->after_step({.step = 600});
  ASSERT_EQ(t.rows(), 5);
  EXPECT_EQ(t.parameter("means").detach()[4][0].item<float>(), 2);
}

TEST(Growth, OnlyWhatEnoughViewsSawGrows) {
  for (const bool on : {false, true}) {
    TrainOptions o = growing();
    o.growth.visits = on;
    nn::RowTable t = table_of(4);
    const auto s = make_strategy("default", o);
    s->init(t, {});
    EXPECT_EQ(s->reads_largest_weights(600), on);
    const float little = 1.0f / 256, enough = 1.0f / 254;
    // visits: 8, 8, 3, 4 of 8 views; half the (upper) median is 4
    for (int v = 0; v < 8; ++v)
      see(*s, {3e-4f, 0, 3e-4f, 3e-4f}, {0, 0, 0, 0},
          {enough, enough, v < 3 ? enough : little, v < 4 ? enough : little});
    const Edits e = s->after_step({.step = 600});
    EXPECT_EQ(e.cloned, on ? 2 : 3);
    if (on) {  // counted anew
      EXPECT_EQ(t.statistic("growth.visits").abs().sum().item<float>(), 0);
    }
  }
}

TEST(Growth, TheBudgetIsACapThatRises) {
  TrainOptions o = growing();
  o.steps = 10000;
  o.max_gaussians = 100;
  o.growth.budget = true;
  nn::RowTable t = table_of(10);
  const auto s = make_strategy("default", o);
  s->init(t, {.views = 4});
  int64_t before = 10;
  for (int64_t step = 1; step < 5000; ++step) {
    if (step % 100 == 0) {
      const auto n = static_cast<size_t>(t.rows());
      see(*s, std::vector<float>(n, 1), std::vector<float>(n), std::vector<float>(n), step,
          1 / std::sqrt(static_cast<double>(step)));
    }
    s->after_step({.step = step});
    const double percent = 1 + 99 * static_cast<double>(step - 500) / 4500;
    ASSERT_LE(t.rows(), std::max(10.0, std::ceil(budget_at(percent, 0.5, 10, 100))));
    ASSERT_GE(t.rows(), before);
    before = t.rows();
  }
  EXPECT_GT(before, 90);
  EXPECT_LE(before, 100);
  EXPECT_EQ(s->figures().at("budget").get<int64_t>(), before);
}

TEST(Growth, MidpointsFillWhatIsSparse) {
  scene::Points p;
  for (int i = 0; i < 27; ++i) {
    p.positions.emplace_back(0.1f * (i % 3), 0.1f * (i / 3 % 3), 0.1f * (i / 9));
    p.colors.emplace_back(10, 20, 31);
  }
  p.positions.emplace_back(3, 0, 0);
  p.colors.emplace_back(210, 20, 30);
  const scene::Points more = with_midpoints(p, 100);
  ASSERT_EQ(more.positions.size(), 31U);
  for (size_t i = 0; i < 28; ++i) EXPECT_EQ(more.positions[i], p.positions[i]);
  for (size_t i = 28; i < 31; ++i) {
    EXPECT_NEAR(more.positions[i].x(), 1.6, 1e-6);
    EXPECT_EQ(more.colors[i], (Eigen::Matrix<uint8_t, 3, 1>(110, 20, 31)));
  }
  EXPECT_EQ(with_midpoints(p, 29).positions.size(), 29U);
  EXPECT_EQ(with_midpoints(p, 7).positions.size(), 28U);
  EXPECT_TRUE(with_midpoints({}, 100).positions.empty());
}

// --- runs ----------------------------------------------------------------------------------------

TrainOptions all_on(int64_t steps) {
  TrainOptions o;
  o.steps = steps;
  o.sh_degree = 1;
  o.max_gaussians = 90;
  o.init_midpoints = true;
  o.final_views = 3;
  o.growth.appearance = o.growth.budget = o.growth.visits = true;
  o.growth.appearance_share = 0.5;
  o.growth.prune_schedule = "0.5:0.6";
  o.default_strategy.start = 5;
  o.default_strategy.every = 10;
  o.default_strategy.grad_threshold = 1e-5;
  return o;
}

TEST(Growth, RunsUnderItsCapPruneAndDrawTheirLastViewsTogether) {
  const TrainOptions o = all_on(100);
  Trainer trainer(small_capture(), o);
  trainer.start(1);
  const int64_t n = trainer.count();
  int64_t views = 0, together = 0;
  while (trainer.steps_done() < o.steps) {
    const auto drawn = static_cast<int64_t>(trainer.views_of_step(trainer.steps_done() + 1).size());
    views += drawn;
    together += drawn == 3 ? drawn : 0;
    const int64_t before = trainer.count();
    const Edits e = trainer.step().edits;
    EXPECT_LE(trainer.count(), 90);
    if (trainer.steps_done() == 50) {
      EXPECT_EQ(trainer.count(), before - static_cast<int64_t>(0.6 * static_cast<double>(before)));
      EXPECT_EQ(e.pruned, before - trainer.count());
      EXPECT_GT(before, n);
    }
  }
  EXPECT_NEAR(static_cast<double>(together) / static_cast<double>(views), 0.2, 0.03);
}

// A clock moves the number of steps, and with it the step of an event.
TEST(Growth, AnEventPrunesOnceHoweverTheStepsAreCountedAgain) {
  TrainOptions o = all_on(100);
  o.growth.prune_schedule = "0.2:0.3,0.5:0.3";
  o.default_strategy.start = 1000;  // nothing else comes or goes
  const TemporaryFolder folder{"growth"};
  const auto state = folder.path() / "state.cov";
  Trainer trainer(small_capture(), o);
  trainer.start(1);
  const auto left = [&](int64_t before) {
    return before - static_cast<int64_t>(0.3 * static_cast<double>(before));
  };
  const int64_t n = trainer.count();
  while (trainer.steps_done() < 15) trainer.step();
  EXPECT_EQ(trainer.count(), n);
  trainer.retime(60);  // the first event was due at 12
  trainer.step();
  EXPECT_EQ(trainer.count(), left(n));
  trainer.retime(100);  // and would be due at 20 again
  while (trainer.steps_done() < 40) trainer.step();
  EXPECT_EQ(trainer.count(), left(n));
  trainer.save_checkpoint(state);
  while (trainer.steps_done() < 60) trainer.step();
  EXPECT_EQ(trainer.count(), left(left(n)));
  Trainer resumed(small_capture(), o);
  resumed.load_checkpoint(state);
  while (resumed.steps_done() < 60) resumed.step();
  EXPECT_EQ(resumed.count(), left(left(n)));
}

TEST(Growth, ARunGoesOnToTheSameBits) {
  const TemporaryFolder folder{"growth"};
  const auto state = folder.path() / "state.cov";
  TrainOptions o = all_on(2000);  // losses are looked at from here on
  o.default_strategy.stop = 90;
  Trainer through(small_capture(), o), resumed(small_capture(), o);
  through.start(1);
  for (int i = 0; i < 80; ++i) {
    if (i == 47) through.save_checkpoint(state);
    through.step();
  }
  resumed.load_checkpoint(state);
  while (resumed.steps_done() < 80) resumed.step();
  EXPECT_EQ(through.strategy().figures(), resumed.strategy().figures());
  EXPECT_TRUE(through.cloud().means.equal(resumed.cloud().means));
  EXPECT_TRUE(through.cloud().sh0.equal(resumed.cloud().sh0));
}

TEST(Growth, RefusesWhatMakesNoSense) {
  TrainOptions o;
  const auto message = [&] {
    try {
      o.check();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  o.growth.budget = true;
  EXPECT_THAT(message(), HasSubstr("growth.budget"));
  o.max_gaussians = 100;
  EXPECT_EQ(message(), "");
  for (const char* bad : {"", "0.5", "0.5:1.2", "0.6:0.5,0.5:0.5", "x:0.5", "0:0.5", "0.5:nan"}) {
    o.growth.prune_schedule = bad;
    EXPECT_THAT(message(), HasSubstr("growth.prune_schedule")) << bad;
  }
  o.growth.prune_schedule = "none";
  o.resolution_schedule = "2:0.99";
  o.final_views = 4;
  EXPECT_THAT(message(), HasSubstr("final_share"));
}

}  // namespace
}  // namespace covary::fit
