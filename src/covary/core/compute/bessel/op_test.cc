#include "covary/core/compute/bessel/op.h"

#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/bessel/bessel_regions.h"

namespace covary::compute {
namespace {

constexpr BesselOptions kAll[] = {{BesselKind::kI, false},
                                  {BesselKind::kI, true},
                                  {BesselKind::kK, false},
                                  {BesselKind::kK, true}};

at::Tensor leaf(at::ArrayRef<double> values) {
  return at::tensor(values, at::kDouble).set_requires_grad(true);
}

Tensors gradient(const at::Tensor& of, const Tensors& to, bool again) {
  return torch::autograd::grad({of.sum()}, to, {}, again, again);
}

// A point or more in each region.
const std::vector<double> kOrders{0.3, 4.6, 17.5, 0.4, 9.3, 3.7, 12.6, 3,   14,
                                  7,   18,  30,   90,  3,   300, 2000, 5e4, 0.02};
const std::vector<double> kArguments{0.6, 0.9, 0.1, 2,  1.3, 3.5, 4.2, 9,   12,
                                     30,  40,  10,  66, 150, 900, 700, 3e3, 1.7};

TEST(BesselOp, PointsStandInEveryRegion) {
  std::set<int> regions;
  for (size_t i = 0; i < kOrders.size(); ++i) {
    regions.insert(bessel_region(kOrders[i], kArguments[i]));
  }
  EXPECT_EQ(regions.size(), static_cast<size_t>(kEdge)) << "all but the edges";
}

// torch.autograd.gradcheck and gradgradcheck: steps of 1e-6, |analytic - numeric| <= 1e-5 + 1e-3 |numeric|.
TEST(BesselOp, PassesTorchsGradcheckTwice) {
  for (const BesselOptions& options : kAll) {
    const at::Tensor v0 = at::tensor(kOrders, at::kDouble),
                     x0 = at::tensor(kArguments, at::kDouble);
    const auto slopes = [&](const at::Tensor& a, const at::Tensor& b, bool again) {
      const at::Tensor v = a.clone().set_requires_grad(true), x = b.clone().set_requires_grad(true);
      Tensors g = gradient(log_bessel(options, v, x), {v, x}, again);
      for (size_t i = 0; again && i < 2; ++i) {
        for (const at::Tensor& h : torch::autograd::grad({g[i].sum()}, {v, x}, {}, true)) {
          g.push_back(h);
        }
      }
      return g;
    };
    const auto check = [&](const at::Tensor& analytic, const at::Tensor& numeric,
                           const char* what) {
      EXPECT_LE(((analytic - numeric).abs() - 1e-3 * numeric.abs()).max().item<double>(), 1e-5)
          << what;
    };
    const Tensors g = slopes(v0, x0, true);
    const double e = 1e-6;
    const auto f = [&](const at::Tensor& a, const at::Tensor& b) {
      return log_bessel(options, a, b);
    };
    check(g[0], (f(v0 + e, x0) - f(v0 - e, x0)) / (2 * e), "v");
    check(g[1], (f(v0, x0 + e) - f(v0, x0 - e)) / (2 * e), "x");
    const Tensors up = slopes(v0 + e, x0, false), down = slopes(v0 - e, x0, false),
                  right = slopes(v0, x0 + e, false), left = slopes(v0, x0 - e, false);
    for (size_t i = 0; i < 2; ++i) {
      check(g[2 + 2 * i], (up[i] - down[i]) / (2 * e), i == 0 ? "vv" : "xv");
      check(g[3 + 2 * i], (right[i] - left[i]) / (2 * e), i == 0 ? "vx" : "xx");
    }
  }
}

TEST(BesselOp, GradientsAreDifferencesOfTheValue) {
  for (const BesselOptions& options : kAll) {
    const at::Tensor v = leaf(kOrders), x = leaf(kArguments);
    const Tensors g = gradient(log_bessel(options, v, x), {v, x}, false);
    const at::Tensor at_v = v.detach(), at_x = x.detach(), ev = 1e-5 * at_v, ex = 1e-5 * at_x;
    const auto f = [&](const at::Tensor& a, const at::Tensor& b) {
      return log_bessel(options, a, b);
    };
    EXPECT_TRUE(
        at::allclose(g[0], (f(at_v + ev, at_x) - f(at_v - ev, at_x)) / (2 * ev), 1e-7, 1e-7));
    EXPECT_TRUE(
        at::allclose(g[1], (f(at_v, at_x + ex) - f(at_v, at_x - ex)) / (2 * ex), 1e-7, 1e-7));
  }
}

TEST(BesselOp, SecondDerivativesAreDifferencesOfGradients) {
  for (const BesselOptions& options : kAll) {
    const auto slopes = [&](const at::Tensor& a, const at::Tensor& b) {
      const at::Tensor v = a.detach().set_requires_grad(true),
                       x = b.detach().set_requires_grad(true);
      return gradient(log_bessel(options, v, x), {v, x}, false);
    };
    const at::Tensor v = leaf(kOrders), x = leaf(kArguments);
    const Tensors g = gradient(log_bessel(options, v, x), {v, x}, true);
    // Of a g_v + b g_x, so that all four are seen.
    const at::Tensor mixed = (1.5 * g[0] - 0.7 * g[1]).sum();
    const Tensors second = gradient(mixed, {v, x}, false);
    const at::Tensor at_v = v.detach(), at_x = x.detach(), ev = 1e-5 * at_v, ex = 1e-5 * at_x;
    const auto h = [&](const at::Tensor& a, const at::Tensor& b) {
      const Tensors s = slopes(a, b);
      return 1.5 * s[0] - 0.7 * s[1];
    };
    EXPECT_TRUE(
        at::allclose(second[0], (h(at_v + ev, at_x) - h(at_v - ev, at_x)) / (2 * ev), 1e-6, 1e-8));
    EXPECT_TRUE(
        at::allclose(second[1], (h(at_v, at_x + ex) - h(at_v, at_x - ex)) / (2 * ex), 1e-6, 1e-8));
  }
}

TEST(BesselOp, BroadcastsAndSumsGradientsBack) {
  const at::Tensor v =
      at::tensor({0.5, 3.0, 40.0}, at::kDouble).view({3, 1}).set_requires_grad(true);
  const at::Tensor x = leaf({0.2, 7, 50, 1e4});
  const at::Tensor value = log_bessel({BesselKind::kK}, v, x);
  ASSERT_EQ(value.sizes(), (std::vector<int64_t>{3, 4}));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 4; ++j) {
      EXPECT_NEAR(value[i][j].item<double>(),
                  log_bessel({BesselKind::kK}, v[i][0].item<double>(), x[j].item<double>()),
                  1e-15 * std::max(1.0, std::abs(value[i][j].item<double>())));
    }
  }
  value.sum().backward();
  EXPECT_EQ(v.grad().sizes(), v.sizes());
  EXPECT_EQ(x.grad().sizes(), x.sizes());
}

TEST(BesselOp, RatioIsTheSlopeLessTheOrderOverTheArgument) {
  const at::Tensor v = leaf(kOrders), x = leaf(kArguments);
  const at::Tensor slope = gradient(log_bessel({BesselKind::kI}, v, x), {x}, false)[0];
  EXPECT_TRUE(at::allclose(bessel_ratio(BesselKind::kI, v, x), slope - v.detach() / x.detach(),
                           1e-10, 1e-13));
}

TEST(BesselOp, FloatsGiveFloats) {
  const at::Tensor v = at::tensor({1.5f, 200.0f}).set_requires_grad(true),
                   x = at::tensor({2.0f, 300.0f});
  const at::Tensor value = log_bessel({BesselKind::kI, true}, v, x);
  EXPECT_EQ(value.scalar_type(), at::kFloat);
  value.sum().backward();
  EXPECT_TRUE(v.grad().isfinite().all().item<bool>());
}

TEST(BesselOp, RefusesWhatItCannotDoByName) {
  const at::Tensor one = at::ones({2}, at::kDouble);
  EXPECT_THROW(log_bessel({BesselKind::kI}, at::Tensor(), one), Error);
  EXPECT_THROW(log_bessel({BesselKind::kI}, one.to(at::kFloat), one), Error);
  EXPECT_THROW(log_bessel({BesselKind::kI}, one.to(at::kLong), one.to(at::kLong)), Error);
  EXPECT_THROW(log_bessel({BesselKind::kI}, -0.5 * one, one), Error);
  EXPECT_THROW(log_bessel({BesselKind::kK}, one, -one), Error);
  EXPECT_NO_THROW(log_bessel({BesselKind::kK}, -0.5 * one, one));
  EXPECT_THROW(bessel_ratio(BesselKind::kI, -one, one), Error);
  const at::Tensor v = leaf({1.5}), x = leaf({2.5});
  const Tensors g = gradient(log_bessel({BesselKind::kI}, v, x), {v}, true);
  EXPECT_THROW(gradient(gradient(g[0], {x}, true)[0], {x}, false), Error) << "a third derivative";
}

}  // namespace
}  // namespace covary::compute
