#include "covary/core/compute/sh/op.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/compute/test_tensors.h"

namespace covary::compute {
namespace {

at::Tensor normal(uint64_t stream, at::IntArrayRef shape) {
  return compute::test_normal(3, stream, shape);
}

TEST(SphericalHarmonics, BasisIsOrthonormalOnTheSphere) {
  // Exact quadrature: Gauss-Legendre in z (6 nodes integrate degree 11), 12 equal angles
  const double nodes[3] = {0.2386191860831969, 0.6612093864662645, 0.9324695142031521};
  const double weights[3] = {0.4679139345726910, 0.3607615730481386, 0.1713244923791704};
  double gram[kMaxShBands][kMaxShBands] = {};
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 12; ++j) {
      const double z = (i < 3 ? 1 : -1) * nodes[i % 3], s = std::sqrt(1 - z * z),
                   t = 2 * M_PI * j / 12;
      const double d[3] = {s * std::cos(t), s * std::sin(t), z};
      double b[kMaxShBands];
      sh_basis(4, d, b);
      for (int k = 0; k < kMaxShBands; ++k)
        for (int l = 0; l < kMaxShBands; ++l)
          gram[k][l] += weights[i % 3] * 2 * M_PI / 12 * b[k] * b[l];
    }
  for (int k = 0; k < kMaxShBands; ++k)
    for (int l = 0; l < kMaxShBands; ++l)
      EXPECT_NEAR(gram[k][l], k == l ? 1 : 0, 1e-12) << k << " " << l;
}

TEST(SphericalHarmonics, GradientsMatchFiniteDifferences) {
  for (int degree = 0; degree <= 4; ++degree) {
    const int64_t n = 6, bands = (degree + 1) * (degree + 1);
    at::Tensor sh0 = normal(1, {n, 1, 3}), shN = normal(2, {n, bands - 1, 3}),
               d = normal(3, {4, 3}) * 2, offsets = normal(5, {4, 3}) * 0.3;
    const at::Tensor ids = at::tensor({0, 2, 3, 5}, at::kLong), w = normal(4, {4, 3});
    std::vector<at::Tensor*> inputs = {&sh0, &d, &offsets};
    if (bands > 1) inputs.push_back(&shN);
    const auto loss = [&] {
      return (sh_color(sh0, shN, ids, d, -1, ShGradientRows::kDense, offsets) * w).sum();
    };
    for (at::Tensor* t : inputs) t->requires_grad_(true);
    loss().backward();
    const at::NoGradGuard guard;
    for (at::Tensor* t : inputs) {
      double* x = t->mutable_data_ptr<double>();
      for (int64_t i = 0; i < t->numel(); ++i) {
        const double keep = x[i];
        x[i] = keep + 1e-6;
        const double up = loss().item<double>();
        x[i] = keep - 1e-6;
        const double down = loss().item<double>();
        x[i] = keep;
        EXPECT_NEAR(t->grad().flatten()[i].item<double>(), (up - down) / 2e-6, 1e-7)
            << degree << " " << i;
      }
    }
  }
}

TEST(SphericalHarmonics, SparseGradientsHoldTheRowsOfTheDenseOnes) {
  const at::Tensor ids = at::tensor({0, 2, 3, 5}, at::kLong);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const int degree : {3, 1}) {
      const at::Tensor d = normal(3, {4, 3}).to(type), w = normal(4, {4, 3}).to(type);
      const auto gradients = [&](ShGradientRows rows) {
        at::Tensor sh0 = normal(1, {6, 1, 3}).to(type).requires_grad_(true),
                   shN = normal(2, {6, 15, 3}).to(type).requires_grad_(true);
        (sh_color(sh0, shN, ids, d, degree, rows) * w).sum().backward();
        return std::vector<at::Tensor>{sh0.grad(), shN.grad()};
      };
      const auto dense = gradients(ShGradientRows::kDense),
                 sparse = gradients(ShGradientRows::kSparse);
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_FALSE(dense[i].is_sparse());
        ASSERT_TRUE(sparse[i].is_sparse());
        EXPECT_TRUE(at::equal(sparse[i]._indices()[0], ids));
        EXPECT_TRUE(at::equal(sparse[i].to_dense(), dense[i]));
      }
    }
  }
}

TEST(SphericalHarmonics, WhatIsNoLeafHasADenseGradient) {
  at::Tensor leaf = normal(1, {6, 1, 3}).requires_grad_(true);
  sh_color(leaf * 2, {}, at::tensor({1, 4}, at::kLong), normal(3, {2, 3}), -1,
           ShGradientRows::kSparse)
      .sum()
      .backward();
  EXPECT_FALSE(leaf.grad().is_sparse());
  EXPECT_EQ(leaf.grad().abs().sum(at::IntArrayRef({1, 2})).ne(0).sum().item<int64_t>(), 2);
}

TEST(SphericalHarmonics, OffsetsAreAddedBeforeTheClamp) {
  const at::Tensor d = normal(3, {4, 3}), offsets = normal(5, {4, 3});
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor sh0 = at::zeros({4, 1, 3}, type), along = d.to(type), by = offsets.to(type);
    const at::Tensor seen = sh_color(sh0, {}, {}, along, -1, ShGradientRows::kDense, by);
    EXPECT_TRUE(at::allclose(seen, (0.5 + by).clamp_min(0)));
    EXPECT_TRUE(sh_color(sh0, {}, {}, along, -1, ShGradientRows::kDense, at::zeros_like(along))
                    .equal(sh_color(sh0, {}, {}, along)));
  }
  EXPECT_THROW(sh_color(at::zeros({4, 1, 3}, at::kDouble), {}, {}, d, -1, ShGradientRows::kDense,
                        offsets.narrow(0, 0, 3)),
               Error);
}

TEST(SphericalHarmonics, TheBasisHasTheGradientOfFiniteDifferences) {
  const at::Tensor directions = normal(6, {5, 3}), weights = normal(7, {kMaxShBands});
  const double* w = weights.const_data_ptr<double>();
  for (int i = 0; i < 5; ++i) {
    const double* d = directions.const_data_ptr<double>() + 3 * i;
    const auto sum = [&](int k, double by) {
      double moved[3] = {d[0], d[1], d[2]}, basis[kMaxShBands], out = 0;
      moved[k] += by;
      const double length = std::hypot(moved[0], moved[1], moved[2]);
      for (double& m : moved) m /= length;
      sh_basis(kMaxShDegree, moved, basis);
      for (int b = 0; b < kMaxShBands; ++b) out += w[b] * basis[b];
      return out;
    };
    double g[3];
    sh_basis_vjp(kMaxShDegree, d, w, g);
    for (int k = 0; k < 3; ++k)
      EXPECT_NEAR(g[k], (sum(k, 1e-6) - sum(k, -1e-6)) / 2e-6, 1e-6 * (1 + std::abs(g[k])));
  }
}

TEST(SphericalHarmonics, DegreeLimitsTheBandsUsed) {
  const at::Tensor sh0 = normal(1, {5, 1, 3}), shN = normal(2, {5, 15, 3}), d = normal(3, {5, 3});
  EXPECT_TRUE(
      at::allclose(sh_color(sh0, shN, {}, d, 1), sh_color(sh0, shN.narrow(1, 0, 3), {}, d)));
  EXPECT_TRUE(
      at::allclose(sh_color(sh0, shN, {}, d, 0), (0.5 + kShC0 * sh0.squeeze(1)).clamp_min(0)));
  EXPECT_FALSE(at::allclose(sh_color(sh0, shN, {}, d, 2), sh_color(sh0, shN, {}, d, 3)));
}

TEST(SphericalHarmonics, RotatedCoefficientsSeenAlongTurnedDirectionsAreTheOldValues) {
  for (int degree = 1; degree <= 4; ++degree) {
    const at::Tensor c = normal(1, {7, (degree + 1) * (degree + 1), 3}), d = normal(2, {7, 3});
    const auto svd = at::linalg_svd(normal(3, {3, 3}));
    at::Tensor r = std::get<0>(svd).matmul(std::get<2>(svd));
    if (at::linalg_det(r).item<double>() < 0) r = -r;
    const at::Tensor turned = rotate_sh(c, r), e = d.matmul(r.t());
    const auto raw = [](const at::Tensor& k, const at::Tensor& dir) {
      return sh_color(k.narrow(1, 0, 1) + 100, k.narrow(1, 1, k.size(1) - 1), {},
                      dir);  // far from the clamp
    };
    EXPECT_LT((raw(turned, e) - raw(c, d)).abs().max().item<double>(), 1e-12);
    EXPECT_TRUE(at::allclose(rotate_sh(c, r.expand({7, 3, 3})), turned));
  }
}

TEST(SphericalHarmonics, EverySimdTargetAgreesWithTheReference) {
  on_every_target([&](const char* target) {
    for (const int64_t m : {1, 15, 16, 333}) {
      at::Tensor sh0 = normal(1, {400, 1, 3}), shN = normal(2, {400, 24, 3}), d = normal(3, {m, 3});
      const at::Tensor ids = at::arange(m, at::kLong) + 7, w = normal(4, {m, 3});
      std::vector<at::Tensor> color, g;
      for (const auto type : {at::kDouble, at::kFloat}) {
        at::Tensor a = sh0.to(type).clone().requires_grad_(true),
                   b = shN.to(type).clone().requires_grad_(true),
                   e = d.to(type).clone().requires_grad_(true),
                   o = normal(5, {m, 3}).to(type).requires_grad_(true);
        const at::Tensor c = sh_color(a, b, ids, e, -1, ShGradientRows::kDense, o);
        (c * w.to(type)).sum().backward();
        color.push_back(c.detach().to(at::kDouble));
        g.push_back(at::cat({a.grad().flatten(), b.grad().flatten(), e.grad().flatten(),
                             o.grad().flatten()})
                        .to(at::kDouble));
      }
      EXPECT_LT((color[0] - color[1]).abs().max().item<double>(), 1e-5) << target;
      EXPECT_LT(((g[0] - g[1]).abs() / (1 + g[0].abs())).max().item<double>(), 1e-4) << target;
    }
  });
}

TEST(SphericalHarmonics, ACountThatIsNoSquareIsNamed) {
  EXPECT_THROW(sh_color(at::zeros({2, 1, 3}), at::zeros({2, 7, 3}), {}, at::ones({2, 3})), Error);
}

}  // namespace
}  // namespace covary::compute
