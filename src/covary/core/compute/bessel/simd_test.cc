#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/oracle.h"
#include "covary/core/compute/every_target.h"

namespace covary::compute {
namespace {

constexpr BesselOptions kAll[] = {{BesselKind::kI, false},
                                  {BesselKind::kI, true},
                                  {BesselKind::kK, false},
                                  {BesselKind::kK, true}};

struct Points {
  std::vector<double> v, x;
  BesselInput<double> input() const { return {static_cast<int64_t>(v.size()), v.data(), x.data()}; }
};

// Every region, and every edge now and then.
Points mixed(int64_t n) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double strange[] = {0, kInf, -1, -3, std::nan(""), -2.5, 5e-324, 1e101};
  Points p;
  const Random rng(3, 0);
  for (int64_t i = 0; i < n; ++i) {
    const auto k = static_cast<uint64_t>(4 * i);
    const double a = rng.uniform(k), b = rng.uniform(k + 1);
    p.v.push_back(i % 3 == 0 ? 40 * a : i % 3 == 1 ? std::pow(10, 11 * a - 3) : 15 * a);
    p.x.push_back(i % 3 == 0 ? 40 * b : i % 3 == 1 ? std::pow(10, 19 * b - 10) : 2 * b);
    if (i % 61 == 7) p.v.back() = strange[rng.below(8, k + 2)];
    if (i % 53 == 5) p.x.back() = strange[rng.below(8, k + 3)];
  }
  return p;
}

struct Six {
  explicit Six(size_t n) {
    for (auto& a : of) a.assign(n, -7);
  }
  BesselOutput<double> out() {
    return {of[0].data(), of[1].data(), of[2].data(), of[3].data(), of[4].data(), of[5].data()};
  }
  std::vector<double> of[6];
};

TEST(BesselSimd, AgreesWithTheReferenceToRounding) {
  const Points p = mixed(6001);
  for (const BesselOptions& options : kAll) {
    Six expected(p.v.size());
    const int64_t outside = log_bessel_reference(options, p.input(), expected.out());
    EXPECT_GT(outside, 0);
    on_every_target([&](const char* target) {
      SCOPED_TRACE(target);
      Six got(p.v.size());
      EXPECT_EQ(log_bessel(options, p.input(), got.out()), outside);
      for (size_t i = 0; i < p.v.size(); ++i) {
        // The value: a couple of units in the last place of max(1, |value|).
        for (int k = 0; k < 6; ++k) {
          const double e = expected.of[k][i], g = got.of[k][i];
          if (std::isnan(e) || std::isinf(e)) {
            ASSERT_TRUE(std::isnan(e) ? std::isnan(g) : g == e)
                << p.v[i] << " " << p.x[i] << " " << k;
            continue;
          }
          ASSERT_LE(std::fabs(g - e), (k == 0 ? 1e-15 : 1e-13) * std::fmax(1, std::fabs(e)))
              << p.v[i] << " " << p.x[i] << " part " << k;
        }
      }
    });
  }
}

TEST(BesselSimd, IsWithin4e15OfTheOracleOnEveryTarget) {
  Points p;
  for (const OracleRow& row : bessel_oracle()) {
    p.v.push_back(row.v);
    p.x.push_back(row.x);
  }
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const BesselOptions& options : kAll) {
      std::vector<double> value(p.v.size()), ratio(p.v.size());
      EXPECT_EQ(log_bessel(options, p.input(), {.value = value.data()}), 0);
      EXPECT_EQ(bessel_ratio(options.kind, p.input(), ratio.data()), 0);
      const bool k = options.kind == BesselKind::kK;
      for (size_t i = 0; i < p.v.size(); ++i) {
        const OracleRow& row = bessel_oracle()[i];
        const long double plain = k ? row.log_k : row.log_i,
                          scaled = k ? row.scaled_k : row.scaled_i;
        ASSERT_LE(row.error(value[i], options.scaled ? scaled : plain), 4e-15)
            << row.v << " " << row.x;
        const long double r = k ? row.ratio_k : row.ratio_i;
        ASSERT_LE(std::fabs(static_cast<double>(ratio[i] - r)), 4e-15 * r) << row.v << " " << row.x;
      }
    }
  });
}

TEST(BesselSimd, AnElementsBitsDependOnNeitherNeighboursNorThreadsNorDerivatives) {
  const Points p = mixed(20011);
  for (const BesselOptions& options : kAll) {
    Six one(p.v.size()), two(p.v.size());
    set_threads(1);
    log_bessel(options, p.input(), one.out());
    set_threads(2);
    log_bessel(options, p.input(), two.out());
    set_threads(0);
    std::vector<double> alone(p.v.size());
    for (size_t i = 0; i < p.v.size(); i += 37) {
      log_bessel<double>(options, {1, &p.v[i], &p.x[i]}, {.value = &alone[i]});
    }
    for (size_t i = 0; i < p.v.size(); ++i) {
      for (int k = 0; k < 6; ++k) {
        const double a = one.of[k][i], b = two.of[k][i];
        ASSERT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << p.v[i] << " " << p.x[i];
      }
      if (i % 37 == 0) {
        ASSERT_TRUE(alone[i] == one.of[0][i] || std::isnan(alone[i])) << p.v[i] << " " << p.x[i];
      }
    }
  }
}

TEST(BesselSimd, HandlesNoElementsAndFloats) {
  EXPECT_EQ(log_bessel<double>({}, {}, {}), 0);
  const std::vector<float> v{0, 12.3f, 1000}, x{0.5f, 45.6f, 7};
  std::vector<float> value(3), expected(3), ratio(3);
  log_bessel<float>({}, {3, v.data(), x.data()}, {.value = value.data()});
  log_bessel_reference<float>({}, {3, v.data(), x.data()}, {.value = expected.data()});
  EXPECT_EQ(value, expected);
  EXPECT_EQ(bessel_ratio<float>(BesselKind::kK, {3, v.data(), x.data()}, ratio.data()), 0);
  EXPECT_FLOAT_EQ(ratio[1], static_cast<float>(bessel_ratio(BesselKind::kK, 12.3f, 45.6f)));
}

}  // namespace
}  // namespace covary::compute
