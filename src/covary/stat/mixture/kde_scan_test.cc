#include "covary/stat/mixture/kde_scan.h"

#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  return normal_points(n, d, 17, stream);
}

// Steps of a quarter of log 2, so that rates are doubles of one another, and some that are not.
std::vector<double> grid() {
  std::vector<double> out;
  for (int64_t k = -14; k <= 10; ++k) out.push_back(std::exp(double(k) * std::log(2.0) / 4));
  out.push_back(0.7);
  out.push_back(1.9);
  return out;
}

// The criteria of one factor by their definitions.
std::pair<double, double> criteria(const KernelDensity& kde, const at::Tensor& w, double factor) {
  const at::Tensor x = kde.points();
  const int64_t n = x.size(0), d = x.size(1);
  const Kernel kernel = kernel_of(kde.options().kernel, kde.options().product);
  const at::Tensor h = kde.widths() * factor;
  const double volume = std::exp(kernel_log_volume(kernel, d)) * h.prod().item<double>();
  const double all = w.sum().item<double>();
  double likelihood = 0, squares = 0, total = 0;
  for (int64_t a = 0; a < n; ++a) {
    const at::Tensor z = ((x - x[a]) / h).contiguous();
    const double own = w[a].item<double>();
    if (own == 0) continue;
    double others = 0, wide = 0;
    for (int64_t i = 0; i < n; ++i) {
      double s = 0;
      for (int64_t j = 0; j < d; ++j) s += kernel_term(kernel, z.data_ptr<double>()[i * d + j]);
      if (i != a) others += w.data_ptr<double>()[i] * kernel_at(kernel, s);
      wide += w.data_ptr<double>()[i] * kernel_at(kernel, 0.5 * s);
    }
    if (!std::isinf(kernel_radius(kernel)) || is_product(kernel))
      others = std::max(others, 1e-13 * own);
    likelihood += own * std::log(others / (all - own) / volume);
    squares +=
        own * (2 * others / (all - own) - wide / all * std::pow(2.0, -0.5 * double(d))) / volume;
    total += own;
  }
  return {likelihood / total, squares / total};
}

TEST(WidthScan, EveryWidthIsAsIfAlone) {
  for (const int64_t d : {1, 3}) {
    const at::Tensor x = normals(150, d, 1), w = at::arange(150, at::kDouble).remainder(4);
    for (const char* kernel :
         {"gaussian", "exponential", "laplacian", "epanechnikov", "tophat", "linear", "cosine"}) {
      KernelDensity kde({.kernel = kernel, .bandwidth = "0.5"});
      kde.fit(x, w);
      std::vector<std::pair<double, double>> want;
      for (size_t b = 0; b < grid().size(); b += 4) want.push_back(criteria(kde, w, grid()[b]));
      compute::on_every_target([&](const char* target) {
        SCOPED_TRACE(std::string(target) + " " + kernel);
        const WidthScan scan = kde.scan_widths(grid());
        ASSERT_EQ(scan.factors, grid());
        EXPECT_EQ(scan.least_squares.empty(), std::string(kernel) != "gaussian");
        for (size_t b = 0; b < scan.factors.size(); b += 4) {
          const auto [likelihood, squares] = want[b / 4];
          EXPECT_NEAR(scan.likelihood[b], likelihood, 1e-12 * std::abs(likelihood)) << b;
          if (!scan.least_squares.empty()) {
            EXPECT_NEAR(scan.least_squares[b], squares, 1e-12 * std::abs(squares)) << b;
          }
        }
      });
    }
  }
}

TEST(WidthScan, ProductsToo) {
  const at::Tensor x = normals(150, 2, 2), w = at::ones({150}, at::kDouble);
  KernelDensity kde({.kernel = "epanechnikov", .product = true, .bandwidth = "0.9"});
  const WidthScan scan = kde.fit(x, w).scan_widths({0.7, 1.5});
  for (const size_t b : {0, 1})
    EXPECT_NEAR(scan.likelihood[b], criteria(kde, w, scan.factors[b]).first, 1e-11);
}

// Widths at which every kernel underflows keep their logarithms.
TEST(WidthScan, NothingUnderflows) {
  const at::Tensor x = at::tensor({0.0, 1.0, 3.0}, at::kDouble).unsqueeze(1);
  KernelDensity kde({.bandwidth = "1e-3"});
  const WidthScan scan = kde.fit(x).scan_widths({1.0, 0.01});
  for (const size_t b : {0, 1}) {
    const double h = 1e-3 * scan.factors[b];
    const double want = (-0.5 / (h * h) - 0.5 / (h * h) - 0.5 * 4 / (h * h)) / 3 -
                        0.5 * std::log(2 * M_PI) - std::log(h) - std::log(2.0);
    EXPECT_NEAR(scan.likelihood[b], want, 1e-12 * std::abs(want));
  }
  EXPECT_THROW(kde.scan_widths({0.0}), Error);
}

TEST(WidthScan, TheRuleTakesTheTopOfTheCurve) {
  const at::Tensor x = at::cat({normals(300, 2, 3), 4 + 0.3 * normals(200, 2, 4)});
  for (const char* rule : {"lcv", "lscv"}) {
    KernelDensity kde({.bandwidth = rule});
    kde.fit(x);
    const WidthScan near = kde.scan_widths({0.99, 0.999, 1.0, 1.001, 1.01});
    const std::vector<double>& v =
        std::string(rule) == "lcv" ? near.likelihood : near.least_squares;
    EXPECT_GT(v[2], v[0]) << rule;
    EXPECT_GT(v[2], v[4]) << rule;
    EXPECT_GT(v[2] + 1e-9 * std::abs(v[2]), v[1]) << rule;
    EXPECT_GT(v[2] + 1e-9 * std::abs(v[2]), v[3]) << rule;
    EXPECT_EQ(kde.width_scan().factors.size(), 30u);
  }
}

// Rows of many columns are far from each other: a width that reaches nobody must not look good.
TEST(WidthScan, ManyColumnsKeepWidthsThatReachSomebody) {
  const at::Tensor x = normals(400, 16, 6);
  KernelDensity scott({.bandwidth = "scott"}), lcv({.bandwidth = "lcv"});
  const at::Tensor ratio = lcv.fit(x).widths() / scott.fit(x).widths();
  EXPECT_GT(ratio.min().item<double>(), 0.7);
  EXPECT_LT(ratio.max().item<double>(), 1.5);
}

TEST(WidthScan, WithNoRowToLeaveOutTheRuleIsScotts) {
  const at::Tensor x = normals(5, 2, 7), w = at::zeros({5}, at::kDouble);
  w[3] = 2;
  KernelDensity scott({.bandwidth = "scott"}), lcv({.bandwidth = "lcv"});
  EXPECT_TRUE(lcv.fit(x, w).widths().equal(scott.fit(x, w).widths()));
}

TEST(WidthScan, SameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(900, 3, 5);
  KernelDensity kde({.bandwidth = "0.6"});
  kde.fit(x);
  set_threads(1);
  const WidthScan one = kde.scan_widths(grid());
  set_threads(3);
  const WidthScan three = kde.scan_widths(grid());
  set_threads(0);
  EXPECT_EQ(one.likelihood, three.likelihood);
  EXPECT_EQ(one.least_squares, three.least_squares);
}

}  // namespace
}  // namespace covary::mixture
