#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/adam/adam.h"
#include "covary/core/compute/every_target.h"

namespace covary::compute {
namespace {

struct Table {
  std::vector<float> p, m, v, f, g;
  std::vector<int64_t> ids;
  int64_t rows, width;

  Table(int64_t n, int64_t k, bool compact) : rows(n), width(k) {
    const Random random(7, static_cast<uint64_t>(n * 100 + k));
    const auto draw = [&](std::vector<float>& x, uint64_t from, bool positive) {
      for (int64_t i = 0; i < n * k; ++i) {
        const double z = random.normal(from + static_cast<uint64_t>(i));
        x.push_back(static_cast<float>(positive ? z * z : z));
      }
    };
    draw(p, 0, false);
    draw(m, 100000, false);
    draw(v, 200000, true);
    draw(f, 300000, true);
    draw(g, 400000, false);
    for (int64_t i = 0; i < n; ++i) {
      if (random.uniform(static_cast<uint64_t>(500000 + i)) < 0.6) ids.push_back(i);
    }
    if (compact) g.resize(ids.size() * static_cast<size_t>(k));
  }
  AdamRows<float> view(bool multiplied) {
    return {p.data(), m.data(), v.data(), multiplied ? f.data() : nullptr, rows, width};
  }
};

enum class Rows { kAll, kListed, kCompact };
using Case = std::tuple<int, Rows, bool, UnseenRows>;  // width, gradient, multiplied, unseen
class AdamSimd : public testing::TestWithParam<Case> {};

TEST_P(AdamSimd, AgreesWithTheReference) {
  const int width = std::get<0>(GetParam());
  const bool listed = std::get<1>(GetParam()) != Rows::kAll;
  const bool compact = std::get<1>(GetParam()) == Rows::kCompact;
  const bool multiplied = std::get<2>(GetParam());
  const UnseenRows unseen = std::get<3>(GetParam());
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    Table a(101, width, compact), b(101, width, compact);
    std::vector<double> p(a.p.begin(), a.p.end()), m(a.m.begin(), a.m.end()),
        v(a.v.begin(), a.v.end()), f(a.f.begin(), a.f.end()), g(a.g.begin(), a.g.end());
    const AdamRows<double> exact{p.data(), m.data(), v.data(), multiplied ? f.data() : nullptr,
                                 101,      width};
    const int64_t* ids = listed ? a.ids.data() : nullptr;
    const int64_t count = listed ? static_cast<int64_t>(a.ids.size()) : 0;
    for (int64_t t = 1; t <= 3; ++t) {
      const AdamRule rule{.rate = 0.01, .update = t};
      adam_reference(rule, exact, {g.data(), ids, count, compact}, unseen);
      set_threads(1);
      adam(rule, a.view(multiplied), {a.g.data(), ids, count, compact}, unseen);
      set_threads(3);
      adam(rule, b.view(multiplied), {a.g.data(), ids, count, compact}, unseen);
      set_threads(0);
    }
    for (size_t i = 0; i < p.size(); ++i) {
      ASSERT_NEAR(a.p[i], p[i], 2e-6 * (1 + std::abs(p[i]))) << i;
      ASSERT_NEAR(a.m[i], m[i], 1e-6 * (1 + std::abs(m[i]))) << i;
      ASSERT_NEAR(a.v[i], v[i], 1e-6 * (1 + std::abs(v[i]))) << i;
    }
    EXPECT_EQ(a.p, b.p);
    EXPECT_EQ(a.m, b.m);
    EXPECT_EQ(a.v, b.v);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Cases, AdamSimd,
    testing::Combine(testing::Values(1, 3, 4, 45),
                     testing::Values(Rows::kAll, Rows::kListed, Rows::kCompact), testing::Bool(),
                     testing::Values(UnseenRows::kDecay, UnseenRows::kKeep)));

TEST(AdamSimdProperty, MultiplierOneIsPlainBitForBit) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    Table a(77, 5, false), b(77, 5, false);
    b.f.assign(b.f.size(), 1.0f);
    for (int64_t t = 1; t <= 5; ++t) {
      adam({.update = t}, a.view(false), {.values = a.g.data()}, UnseenRows::kDecay);
      adam({.update = t}, b.view(true), {.values = b.g.data()}, UnseenRows::kDecay);
    }
    EXPECT_EQ(a.p, b.p);
  });
}

TEST(AdamSimdProperty, DenseAndCompactGradientsGiveTheSameBits) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    for (const auto unseen : {UnseenRows::kDecay, UnseenRows::kKeep}) {
      Table a(301, 7, true), b(301, 7, true);
      const int64_t count = static_cast<int64_t>(a.ids.size());
      std::vector<float> dense(a.p.size());
      for (size_t i = 0; i < a.ids.size(); ++i) {
        std::copy_n(&a.g[i * 7], 7, &dense[static_cast<size_t>(a.ids[i]) * 7]);
      }
      adam({.update = 2}, a.view(false), {a.g.data(), a.ids.data(), count, true}, unseen);
      adam({.update = 2}, b.view(false), {dense.data(), a.ids.data(), count, false}, unseen);
      EXPECT_EQ(a.p, b.p);
      EXPECT_EQ(a.v, b.v);
    }
  });
}

TEST(AllFinite, FindsOneBadElementAnywhere) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> x(70, 3e38f);
    EXPECT_TRUE(all_finite(x.data(), 70));
    for (const size_t i : {size_t{0}, size_t{17}, size_t{69}}) {
      for (const float bad :
           {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
            std::numeric_limits<float>::quiet_NaN()}) {
        x[i] = bad;
        EXPECT_FALSE(all_finite(x.data(), 70)) << i;
        x[i] = 0;
      }
    }
  });
}

}  // namespace
}  // namespace covary::compute
