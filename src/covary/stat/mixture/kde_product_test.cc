// Products over columns of kernels of one column.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/refusal.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

using testing::HasSubstr;
const char* const kShapes[] = {"epanechnikov", "tophat", "linear", "cosine"};

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) {
  return normal_points(n, d, 19, stream);
}

KernelDensityOptions products(const std::string& kernel, const std::string& bandwidth = "1.3") {
  KernelDensityOptions o;
  o.kernel = kernel, o.product = true, o.bandwidth = bandwidth;
  return o;
}

// The shape of one column, of integral 1.
at::Tensor shape(const std::string& kernel, const at::Tensor& z) {
  const at::Tensor a = z.abs(), inside = (a < 1).to(at::kDouble);
  if (kernel == "epanechnikov") return 0.75 * (1 - a.square()) * inside;
  if (kernel == "tophat") return 0.5 * inside;
  if (kernel == "linear") return (1 - a) * inside;
  return M_PI / 4 * (M_PI / 2 * a).cos() * inside;
}

TEST(ProductKernels, AreTheirDefinitionInEveryEngineAndTarget) {
  for (const int64_t d : {1, 2, 4}) {
    const at::Tensor x = normals(300, d, 1), q = 1.2 * normals(60, d, 2);
    const at::Tensor w = 1 + at::arange(300, at::kDouble).remainder(3);
    for (const char* kernel : kShapes) {
      // Widths of their own a column, by the data's scale.
      KernelDensity wide(products(kernel, "silverman"));
      const at::Tensor stretched = x * at::arange(1, d + 1, at::kDouble);
      wide.fit(stretched, w);
      const at::Tensor z = (q.unsqueeze(1) - stretched) / wide.widths();
      const at::Tensor want =
          (shape(kernel, z).prod(2) * w).sum(1) / (w.sum() * wide.widths().prod());
      compute::on_every_target([&](const char* target) {
        SCOPED_TRACE(target);
        EXPECT_TRUE(at::allclose(wide.score_samples(q).exp(), want, 1e-12, 1e-300)) << kernel;
      });
      for (const char* tree : {"kd", "ball", "cover"}) {
        KernelDensityOptions o = products(kernel, "silverman");
        o.rtol = 1e-3, o.engine = "tree", o.tree = tree;
        KernelDensity fast(o);
        const at::Tensor p = fast.fit(stretched, w).score_samples(q).exp();
        EXPECT_LE(((p - want).abs() - (1e-3 + 1e-12) * want).max().item<double>(), 0) << tree;
      }
    }
  }
}

TEST(ProductKernels, DensitiesIntegrateToOneAndFoldAtBounds) {
  const at::Tensor x = normals(20, 2, 3).abs();
  for (const char* kernel : kShapes) {
    KernelDensityOptions o = products(kernel, "0.6");
    o.bounds = "0=0:";
    KernelDensity kde(o);
    kde.fit(x);
    const at::Tensor side = at::arange(300, at::kDouble) * 0.02 - 0.99;
    const at::Tensor a = side.repeat_interleave(300), b = side.repeat({300});
    EXPECT_NEAR(kde.score_samples(at::stack({a, b}, 1)).exp().sum().item<double>() * 4e-4, 1, 4e-3)
        << kernel;
  }
}

TEST(ProductKernels, SamplesHaveTheShapesSpreadAndBox) {
  const double variances[] = {0.2, 1 / 3.0, 1 / 6.0, 1 - 8 / (M_PI * M_PI)};
  for (size_t k = 0; k < 4; ++k) {
    KernelDensity kde(products(kShapes[k], "2"));
    kde.fit(at::zeros({1, 2}, at::kDouble));
    const at::Tensor draws = kde.sample(20000, 3) / 2;
    EXPECT_LT(draws.abs().max().item<double>(), 1);
    EXPECT_GT(draws.abs().amin(1).max().item<double>(), 0.8) << kShapes[k];  // corners too
    for (const int64_t j : {0, 1})
      EXPECT_NEAR(draws.select(1, j).square().mean().item<double>(), variances[k],
                  0.03 * variances[k])
          << kShapes[k];
    EXPECT_NEAR((draws.select(1, 0) * draws.select(1, 1)).mean().item<double>(), 0, 0.01);
  }
}

TEST(ProductKernels, TheGradientIsThatOfFiniteDifferences) {
  const at::Tensor x = normals(100, 3, 4), q = 0.5 * normals(5, 3, 5);
  for (const char* kernel : {"epanechnikov", "linear", "cosine"}) {
    KernelDensity kde(products(kernel, "2.1"));
    kde.fit(x);
    const at::Tensor g = kde.gradient(q);
    for (int64_t j = 0; j < 3; ++j) {
      const at::Tensor step = at::zeros({3}, at::kDouble);
      step[j] = 1e-6;
      const at::Tensor by = (kde.score_samples(q + step) - kde.score_samples(q - step)) / 2e-6;
      EXPECT_TRUE(at::allclose(g.select(1, j), by, 1e-4, 1e-4)) << kernel << j;
    }
  }
}

TEST(ProductKernels, GaussiansAndExponentialsAreKnownProducts) {
  const at::Tensor x = normals(60, 3, 6), q = normals(9, 3, 7);
  KernelDensity gaussian({.bandwidth = "0.7"}),
      laplacian({.kernel = "laplacian", .bandwidth = "0.7"});
  KernelDensity first(products("gaussian", "0.7")), second(products("exponential", "0.7"));
  EXPECT_TRUE(gaussian.fit(x).score_samples(q).equal(first.fit(x).score_samples(q)));
  EXPECT_TRUE(laplacian.fit(x).score_samples(q).equal(second.fit(x).score_samples(q)));
}

TEST(ProductKernels, OutsideTheBoxIsNothingAndModelsAreStored) {
  KernelDensity kde(products("cosine", "1"));
  kde.fit(at::zeros({1, 2}, at::kDouble));
  const at::Tensor q = at::tensor({0.9, 0.9, 1.0, 0.0, 0.0, -1.5}, at::kDouble).view({3, 2});
  const at::Tensor p = kde.score_samples(q);
  EXPECT_GT(p[0].item<double>(), -10);  // in a corner, outside the ball
  EXPECT_EQ(p[1].item<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(p[2].item<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(KernelDensity::of_model(kde.model()).score_samples(q).equal(p));
  EXPECT_THAT(refusal([] {
                KernelDensityOptions o = products("cosine");
                o.bandwidth_kind = "knn";
                KernelDensity{o};
              }),
              HasSubstr("one width a column"));
  EXPECT_THAT(refusal([] { KernelDensity{products("vmf")}; }), HasSubstr("product"));
}

}  // namespace
}  // namespace covary::mixture
