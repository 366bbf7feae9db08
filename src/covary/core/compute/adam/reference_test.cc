#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/compute/adam/adam.h"

namespace covary::compute {
namespace {

// With a constant gradient both moments equal their bias-corrected limits at once: every step is
// rate * sign(g).
TEST(AdamReference, ConstantGradientMovesByTheRate) {
  std::vector<double> p{1, 2, 3}, m(3), v(3);
  const std::vector<double> g{0.5, -2, 0};
  AdamRows<double> rows{p.data(), m.data(), v.data(), nullptr, 1, 3};
  for (int64_t t = 1; t <= 50; ++t) {
    adam_reference({.rate = 0.01, .update = t}, rows, {.values = g.data()}, UnseenRows::kDecay);
  }
  EXPECT_NEAR(p[0], 1 - 0.5, 1e-12);
  EXPECT_NEAR(p[1], 2 + 0.5, 1e-12);
  EXPECT_EQ(p[2], 3);
}

// Two steps by hand: g = 1 then 0, betas 1/2 and 3/4.
TEST(AdamReference, TwoStepsByHand) {
  double p = 0, m = 0, v = 0, g = 1;
  AdamRows<double> rows{&p, &m, &v, nullptr, 1, 1};
  AdamRule rule{.rate = 1, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.25, .update = 1};
  adam_reference(rule, rows, {.values = &g}, UnseenRows::kDecay);
  EXPECT_DOUBLE_EQ(p, -1 / 1.25);
  g = 0;
  rule.update = 2;
  adam_reference(rule, rows, {.values = &g}, UnseenRows::kDecay);
  const double m2 = 0.25 / 0.75, v2 = 0.1875 / (1 - 0.5625);
  EXPECT_NEAR(p, -1 / 1.25 - m2 / (std::sqrt(v2) + 0.25), 1e-15);
}

TEST(AdamReference, UnseenRowsDecayOrStay) {
  const std::vector<int64_t> ids{1};
  const std::vector<double> g{4};
  const AdamGradient<double> gradient{g.data(), ids.data(), 1, true};
  for (const auto unseen : {UnseenRows::kDecay, UnseenRows::kKeep}) {
    std::vector<double> p{1, 1, 1}, m{1, 1, 1}, v{1, 1, 1};
    adam_reference({.update = 3}, AdamRows<double>{p.data(), m.data(), v.data(), nullptr, 3, 1},
                   gradient, unseen);
    EXPECT_DOUBLE_EQ(m[1], 0.9 + 0.1 * 4);
    if (unseen == UnseenRows::kKeep) {
      EXPECT_EQ(p[0], 1);
      EXPECT_EQ(m[2], 1);
    } else {
      EXPECT_LT(p[0], 1);
      EXPECT_DOUBLE_EQ(m[2], 0.9);
      EXPECT_DOUBLE_EQ(v[0], 0.999);
    }
  }
}

}  // namespace
}  // namespace covary::compute
