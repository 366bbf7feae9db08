#include "covary/stat/mixture/kde_tree.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  return normal_points(n, d, 23, stream);
}

// 1e5 densities: random columns, widths, tolerances, weights and clumps, every kernel and kind.
TEST(KdeTree, EveryKindKeepsItsBoundOnAHundredThousandDensities) {
  const char* const kernels[] = {"gaussian", "epanechnikov", "exponential", "laplacian", "cosine"};
  int64_t checked = 0;
  for (uint64_t run = 0; checked < 100000; ++run) {
    const Random random(31, run);
    const int64_t d = 1 + static_cast<int64_t>(random.below(7, 0));
    const int64_t n = 150 + static_cast<int64_t>(random.below(500, 1)), m = 500;
    at::Tensor x = normals(n, d, 2 * run), q = 1.2 * normals(m, d, 2 * run + 1);
    if (random.uniform(2) < 0.3) x.slice(0, 0, n / 2).mul_(0.05).add_(2.0);
    if (random.uniform(3) < 0.2) x.slice(0, 0, n / 3).copy_(x[n - 1].expand({n / 3, d}));
    const at::Tensor w = at::arange(n, at::kDouble).remainder(1 + random.below(4, 4)) + 0.01;
    KernelDensityOptions o;
    o.kernel = kernels[run % 5];
    o.product = run % 15 == 4;
    o.bandwidth = std::to_string(std::exp(4 * random.uniform(5) - 2));
    if (random.uniform(6) < 0.3 && !o.product) o.bandwidth_kind = "adaptive";
    KernelDensity exact(o);
    const at::Tensor truth = exact.fit(x, w).score_samples(q).exp();
    o.engine = "tree";
    o.tree = run % 2 ? "ball" : "cover";
    o.rtol = random.uniform(7) < 0.7 ? std::pow(10, -7 * random.uniform(8)) : 0;
    o.atol = o.rtol == 0 || random.uniform(9) < 0.3
                 ? 1e-3 * random.uniform(10) * truth.max().item<double>() + 1e-12
                 : 0;
    KernelDensity tree(o);
    const at::Tensor p = tree.fit(x, w).score_samples(q).exp();
    const at::Tensor over = (p - truth).abs() - (o.rtol + 1e-12) * truth - o.atol * (1 + 1e-9);
    ASSERT_LE(over.max().item<double>(), 0) << run << " " << o.kernel << " " << o.tree;
    checked += m;
  }
}

TEST(KdeTree, EveryKindIsExactWhenAskedAndStored) {
  const at::Tensor x = normals(900, 5, 1000), q = normals(70, 5, 1001);
  KernelDensity exact({.bandwidth = "0.8", .engine = "exact"});
  const at::Tensor truth = exact.fit(x).score_samples(q);
  for (const char* kind : {"ball", "cover"}) {
    KernelDensityOptions o;
    o.bandwidth = "0.8", o.engine = "tree", o.tree = kind;
    KernelDensity tree(o);
    tree.fit(x);
    compute::on_every_target([&](const char* target) {
      SCOPED_TRACE(target);
      EXPECT_TRUE(at::allclose(tree.score_samples(q), truth, 1e-11, 1e-11)) << kind;
    });
    const KernelDensity back = KernelDensity::of_model(tree.model());
    EXPECT_EQ(back.options().tree, kind);
    EXPECT_TRUE(back.score_samples(q).equal(tree.score_samples(q)));
  }
}

TEST(KdeTree, OneRepeatedPointAndHugeSpreads) {
  for (const char* kind : {"kd", "ball", "cover"}) {
    KernelDensityOptions o;
    o.bandwidth = "1", o.rtol = 1e-3, o.engine = "tree", o.tree = kind;
    KernelDensity one(o);
    one.fit(at::full({500, 2}, 7.0, at::kDouble));
    EXPECT_NEAR(one.score_samples(at::full({1, 2}, 7.0, at::kDouble)).item<double>(),
                -std::log(2 * M_PI), 1e-3);
    KernelDensity spread(o);
    const at::Tensor x = at::pow(10.0, at::linspace(-30, 30, 1000, at::kDouble)).unsqueeze(1);
    o.engine = "exact";
    KernelDensity exact(o);
    const at::Tensor truth = exact.fit(x).score_samples(x);
    EXPECT_LE((spread.fit(x).score_samples(x) - truth).abs().max().item<double>(), 1.1e-3) << kind;
  }
}

}  // namespace
}  // namespace covary::mixture
