// What holds of every process: kernels are positive, gradients are those of the value, answers know
// neither the order of rows nor units, and no data make a NaN.
#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_checks.h"
#include "covary/stat/process/priors.h"
#include "covary/stat/process/state_space.h"

namespace covary::stat {
namespace {

// A sum or product of leaves over two columns, the second of categories 0, 1, 2.
std::string composition(const Random& random, uint64_t* at, int depth) {
  static constexpr const char* kLeaves[] = {"const(0.7)",
                                            "rbf(ard,lengthscale=[0.8,2])",
                                            "matern12(1.3)",
                                            "matern32(dims=0)",
                                            "matern52(ard)",
                                            "matern(0.9,nu=0.8)",
                                            "matern(1.1,nu=3.3,dims=0)",
                                            "rq(1.2,alpha=0.7)",
                                            "periodic(1.9,0.8,dims=0)",
                                            "cosine(3)",
                                            "linear(0.4)",
                                            "polynomial(0.3,offset=0.5,degree=2)",
                                            "wendland(3)",
                                            "wendland(4,smoothness=1)",
                                            "brownian(dims=0)",
                                            "integrated_brownian(0.5,dims=0)",
                                            "relu(1.5,bias=0.4)",
                                            "erf(bias=0.3,depth=2,weight=0.8)",
                                            "hamming(0.8,dims=1)",
                                            "index(levels=3,rank=2,dims=1)",
                                            "sho(2,3,dims=0)",
                                            "rising(0.1,0.5,dims=0)",
                                            "white(0.3)"};
  if (depth == 0 || random.below(4, (*at)++) == 0) {
    return kLeaves[random.below(std::size(kLeaves), (*at)++)];
  }
  const uint64_t kind = random.below(4, (*at)++);
  const std::string left = composition(random, at, depth - 1);
  if (kind == 3) return "(" + left + ")^2";
  const std::string right = composition(random, at, depth - 1);
  if (kind == 2) return "changepoint(" + left + "," + right + ",location=0.2,width=0.6,dims=0)";
  return "(" + left + (kind == 0 ? " + " : ")*(") + right + ")";
}

Vector rows(int64_t n, uint64_t seed) {
  Vector x = normals(2 * n, seed);
  for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(2 * i + 1)] = static_cast<double>(i % 3);
  return x;
}

at::Tensor tensor(const Vector& v, at::IntArrayRef shape) {
  return at::tensor(v, at::kDouble).reshape(shape).contiguous();
}

RC_GTEST_PROP(KernelProperty, CompositionsArePositiveDefinite, ()) {
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000000);
  const Random random(seed);
  uint64_t at = 0;
  const std::string text = composition(random, &at, 3);
  const int64_t n = 3 + static_cast<int64_t>(random.below(20, 1000));
  const Kernel kernel = Kernel::parse(text, 2);
  const Vector x = rows(n, seed);
  Vector k(static_cast<size_t>(n * n)), diagonal(static_cast<size_t>(n));
  kernel.matrix(x.data(), n, k.data(), n);
  kernel.diagonal(x.data(), n, true, diagonal.data());
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, diagonal[static_cast<size_t>(i)]);
    RC_ASSERT(std::abs(diagonal[static_cast<size_t>(i)] - k[static_cast<size_t>(i * n + i)]) <=
              1e-12 * (1 + diagonal[static_cast<size_t>(i)]));
  }
  for (int64_t i = 0; i < n; ++i) k[static_cast<size_t>(i * n + i)] += 1e-10 * largest;
  const linalg::CholeskyReport report = linalg::cholesky({k.data(), n, n});
  RC_ASSERT(report.done && report.jitter <= 1e-8 * largest);
  RC_ASSERT(Kernel::parse(kernel.text(), 2).text() == kernel.text());
}

RC_GTEST_PROP(KernelProperty, LikelihoodGradientsAreThoseOfTheValue, ()) {
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000000);
  const Random random(seed);
  uint64_t at = 0;
  Kernel kernel = Kernel::parse(composition(random, &at, 2) + " + white(0.5)", 2);
  const int64_t n = 4 + static_cast<int64_t>(random.below(12, 1000));
  const GpData data = GpData::from(tensor(rows(n, seed), {n, 2}), tensor(normals(n, seed + 1), {n}),
                                   at::Tensor(), Mean::kConst);
  MarginalLikelihood likelihood(data, 1 << 30);
  Vector gradient(kernel.parameters().size());
  likelihood.evaluate(kernel, gradient);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double value = kernel.parameters()[p].value;
    const auto difference = [&](double h) {
      double d = 0;
      for (const double sign : {-1.0, 1.0}) {
        kernel.parameters()[p].value = moved_parameter(kernel.parameters()[p], value, sign * h);
        d += sign * likelihood.evaluate(kernel, {}).log_likelihood / (2 * h);
      }
      kernel.parameters()[p].value = value;
      return d;
    };
    // Two steps, for the error to fall with the fourth power of the step.
    const double extrapolated = (4 * difference(2e-4) - difference(4e-4)) / 3;
    RC_ASSERT(std::abs(gradient[p] - extrapolated) <= 1e-6 * (1 + std::abs(gradient[p])));
  }
}

RC_GTEST_PROP(ProcessProperty, OrderAndUnitsOfRowsDoNotMatter, ()) {
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000000);
  const Random random(seed);
  const int64_t n = 6 + static_cast<int64_t>(random.below(20, 0)),
                d = 1 + static_cast<int64_t>(random.below(3, 1));
  static constexpr const char* kTexts[] = {"matern52(ard)", "rbf + matern12", "rq*cosine",
                                           "wendland + matern(nu=2)"};
  GpOptions o;
  o.kernel = kTexts[random.below(4, 2)];
  o.fit = false;  // parameters by the data: in their units
  const at::Tensor x = tensor(normals(n * d, seed), {n, d}), y = tensor(normals(n, seed + 1), {n}),
                   xs = tensor(normals(5 * d, seed + 2), {5, d});
  Kernel started = GaussianProcess(x, y, o).kernel();
  for (KernelParameter& parameter : started.parameters()) parameter.given = true;
  const GaussianProcess plain(x, y, started, o);
  const Prediction p = plain.predict(xs, {.noise = true});
  // Another order of rows.
  const at::Tensor order = at::tensor(Random(seed).permutation(n), at::kLong);
  const Prediction q =
      GaussianProcess(x.index_select(0, order), y.index_select(0, order), started, o)
          .predict(xs, {.noise = true});
  RC_ASSERT((p.mean - q.mean).abs().max().item<double>() < 1e-8);
  RC_ASSERT((p.variance - q.variance).abs().max().item<double>() < 1e-8);
  // Other units and origins.
  const double sx = std::pow(10, 8 * random.uniform(3) - 4),
               sy = std::pow(10, 8 * random.uniform(4) - 4);
  const double shift_x = sx * 10 * (random.uniform(5) - 0.5),
               shift_y = sy * 10 * (random.uniform(6) - 0.5);
  const Prediction r = GaussianProcess(x * sx + shift_x, y * sy + shift_y, o)
                           .predict(xs * sx + shift_x, {.noise = true});
  RC_ASSERT(((r.mean - shift_y) / sy - p.mean).abs().max().item<double>() < 1e-6);
  RC_ASSERT((r.variance / (sy * sy) - p.variance).abs().max().item<double>() < 1e-6);
  // One row after the other is all rows at once.
  const int64_t first = n / 2;
  GaussianProcess grown(x.slice(0, 0, first), y.slice(0, 0, first), started, o);
  for (int64_t i = first; i < n; ++i) grown.append(x[i], y[i]);
  const Prediction s = grown.predict(xs, {.noise = true});
  RC_ASSERT((p.mean - s.mean).abs().max().item<double>() < 1e-7);
  RC_ASSERT((p.variance - s.variance).abs().max().item<double>() < 1e-7);
}

// Duplicates, equal values, one row, many columns, scales from 1e-8 to 1e8: a finite answer or an
// error that says why.
RC_GTEST_PROP(ProcessProperty, HostileDataGiveNoNaN, ()) {
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000000);
  const Random random(seed, 9);
  const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 3 == 0 ? 5 : 14, 0));
  const int64_t d = seed % 7 == 0 ? 50 : 1 + static_cast<int64_t>(random.below(3, 1));
  const double sx = std::pow(10, -8 + 16 * random.uniform(2)),
               sy = std::pow(10, -8 + 16 * random.uniform(3));
  at::Tensor x = tensor(normals(n * d, seed), {n, d}) * sx,
             y = tensor(normals(n, seed + 1), {n}) * sy;
  if (seed % 2 == 0 && n > 2) x[1] = x[0];
  if (seed % 5 == 0) y.fill_(seed % 10 == 0 ? 0 : sy);
  if (seed % 6 == 1) y = (y / sy).round() * sy;
  if (seed % 11 == 0) x = x + 1e6 * sx;
  if (seed % 13 == 0) x.select(1, 0).fill_(sx);
  if (seed % 17 == 0) y[0] = std::nan("");
  const at::Tensor xs = at::cat({x, tensor(normals(2 * d, seed + 2), {2, d}) * sx});
  static constexpr const char* kTexts[] = {"matern52(ard)",
                                           "rbf",
                                           "const*rbf + linear",
                                           "periodic(dims=0)*rbf",
                                           "matern",
                                           "rq(ard)",
                                           "relu(depth=2)",
                                           "brownian(dims=0)",
                                           "wendland",
                                           "erf + step",
                                           "sho(dims=0)",
                                           "hamming",
                                           "changepoint(rbf,matern12,dims=0)",
                                           "spectral_mixture(components=2)"};
  static constexpr const char* kPriors[] = {"weak", "none", "gamma", "dim-scaled"};
  bool finite = true;
  try {
    if (seed % 4 == 3 && d == 1) {
      static constexpr const char* kSeries[] = {"matern32", "sho", "cosine*matern12", "periodic"};
      MarkovOptions o;
      o.kernel = kSeries[seed / 4 % 4];
      o.search.iterations = 8;
      o.mean = seed % 8 == 3 ? "const" : "zero";
      const MarkovPrediction p =
          fit_markov(x.select(1, 0).contiguous(), y, o).predict(xs.select(1, 0).contiguous());
      finite = p.mean.isfinite().all().item<bool>() && p.variance.isfinite().all().item<bool>() &&
               p.variance.ge(0).all().item<bool>();
    } else {
      GpOptions o;
      o.kernel = kTexts[random.below(std::size(kTexts), 5)];
      o.priors = kPriors[random.below(4, 6)];
      o.mean = seed % 3 == 0 ? "zero" : "const";
      o.starts = 1;
      o.search.iterations = 8;
      const Prediction p = fit_gp(x, y, o).predict(xs);
      finite = p.mean.isfinite().all().item<bool>() && p.variance.isfinite().all().item<bool>() &&
               p.variance.ge(0).all().item<bool>();
    }
  } catch (const Error& e) {
    finite = !e.message().empty() && !e.where().empty();
  }
  RC_ASSERT(finite);
}

// Data that tell their parameters: weak priors leave the optimum where it is.
TEST(Priors, WeakOnesLeaveAnOptimumWhereItIs) {
  const at::Tensor x = tensor(normals(160, 1), {80, 2});
  const at::Tensor y =
      (2 * x.select(1, 0)).sin() + 0.3 * x.select(1, 1) + 0.1 * tensor(normals(80, 2), {80});
  GpOptions o;
  o.search.gradient_tolerance = 1e-7;
  const GaussianProcess weak(x, y, o);
  o.priors = "none";
  const GaussianProcess none(x, y, o);
  EXPECT_NEAR(weak.report().log_likelihood, none.report().log_likelihood, 1e-7);
  EXPECT_NE(weak.report().log_prior, 0);
  EXPECT_EQ(none.report().log_prior, 0);
}

// Values rounded to whole numbers with repeated rows: a likelihood alone is driven to no noise.
TEST(Priors, RoundedValuesKeepTheirNoise) {
  Vector x = normals(60, 3), y = normals(60, 4);
  for (double& v : y) v = std::round(v);
  x.insert(x.end(), x.begin(), x.begin() + 40);
  y.insert(y.end(), y.begin(), y.begin() + 40);
  EXPECT_NEAR(rounding_variance(y), 1.0 / 12, 1e-15);
  EXPECT_EQ(rounding_variance(normals(60, 4)), 0);
  GpOptions o;
  o.kernel = "rbf";
  const GaussianProcess weak(tensor(x, {100, 1}), tensor(y, {100}), o);
  EXPECT_GE(weak.kernel().parameters().back().value, 1.0 / 12 - 1e-12);
  o.priors = "none";
  const GaussianProcess none(tensor(x, {100, 1}), tensor(y, {100}), o);
  EXPECT_LT(none.kernel().parameters().back().value, 1.0 / 12);
  EXPECT_THROW(GaussianProcess(tensor(x, {100, 1}), tensor(y, {100}), {.priors = "strong"}), Error);
}

}  // namespace
}  // namespace covary::stat
