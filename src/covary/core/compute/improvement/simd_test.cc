#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/improvement/improvement.h"

namespace covary::compute {
namespace {

using Vector = std::vector<double>;

Vector hostile() {
  Vector x{0,     1e-300, -1e-300, 1e-9, -1e-9, 1e-6,  -1e-6, 3e-5,
           -3e-5, 1,      -1,      1e9,  -1e9,  1e300, -1e300};
  const Random random(3);
  for (uint64_t i = 0; i < 62; ++i)
    x.push_back(random.normal(i) * std::pow(10.0, static_cast<double>(i % 8) - 7));
  return x;
}

TEST(ImprovementReference, IsWhatItsLimitsSay) {
  const double x[] = {2, -3, 0};
  double l[3], slope[3];
  fat_log_positive_reference(x, 3, 1e-6, l, slope);
  EXPECT_NEAR(l[0], std::log(2), 1e-12);
  EXPECT_NEAR(l[1], std::log(0.1 * 1e-18 / 9), 1e-6);
  EXPECT_NEAR(l[2], std::log(1e-6 * (std::log(2) + 0.1)), 1e-12);
  fat_log_step_reference(x, 3, 1e-3, l, slope);
  EXPECT_NEAR(l[0], 0, 1e-6);
  EXPECT_NEAR(l[1], std::log(2.0 / 3 * 1e-6 / 9), 1e-3);
  EXPECT_NEAR(l[2], std::log(0.5), 1e-14);
  // Two draws of three: the maxima 5 and 7.
  const double values[] = {1, 7, 5, -2, 3, 2};
  double w[6];
  const double mean = fat_log_mean_max_reference(values, 3, 2, 1e-9, w);
  EXPECT_NEAR(mean, std::log(0.5 * (std::exp(5) + std::exp(7))), 1e-7);
  EXPECT_NEAR(w[1] + w[2], 1, 1e-7);
}

TEST(ImprovementReference, SlopesAreDerivatives) {
  for (const auto& f : {fat_log_positive_reference, fat_log_step_reference}) {
    for (const double tau : {1e-6, 0.3}) {
      for (const double u : {-1e3, -5.0, -0.5, -0.01, 0.02, 0.7, 4.0, 60.0}) {
        const double h = 1e-5 * std::max(std::abs(u), 0.01),
                     x[] = {u * tau, (u - h) * tau, (u + h) * tau};
        double l[3], slope[3];
        f(x, 3, tau, l, slope);
        EXPECT_NEAR(slope[0] * tau, (l[2] - l[1]) / (2 * h),
                    1e-7 * std::max(1.0, std::abs(slope[0] * tau)))
            << u;
        EXPECT_GT(slope[0], 0) << u;
      }
    }
  }
  const Random random(5);
  const int64_t q = 3, draws = 7;
  Vector l(21), w(21), unused(21);
  for (size_t i = 0; i < 21; ++i) l[i] = random.normal(i);
  for (const double tau : {0.05, 1.0}) {
    fat_log_mean_max_reference(l.data(), q, draws, tau, w.data());
    double total = 0;
    for (size_t i = 0; i < 21; ++i) {
      const double h = 1e-6;
      Vector up = l, down = l;
      up[i] += h;
      down[i] -= h;
      EXPECT_NEAR(w[i],
                  (fat_log_mean_max_reference(up.data(), q, draws, tau, unused.data()) -
                   fat_log_mean_max_reference(down.data(), q, draws, tau, unused.data())) /
                      (2 * h),
                  1e-8);
      total += w[i];
    }
    EXPECT_NEAR(total, 1, 1e-14);
  }
}

TEST(ImprovementSimd, AgreesWithTheReference) {
  const Vector x = hostile();
  const auto n = static_cast<int64_t>(x.size());
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const double tau : {1e-6, 1e-3, 1.0}) {
      for (const int which : {0, 1}) {
        Vector l(x.size()), d(x.size()), m(x.size()), e(x.size());
        (which ? fat_log_step_reference : fat_log_positive_reference)(x.data(), n, tau, l.data(),
                                                                      d.data());
        (which ? fat_log_step : fat_log_positive)(x.data(), n, tau, m.data(), e.data());
        for (size_t i = 0; i < x.size(); ++i) {
          ASSERT_NEAR(m[i], l[i], 1e-14 * (1 + std::abs(l[i]))) << x[i];
          ASSERT_NEAR(e[i], d[i], 1e-13 * std::abs(d[i]) + 1e-300) << x[i];
          ASSERT_TRUE(std::isfinite(m[i]) && std::isfinite(e[i])) << x[i];
        }
      }
    }
    const Random random(8);
    for (const int64_t q : {1, 2, 5}) {
      for (const int64_t draws : {1, 3, 64, 131}) {
        Vector l(static_cast<size_t>(q * draws)), w(l.size()), v(l.size());
        for (size_t i = 0; i < l.size(); ++i) l[i] = 5 * random.normal(i) - (i % 7 == 0 ? 2000 : 0);
        if (q == 5) std::copy_n(l.begin(), draws, l.begin() + 2 * draws);  // ties
        const double a = fat_log_mean_max_reference(l.data(), q, draws, 0.01, w.data());
        const double b = fat_log_mean_max(l.data(), q, draws, 0.01, v.data());
        ASSERT_NEAR(b, a, 1e-13 * (1 + std::abs(a)));
        for (size_t i = 0; i < l.size(); ++i) ASSERT_NEAR(v[i], w[i], 1e-14) << i;
      }
    }
  });
}

}  // namespace
}  // namespace covary::compute
