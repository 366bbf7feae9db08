#include "covary/core/nn/optim/adam.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::nn {
namespace {

at::Tensor wave(int64_t n, int64_t k, double phase) {
  return (at::arange(n * k, at::kDouble) * 0.7 + phase).sin().reshape({n, k}).to(at::kFloat);
}

RowTable table_of(int64_t n) {
  RowTable t;
  t.add("a", wave(n, 3, 0), exponential(0.1, 0.01, 20));
  t.add("b", wave(n, 5, 1), constant(0.05));
  return t;
}

// Gradients of sum (x - target)^2 with a target for every row.
NamedTensors pull(const RowTable& t, const at::Tensor& target_a, const at::Tensor& target_b) {
  return {{"a", 2 * (t.parameter("a").detach() - target_a)},
          {"b", 2 * (t.parameter("b").detach() - target_b)}};
}

TEST(Adam, MatchesTheTextbookOnTensors) {
  RowTable t = table_of(9);
  Adam adam(t, {});
  at::Tensor p = t.parameter("b").detach().to(at::kDouble).clone(), m = at::zeros_like(p),
             v = at::zeros_like(p);
  for (int64_t step = 1; step <= 10; ++step) {
    const at::Tensor g = wave(9, 5, static_cast<double>(step));
    adam.step({{"b", g}}, step);
    const at::Tensor d = g.to(at::kDouble);
    m = 0.9 * m + 0.1 * d;
    v = 0.999 * v + 0.001 * d * d;
    p = p -
        0.05 * (m / (1 - std::pow(0.9, step))) / ((v / (1 - std::pow(0.999, step))).sqrt() + 1e-15);
  }
  EXPECT_TRUE(at::allclose(t.parameter("b").detach().to(at::kDouble), p, 1e-5, 1e-6));
  EXPECT_TRUE(at::equal(t.parameter("a").detach(), wave(9, 3, 0))) << "no gradient, no move";
  EXPECT_EQ(t.entry("a").updates, 0);
}

TEST(Adam, PermutingRowsLeavesTrajectoriesEqual) {
  const int64_t n = 40;
  at::Tensor ta = wave(n, 3, 5), tb = wave(n, 5, 6);
  RowTable t = table_of(n), u = table_of(n);
  Adam plain(t, {}), permuted(u, {});
  const at::Tensor order = (at::arange(n, at::kLong) * 7).remainder(n);
  at::Tensor pa = ta, pb = tb;
  for (int64_t step = 1; step <= 30; ++step) {
    if (step == 10) {
      u.gather(order);
      pa = ta.index_select(0, order);
      pb = tb.index_select(0, order);
    }
    plain.step(pull(t, ta, tb), step);
    permuted.step(pull(u, pa, pb), step);
  }
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(
        at::allclose(t.parameter(name).index_select(0, order), u.parameter(name), 1e-5, 1e-5));
  }
  EXPECT_GT((t.parameter("a").detach() - wave(n, 3, 0)).abs().mean().item<float>(), 0.1);
}

TEST(Adam, ResumesBitForBit) {
  const at::Tensor ta = wave(13, 3, 5), tb = wave(13, 5, 6);
  RowTable t = table_of(13);
  Adam adam(t, {});
  for (int64_t step = 1; step <= 5; ++step) adam.step(pull(t, ta, tb), step);
  RowTable u = RowTable::restore(t.arrays(), nlohmann::json::parse(t.description().dump()));
  Adam resumed(u, {});
  for (int64_t step = 6; step <= 12; ++step) {
    adam.step(pull(t, ta, tb), step);
    resumed.step(pull(u, ta, tb), step);
  }
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(at::equal(t.parameter(name), u.parameter(name)));
    EXPECT_TRUE(at::equal(t.entry(name).second, u.entry(name).second));
  }
}

TEST(Adam, UnseenRowsFollowThePolicy) {
  const at::Tensor seen = at::tensor({1, 3}, at::kLong);
  for (const char* policy : {"plain", "selective"}) {
    RowTable t = table_of(5);
    Adam adam(t, {.rows = policy});
    adam.step({{"a", wave(5, 3, 2)}}, 1);
    const at::Tensor before = t.parameter("a").detach().clone();
    adam.step({{"a", wave(2, 3, 3)}}, 2, seen);
    const at::Tensor moved = (t.parameter("a").detach() - before).abs().amax(1) > 0;
    EXPECT_TRUE(moved[1].item<bool>() && moved[3].item<bool>());
    EXPECT_EQ(moved[0].item<bool>(), std::string(policy) == "plain");
    EXPECT_EQ(moved[4].item<bool>(), std::string(policy) == "plain");
  }
}

TEST(Adam, SparseGradientsAreThoseOfTheirRows) {
  const at::Tensor seen = at::tensor({0, 1, 3}, at::kLong);
  const auto sparse = [](std::initializer_list<int64_t> rows, const at::Tensor& values) {
    return at::sparse_coo_tensor(at::tensor(rows, at::kLong).unsqueeze(0), values, {5, 3});
  };
  const auto moved_by = [&](const at::Tensor& gradient, const at::Tensor& visible) {
    RowTable t = table_of(5);
    Adam(t, {.rows = "selective"}).step({{"a", gradient}}, 1, visible);
    return t.entry("a").first.clone();
  };
  const at::Tensor g = wave(3, 3, 3);
  EXPECT_TRUE(at::equal(moved_by(sparse({0, 1, 3}, g), seen), moved_by(g, seen)));
  EXPECT_TRUE(
      at::equal(moved_by(sparse({0, 1, 3}, g), {}), moved_by(sparse({0, 1, 3}, g).to_dense(), {})));
  // Two views: the second saw one row of the first, and none saw row 1.
  at::Tensor sum = at::zeros({3, 3});
  sum[0] = g[0];
  sum[2] = g[1] + g[2];
  EXPECT_TRUE(at::equal(moved_by(sparse({0, 3, 3}, g), seen), moved_by(sum, seen)));
  EXPECT_THROW(moved_by(sparse({0, 1, 4}, g), seen), Error) << "row 4 is not visible";
}

TEST(Adam, BatchScalesRateBetasAndEps) {
  RowTable t = table_of(4), u = table_of(4);
  Adam four(t, {.batch = 4});
  u.entry("b").rate = constant(0.05 * 2);
  Adam same(u, {.beta1 = 0.6, .beta2 = 0.996, .eps = 0.5e-15});
  for (int64_t step = 1; step <= 3; ++step) {
    four.step({{"b", wave(4, 5, 3)}}, step);
    same.step({{"b", wave(4, 5, 3)}}, step);
  }
  EXPECT_TRUE(at::allclose(t.parameter("b"), u.parameter("b"), 1e-6, 1e-7));
}

TEST(Adam, MultipliersScaleTheStep) {
  RowTable t = table_of(3);
  t.set_multiplier("b", at::tensor({0.0f, 1.0f, 0.5f}).reshape({3, 1}));
  const at::Tensor before = t.parameter("b").detach().clone();
  Adam(t, {}).step({{"b", at::ones({3, 5})}}, 1);
  const at::Tensor moved = before - t.parameter("b").detach();
  EXPECT_TRUE(at::allclose(moved, at::tensor({0.0f, 0.05f, 0.025f}).reshape({3, 1}).expand({3, 5}),
                           1e-4, 1e-7));
}

TEST(Adam, RefusesBadGradientsBeforeAnythingMoves) {
  RowTable t = table_of(4);
  Adam adam(t, {});
  at::Tensor bad = at::ones({4, 5});
  bad[2][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(adam.step({{"a", at::ones({4, 3})}, {"b", bad}}, 1), Error);
  EXPECT_THROW(adam.step({{"a", at::ones({4, 3})}, {"b", at::ones({4, 4})}}, 1), Error);
  EXPECT_THROW(adam.step({{"a", at::ones({2, 3})}}, 1), Error);
  EXPECT_THROW(adam.step({{"a", at::ones({2, 3})}}, 1, at::tensor({2, 1}, at::kLong)), Error);
  EXPECT_THROW(adam.step({{"a", at::ones({2, 3})}}, 1, at::tensor({2, 4}, at::kLong)), Error);
  EXPECT_THROW(adam.step({{"zoo", at::ones({4, 3})}}, 1), Error);
  EXPECT_TRUE(at::equal(t.parameter("a").detach(), wave(4, 3, 0)));
  EXPECT_EQ(t.entry("a").updates, 0);
  EXPECT_THROW(Adam(t, {.beta1 = 1}), Error);
  EXPECT_THROW(Adam(t, {.batch = 11}), Error);
}

TEST(Adam, CollectsGradientsOfTheTable) {
  RowTable t = table_of(2);
  t.parameter("a").square().sum().backward();
  const NamedTensors found = gradients(t);
  EXPECT_EQ(found.size(), 1u);
  EXPECT_TRUE(at::allclose(found.at("a"), 2 * wave(2, 3, 0)));
  zero_gradients(t);
  EXPECT_TRUE(gradients(t).empty());
}

}  // namespace
}  // namespace covary::nn
