// Kernels that lean, widths that differ from point to point, bounds, and the grid.
#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/kde_uses.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

using testing::HasSubstr;

at::Tensor uniforms(int64_t n, int64_t d, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(5, stream);
  for (int64_t i = 0; i < n * d; ++i) x.data_ptr<double>()[i] = random.uniform(uint64_t(i));
  return x;
}

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

// p(q) by the definition, from the matrix H, a factor a point and no bounds.
at::Tensor by_definition(const KernelDensity& kde, const at::Tensor& q) {
  const Kernel kernel = kernel_of(kde.options().kernel);
  const at::Tensor l = at::linalg_cholesky(kde.bandwidth_matrix());
  const at::Tensor f = kde.factors(), x = kde.points();
  const int64_t d = x.size(1);
  at::Tensor out = at::zeros({q.size(0)}, at::kDouble);
  for (int64_t a = 0; a < q.size(0); ++a) {
    const at::Tensor z =
        (at::linalg_solve_triangular(l, (x - q[a]).t(), false).t() / f.unsqueeze(1)).contiguous();
    double sum = 0;
    for (int64_t i = 0; i < x.size(0); ++i) {
      double s = 0;
      for (int64_t j = 0; j < d; ++j) s += kernel_term(kernel, z.data_ptr<double>()[i * d + j]);
      sum += kernel_at(kernel, s) / std::pow(f.data_ptr<double>()[i], d);
    }
    out[a] = sum * std::exp(-kernel_log_volume(kernel, d)) /
             (static_cast<double>(x.size(0)) * l.diagonal().prod().item<double>());
  }
  return out;
}

std::string refusal(const KernelDensityOptions& o, const at::Tensor& x) {
  try {
    KernelDensity(o).fit(x);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(KernelShape, EveryKernelKindAndShapeIsItsDefinition) {
  const at::Tensor x = test_points(0, 30), q = test_points(1000, 1004);
  for (const char* kernel : {"gaussian", "epanechnikov", "exponential", "laplacian", "tophat"}) {
    for (const char* kind : {"fixed", "adaptive", "knn"}) {
      for (const char* shape : {"diagonal", "full"}) {
        KernelDensityOptions o;
        o.kernel = kernel, o.bandwidth = "0.7", o.bandwidth_kind = kind, o.bandwidth_shape = shape;
        KernelDensity kde(o);
        const at::Tensor p = kde.fit(x).score_samples(q).exp(), want = by_definition(kde, q);
        EXPECT_LT(largest(p - want), 1e-12 * largest(want)) << kernel << kind << shape;
        kde.set_accuracy(1e-3, 0, "tree");
        const at::Tensor tree = kde.score_samples(q).exp();
        EXPECT_LE(largest((tree - want) / (want + 1e-300)), 1e-3) << kernel << kind << shape;
      }
    }
  }
}

TEST(KernelShape, TheMatrixIsTheCovarianceTimesTheRulesFactor) {
  const at::Tensor x = test_points(0, 300);
  KernelDensityOptions o;
  o.bandwidth_shape = "full";
  KernelDensity kde(o);
  const at::Tensor h = kde.fit(x).bandwidth_matrix();
  const at::Tensor want = at::cov(x.t()) * std::pow(300.0, -2.0 / 7);
  EXPECT_LT(largest(h - want), 1e-12 * largest(want));
  // So scores do not change, but for the volume, when columns are mixed.
  const at::Tensor mix =
      at::tensor({2., 1., 0., 0., 1., 0.5, 0.3, 0., 3.}, at::kDouble).view({3, 3});
  KernelDensity mixed(o);
  const at::Tensor q = test_points(500, 540);
  const at::Tensor a = kde.score_samples(q), b = mixed.fit(x.mm(mix)).score_samples(q.mm(mix));
  EXPECT_LT(largest(a - b - std::log(at::det(mix).abs().item<double>())), 1e-10);
  EXPECT_THAT(refusal(o, at::cat({x, x.slice(1, 0, 1)}, 1)), HasSubstr("combination"));
}

TEST(KernelShape, AdaptiveWidthsGrowWithTheSquareRootOfThePilot) {
  const at::Tensor x = test_points(0, 400).slice(1, 0, 1).contiguous();
  KernelDensityOptions o;
  KernelDensity pilot(o);
  const at::Tensor f = pilot.fit(x).score_samples(x);
  o.bandwidth_kind = "adaptive";
  KernelDensity kde(o);
  kde.fit(x);
  EXPECT_LT(largest(kde.factors() - (-0.5 * (f - f.mean())).exp()), 1e-12);
  o.bandwidth_kind = "knn";
  o.neighbours = 7;
  KernelDensity near(o);
  near.fit(x);
  const at::Tensor sorted = std::get<0>((x - x.t()).abs().sort(1)).select(1, 7);
  const at::Tensor want = sorted / sorted.log().mean().exp();
  EXPECT_LT(largest(near.factors() - want), 1e-9);
  // Equal rows have no distance to go by; all equal rows have one width.
  EXPECT_TRUE(near.fit(at::ones({20, 2}, at::kDouble)).factors().eq(1.0).all().item<bool>());
  EXPECT_THAT(refusal(o, x.slice(0, 0, 5)), HasSubstr("neighbours"));
}

TEST(KernelShape, BoundedDensitiesIntegrateToOneAndKeepTheirEdges) {
  const at::Tensor x = uniforms(60, 1, 1).square();
  for (const char* kernel : {"gaussian", "laplacian", "epanechnikov", "exponential"}) {
    for (const char* kind : {"fixed", "adaptive"}) {
      for (const char* bandwidth : {"0.05", "0.6"}) {
        KernelDensityOptions o;
        o.kernel = kernel, o.bandwidth = bandwidth, o.bandwidth_kind = kind, o.bounds = "0=0:1";
        KernelDensity kde(o);
        kde.fit(x);
        const int64_t cells = 2000;
        const at::Tensor q = ((at::arange(cells, at::kDouble) + 0.5) / double(cells)).unsqueeze(1);
        EXPECT_NEAR(kde.score_samples(q).exp().mean().item<double>(), 1, 1e-5) << kernel << kind;
        const at::Tensor out = at::tensor({-0.01, 1.01}, at::kDouble).unsqueeze(1);
        EXPECT_TRUE(kde.score_samples(out).isneginf().all().item<bool>());
        const at::Tensor draws = kde.sample(500, 3);
        EXPECT_TRUE((draws.min() >= 0).logical_and(draws.max() <= 1).item<bool>());
      }
    }
  }
  // Without bounds a third of a kernel at 0 would be lost; with them the uniform law is flat.
  KernelDensityOptions o;
  o.bandwidth = "0.1", o.bounds = "0=0:1,1=0:";
  KernelDensity flat(o);
  const at::Tensor u = uniforms(8000, 2, 2);
  const at::Tensor corner = at::tensor({0., 0., 0.5, 0.5, 1., 0.}, at::kDouble).view({3, 2});
  EXPECT_LT(largest(flat.fit(u).score_samples(corner).exp() - 1), 0.1);
  EXPECT_THAT(refusal(o, -u), HasSubstr("bounds"));
}

TEST(KernelShape, GradientsAgreeWithDifferences) {
  const at::Tensor x = test_points(0, 80), q = test_points(200, 206);
  for (const char* kernel : {"gaussian", "laplacian", "exponential"}) {
    for (const char* kind : {"fixed", "knn"}) {
      for (const char* bounds : {"", "0=-3:2.5,2=-4:"}) {
        KernelDensityOptions o;
        o.kernel = kernel, o.bandwidth = "0.8", o.bandwidth_kind = kind, o.bandwidth_shape = "full";
        o.bounds = bounds;
        KernelDensity kde(o);
        const at::Tensor g = kde.fit(x).gradient(q);
        for (int64_t j = 0; j < 3; ++j) {
          at::Tensor step = at::zeros({3}, at::kDouble);
          step[j] = 1e-6;
          const at::Tensor slope =
              (kde.score_samples(q + step) - kde.score_samples(q - step)) / 2e-6;
          EXPECT_LT(largest(g.select(1, j) - slope), 1e-6) << kernel << kind << bounds << j;
        }
      }
    }
  }
}

TEST(KernelShape, DrawsFollowTheMatrix) {
  KernelDensityOptions o;
  o.bandwidth_shape = "full", o.bandwidth = "2.0", o.kernel = "gaussian";
  KernelDensity kde(o);
  const at::Tensor x = test_points(0, 200);
  const at::Tensor draws = kde.fit(x).sample(60000, 1);
  const at::Tensor want = kde.bandwidth_matrix() + at::cov(x.t(), 0);
  EXPECT_LT(largest(at::cov(draws.t()) - want), 0.03 * largest(want));
}

TEST(KernelShape, AModelKeepsItAllToTheBit) {
  KernelDensityOptions o;
  o.bandwidth_kind = "adaptive", o.bandwidth_shape = "full", o.bounds = "1=-3:3";
  KernelDensity kde(o);
  kde.fit(test_points(0, 90));
  const at::Tensor q = test_points(300, 330);
  const KernelDensity back = KernelDensity::of_model(kde.model());
  EXPECT_TRUE(at::equal(kde.score_samples(q), back.score_samples(q)));
}

TEST(KernelShape, AMarginalIsTheIntegralOverTheRest) {
  KernelDensityOptions o;
  o.bandwidth_kind = "knn", o.bandwidth_shape = "full", o.bounds = "0=-3:3";
  KernelDensity kde(o);
  kde.fit(test_points(0, 60).slice(1, 0, 2).contiguous());
  const at::Tensor y = at::linspace(-12, 12, 4801, at::kDouble);
  for (const double v : {-2.9, 0.4}) {
    const at::Tensor q = at::stack({at::full_like(y, v), y}, 1);
    const double sum = kde.score_samples(q).exp().sum().item<double>() * 24 / 4800;
    const at::Tensor one = at::tensor({v}, at::kDouble).unsqueeze(1);
    EXPECT_NEAR(kde.marginal(1).score_samples(one).exp().item<double>(), sum, 1e-8);
  }
}

TEST(KernelGrid, ErrorsStayWithinTheBoundAndTheBoundWithinWhatWasAllowed) {
  for (const int64_t d : {1, 2, 3}) {
    for (const char* bounds : {"", "0=-4:4"}) {
      const at::Tensor x = test_points(0, 600).slice(1, 0, d).contiguous();
      const at::Tensor q = test_points(2000, 2400).slice(1, 0, d).contiguous();
      KernelDensityOptions o;
      o.bounds = bounds;
      KernelDensity exact(o);
      exact.fit(x);
      if (d == 3 && *bounds) continue;  // large grids
      for (const double atol : {0.2, d == 1 ? 1e-7 : d == 2 ? 5e-3 : 0.2}) {
        o.engine = "fft", o.atol = atol;
        KernelDensity grid(o);
        grid.fit(x);
        const double error = largest(grid.score_samples(q).exp() - exact.score_samples(q).exp());
        EXPECT_LE(error, grid.error_bound()) << d << " " << atol;
        EXPECT_LE(grid.error_bound(), atol * (1 + 1e-9)) << d << " " << atol;
        EXPECT_GT(error, 1e-4 * grid.error_bound());  // the bound says something
      }
      // Far out a density keeps its logarithm.
      const at::Tensor far = at::full({1, d}, 3.9, at::kDouble);
      EXPECT_TRUE(exact.score_samples(far).isfinite().all().item<bool>());
    }
  }
}

TEST(KernelGrid, IsRefusedWhereItCannotAnswer) {
  const at::Tensor x = test_points(0, 50);
  KernelDensityOptions o;
  o.engine = "fft";
  EXPECT_THAT(refusal(o, x), HasSubstr("absolute"));
  o.atol = 1e-12;
  EXPECT_THAT(refusal(o, x), HasSubstr("cells"));
  o.atol = 1e-3;
  EXPECT_THAT(refusal(o, at::cat({x, x}, 1)), HasSubstr("three"));
  o.kernel = "tophat";
  EXPECT_THAT(refusal(o, x), HasSubstr("gaussian"));
}

TEST(KernelBounds, AreReadByNameAndRefusedByReason) {
  const std::vector<std::string> names = {"a", "b=1", "c"};
  EXPECT_EQ(numbered_bounds("b=1=0:1,c=:2", names), "1=0:1,2=:2");
  const auto b = parse_bounds("c=-1:2", names);
  EXPECT_TRUE(b[0].open());
  EXPECT_DOUBLE_EQ(b[2].folded(2.5), 1.5);
  EXPECT_DOUBLE_EQ(b[2].folded(-7.5), -0.5 + 0.0);
  for (const char* bad : {"d=0:1", "a=1:0", "a=x:", "a", "a=1"})
    EXPECT_THROW(parse_bounds(bad, names), Error) << bad;
}

}  // namespace
}  // namespace covary::mixture
