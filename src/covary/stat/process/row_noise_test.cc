#include "covary/stat/process/row_noise.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/hilbert.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/latent.h"
#include "covary/stat/process/marginal.h"
#include "covary/stat/process/markov_filter.h"
#include "covary/stat/process/regression.h"
#include "covary/stat/process/sparse.h"
#include "covary/stat/process/state_space.h"
#include "covary/stat/process/vecchia.h"

namespace covary::stat {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor uniforms(int64_t n, int64_t d, uint64_t seed) {
  at::Tensor t = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i)
    t.data_ptr<double>()[i] = 4 * Random(seed).uniform(static_cast<uint64_t>(i)) - 2;
  return t;
}

std::vector<double> flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

// Rows with weights 1, 2, 3, .. and the same rows repeated so many times.
struct Repeated {
  at::Tensor x, y, weights, xs, many_x, many_y, index;
  explicit Repeated(int64_t d, int64_t n = 9) {
    x = uniforms(n, d, 1);
    y = x.sum(1).sin() + 0.3 * uniforms(n, 1, 2).squeeze(1);
    xs = uniforms(5, d, 3) * 0.9;
    weights = at::empty({n}, at::kDouble);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < n; ++i) {
      weights[i] = static_cast<double>(1 + i % 3);
      for (int64_t k = 0; k < 1 + i % 3; ++k) rows.push_back(i);
    }
    index = at::tensor(rows, at::kLong);
    many_x = x.index_select(0, index);
    many_y = y.index_select(0, index);
  }
  // What the copies' log likelihood is above that of the weighted rows, and by log noise.
  double above(double noise) const {
    const at::Tensor w = weights;
    return (-0.5 * ((w - 1) * std::log(2 * std::numbers::pi * noise) + w.log()))
        .sum()
        .item<double>();
  }
  double slope() const { return (-0.5 * (weights - 1)).sum().item<double>(); }
};

void expect_near(const at::Tensor& a, const at::Tensor& b, double tolerance,
                 const std::string& what) {
  const at::Tensor off = (a - b).abs();
  EXPECT_EQ(at::isnan(a).equal(at::isnan(b)), true) << what;
  EXPECT_LT(at::nan_to_num(off, 0.0).max().item<double>(), tolerance) << what;
}

// A gradient by the logarithms of all parameters against central differences.
void expect_slopes(const Kernel& kernel, const std::vector<double>& gradient,
                   const std::function<double(const Kernel&)>& value, double tolerance = 1e-6) {
  constexpr double kStep = 1e-5;
  for (size_t p = 0; p < gradient.size(); ++p) {
    Kernel up = kernel, down = kernel;
    up.parameters()[p].value *= std::exp(kStep);
    down.parameters()[p].value *= std::exp(-kStep);
    const double slope = (value(up) - value(down)) / (2 * kStep);
    EXPECT_NEAR(gradient[p], slope, tolerance * (1 + std::abs(slope)))
        << kernel.parameters()[p].name;
  }
}

TEST(RowNoise, AWeightIsTheRowRepeatedButForTheNoiseThatCopiesShow) {
  const Repeated r(2);
  for (const char* mean : {"zero", "const", "linear"}) {
    const GpData weighted = GpData::from(r.x, r.y, {{}, r.weights}, mean_of(mean)),
                 copies = GpData::from(r.many_x, r.many_y, {}, mean_of(mean));
    const Kernel kernel =
        Kernel::parse("const(1.3)*matern52(ard,lengthscale=[0.8,1.4])+white(0.2)", 2);
    std::vector<double> of_weighted(kernel.parameters().size()), of_copies(of_weighted);
    const double one =
        MarginalLikelihood(weighted, 1 << 30).evaluate(kernel, of_weighted).log_likelihood;
    const double many =
        MarginalLikelihood(copies, 1 << 30).evaluate(kernel, of_copies).log_likelihood;
    EXPECT_NEAR(many, one + r.above(0.2), 1e-10) << mean;
    for (size_t p = 0; p < of_weighted.size(); ++p) {
      const bool noise = kernel.parameters()[p].role == ParameterRole::kNoise;
      EXPECT_NEAR(of_copies[p], of_weighted[p] + (noise ? r.slope() : 0), 1e-9) << mean << p;
    }
  }
}

// The same of every inference that takes weights, by what it predicts and by its likelihood.
TEST(RowNoise, EveryInferenceTakesAWeightForRepeats) {
  for (const char* method : {"exact", "cg", "sgpr", "vecchia", "state-space"}) {
    SCOPED_TRACE(method);
    const bool series = std::string(method) == "state-space";
    const Repeated r(series ? 1 : 2);
    for (const char* kernel : {"const(1.3)*matern32(0.8) + white(0.2)",
                               "const(1.3)*matern32(0.8) + matern12(2) + white(0.2)"}) {
      RegressionOptions o;
      o.kernel = kernel;
      o.method = method;
      o.fit = false;
      o.mean = "const";
      const Regression weighted(r.x, r.y, o, {{}, r.weights}), copies(r.many_x, r.many_y, o);
      const bool rough = o.method == "cg" || o.method == "sgpr";
      const double close = rough ? 2e-4 : 1e-7;
      const auto [m1, v1] = weighted.predict(r.xs, true);
      const auto [m2, v2] = copies.predict(r.xs, true);
      expect_near(m1, m2, close, "mean");
      expect_near(v1, v2, close, "variance");
      EXPECT_NEAR(copies.report().log_likelihood, weighted.report().log_likelihood + r.above(0.2),
                  o.method == "cg" ? 0.5
                  : rough          ? 1e-4
                                   : 1e-7);
    }
  }
}

// A Gaussian likelihood has the noise of a weighted white: the exact process says it all.
TEST(RowNoise, BehindAGaussianLikelihoodAWeightDividesTheNoise) {
  const Repeated r(2);
  RegressionOptions o;
  o.kernel = "const(1.3)*matern32(0.8) + white(0.2)";
  o.fit = false;
  o.mean = "zero";
  o.method = "exact";
  const Regression exact(r.x, r.y, o, {{}, r.weights});
  o.likelihood = "gaussian(noise=0.2)";
  o.kernel = "const(1.3)*matern32(0.8)";
  for (const char* method : {"laplace", "vi", "svgp"}) {
    SCOPED_TRACE(method);
    o.method = method;
    const Regression behind(r.x, r.y, o, {{}, r.weights});
    const double close = o.method == "svgp" ? 1e-4 : 1e-7;
    expect_near(behind.predict(r.xs, true).first, exact.predict(r.xs, true).first, close, "mean");
    expect_near(behind.predict(r.xs, true).second, exact.predict(r.xs, true).second, close,
                "variance");
    EXPECT_NEAR(behind.report().log_likelihood, exact.report().log_likelihood, close);
    expect_near(behind.leave_one_out().first, exact.leave_one_out().first, 10 * close, "left out");
    expect_near(behind.leave_one_out().second, exact.leave_one_out().second, 10 * close,
                "left out");
    // Gradient by the noise, which the weights' own term is part of.
    if (o.method == "svgp") continue;
    LatentOptions l;
    l.kernel = "const(1.3)*matern32(0.8)";
    l.likelihood = o.likelihood;
    l.mean = "zero";
    l.method = method;
    l.fit = false;
    const LatentProcess process(r.x, r.y, l, r.weights);
    LatentModel model = process.model();
    LatentGradient g;
    process.log_likelihood(model, &g);
    const auto at_noise = [&](double shift) {
      LatentModel moved = model;
      moved.likelihood.parameters()[0].value *= std::exp(shift);
      return process.log_likelihood(moved, nullptr);
    };
    EXPECT_NEAR(g.likelihood[0], (at_noise(1e-4) - at_noise(-1e-4)) / 2e-4, 1e-5);
  }
}

TEST(RowNoise, AFixedBasisTakesWeightsForRepeats) {
  const Repeated r(2);
  HilbertOptions o;
  o.kernel = "const(1.3)*matern52(1.1) + white(0.2)";
  o.fit = false;
  o.boundary = 2;
  o.functions = 9;
  for (const char* mean : {"zero", "const"}) {
    o.mean = mean;
    const HilbertProcess weighted(r.x, r.y, o, {{}, r.weights}), copies(r.many_x, r.many_y, o);
    expect_near(weighted.predict(r.xs, true).mean, copies.predict(r.xs, true).mean, 1e-8, mean);
    expect_near(weighted.predict(r.xs, true).variance, copies.predict(r.xs, true).variance, 1e-8,
                mean);
    EXPECT_NEAR(copies.report().log_likelihood, weighted.report().log_likelihood + r.above(0.2),
                1e-8);
    std::vector<double> gradient(weighted.kernel().parameters().size());
    weighted.log_likelihood(weighted.kernel(), &gradient);
    expect_slopes(weighted.kernel(), gradient, [&](const Kernel& k) {
      std::vector<double> unused(gradient.size());
      return weighted.log_likelihood(k, &unused);
    });
  }
  EXPECT_THAT(refusal([&] { HilbertProcess(r.x, r.y, o, r.weights); }), HasSubstr("variances"));
}

// The dense formula by hand: log N(y; 0, K + diag(white / w + v)).
double by_hand(const Kernel& kernel, const at::Tensor& x, const at::Tensor& y,
               const at::Tensor& noise) {
  const int64_t n = x.size(0);
  at::Tensor k = at::empty({n, n}, at::kDouble);
  kernel.cross(x.const_data_ptr<double>(), n, x.const_data_ptr<double>(), n, k.data_ptr<double>(),
               n);
  const at::Tensor c = k + at::diag(noise);
  return (-0.5 * (y.dot(at::linalg_solve(c, y.unsqueeze(1)).squeeze(1)) + at::logdet(c)) -
          0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi))
      .item<double>();
}

TEST(RowNoise, IsTheDiagonalOfTheDenseFormula) {
  const Repeated r(2, 12);
  const at::Tensor v = uniforms(12, 1, 7).squeeze(1).abs() * 0.2, w = r.weights * 0.7;
  GpOptions o;
  o.kernel = "const(1.3)*rbf(0.8) + white(0.2)";
  o.mean = "zero";
  o.fit = false;
  const GaussianProcess gp(r.x, r.y, o, {v, w});
  const at::Tensor noise = 0.2 / w + v;
  EXPECT_NEAR(gp.report().log_likelihood, by_hand(gp.kernel(), r.x, r.y, noise), 1e-9);
  // Left out in turn: the density of the row is what the others' likelihood grows by.
  const Prediction loo = gp.leave_one_out();
  std::vector<int64_t> others;
  for (int64_t i = 0; i < 11; ++i) others.push_back(i);
  const at::Tensor rest = at::tensor(others, at::kLong);
  const double without = by_hand(gp.kernel(), r.x.index_select(0, rest).contiguous(),
                                 r.y.index_select(0, rest), noise.index_select(0, rest));
  const double s = loo.variance[11].item<double>(), z = (r.y[11] - loo.mean[11]).item<double>();
  EXPECT_NEAR(gp.report().log_likelihood - without,
              -0.5 * (std::log(2 * std::numbers::pi * s) + z * z / s), 1e-9);
  // A new value of weight 4 with a variance of its own.
  RegressionOptions of_table;
  of_table.kernel = o.kernel;
  of_table.mean = "zero";
  of_table.fit = false;
  of_table.method = "exact";
  const Regression table(r.x, r.y, of_table, {v, w});
  const at::Tensor four = at::full({5}, 4.0, at::kDouble), own = at::full({5}, 0.3, at::kDouble);
  expect_near(table.predict_rows(r.xs, {own, four}).second,
              table.predict(r.xs, false).second + 0.2 / 4 + 0.3, 1e-12, "rows");
}

TEST(RowNoise, InferencesOfOneLikelihoodAgreeOnVariancesAndWeights) {
  const Repeated r(1, 14);
  const at::Tensor v = uniforms(14, 1, 7).squeeze(1).abs() * 0.2;
  at::Tensor w = r.weights * 0.7;
  w[3] = 0;  // a row that is left out
  RegressionOptions o;
  o.kernel = "const(1.3)*matern32(0.8) + white(0.2)";
  o.mean = "const";
  o.fit = false;
  o.method = "exact";
  const Regression exact(r.x, r.y, o, {v, w});
  EXPECT_EQ(exact.report().weightless, 1);
  EXPECT_THAT(exact.report().text(), HasSubstr("1 of weight 0 left out"));
  at::Tensor holed = r.y.clone();
  holed[3] = kNan;
  const at::Tensor ones = at::where(w > 0, w, 1.0);
  const Regression missing(r.x, holed, o, {v, ones});
  EXPECT_EQ(exact.report().log_likelihood, missing.report().log_likelihood);
  for (const char* method : {"cg", "sgpr", "vecchia", "state-space"}) {
    SCOPED_TRACE(method);
    o.method = method;
    const Regression other(r.x, r.y, o, {v, w});
    const bool mean_too = o.method != "sgpr";  // which takes it off before
    const double close = o.method == "cg" ? 1e-3 : 1e-7;
    if (mean_too) {
      expect_near(other.predict(r.xs, true).first, exact.predict(r.xs, true).first, close, "mean");
      expect_near(other.predict(r.xs, true).second, exact.predict(r.xs, true).second, close, "sd");
      EXPECT_NEAR(other.report().log_likelihood, exact.report().log_likelihood,
                  o.method == "cg" ? 0.5 : 1e-7);
      // By neighbours the mean is that of all rows, the one left out among them.
      if (o.method == "vecchia") o.mean = "zero";
      const Regression left(r.x, r.y, o, {v, w});
      o.method = "exact";
      const Regression dense(r.x, r.y, o, {v, w});
      o.mean = "const";
      expect_near(left.leave_one_out().first, dense.leave_one_out().first, 10 * close, "left out");
      expect_near(left.leave_one_out().second, dense.leave_one_out().second, 10 * close,
                  "left out");
    } else {
      // Every row an inducing point: the bound is the likelihood.
      EXPECT_NEAR(other.report().log_likelihood, *other.report().upper, 1e-5);
      const at::Tensor left = r.y - (r.y * w).sum() / w.sum();
      o.method = "exact";
      o.mean = "zero";
      const Regression centred(r.x, left, o, {v, w});
      o.mean = "const";
      EXPECT_NEAR(other.report().log_likelihood, centred.report().log_likelihood, 1e-5);
      const at::Tensor shift = r.y[0] - left[0];
      expect_near(other.leave_one_out().first, centred.leave_one_out().first + shift, 1e-4,
                  "left out");
      expect_near(other.leave_one_out().second, centred.leave_one_out().second, 1e-4, "left out");
    }
  }
}

TEST(RowNoise, GradientsAreThoseOfTheValues) {
  const Repeated r(1, 14);
  const at::Tensor v = uniforms(14, 1, 7).squeeze(1).abs() * 0.2, w = r.weights * 0.7;
  const auto order = std::get<1>(r.x.squeeze(1).sort());
  const std::vector<double> t = flat(r.x.squeeze(1).index_select(0, order)),
                            y = flat(r.y.index_select(0, order)),
                            extra = flat(v.index_select(0, order)),
                            weights = flat(w.index_select(0, order));
  for (const char* text :
       {"const(1.3)*rbf(0.8) + white(0.2)", "const(1.3)*matern32(0.8)*(const(0.7) + white(0.2))"}) {
    const Kernel kernel = Kernel::parse(text, 1);
    std::vector<double> g(kernel.parameters().size());
    for (const bool both : {false, true}) {
      const GpData data = GpData::from(r.x, r.y, {both ? v : at::Tensor(), w}, Mean::kConst);
      MarginalLikelihood likelihood(data, 1 << 30);
      likelihood.evaluate(kernel, g);
      expect_slopes(kernel, g,
                    [&](const Kernel& k) { return likelihood.evaluate(k, {}).log_likelihood; });
      const std::span<const double> own =
          both ? std::span<const double>(extra) : std::span<const double>();
      const NeighbourLists lists = nearest_before(t, 1, 4);
      vecchia_log_likelihood(kernel, t, y, lists, true, g, own, weights);
      expect_slopes(kernel, g, [&](const Kernel& k) {
        return vecchia_log_likelihood(k, t, y, lists, true, {}, own, weights).log_likelihood;
      });
    }
  }
  for (const bool both : {false, true}) {
    const std::span<const double> own =
        both ? std::span<const double>(extra) : std::span<const double>();
    const Kernel sum = Kernel::parse("const(1.3)*matern32(0.8) + matern12(2) + white(0.2)", 1);
    std::vector<double> g;
    filter_log_likelihood(MarkovForm(sum), t, y, own, &g, weights);
    expect_slopes(sum, g, [&](const Kernel& k) {
      return filter_log_likelihood(MarkovForm(k), t, y, own, nullptr, weights);
    });
    MarkovGradient m;
    markov_log_likelihood({MarkovKind::kMatern52, 1.3, 0.8, 0.2}, t, y, own, &m, weights);
    const auto value = [&](double a, double b, double c) {
      return markov_log_likelihood(
          {MarkovKind::kMatern52, 1.3 * std::exp(a), 0.8 * std::exp(b), 0.2 * std::exp(c)}, t, y,
          own, nullptr, weights);
    };
    const double h = 1e-5;
    EXPECT_NEAR(m.variance, (value(h, 0, 0) - value(-h, 0, 0)) / (2 * h), 1e-6);
    EXPECT_NEAR(m.length, (value(0, h, 0) - value(0, -h, 0)) / (2 * h), 1e-6);
    EXPECT_NEAR(m.noise, (value(0, 0, h) - value(0, 0, -h)) / (2 * h), 1e-6);
    // The bound of a few inducing points: kernel, noise and points.
    const Kernel smooth = Kernel::parse("const(1.3)*rbf(0.8)", 1);
    std::vector<double> z{-1.5, -0.4, 0.7, 1.6};
    SparseGradient s;
    sparse_bound(smooth, 0.2, t, y, z, &s, own, weights);
    expect_slopes(smooth, s.kernel, [&](const Kernel& k) {
      return sparse_bound(k, 0.2, t, y, z, nullptr, own, weights).value;
    });
    const auto at_noise = [&](double c) {
      return sparse_bound(smooth, 0.2 * std::exp(c), t, y, z, nullptr, own, weights).value;
    };
    EXPECT_NEAR(s.noise, (at_noise(h) - at_noise(-h)) / (2 * h), 1e-6);
    for (size_t k = 0; k < z.size(); ++k) {
      const double here = z[k];
      z[k] = here + h;
      const double up = sparse_bound(smooth, 0.2, t, y, z, nullptr, own, weights).value;
      z[k] = here - h;
      const double down = sparse_bound(smooth, 0.2, t, y, z, nullptr, own, weights).value;
      z[k] = here;
      EXPECT_NEAR(s.inducing[k], (up - down) / (2 * h), 1e-6);
    }
  }
}

// By conjugate gradients: with every row a pivot nothing is left to the probes.
TEST(RowNoise, ConjugateGradientsHaveTheGradientOfTheDenseLikelihood) {
  const Repeated r(2, 14);
  const at::Tensor v = uniforms(14, 1, 7).squeeze(1).abs() * 0.2;
  const GpData data = GpData::from(r.x, r.y, {v, r.weights}, Mean::kConst);
  const Kernel kernel = Kernel::parse("const(1.3)*matern32(0.8) + white(0.2)", 2);
  std::vector<double> dense(kernel.parameters().size());
  const MarginalValue expected = MarginalLikelihood(data, 1 << 30).evaluate(kernel, dense);
  for (const int64_t single : {0, 1000}) {  // entries in floats, and in doubles
    IterativeOptions o;
    o.rank = 14;
    o.single = single;
    IterativeLikelihood ours(data.groups[0], data.coefficients(), o);
    ours.choose_pivots(kernel);
    std::vector<double> g(kernel.parameters().size());
    const IterativeValue value = ours.evaluate(kernel, g, 1e-12, nullptr);
    EXPECT_NEAR(value.log_likelihood, expected.log_likelihood, 1e-4) << single;
    for (size_t p = 0; p < g.size(); ++p) EXPECT_NEAR(g[p], dense[p], 1e-4) << single << " " << p;
  }
}

TEST(RowNoise, AppendedRowsHaveTheirs) {
  const Repeated r(2, 12);
  const at::Tensor v = uniforms(12, 1, 7).squeeze(1).abs() * 0.2;
  RegressionOptions o;
  o.kernel = "const(1.3)*matern32(0.8) + white(0.2)";
  o.fit = false;
  at::Tensor w = r.weights.clone();
  w[11] = 0;
  for (const char* method : {"exact", "cg", "sgpr", "vecchia", "svgp", "laplace"}) {
    SCOPED_TRACE(method);
    o.method = method;
    o.mean = "const";
    const bool latent = o.method == "svgp" || o.method == "laplace";
    const RowNoise all{latent ? at::Tensor() : v, w};
    const auto part = [&](int64_t begin, int64_t end) {
      return RowNoise(latent ? at::Tensor() : v.slice(0, begin, end), w.slice(0, begin, end));
    };
    const Regression whole(r.x, r.y, o, all);
    Regression grown(r.x.slice(0, 0, 9), r.y.slice(0, 0, 9), o, part(0, 9));
    grown.update(r.x.slice(0, 9), r.y.slice(0, 9), part(9, 12), false);
    EXPECT_EQ(grown.report().rows, 12);
    if (o.method != "sgpr" &&
        !latent) {  // whose inducing points or mean are those of the first rows
      expect_near(grown.predict(r.xs, true).first, whole.predict(r.xs, true).first, 1e-3, "grown");
    }
    const TemporaryFolder folder("row-noise");
    const auto file = folder.path() / "m.cov";
    data::write_model(file, whole.model());
    const Regression again = Regression::of_model(data::read_model(file, "covary.process", 1));
    expect_near(again.predict(r.xs, true).first, whole.predict(r.xs, true).first, 1e-8, "file");
    expect_near(again.predict(r.xs, true).second, whole.predict(r.xs, true).second, 1e-8, "file");
    expect_near(again.y(), r.y, 1e-300, "values");
    EXPECT_TRUE(again.noise().weights.equal(w));
    EXPECT_EQ(again.noise().variances.defined(), !latent);
    EXPECT_EQ(again.report().weightless, 1);
    EXPECT_THAT(refusal([&] { grown.update(r.x, r.y, {}, false); }), HasSubstr("weight"));
  }
}

TEST(RowNoise, WhatIsNoWeightIsNamedByItsRow) {
  const Repeated r(2);
  for (const double bad : {-1.0, kNan, std::numeric_limits<double>::infinity()}) {
    at::Tensor w = r.weights.clone();
    w[4] = bad;
    EXPECT_THAT(refusal([&] { Regression(r.x, r.y, {}, {{}, w}); }), HasSubstr("weight of row 4"));
    EXPECT_THAT(refusal([&] { Regression(r.x, r.y, {}, w); }), HasSubstr("variance of row 4"));
    EXPECT_THAT(refusal([&] { Regression(r.x, r.y, {.likelihood = "student-t"}, {{}, w}); }),
                HasSubstr("row 4"));
  }
  EXPECT_THAT(refusal([&] { Regression(r.x, r.y, {}, {{}, r.weights * 0}); }), HasSubstr("all 0"));
  EXPECT_THAT(refusal([&] { Regression(r.x, r.y, {}, {{}, r.weights.slice(0, 1)}); }),
              HasSubstr("9 doubles"));
  const GpOptions fixed{.mean = "zero", .fit = false};
  EXPECT_THAT(refusal([&] {
                GaussianProcess(r.x, r.y, Kernel::parse("rbf", 2), fixed, {r.weights, r.weights});
              }),
              HasSubstr("white"));
}

}  // namespace
}  // namespace covary::stat
