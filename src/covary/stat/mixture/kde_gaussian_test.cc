#include "covary/stat/mixture/kde_gaussian.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/kde_kernel.h"

namespace covary::mixture {
namespace {

// A leaf of 70 points in 80 places, and 11 queries.
struct Example {
  explicit Example(int64_t dims) : d(dims) {
    const Random random(3, 5);
    uint64_t draw = 0;
    columns.assign(static_cast<size_t>(d * kStride), 0.0);
    log2_weights.assign(kStride, -std::numeric_limits<double>::infinity());
    low.assign(static_cast<size_t>(d), std::numeric_limits<double>::infinity());
    high.assign(static_cast<size_t>(d), -std::numeric_limits<double>::infinity());
    for (int64_t i = kBegin; i < kBegin + 70; ++i) {
      // Weights from 1 down to the smallest doubles, and none at all.
      log2_weights[static_cast<size_t>(i)] =
          i % 9 == 4 ? -std::numeric_limits<double>::infinity() : -static_cast<double>(i % 13) * 50;
      for (int64_t j = 0; j < d; ++j) {
        const double v = 2 + 1.5 * random.normal(draw++);
        columns[static_cast<size_t>(j * kStride + i)] = v;
        low[static_cast<size_t>(j)] = std::min(low[static_cast<size_t>(j)], v);
        high[static_cast<size_t>(j)] = std::max(high[static_cast<size_t>(j)], v);
      }
    }
    for (int64_t i = 0; i < kQueries * d; ++i) queries.push_back(2 + 2.5 * random.normal(draw++));
  }
  GaussianBlock::Leaf leaf() const {
    return {columns.data(), kStride, log2_weights.data(), kBegin, kEnd, low.data(), high.data(), 0};
  }
  // log2 of a term, from differences.
  double term(int64_t a, int64_t i) const {
    double s = 0;
    for (int64_t j = 0; j < d; ++j) {
      const double z =
          queries[static_cast<size_t>(a * d + j)] - columns[static_cast<size_t>(j * kStride + i)];
      s += z * z;
    }
    return log2_weights[static_cast<size_t>(i)] - 0.5 * s * std::numbers::log2e;
  }

  static constexpr int64_t kStride = 112, kBegin = 16, kEnd = 96, kQueries = 11;
  int64_t d;
  std::vector<double> columns, log2_weights, low, high, queries;
};

TEST(GaussianBlock, SumsTheTermsAboveTheFloorAndNoOthers) {
  for (const int64_t d : {1, 2, 3, 5, 16}) {
    const Example e(d);
    compute::on_every_target([&](const char* target) {
      SCOPED_TRACE(target);
      for (const double floor : {-1000.0, -60.0, -8.0}) {
        for (const bool brief : {false, true}) {
          GaussianBlock block(e.queries.data(), Example::kQueries, d, 96);
          EXPECT_LT(block.rounding(), 1e-11);
          const std::vector<double> floors(Example::kQueries, floor);
          std::vector<double> sums(Example::kQueries, 0.5);
          block.add(e.leaf(), floors.data(), brief, sums.data());
          for (int64_t a = 0; a < Example::kQueries; ++a) {
            double expected = 0.5;
            for (int64_t i = Example::kBegin; i < Example::kEnd; ++i) {
              const double t = e.term(a, i);
              if (t > floor) expected += std::exp2(t);
            }
            EXPECT_NEAR(sums[static_cast<size_t>(a)], expected, (brief ? 1e-8 : 1e-13) * expected)
                << d << " " << floor << " " << a;
          }
        }
      }
    });
  }
}

// Products of such coordinates keep no digit; the sums must not be theirs.
TEST(GaussianBlock, QueriesFarApartAreNotTakenByProducts) {
  const std::vector<double> far = {0, 0, 3e7, 0};
  EXPECT_GT(GaussianBlock(far.data(), 2, 2, 96).rounding(), 1e-3);
  at::Tensor x = at::zeros({3000, 2}, at::kDouble);
  const Random random(3, 6);
  for (int64_t i = 0; i < 6000; ++i) x.data_ptr<double>()[i] = random.normal(uint64_t(i));
  x.slice(0, 1500).select(1, 0) += 3e7;
  const at::Tensor q = at::cat({x.slice(0, 0, 3), x.slice(0, 1500, 1503)});
  for (const double rtol : {0.0, 1e-6}) {
    KernelDensity kde({.bandwidth = "0.5", .rtol = rtol, .engine = rtol > 0 ? "tree" : "exact"});
    const at::Tensor p = kde.fit(x).score_samples(q).exp();
    for (int64_t a = 0; a < 6; ++a) {
      const at::Tensor s = ((x - q[a]) / 0.5).square().sum(1);
      const double truth = (-0.5 * s).exp().sum().item<double>() / (3000 * 0.25) *
                           std::exp(-kernel_log_volume(Kernel::kGaussian, 2));
      EXPECT_NEAR(p[a].item<double>(), truth, (rtol + 1e-12) * truth);
    }
  }
}

}  // namespace
}  // namespace covary::mixture
