#include "covary/stat/process/paths.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

at::Tensor normals(int64_t n, int64_t d, uint64_t seed) {
  at::Tensor t = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    t.data_ptr<double>()[i] = Random(seed).normal(static_cast<uint64_t>(i));
  }
  return t;
}

// Mean and covariance over draws are those of the posterior, within five standard errors.
TEST(Paths, MomentsAreThoseOfThePosterior) {
  struct Case {
    const char *kernel, *mean;
    int64_t d;
  };
  for (const Case& c :
       {Case{"const(1.5)*matern52(0.8) + white(0.05)", "const", 1},
        Case{"const(0.7)*rbf(ard,lengthscale=[1,2])*cosine(4) + white(0.1)", "linear", 2},
        Case{"const*rq(0.7,alpha=1) + const(0.3)*periodic(1.1) + white(0.1)", "zero", 1}}) {
    SCOPED_TRACE(c.kernel);
    const at::Tensor x = normals(12, c.d, 1), y = x.select(1, 0).sin();
    GpOptions o;
    o.kernel = c.kernel;
    o.mean = c.mean;
    o.fit = false;
    const GaussianProcess gp(x, y, o);
    const at::Tensor xs = at::cat({x.slice(0, 0, 2), normals(4, c.d, 2) * 2});
    const int64_t count = 2000, s = xs.size(0);
    const at::Tensor draws = sample_paths(gp, count, {.features = 100, .seed = 5}).evaluate(xs);
    const Prediction p = gp.predict(xs, {.covariance = true});
    const at::Tensor centred = draws - p.mean;
    for (int64_t i = 0; i < s; ++i) {
      const double v = p.variance[i].item<double>();
      EXPECT_NEAR(centred.select(1, i).mean().item<double>(), 0, 5 * std::sqrt(v / count)) << i;
      for (int64_t j = 0; j <= i; ++j) {
        const at::Tensor product = centred.select(1, i) * centred.select(1, j);
        EXPECT_NEAR(product.mean().item<double>(), p.covariance[i][j].item<double>(),
                    5 * product.std().item<double>() / std::sqrt(count))
            << i << " " << j;
      }
    }
  }
}

TEST(Paths, AreFunctionsWithSlopes) {
  const at::Tensor x = normals(15, 2, 3);
  at::Tensor y = at::stack({x.select(1, 0).sin(), x.select(1, 1).cos()}, 1);
  y[3][1] = std::nan("");
  GpOptions o;
  o.kernel = "const*matern52(1.1) + white(0.01)";
  o.mean = "linear";
  o.fit = false;
  const GaussianProcess gp(x, y, o);
  const SamplePaths f = sample_paths(gp, 3, {.features = 50, .seed = 2});
  const at::Tensor xs = normals(700, 2, 4);
  const at::Tensor all = f.evaluate(xs);
  EXPECT_EQ(all.sizes(), (at::IntArrayRef{3, 700, 2}));
  EXPECT_LT((f.evaluate(xs.slice(0, 690)) - all.slice(1, 690)).abs().max().item<double>(), 1e-12);
  set_threads(1);
  const SamplePaths again = sample_paths(gp, 3, {.features = 50, .seed = 2});
  EXPECT_TRUE(at::equal(again.evaluate(xs), all));
  set_threads(0);
  EXPECT_FALSE(at::equal(sample_paths(gp, 3, {.features = 50, .seed = 3}).evaluate(xs), all));
  const at::Tensor few = xs.slice(0, 0, 5), slopes = f.gradient(few);
  for (int64_t draw = 0; draw < 3; ++draw) {  // one draw at one point, for searches
    std::vector<double> slope(2, 1.0);
    const double value = f.value_at(draw, few.const_data_ptr<double>() + 2, slope.data());
    EXPECT_NEAR(value, all[draw][1][0].item<double>(), 1e-12);
    for (int64_t k = 0; k < 2; ++k) {
      EXPECT_NEAR(slope[static_cast<size_t>(k)], 1 + slopes[draw][1][0][k].item<double>(), 1e-11);
    }
  }
  const double h = 1e-5;
  for (int64_t k = 0; k < 2; ++k) {
    at::Tensor up = few.clone(), down = few.clone();
    up.select(1, k).add_(h);
    down.select(1, k).sub_(h);
    const at::Tensor difference = (f.evaluate(up) - f.evaluate(down)) / (2 * h);
    EXPECT_LT((difference - slopes.select(3, k)).abs().max().item<double>(), 1e-6);
  }
}

TEST(Paths, RefuseWhatHasNoMeasure) {
  const at::Tensor x = normals(6, 1, 3), y = x.select(1, 0).clone();
  GpOptions o;
  o.kernel = "linear + rbf + white";
  o.fit = false;
  EXPECT_THROW(sample_paths(GaussianProcess(x, y, o), 2), Error);
  o.kernel = "rbf + white";
  EXPECT_THROW(sample_paths(GaussianProcess(x, y, o), 0), Error);
  EXPECT_THROW(sample_paths(GaussianProcess(x, y, o), 1, {.features = 0}), Error);
}

}  // namespace
}  // namespace covary::stat
