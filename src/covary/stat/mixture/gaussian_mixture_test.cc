#include "covary/stat/mixture/gaussian_mixture.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/table.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const char* const kTypes[] = {"spherical", "diagonal", "tied", "full"};

at::Tensor start_covariances(const std::string& type) {
  if (type == "spherical") return at::full({3}, 0.5, at::kDouble);
  if (type == "diagonal") return at::full({3, 3}, 0.5, at::kDouble);
  const at::Tensor one = 0.5 * at::eye(3, at::kDouble);
  return type == "tied" ? one : one.expand({3, 3, 3}).contiguous();
}

// From the weights, means and covariances that bench/peers/mixture.py gives its peer.
GaussianMixture fit_from_start(const std::string& type, int64_t steps, const at::Tensor& x,
                               const at::Tensor& w = {}) {
  GaussianMixture m({.covariance = type, .init = "given", .steps = steps, .tolerance = 0});
  const at::Tensor means =
      0.3 * at::tensor({4., 0., -1., -2., 3., 0., -2., -3., 1.}, at::kDouble).view({3, 3});
  m.set_parameters(at::tensor({0.5, 0.3, 0.2}, at::kDouble), means, start_covariances(type));
  return m.fit(x, w);
}

// scikit-learn 1.9.1, reg_covar = 0: log-likelihood after 1 and after 10 steps, BIC and AIC after
// 10.
TEST(GaussianMixture, EqualsScikitLearnStepForStep) {
  const std::map<std::string, std::array<double, 4>> expected = {
      {"spherical", {-630.020636275033, -620.821132133828, 1315.818707399, 1269.642264268}},
      {"diagonal", {-627.480043341671, -618.266653218392, 1342.499653768, 1276.533306437}},
      {"tied", {-630.756049836919, -619.968551073807, 1330.008497379, 1273.937102148}},
      {"full", {-623.405729103513, -612.179908432309, 1378.011020495, 1282.359816865}}};
  const at::Tensor x = test_points(0, 200);
  for (const auto& [type, values] : expected) {
    SCOPED_TRACE(type);
    EXPECT_NEAR(fit_from_start(type, 1, x).report().log_likelihood, values[0], 1e-9);
    const GaussianMixture m = fit_from_start(type, 10, x);
    EXPECT_NEAR(m.report().log_likelihood, values[1], 1e-9);
    EXPECT_NEAR(m.report().criteria.bic, values[2], 1e-8);
    EXPECT_NEAR(m.report().criteria.aic, values[3], 1e-8);
    EXPECT_NEAR(m.score(x) * 200, values[1], 1e-9);
    EXPECT_EQ(m.report().trace.floored, 0);
  }
}

// The maximum of the likelihood, as published fits of these data give it.
TEST(GaussianMixture, OldFaithfulAndIrisReachTheReferenceLikelihoods) {
  const char* root = std::getenv("COVARY_DATA");
  const fs::path data(root ? root : COVARY_SOURCE_DIR "/../shared/data");
  if (!fs::exists(data / "classic/faithful.csv"))
    GTEST_SKIP() << "no data/classic here: set COVARY_DATA";
  const auto tensor = [](const data::TableSplit& s) {
    return at::tensor(s.x, at::kDouble).view({s.rows, int64_t(s.names.size())});
  };
  const at::Tensor faithful = tensor(
      data::read_table(data / "classic/faithful.csv").split({.columns = {"eruptions", "waiting"}}));
  const double two[] = {-1709.5293, -1147.8064, -1140.1868, -1130.2640};
  for (int t = 0; t < 4; ++t) {
    GaussianMixture m({.components = 2, .covariance = kTypes[t]});
    EXPECT_NEAR(m.fit(faithful).report().log_likelihood, two[t], 1e-4) << kTypes[t];
    EXPECT_TRUE(m.report().trace.converged);
  }
  const Selection s = select_mixture(faithful, {1, 2, 3, 4}, {"tied", "full"}, "bic");
  EXPECT_EQ(s.rows[s.best].components, 3);
  EXPECT_EQ(s.rows[s.best].covariance, "tied");
  EXPECT_NEAR(s.rows[s.best].report.criteria.bic, 2314.296, 1e-3);
  EXPECT_NEAR(s.rows[5].report.criteria.bic, 2322.192, 1e-3);

  const data::Table iris = data::read_table(data / "classic/iris.csv", {.header = "yes"});
  const at::Tensor flowers = at::tensor(iris.values, at::kDouble).view({150, 5}).slice(1, 0, 4);
  const std::map<std::string, double> three = {{"tied", -256.3540}, {"full", -180.1855}};
  for (const auto& [type, value] : three) {
    GaussianMixture m({.components = 3, .covariance = type});
    EXPECT_NEAR(m.fit(flowers).report().log_likelihood, value, 1e-4) << type;
  }
  // Diagonal covariances have several maxima: one start reaches the published one, four a better.
  GaussianMixture one({.components = 3, .covariance = "diagonal", .starts = 1, .seed = 0});
  EXPECT_NEAR(one.fit(flowers).report().log_likelihood, -307.1776, 1e-4);
  GaussianMixture four({.components = 3, .covariance = "diagonal"});
  EXPECT_GE(four.fit(flowers).report().log_likelihood, -307.1776);
}

TEST(GaussianMixture, TheLikelihoodNeverFalls) {
  const at::Tensor x = test_points(0, 600);
  for (const char* type : kTypes) {
    for (const char* init : {"k-means", "random"}) {
      GaussianMixture m(
          {.components = 5, .covariance = type, .init = init, .starts = 1, .steps = 200});
      const auto trace = m.fit(x).report().trace.mean_log_likelihood;
      ASSERT_GT(trace.size(), 2u);
      for (size_t i = 1; i < trace.size(); ++i) EXPECT_GE(trace[i], trace[i - 1] - 1e-12) << type;
    }
  }
}

TEST(GaussianMixture, WeightsCountAsRepeatedRows) {
  const at::Tensor x = test_points(0, 120);
  const at::Tensor w = at::arange(120, at::kDouble).remainder(4);
  const at::Tensor repeated = x.repeat_interleave(w.to(at::kLong), 0);
  for (const char* type : kTypes) {
    const GaussianMixture a = fit_from_start(type, 20, x, w),
                          b = fit_from_start(type, 20, repeated);
    EXPECT_NEAR(a.report().log_likelihood, b.report().log_likelihood, 1e-9) << type;
    EXPECT_TRUE(at::allclose(a.covariances(), b.covariances(), 1e-10, 1e-12)) << type;
    EXPECT_EQ(a.report().weight, b.report().weight);
  }
}

TEST(GaussianMixture, ChunksAndThreadsChangeNoBit) {
  const at::Tensor x = test_points(0, 9001);
  const GaussianMixtureOptions o{.components = 3, .starts = 2, .steps = 15};
  set_threads(1);
  GaussianMixture whole(o);
  whole.fit(x);
  set_threads(3);
  GaussianMixture threads(o), chunks(o);
  threads.fit(x);
  set_threads(0);
  chunks.fit_chunks([&](int64_t index, at::Tensor& chunk, at::Tensor&) {
    if (index * 1234 >= 9001) return false;
    chunk = x.slice(0, index * 1234, std::min<int64_t>(9001, (index + 1) * 1234));
    return true;
  });
  for (const GaussianMixture* other : {&threads, &chunks}) {
    EXPECT_TRUE(at::equal(whole.means(), other->means()));
    EXPECT_TRUE(at::equal(whole.covariances(), other->covariances()));
    EXPECT_EQ(whole.report().log_likelihood, other->report().log_likelihood);
  }
}

TEST(GaussianMixture, MissingEntriesAreIntegratedOut) {
  at::Tensor x = test_points(0, 400);
  const GaussianMixture complete = fit_from_start("full", 5, x);
  // The density of what is there is the marginal's.
  at::Tensor holes = x.clone();
  for (int64_t i = 0; i < 400; i += 3) holes[i][i % 2] = std::nan("");
  const at::Tensor density = complete.score_samples(holes);
  const GaussianMixture last = complete.marginal({1, 2});
  EXPECT_NEAR(density[6].item<double>(),
              last.score_samples(x.slice(0, 6, 7).slice(1, 1, 3)).item<double>(), 1e-12);
  EXPECT_NEAR(density[7].item<double>(), complete.score_samples(x)[7].item<double>(), 1e-12);
  EXPECT_EQ(complete.predict(holes).size(0), 400);
  EXPECT_NEAR(complete.predict_proba(holes).sum().item<double>(), 400, 1e-9);
  for (const char* type : kTypes) {
    GaussianMixture m = fit_from_start(type, 60, holes);
    const auto trace = m.report().trace.mean_log_likelihood;
    for (size_t i = 1; i < trace.size(); ++i) ASSERT_GE(trace[i], trace[i - 1] - 1e-12) << type;
    EXPECT_NEAR(m.report().log_likelihood, m.score_samples(holes).sum().item<double>(), 1e-8);
  }
  // A row of nothing says nothing.
  at::Tensor more = at::cat({holes, at::full({3, 3}, std::nan(""), at::kDouble)});
  EXPECT_NEAR(fit_from_start("full", 5, more).report().log_likelihood,
              fit_from_start("full", 5, holes).report().log_likelihood, 1e-9);
  EXPECT_EQ(complete.score_samples(more)[401].item<double>(), 0);
}

// One Gaussian, the second column missing here and there: the maximum is that of the first column's
// moments and of the regression on complete rows (Anderson 1957, JASA 52).
TEST(GaussianMixture, OneGaussianWithHolesHasItsClosedForm) {
  at::Tensor x = test_points(0, 90).slice(1, 0, 2).contiguous();
  const at::Tensor complete = at::arange(90, at::kLong).remainder(3).ne(0);
  const at::Tensor a = x.select(1, 0).index({complete}), b = x.select(1, 1).index({complete});
  const at::Tensor first = x.select(1, 0).clone();
  for (int64_t i = 0; i < 90; i += 3) x[i][1] = std::nan("");
  GaussianMixture m({.components = 1, .steps = 5000, .tolerance = 0});
  m.fit(x);
  // A fit ends where the likelihood stands still, half the digits of the parameters: some steps more.
  for (int more = 0; more < 30; ++more) {
    GaussianMixture next({.components = 1, .init = "given", .steps = 2, .tolerance = 0});
    next.set_parameters(m.weights(), m.means(), m.covariances());
    m = std::move(next.fit(x));
  }
  const double mean = first.mean().item<double>();
  const double variance = (first - mean).square().mean().item<double>();
  const double slope = ((a - a.mean()) * (b - b.mean())).sum().item<double>() /
                       (a - a.mean()).square().sum().item<double>();
  const double level = (b.mean() - slope * a.mean()).item<double>();
  const double rest = (b - level - slope * a).square().mean().item<double>();
  EXPECT_NEAR(m.means()[0][0].item<double>(), mean, 1e-10);
  EXPECT_NEAR(m.means()[0][1].item<double>(), level + slope * mean, 1e-10);
  const at::Tensor s = m.covariances()[0];
  EXPECT_NEAR(s[0][0].item<double>(), variance, 1e-10);
  EXPECT_NEAR(s[1][0].item<double>(), slope * variance, 1e-10);
  EXPECT_NEAR(s[1][1].item<double>(), rest + slope * slope * variance, 1e-10);
}

TEST(GaussianMixture, OnlineEmComesNearBatchEm) {
  const GaussianMixture batch = fit_from_start("full", 200, test_points(0, 20000));
  for (const char* type : kTypes) {
    GaussianMixture online({.components = 3, .covariance = type});
    for (int64_t b = 0; b < 100; ++b) online.partial_fit(test_points(200 * b, 200 * b + 200));
    const at::Tensor held_out = test_points(30000, 34000);
    const GaussianMixture offline = fit_from_start(type, 200, test_points(0, 20000));
    EXPECT_NEAR(online.score(held_out), offline.score(held_out), 0.01) << type;
  }
}

TEST(GaussianMixture, SamplesHaveTheMixturesMoments) {
  const GaussianMixture m = fit_from_start("full", 10, test_points(0, 200));
  at::Tensor labels;
  const at::Tensor x = m.sample(40000, 1, labels);
  EXPECT_TRUE(at::equal(x, m.sample(40000, 1)));
  const at::Tensor mean = m.weights().unsqueeze(1).mul(m.means()).sum(0);
  EXPECT_TRUE(at::allclose(x.mean(0), mean, 0, 0.02));
  for (int64_t c = 0; c < 3; ++c) {
    const at::Tensor own = x.index({labels == c});
    EXPECT_NEAR(double(own.size(0)) / 40000, m.weights()[c].item<double>(), 0.01);
    const at::Tensor z = own - own.mean(0);
    EXPECT_TRUE(at::allclose(z.t().mm(z) / own.size(0), m.covariances()[c], 0, 0.02));
  }
}

TEST(GaussianMixture, JointIsMarginalTimesConditional) {
  const GaussianMixture m = fit_from_start("full", 10, test_points(0, 200));
  const at::Tensor x = test_points(200, 205);
  for (int64_t i = 0; i < 5; ++i) {
    const at::Tensor row = x[i];
    const GaussianMixture given = m.conditional({2, 0}, at::stack({row[2], row[0]}));
    const double joint = m.score_samples(row.unsqueeze(0)).item<double>();
    const double parts =
        m.marginal({2, 0}).score_samples(at::stack({row[2], row[0]}).unsqueeze(0)).item<double>() +
        given.score_samples(row[1].view({1, 1})).item<double>();
    EXPECT_NEAR(joint, parts, 1e-12);
  }
}

TEST(GaussianMixture, MergingKeepsMeanAndCovarianceOfTheWhole) {
  GaussianMixture m({.components = 6});
  m.fit(test_points(0, 500));
  const auto moments = [](const GaussianMixture& g) {
    const at::Tensor w = g.weights().view({-1, 1}), mean = (w * g.means()).sum(0);
    const at::Tensor apart = g.means() - mean;
    return std::pair(mean, (w.unsqueeze(2) * g.covariances()).sum(0) + apart.t().mm(w * apart));
  };
  const auto [mean, covariance] = moments(m);
  for (const int64_t k : {3, 1}) {
    const auto [mean_k, covariance_k] = moments(m.merged(k));
    EXPECT_TRUE(at::allclose(mean, mean_k, 1e-10, 1e-12));
    EXPECT_TRUE(at::allclose(covariance, covariance_k, 1e-10, 1e-12));
    EXPECT_EQ(m.merged(k).components(), k);
  }
}

// scikit-learn issue 30382: float data 9999 and 0 give it a variance of -0.99999979.
TEST(GaussianMixture, FloatDataFarApartKeepPositiveVariances) {
  const at::Tensor x = at::tensor({9999.f, 9999.f, 9999.f, 0.f, 0.f, 0.f}).view({6, 1});
  for (const char* type : kTypes) {
    GaussianMixture m({.components = 2, .covariance = type});
    m.fit(x);
    EXPECT_TRUE((m.covariances() > 0).all().item<bool>());
    EXPECT_GT(m.report().trace.floored, 0);
    EXPECT_TRUE(std::isfinite(m.report().log_likelihood));
  }
}

TEST(GaussianMixture, AChangeOfUnitsChangesNothingElse) {
  const at::Tensor x = test_points(0, 300);
  const at::Tensor units = at::tensor({1e-12, 1.0, 1e12}, at::kDouble);
  for (const char* type : {"diagonal", "tied", "full"}) {
    GaussianMixture a({.components = 4, .covariance = type}), b(a.options());
    a.fit(x);
    b.fit(x * units);
    EXPECT_NEAR(a.report().log_likelihood, b.report().log_likelihood, 1e-6) << type;
    EXPECT_TRUE(at::equal(a.predict(x), b.predict(x * units))) << type;
  }
}

TEST(GaussianMixture, StarvedComponentsAreSetAnewAndSaidSo) {
  const at::Tensor x = test_points(0, 300);
  GaussianMixture m({.covariance = "full", .init = "given", .steps = 300});
  at::Tensor means = at::zeros({3, 3}, at::kDouble);
  means[2].fill_(1e5);
  m.set_parameters(at::ones({3}, at::kDouble), means,
                   at::eye(3, at::kDouble).expand({3, 3, 3}).contiguous());
  m.fit(x);
  EXPECT_GE(m.report().trace.reseeded, 1);
  EXPECT_GT(m.weights().min().item<double>(), 1e-8);
}

TEST(GaussianMixture, BadInputIsNamed) {
  GaussianMixture m({.components = 3});
  at::Tensor x = test_points(0, 2);
  EXPECT_THAT(refusal([&] { m.fit(x); }), HasSubstr("2 rows cannot make 3"));
  EXPECT_THAT(refusal([&] { m.predict(x); }), HasSubstr("no parameters"));
  x[1][2] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(refusal([&] { m.fit(x); }), HasSubstr("row 1, column 2: a value is infinite"));
  EXPECT_THAT(refusal([&] { m.fit(test_points(0, 9), at::tensor({1., -1.}, at::kDouble)); }),
              HasSubstr("one weight a row"));
  EXPECT_THAT(refusal([&] { m.fit(test_points(0, 2), at::tensor({1., -1.}, at::kDouble)); }),
              HasSubstr("row 1"));
  EXPECT_THAT(refusal([] { GaussianMixture({.covariance = "round"}); }), HasSubstr("covariance"));
  EXPECT_THAT(refusal([] {
                GaussianMixture({.covariance = "tied"})
                    .set_parameters(at::ones({1}, at::kDouble), at::zeros({1, 2}, at::kDouble),
                                    at::tensor({1., 2., 2., 1.}, at::kDouble).view({2, 2}));
              }),
              HasSubstr("smallest eigenvalue -1"));
  m.fit(test_points(0, 50));
  EXPECT_THAT(refusal([&] { m.predict(at::zeros({4, 2}, at::kDouble)); }), HasSubstr("2 columns"));
  at::Tensor none = test_points(0, 5).clone();
  none.select(1, 1).fill_(std::nan(""));
  EXPECT_THAT(refusal([&] { m.fit(none); }), HasSubstr("column 1"));
}

RC_GTEST_PROP(GaussianMixtureProperty, HostileDataGiveAFiniteFitWithAMonotoneLikelihood, ()) {
  const int64_t n = *rc::gen::inRange(1, 40), d = *rc::gen::inRange(1, 4);
  const int64_t k = *rc::gen::inRange<int64_t>(1, std::min<int64_t>(n, 5) + 1);
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = *rc::gen::element(0.0, 1.0, 1e-12, 1e12, -3.0, 1e12 + 1, 5.0, 5.5);
  }
  GaussianMixture m(
      {.components = k,
       .covariance = *rc::gen::element<std::string>("spherical", "diagonal", "tied", "full"),
       .starts = 1,
       .steps = 50});
  m.fit(x);
  RC_ASSERT(m.means().isfinite().all().item<bool>());
  RC_ASSERT(m.covariances().isfinite().all().item<bool>());
  RC_ASSERT(m.score_samples(x).isfinite().all().item<bool>());
  RC_ASSERT(m.predict_proba(x).isfinite().all().item<bool>());
  const EmTrace& trace = m.report().trace;
  for (size_t i = 1; i < trace.mean_log_likelihood.size(); ++i) {
    const bool anew = std::count(trace.reseeds.begin(), trace.reseeds.end(), int64_t(i)) > 0;
    const double before = trace.mean_log_likelihood[i - 1];
    RC_ASSERT(anew || trace.mean_log_likelihood[i] >= before - 1e-9 * (1 + std::abs(before)));
  }
}

TEST(GaussianMixture, AModelFileGivesTheSameBitsBack) {
  const TemporaryFolder folder("mixture");
  const at::Tensor x = test_points(0, 200);
  for (const char* type : kTypes) {
    GaussianMixture m({.components = 3, .covariance = type, .starts = 1, .steps = 5});
    m.fit(x);
    for (const char* name : {"m.json", "m.cov"}) {
      data::write_model(folder.path() / name, m.model());
      const GaussianMixture r =
          GaussianMixture::of_model(data::read_model(folder.path() / name, "covary.mixture", 1));
      EXPECT_TRUE(at::equal(r.score_samples(x), m.score_samples(x))) << type << name;
      EXPECT_TRUE(at::equal(r.predict_proba(x), m.predict_proba(x))) << type << name;
      EXPECT_TRUE(at::equal(r.sample(5, 1), m.sample(5, 1))) << type << name;
      EXPECT_EQ(r.options().covariance, type);
    }
  }
}

TEST(GaussianMixture, AModelThatIsNoMixtureIsRefusedByField) {
  GaussianMixture m({.components = 2, .steps = 2});
  m.fit(test_points(0, 50));
  const auto changed = [&](const std::function<void(data::Model&)>& change) {
    data::Model file = m.model();
    change(file);
    return refusal([&] { GaussianMixture::of_model(file); });
  };
  EXPECT_THAT(changed([](auto& f) { f.fields["family"] = "vmf"; }), HasSubstr("family"));
  EXPECT_THAT(changed([](auto& f) { f.fields["covariance"] = "tied"; }), HasSubstr("covariances"));
  EXPECT_THAT(changed([](auto& f) { f.arrays.erase("means"); }), HasSubstr("means"));
  EXPECT_THAT(changed([](auto& f) { f.put("means", {}, {0, 3}); }), HasSubstr("means"));
  EXPECT_THAT(changed([](auto& f) { f.put("log_weights", {0.0, 0.0}, {2}); }), HasSubstr("sum to"));
  EXPECT_THAT(changed([](auto& f) { f.arrays["means"].values[1] = NAN; }), HasSubstr("means"));
  EXPECT_THAT(changed([](auto& f) { f.arrays["covariances"].values[0] = -1; }),
              HasSubstr("not positive definite"));
}

}  // namespace
}  // namespace covary::mixture
