#include "covary/stat/filter/discrete_grid.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

// A fine grid over a linear-Gaussian state: sums over it are integrals to many digits.
TEST(DiscreteGrid, TendsToTheKalmanFilterAndSmoother) {
  LinearModel m = random_model(1, 1, 0, 0, 371);
  m.f.fill_(0.8);
  const at::Tensor y = series_with_holes(15, 1, 372);
  const at::Tensor places = at::linspace(-14, 14, 561, at::kDouble);
  const double h = m.h.item<double>(), r = m.r.item<double>();
  at::Tensor log_density =
      -0.5 * ((y - h * places.unsqueeze(0)).square() / r + std::log(2 * M_PI * r));
  log_density = at::nan_to_num(log_density, 0.0);
  const GridFiltered g =
      grid_filter(grid_transition(places, 0.8 * places, m.q.item<double>()),
                  grid_start(places, m.mean0.item<double>(), m.cov0.item<double>()), log_density);
  const Filtered exact = kalman_filter(m, y);
  const Smoothed smooth = kalman_smoother(m, y);
  EXPECT_NEAR(g.log_likelihood, exact.log_likelihood, 1e-8);
  const auto mean = [&](const at::Tensor& p) { return at::matmul(p, places).unsqueeze(1); };
  EXPECT_LT((mean(g.probability) - exact.mean).abs().max().item<double>(), 1e-8);
  EXPECT_LT((mean(g.smoothed) - smooth.mean).abs().max().item<double>(), 1e-8);
  // The most probable way of a Gaussian is its mean, to the grid.
  for (int64_t t = 0; t < 15; ++t)
    EXPECT_NEAR(places[g.path[t].item<int64_t>()].item<double>(), smooth.mean[t][0].item<double>(),
                0.051);
}

// Every way of a short chain, one by one.
TEST(DiscreteGrid, EqualsTheSumOverAllWays) {
  const at::Tensor a = at::softmax(normal_tensor({3, 3}, 373), 1),
                   s = at::softmax(normal_tensor({3}, 374), 0), l = normal_tensor({4, 3}, 375);
  const GridFiltered g = grid_filter(a, s, l);
  double total = 0, best = -1;
  int64_t best_way = 0;
  at::Tensor first = at::zeros({3}, at::kDouble);
  for (int64_t way = 0; way < 81; ++way) {
    int64_t rest = way, before = -1, start = 0;
    double p = 1;
    for (int64_t t = 0; t < 4; ++t, rest /= 3) {
      const int64_t at = rest % 3;
      if (t == 0) start = at;
      p *= (t == 0 ? s[at] : a[before][at]).item<double>() * std::exp(l[t][at].item<double>());
      before = at;
    }
    total += p;
    first[start] += p;
    if (p > best) best = p, best_way = way;
  }
  EXPECT_NEAR(g.log_likelihood, std::log(total), 1e-12);
  EXPECT_LT((g.smoothed[0] - first / total).abs().max().item<double>(), 1e-12);
  for (int64_t t = 0; t < 4; ++t, best_way /= 3) EXPECT_EQ(g.path[t].item<int64_t>(), best_way % 3);
}

TEST(DiscreteGrid, WhatIsWrongIsNamed) {
  const at::Tensor a = at::eye(2, at::kDouble), s = at::tensor({1.0, 0.0}, at::kDouble);
  at::Tensor l = at::zeros({3, 2}, at::kDouble);
  EXPECT_THROW(grid_filter(2 * a, s, l), Error);
  EXPECT_THROW(grid_filter(a, s, at::zeros({3, 3}, at::kDouble)), Error);
  l[1][0] = -std::numeric_limits<double>::infinity();
  try {
    grid_filter(a, s, l);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "step 1");
  }
  EXPECT_THROW(grid_transition(s, s, 0), Error);
}

}  // namespace
}  // namespace covary::filter
