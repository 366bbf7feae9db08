#include "covary/stat/process/gp.h"

#include <cmath>
#include <filesystem>
#include <numbers>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random random(seed, 5);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  }
  return t;
}

// A smooth function of the columns with a little noise.
at::Tensor values_at(const at::Tensor& x, uint64_t seed, double noise = 0.1) {
  return (x.sum(1) * 1.3).sin() + 0.3 * x.select(1, 0) + noise * normals(seed, {x.size(0)});
}

at::Tensor matrix_of(const Kernel& kernel, const at::Tensor& x) {
  const int64_t n = x.size(0);
  at::Tensor k = at::empty({n, n}, at::kDouble);
  kernel.matrix(x.contiguous().const_data_ptr<double>(), n, k.data_ptr<double>(), n);
  return k;
}

at::Tensor cross_of(const Kernel& kernel, const at::Tensor& a, const at::Tensor& b) {
  at::Tensor k = at::empty({a.size(0), b.size(0)}, at::kDouble);
  kernel.cross(a.contiguous().const_data_ptr<double>(), a.size(0),
               b.contiguous().const_data_ptr<double>(), b.size(0), k.data_ptr<double>(), b.size(0));
  return k;
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
}

// The plain formulas with an explicit inverse; mean: zero, or a basis [n,p] and [s,p].
struct Dense {
  double log_likelihood;
  at::Tensor mean, covariance, loo_mean, loo_variance;
};
Dense dense(const Kernel& kernel, const at::Tensor& x, const at::Tensor& y, const at::Tensor& noise,
            const at::Tensor& xs, const at::Tensor& h, const at::Tensor& hs) {
  const int64_t n = x.size(0);
  at::Tensor k = matrix_of(kernel, x);
  if (noise.defined()) k = k + at::diag(noise);
  const at::Tensor inverse = at::inverse(k), ks = cross_of(kernel, xs, x);
  at::Tensor q = inverse, beta, r = y;
  if (h.defined()) {
    const at::Tensor gram = at::inverse(h.t().matmul(inverse).matmul(h));
    beta = gram.matmul(h.t()).matmul(inverse).matmul(y);
    r = y - h.matmul(beta);
    q = inverse - inverse.matmul(h).matmul(gram).matmul(h.t()).matmul(inverse);
  }
  Dense out;
  out.log_likelihood = (-0.5 * r.dot(inverse.matmul(r)) - 0.5 * at::logdet(k)).item<double>() -
                       0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  out.mean = ks.matmul(inverse).matmul(r);
  at::Tensor prior = cross_of(kernel, xs, xs);
  out.covariance = prior - ks.matmul(inverse).matmul(ks.t());
  if (h.defined()) {
    const at::Tensor left = hs - ks.matmul(inverse).matmul(h);
    out.mean = out.mean + hs.matmul(beta);
    out.covariance =
        out.covariance + left.matmul(at::inverse(h.t().matmul(inverse).matmul(h))).matmul(left.t());
  }
  const at::Tensor d = q.diagonal();
  out.loo_mean = y - q.matmul(y) / d;
  out.loo_variance = 1 / d;
  return out;
}

GpOptions unfitted(const std::string& kernel, const std::string& mean) {
  GpOptions o;
  o.kernel = kernel;
  o.mean = mean;
  o.fit = false;
  return o;
}

TEST(Gp, AgreesWithPlainFormulas) {
  for (const char* mean : {"zero", "const", "linear"}) {
    for (const bool noisy : {false, true}) {
      const at::Tensor x = normals(1, {60, 3}), y = values_at(x, 2), xs = normals(3, {9, 3});
      const at::Tensor noise = noisy ? normals(4, {60}).square() * 0.1 : at::Tensor();
      const GaussianProcess gp(
          x, y, unfitted("const(1.3)*rbf(ard,lengthscale=[1,2,0.7]) + white(0.05)", mean), noise);
      at::Tensor h, hs;
      if (std::string(mean) == "const")
        h = at::ones({60, 1}, at::kDouble), hs = at::ones({9, 1}, at::kDouble);
      if (std::string(mean) == "linear") {
        h = at::cat({at::ones({60, 1}, at::kDouble), x}, 1);
        hs = at::cat({at::ones({9, 1}, at::kDouble), xs}, 1);
      }
      const Dense expected = dense(gp.kernel(), x, y, noise, xs, h, hs);
      EXPECT_NEAR(gp.report().log_likelihood, expected.log_likelihood, 1e-9);
      const Prediction p = gp.predict(xs, {.covariance = true});
      EXPECT_LT(worst(p.mean, expected.mean), 1e-10);
      EXPECT_LT(worst(p.covariance, expected.covariance), 1e-10);
      EXPECT_LT(worst(p.variance, expected.covariance.diagonal()), 1e-10);
      EXPECT_LT(worst(gp.predict(xs, {.noise = true}).variance, p.variance + 0.05), 1e-12);
      const Prediction loo = gp.leave_one_out();
      EXPECT_LT(worst(loo.mean, expected.loo_mean), 1e-9);
      EXPECT_LT(worst(loo.variance, expected.loo_variance), 1e-9);
    }
  }
}

// Leaving a row out by hand, coefficients of the mean included.
TEST(Gp, LeaveOneOutIsWhatAFitWithoutTheRowPredicts) {
  const at::Tensor x = normals(1, {25, 2}), y = values_at(x, 2);
  const auto options = unfitted("const(1.3)*matern32(1.2) + white(0.05)", "linear");
  const Prediction loo = GaussianProcess(x, y, options).leave_one_out();
  for (const int64_t i : {0, 11, 24}) {
    std::vector<int64_t> others;
    for (int64_t j = 0; j < 25; ++j) {
      if (j != i) others.push_back(j);
    }
    const at::Tensor rows = at::tensor(others, at::kLong);
    const GaussianProcess without(x.index_select(0, rows), y.index_select(0, rows), options);
    const Prediction p = without.predict(x.slice(0, i, i + 1), {.noise = true});
    EXPECT_NEAR(loo.mean[i].item<double>(), p.mean[0].item<double>(), 1e-10);
    EXPECT_NEAR(loo.variance[i].item<double>(), p.variance[0].item<double>(), 1e-10);
  }
}

TEST(Gp, GradientOfTheLikelihoodAgreesWithDifferences) {
  int cases = 0;
  for (const char* text :
       {"const(1.5)*rbf(ard,lengthscale=[1.1,0.8]) + white(0.1)",
        "matern12(0.9)*const(0.7) + linear(0.3) + white(0.2)",
        "const(2)*matern32(ard,lengthscale=[2,1]) + white(0.05)",
        "const(1)*matern52(1.3)*periodic(2.2,lengthscale=1.4,dims=0) + white(0.1)",
        "const(1)*rq(1.2,alpha=0.8) + polynomial(0.2,offset=0.5,degree=2) + white(0.3)",
        "const(1)*cosine(3.1,dims=1)*rbf(2) + white(0.1)"}) {
    for (const char* mean : {"zero", "const", "linear"}) {
      for (const bool hard : {false, true}) {  // several outputs, missing values, known noise
        SCOPED_TRACE(std::string(text) + " " + mean + (hard ? " hard" : ""));
        const at::Tensor x = normals(7, {70, 2});
        at::Tensor y = values_at(x, 8);
        at::Tensor noise;
        if (hard) {
          y = at::stack({y, normals(9, {70}), y * 2 + 1}, 1);
          y[3][1] = std::nan("");
          y[40][1] = std::nan("");
          noise = normals(10, {70}).square() * 0.05;
        }
        const GpData data = GpData::from(x, y, noise, mean_of(mean));
        EXPECT_EQ(data.groups.size(), hard ? 2u : 1u);
        Kernel kernel = Kernel::parse(text, 2);
        MarginalLikelihood likelihood(data, 1 << 30);
        std::vector<double> gradient(kernel.parameters().size());
        const double value = likelihood.evaluate(kernel, gradient).log_likelihood;
        EXPECT_EQ(likelihood.evaluate(kernel, {}).log_likelihood, value);
        for (size_t p = 0; p < gradient.size(); ++p) {
          const double h = 1e-4, at = kernel.parameters()[p].value;
          double f[4];
          for (int k = 0; k < 4; ++k) {
            kernel.parameters()[p].value = at * std::exp(h * (k < 2 ? k - 2 : k - 1));
            f[k] = likelihood.evaluate(kernel, {}).log_likelihood;
          }
          kernel.parameters()[p].value = at;
          const double difference = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
          EXPECT_NEAR(gradient[p], difference, 1e-6 * (1 + std::abs(difference)))
              << kernel.parameters()[p].name;
          ++cases;
        }
      }
    }
  }
  EXPECT_GT(cases, 100);
}

TEST(Gp, FitsWhatItWasDrawnFrom) {
  const at::Tensor x = normals(21, {300, 2}) * at::tensor({1.0, 3.0}, at::kDouble);
  const Kernel truth = Kernel::parse("const(4)*matern52(ard,lengthscale=[1,6]) + white(0.09)", 2);
  const at::Tensor y = at::linalg_cholesky(matrix_of(truth, x)).matmul(normals(22, {300})) + 10;
  const GaussianProcess gp = fit_gp(x, y, {.kernel = "matern52(ard)"});
  const GpReport& r = gp.report();
  EXPECT_EQ(r.ending, numeric::Ending::kConverged) << r.text();
  EXPECT_LT(r.gradient_norm, 1e-4);
  EXPECT_TRUE(r.at_bound.empty());
  Kernel k = gp.kernel();
  EXPECT_NEAR(k.parameter("matern52.lengthscale[0]").value, 1, 0.35);
  EXPECT_NEAR(k.parameter("matern52.lengthscale[1]").value, 6, 2);
  EXPECT_NEAR(k.parameter("white.variance").value, 0.09, 0.03);
  EXPECT_EQ(r.jitter, 0);
  EXPECT_GT(r.condition, 10);
  // No better parameters nearby.
  const GaussianProcess at_truth(x, y, truth, [] {
    GpOptions o;
    o.fit = false;
    return o;
  }());
  EXPECT_GT(r.log_likelihood, at_truth.report().log_likelihood);
  EXPECT_THAT(r.text(), testing::HasSubstr("converged"));
}

TEST(Gp, IsIndifferentToTheScaleOfTheData) {
  const at::Tensor x = normals(31, {80, 2}), y = values_at(x, 32), xs = normals(33, {5, 2});
  const GaussianProcess plain = fit_gp(x, y);
  const Prediction expected = plain.predict(xs);
  for (const double sx : {1e-12, 1e12}) {
    for (const double sy : {1e-12, 1e12}) {
      const GaussianProcess gp = fit_gp(x * sx, y * sy);
      const Prediction p = gp.predict(xs * sx);
      EXPECT_LT(worst(p.mean / sy, expected.mean), 1e-4) << sx << " " << sy;
      EXPECT_LT(worst(p.variance / (sy * sy), expected.variance), 1e-4);
      EXPECT_NEAR(gp.report().log_likelihood + 80 * std::log(sy), plain.report().log_likelihood,
                  1e-3);
    }
  }
}

TEST(Gp, GivesTheSameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(41, {400, 3}), y = values_at(x, 42), xs = normals(43, {30, 3});
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 4}) {
    set_threads(count);
    GpOptions o;
    o.search.iterations = 5;
    const GaussianProcess gp(x, y, o);
    const Prediction p = gp.predict(xs, {.covariance = true});
    results.push_back(at::cat({p.mean, p.variance, p.covariance.reshape({-1}),
                               gp.sample(xs, 3, 1).reshape({-1}), gp.leave_one_out().mean}));
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

TEST(Gp, OutputsWithMissingValuesAreFittedOnWhatTheyHave) {
  const at::Tensor x = normals(51, {40, 2}), xs = normals(52, {7, 2});
  at::Tensor y = at::stack({values_at(x, 53), normals(54, {40})}, 1);
  y[5][0] = std::nan("");
  y[17][0] = std::nan("");
  const auto options = unfitted("const(1)*rbf(1) + white(0.1)", "const");
  const GaussianProcess both(x, y, options);
  const at::Tensor known = at::isnan(y.select(1, 0)).logical_not().nonzero().squeeze(1);
  const GaussianProcess first(x.index_select(0, known), y.select(1, 0).index_select(0, known),
                              options);
  const GaussianProcess second(x, y.select(1, 1).contiguous(), options);
  const Prediction p = both.predict(xs, {.covariance = true});
  EXPECT_LT(worst(p.mean.select(1, 0), first.predict(xs).mean), 1e-12);
  EXPECT_LT(worst(p.mean.select(1, 1), second.predict(xs).mean), 1e-12);
  EXPECT_LT(worst(p.covariance[1], second.predict(xs, {.covariance = true}).covariance), 1e-12);
  EXPECT_NEAR(both.report().log_likelihood,
              first.report().log_likelihood + second.report().log_likelihood, 1e-10);
  const Prediction loo = both.leave_one_out();
  EXPECT_TRUE(std::isnan(loo.mean[5][0].item<double>()));
  EXPECT_FALSE(std::isnan(loo.mean[5][1].item<double>()));
}

TEST(Gp, AppendedPointsGiveWhatAFreshFactorGives) {
  const at::Tensor x = normals(61, {90, 2}), xs = normals(63, {6, 2});
  at::Tensor y = at::stack({values_at(x, 62), normals(64, {90})}, 1);
  y[85][0] = std::nan("");  // one output is missing in an appended row
  for (const char* mean : {"zero", "linear"}) {
    const auto options = unfitted("const(1.2)*matern52(1.1) + white(0.1)", mean);
    GaussianProcess grown(x.slice(0, 0, 50), y.slice(0, 0, 50), options);
    for (int64_t i = 50; i < 90; ++i) grown.append(x[i], y[i]);
    const GaussianProcess fresh(x, y, options);
    EXPECT_EQ(grown.size(), 90);
    EXPECT_LT(worst(grown.predict(xs).mean, fresh.predict(xs).mean), 1e-10);
    EXPECT_LT(worst(grown.predict(xs).variance, fresh.predict(xs).variance), 1e-10);
    EXPECT_NEAR(grown.report().log_likelihood, fresh.report().log_likelihood, 1e-9);
  }
  // A copy of a point without noise: factored anew, with jitter.
  GaussianProcess exact(x.slice(0, 0, 20), y.slice(0, 0, 20).select(1, 1).contiguous(),
                        unfitted("const(1)*rbf(0.5) + white(1e-300,fixed)", "zero"));
  EXPECT_EQ(exact.report().jitter, 0);
  exact.append(x[3], y[3].slice(0, 1, 2));
  EXPECT_GT(exact.report().jitter, 0);
  EXPECT_TRUE(exact.predict(xs).mean.isfinite().all().item<bool>());
}

TEST(Gp, GradientOfTheMeanAgreesWithDifferences) {
  const at::Tensor x = normals(71, {30, 3}), y = values_at(x, 72), xs = normals(73, {4, 3});
  const GaussianProcess gp(x, y, unfitted("const(1)*matern52(ard)*rq + white(0.1)", "linear"));
  const at::Tensor gradient = gp.mean_gradient(xs);
  for (int64_t k = 0; k < 3; ++k) {
    at::Tensor step = at::zeros({3}, at::kDouble);
    step[k] = 1e-5;
    const at::Tensor difference = (gp.predict(xs + step).mean - gp.predict(xs - step).mean) / 2e-5;
    EXPECT_LT(worst(gradient.select(1, k), difference), 1e-7);
  }
}

TEST(Gp, DrawsHaveThePosteriorsMoments) {
  const at::Tensor x = normals(81, {20, 1}), y = values_at(x, 82);
  const at::Tensor xs = at::linspace(-2, 2, 6, at::kDouble).unsqueeze(1);
  const GaussianProcess gp(x, y, unfitted("const(1)*rbf(0.8) + white(0.05)", "const"));
  const Prediction p = gp.predict(xs, {.covariance = true});
  const at::Tensor draws = gp.sample(xs, 40000, 7);
  EXPECT_LT(worst(draws.mean(0), p.mean), 0.02);
  const at::Tensor centred = draws - draws.mean(0, true);
  EXPECT_LT(worst(centred.t().matmul(centred) / 40000, p.covariance), 0.02);
  EXPECT_FALSE(at::equal(gp.sample(xs, 1, 7), gp.sample(xs, 1, 8)));
}

TEST(Gp, ScoresAreLogDensities) {
  const at::Tensor x = normals(91, {20, 1}), y = values_at(x, 92);
  const GaussianProcess gp(x, y, unfitted("const(1)*rbf(0.8) + white(0.05)", "zero"));
  at::Tensor held = at::tensor({0.3, std::nan("")}, at::kDouble);
  const at::Tensor xs = at::tensor({0.1, 0.2}, at::kDouble).unsqueeze(1);
  const Prediction p = gp.predict(xs, {.noise = true});
  const double v = p.variance[0].item<double>(), z = 0.3 - p.mean[0].item<double>();
  const at::Tensor scores = gp.score_samples(xs, held);
  EXPECT_NEAR(scores[0].item<double>(), -0.5 * std::log(2 * std::numbers::pi * v) - 0.5 * z * z / v,
              1e-13);
  EXPECT_EQ(scores[1].item<double>(), 0);
}

TEST(Gp, FilesReadBack) {
  const at::Tensor x = normals(95, {30, 2}), xs = normals(96, {5, 2});
  at::Tensor y = at::stack({values_at(x, 97), normals(98, {30})}, 1);
  y[2][1] = std::nan("");
  Kernel kernel = Kernel::parse("const*matern32(ard) + white", 2);
  kernel.tie("matern32.lengthscale[1]", "matern32.lengthscale[0]");
  kernel.parameter("white.variance").prior = Prior::gamma(1.1, 0.5);
  GaussianProcess gp(x, y, kernel, {.mean = "linear"}, normals(99, {30}).square() * 0.01);
  gp.append(at::tensor({9.0, 9.0}, at::kDouble), at::tensor({1.0, 2.0}, at::kDouble), 0.1);
  const auto path = std::filesystem::temp_directory_path() / "covary_process_test.cov";
  gp.save(path);
  const GaussianProcess again = GaussianProcess::load(path);
  std::filesystem::remove(path);
  EXPECT_LT(worst(again.predict(xs).mean, gp.predict(xs).mean), 1e-10);
  EXPECT_NEAR(again.report().log_likelihood, gp.report().log_likelihood, 1e-9);
  EXPECT_EQ(again.report().ending, gp.report().ending);
  EXPECT_EQ(again.kernel().text(), gp.kernel().text());
  EXPECT_EQ(again.report().log_prior, gp.report().log_prior);
  EXPECT_EQ(again.kernel().parameters()[2].tied_to, 1);
}

TEST(Gp, NamesWhatIsWrongWithData) {
  const at::Tensor x = normals(1, {10, 2}), y = normals(2, {10});
  const auto with_x = [&](const at::Tensor& bad) { return refusal([&] { fit_gp(bad, y); }); };
  const auto with_y = [&](const at::Tensor& bad) { return refusal([&] { fit_gp(x, bad); }); };
  at::Tensor bad = x.clone();
  bad[3][1] = std::nan("");
  EXPECT_THAT(with_x(bad), testing::HasSubstr("NaN at row 3, column 1"));
  bad[3][1] = -INFINITY;
  EXPECT_THAT(with_x(bad), testing::HasSubstr("infinity at row 3, column 1"));
  bad = x.clone();
  bad.select(1, 0).fill_(4);
  EXPECT_THAT(with_x(bad), testing::HasSubstr("all values of column 0 are equal"));
  EXPECT_THAT(with_x(at::zeros({0, 2}, at::kDouble)), testing::HasSubstr("no rows"));
  EXPECT_THAT(with_x(at::zeros({10, 0}, at::kDouble)), testing::HasSubstr("no columns"));
  EXPECT_THAT(with_x(x.to(at::kFloat)), testing::HasSubstr("doubles"));
  EXPECT_THAT(with_x(at::Tensor()), testing::HasSubstr("undefined"));
  EXPECT_THAT(with_x(x * 1e200), testing::HasSubstr("overflows"));
  EXPECT_THAT(with_y(y.slice(0, 0, 9)), testing::HasSubstr("shape [9]"));
  EXPECT_THAT(with_y(y * 1e200), testing::HasSubstr("overflows"));
  EXPECT_THAT(with_y(at::full({10}, std::nan(""), at::kDouble)),
              testing::HasSubstr("column 0 holds no value"));
  bad = y.clone();
  bad[7] = INFINITY;
  EXPECT_THAT(with_y(bad), testing::HasSubstr("infinity at row 7"));
  EXPECT_THAT(refusal([&] { fit_gp(x, y, {.kernel = "rbf(dims=0:2)"}); }),
              testing::HasSubstr("column 2 is out of range"));
  EXPECT_THAT(refusal([&] { fit_gp(x.slice(0, 0, 2), y.slice(0, 0, 2), {.mean = "linear"}); }),
              testing::HasSubstr("3 coefficients"));
  EXPECT_THAT(refusal([&] { fit_gp(x, y, {}, -at::ones({10}, at::kDouble)); }),
              testing::HasSubstr("not negative"));
  EXPECT_THAT(refusal([&] { fit_gp(x, y, {.mean = "cubic"}); }), testing::HasSubstr("mean"));
  EXPECT_THAT(refusal([&] { fit_gp(x, y, {.memory_limit = 100}); }), testing::HasSubstr("limit"));
  const GaussianProcess gp(x, y, unfitted("rbf", "zero"));
  EXPECT_THAT(refusal([&] { gp.predict(normals(3, {4, 3})); }), testing::HasSubstr("[4,3]"));
  EXPECT_THAT(refusal([&] { gp.predict(at::full({1, 2}, std::nan(""), at::kDouble)); }),
              testing::HasSubstr("NaN"));
  EXPECT_EQ(gp.predict(at::empty({0, 2}, at::kDouble)).mean.numel(), 0);
}

TEST(Gp, SingularKernelsAreMendedWithTheJitterStated) {
  // The cosine of the distance in one column has rank 2; a huge kernel on duplicates stays singular
  // up to the end of the ladder only when its diagonal is negative - which no kernel has. So every
  // singular matrix of a kernel is mended, with the jitter stated.
  const at::Tensor x = at::linspace(0, 1, 40, at::kDouble).unsqueeze(1);
  const GaussianProcess gp(x, normals(5, {40}), unfitted("const(1)*cosine(0.3)", "zero"),
                           at::zeros({40}, at::kDouble));
  EXPECT_GT(gp.report().jitter, 0);
  EXPECT_TRUE(gp.predict(x).mean.isfinite().all().item<bool>());
}

// Small hostile data sets: an answer that is finite, or an Error; never a crash, never a NaN.
TEST(Gp, HostileDataGiveAnAnswerOrAnError) {
  int answers = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Random random(seed, 77);
    const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 3 == 0 ? 5 : 25, 0));
    const int64_t d = seed % 7 == 0 ? 50 : 1 + static_cast<int64_t>(random.below(4, 1));
    const double sx = std::pow(10, -12 + 24 * random.uniform(2));
    const double sy = std::pow(10, -12 + 24 * random.uniform(3));
    at::Tensor x = normals(seed, {n, d}) * sx, y = normals(seed + 1000, {n}) * sy;
    if (seed % 2 == 0 && n > 2) x[1] = x[0];
    if (seed % 5 == 0) y.fill_(seed % 10 == 0 ? 0 : sy);
    if (seed % 11 == 0) x = x + 1e6 * sx;
    static constexpr const char* kKernels[] = {
        "matern52(ard)",         "rbf",     "const*rbf + linear", "periodic(dims=0)*rbf",
        "matern12 + polynomial", "rq(ard)", "cosine(dims=0)"};
    GpOptions o;
    o.kernel = kKernels[seed % 7];
    o.mean = seed % 3 == 0 ? "zero" : "const";
    o.starts = 2;
    o.search.iterations = 30;
    SCOPED_TRACE(std::to_string(seed) + " n=" + std::to_string(n) + " d=" + std::to_string(d));
    try {
      const GaussianProcess gp = fit_gp(x, y, o);
      const Prediction p = gp.predict(at::cat({x, normals(seed + 2000, {3, d}) * sx}));
      EXPECT_TRUE(p.mean.isfinite().all().item<bool>());
      EXPECT_TRUE(p.variance.isfinite().all().item<bool>());
      EXPECT_TRUE(p.variance.ge(0).all().item<bool>());
      EXPECT_TRUE(std::isfinite(gp.report().condition));
      ++answers;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  EXPECT_GT(answers, 190);
}

}  // namespace
}  // namespace covary::stat
