#include "covary/stat/process/kernel_warp.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_jets.h"

namespace covary::stat {
namespace {

constexpr int64_t kRows = 70, kDims = 2;

std::vector<double> points(int64_t n, uint64_t seed) {
  const Random random(seed);
  std::vector<double> x(static_cast<size_t>(n * kDims));
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.2 * random.uniform(i) - 0.1;  // some outside
  return x;
}

const char* const kTexts[] = {
    "warp(matern52(ard),a=[0.7,1.8],b=[1.6,0.8],low=[0,0.1],high=[1,0.9])",
    "rbf + 0.5*warp(const(2)*rq + linear(0.3),a=1.4,b=0.6,dims=1:1)*rbf(dims=0:0)",
    "warp(periodic(0.7,1.2)*cosine(1.3,dims=0:0) + polynomial(0.5,1,degree=2),a=1.3,b=[0.8,1.1])^2",
    "warp(erf(1.1,0.9,dims=1:1),a=1.2,b=0.7) + white(0.1)"};

TEST(KernelWarp, IsTheDistributionFunctionOfKumaraswamy) {
  const WarpedCoordinate w = warped_coordinate(3, 2, 6, 2, 3);  // u = 0.25
  EXPECT_NEAR(w.value, 2 + 4 * (1 - std::pow(1 - 0.0625, 3)), 1e-14);
  EXPECT_NEAR(w.by_x, 6 * 0.25 * std::pow(1 - 0.0625, 2), 1e-14);
  for (const double x : {1.0, 2.0, 6.0, 7.5})
    EXPECT_EQ(warped_coordinate(x, 2, 6, 0.4, 2.5).value, x);
  EXPECT_EQ(warped_coordinate(3.3, 2, 6, 1, 1).value, 3.3);
  EXPECT_TRUE(std::isfinite(warped_coordinate(2, 2, 6, 0.4, 2.5).by_x));
}

TEST(KernelWarp, ExponentsOfOneChangeNothing) {
  const Kernel plain = Kernel::parse("matern52(0.4,ard)*linear", kDims),
               warped = Kernel::parse("warp(matern52(0.4,ard)*linear)", kDims);
  const std::vector<double> x = points(kRows, 1);
  std::vector<double> a(kRows * kRows), b(a);
  plain.matrix(x.data(), kRows, a.data(), kRows);
  warped.matrix(x.data(), kRows, b.data(), kRows);
  EXPECT_EQ(a, b);
}

TEST(KernelWarp, TextComesBack) {
  for (const char* text : kTexts) {
    const Kernel k = Kernel::parse(text, kDims), again = Kernel::parse(k.text(), kDims);
    EXPECT_EQ(again.text(), k.text());
    const std::vector<double> x = points(kRows, 2);
    std::vector<double> a(kRows * kRows), b(a), d(kRows);
    k.matrix(x.data(), kRows, a.data(), kRows);
    again.matrix(x.data(), kRows, b.data(), kRows);
    EXPECT_EQ(a, b) << k.text();
    k.diagonal(x.data(), kRows, true, d.data());
    for (int64_t i = 0; i < kRows; ++i)
      EXPECT_NEAR(d[static_cast<size_t>(i)], a[static_cast<size_t>(i * kRows + i)], 1e-12);
  }
  for (const char* bad : {"warp(warp(rbf))", "warp(white)", "warp(rbf,a=0)", "warp(rbf,a=[1,2,3])",
                          "warp(rbf,low=1,high=0)", "warp(hamming)", "warp(rbf,ard)", "warp(rbf"}) {
    EXPECT_THROW(Kernel::parse(bad, kDims), Error) << bad;
  }
}

TEST(KernelWarp, ContractionsMeetFiniteDifferences) {
  for (const char* text : kTexts) {
    Kernel k = Kernel::parse(text, kDims);
    const std::vector<double> x = points(kRows, 3), y = points(40, 4);
    const Random random(5);
    std::vector<double> w(kRows * kRows), v(kRows * 40);
    for (int64_t i = 0; i < kRows; ++i) {
      for (int64_t j = 0; j <= i; ++j)
        w[static_cast<size_t>(i * kRows + j)] = w[static_cast<size_t>(j * kRows + i)] =
            random.normal(static_cast<uint64_t>(i * kRows + j));
    }
    for (size_t i = 0; i < v.size(); ++i) v[i] = random.normal(90000 + i);
    std::vector<double> gradient(k.parameters().size()), crossed(gradient);
    k.contract(
        x.data(), kRows,
        [&](const compute::PairBlock& t, double* out) {
          for (int64_t i = 0; i < t.rows; ++i) {
            for (int64_t j = 0; j < t.columns; ++j)
              out[i * t.columns + j] = w[static_cast<size_t>((t.row + i) * kRows + t.column + j)];
          }
        },
        gradient);
    k.contract_cross(x.data(), kRows, y.data(), 40, v.data(), 40, crossed);
    std::vector<double> m(w.size()), c(v.size());
    const auto sums = [&](double* of_matrix, double* of_cross, const double* at) {
      k.matrix(x.data(), kRows, m.data(), kRows);
      k.cross(at, kRows, y.data(), 40, c.data(), 40);
      *of_matrix = *of_cross = 0;
      for (size_t i = 0; i < m.size(); ++i) *of_matrix += w[i] * m[i];
      for (size_t i = 0; i < c.size(); ++i) *of_cross += v[i] * c[i];
    };
    for (size_t p = 0; p < gradient.size(); ++p) {
      const double value = k.parameters()[p].value, h = 1e-5;
      double up[2], down[2];
      k.parameters()[p].value = value * std::exp(h);
      sums(&up[0], &up[1], x.data());
      k.parameters()[p].value = value * std::exp(-h);
      sums(&down[0], &down[1], x.data());
      k.parameters()[p].value = value;
      EXPECT_NEAR(gradient[p], (up[0] - down[0]) / (2 * h), 2e-6 * (1 + std::abs(gradient[p])))
          << text << " " << k.parameters()[p].name;
      EXPECT_NEAR(crossed[p], (up[1] - down[1]) / (2 * h), 2e-6 * (1 + std::abs(crossed[p])))
          << text << " " << k.parameters()[p].name;
    }
    // By the inputs.
    std::vector<double> slopes(x.size());
    k.contract_inputs(x.data(), kRows, y.data(), 40, v.data(), slopes.data());
    for (size_t i = 0; i < x.size(); i += 7) {
      std::vector<double> moved = x;
      double unused, up, down;
      moved[i] += 1e-6;
      sums(&unused, &up, moved.data());
      moved[i] -= 2e-6;
      sums(&unused, &down, moved.data());
      EXPECT_NEAR(slopes[i], (up - down) / 2e-6, 1e-5 * (1 + std::abs(slopes[i]))) << text << i;
    }
  }
}

TEST(KernelWarp, DerivativesOfTheProcessFollowTheChainRule) {
  const Kernel k = Kernel::parse(kTexts[0], kDims);
  const KernelJets jets(k);
  const double x[] = {0.3, 0.4}, y[] = {0.6, 0.7};
  const int64_t value = -1, along[] = {0, 1};
  constexpr double kStep = 1e-4;
  for (const int64_t a : along) {
    for (const int64_t b : along) {
      double mixed = 0, first = 0, corner[2][2], plain = 0;
      jets.cross(x, 1, &a, y, 1, &b, &mixed, 1);
      jets.cross(x, 1, &a, y, 1, &value, &first, 1);
      for (const int i : {0, 1}) {
        for (const int j : {0, 1}) {
          double u[] = {x[0], x[1]}, v[] = {y[0], y[1]};
          u[a] += i ? kStep : -kStep;
          v[b] += j ? kStep : -kStep;
          k.cross(u, 1, v, 1, &corner[i][j], 1);
        }
      }
      EXPECT_NEAR(mixed,
                  (corner[1][1] - corner[1][0] - corner[0][1] + corner[0][0]) / (4 * kStep * kStep),
                  1e-5 * (1 + std::abs(mixed)));
      double u[] = {x[0], x[1]}, up = 0;
      u[a] += kStep;
      k.cross(u, 1, y, 1, &up, 1);
      u[a] -= 2 * kStep;
      k.cross(u, 1, y, 1, &plain, 1);
      EXPECT_NEAR(first, (up - plain) / (2 * kStep), 1e-6);
    }
  }
}

// A sine that runs fast at the lower end: the warp is found, the range stays in the file.
TEST(KernelWarp, AFitFindsAKnownWarp) {
  constexpr int64_t kCount = 60;
  at::Tensor x = at::empty({kCount, 1}, at::kDouble), y = at::empty({kCount}, at::kDouble);
  const Random random(7);
  for (int64_t i = 0; i < kCount; ++i) {
    const double t = 10 + 5 * (static_cast<double>(i) + 0.5) / kCount;
    x[i][0] = t;
    y[i] = std::sin(4 * warped_coordinate(t, 10, 15, 0.4, 1).value) +
           0.05 * random.normal(static_cast<uint64_t>(i));
  }
  const GaussianProcess plain = fit_gp(x, y, {.kernel = "rbf"}),
                        warped = fit_gp(x, y, {.kernel = "warp(rbf)"});
  EXPECT_GT(warped.report().log_likelihood, plain.report().log_likelihood + 5);
  const Kernel& k = warped.kernel();
  double a = 0;
  for (const KernelParameter& p : k.parameters()) {
    if (p.name == "warp.a[0]") a = p.value;
  }
  EXPECT_NEAR(a, 0.4, 0.15);
  const GaussianProcess back = GaussianProcess::of_model(warped.model());
  EXPECT_EQ(back.kernel().text(), k.text());
  const at::Tensor at = at::linspace(9, 16, 15, at::kDouble).unsqueeze(1);
  EXPECT_TRUE(at::allclose(back.predict(at).mean, warped.predict(at).mean, 1e-9, 1e-9));
}

}  // namespace
}  // namespace covary::stat
