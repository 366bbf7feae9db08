#include "covary/stat/process/markov_filter.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/state_space.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;

struct Series {
  Vector t, y, extra;
};

// Irregular, clustered times with repeats; some values missing.
Series series(size_t n, uint64_t seed) {
  const Random random(seed, 3);
  Series s;
  double at = -4;
  for (size_t i = 0; i < n; ++i) {
    const double u = random.uniform(3 * i);
    if (u > 0.1) at += u > 0.95 ? 3 : u < 0.3 ? 1e-6 * u : 0.2 * u;
    s.t.push_back(at);
    s.y.push_back(i % 9 == 4 ? std::nan("") : std::sin(at) + 0.3 * random.normal(3 * i + 1));
    s.extra.push_back(0.1 * random.uniform(3 * i + 2));
  }
  return s;
}

at::Tensor tensor(const Vector& v) { return at::tensor(v, at::kDouble); }

constexpr const char* kTexts[] = {
    "const(1.7)*matern32(0.8) + white(0.05)",
    "matern12(0.7) + const(0.5)*matern52(3) + const(2) + white(0.1)",
    "const(1.3)*matern32(2)*cosine(1.4) + white(0.05)",
    "sho(2.2,3) + 0.7*sho(1,0.3)*matern12(4) + white(0.02) + white(0.03)",
    "1.1*(matern52(2) + cosine(3))^2 + white(0.1)",
    "const(1.4)*sho(1.5,0.5)*matern52(0.9) + white(0.05)",
    "matern32(1.1)*(const(0.8) + white(0.1))"};

TEST(MarkovFilter, EqualsTheDenseProcess) {
  for (const char* text : kTexts) {
    for (const bool noisy : {false, true}) {
      SCOPED_TRACE(std::string(text) + (noisy ? " noisy" : ""));
      const Series s = series(300, 5);
      const Kernel kernel = Kernel::parse(text, 1);
      const at::Tensor t = tensor(s.t), y = tensor(s.y),
                       noise = noisy ? tensor(s.extra) : at::Tensor();
      const std::span<const double> extra =
          noisy ? std::span<const double>(s.extra) : std::span<const double>();
      GpOptions o;
      o.mean = "zero";
      o.fit = false;
      o.kernel = text;
      const GaussianProcess dense(t.unsqueeze(1), y, o, noise);
      MarkovForm form(kernel);
      Vector g;
      const double value = filter_log_likelihood(form, s.t, s.y, extra, &g);
      EXPECT_NEAR(value, dense.report().log_likelihood, 1e-8);
      EXPECT_NEAR(filter_log_likelihood(form, s.t, s.y, extra, nullptr), value, 1e-10);
      const GpData data = GpData::from(t.unsqueeze(1), y, noise, Mean::kZero);
      MarginalLikelihood likelihood(data, 1 << 30);
      Vector expected(g.size());
      likelihood.evaluate(dense.kernel(), expected);
      for (size_t p = 0; p < g.size(); ++p) {
        EXPECT_NEAR(g[p], expected[p], 1e-7 * (1 + std::abs(expected[p])))
            << kernel.parameters()[p].name;
      }

      for (const char* mean : {"zero", "const"}) {
        MarkovOptions m;
        m.kernel = text;
        m.fit = false;
        m.mean = mean;
        o.mean = mean;
        const GaussianProcess whole(t.unsqueeze(1), y, o, noise);
        const MarkovProcess gp(t, y, m, noise);
        const at::Tensor ts = at::cat({at::linspace(-6, 40, 50, at::kDouble).flip(0), t});
        const MarkovPrediction p = gp.predict(ts, true);
        const Prediction q = whole.predict(ts.unsqueeze(1), {.noise = true});
        EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-8);
        EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-8);
        const MarkovPrediction l = gp.leave_one_out();
        const Prediction e = whole.leave_one_out();
        EXPECT_LT((l.mean - e.mean).nan_to_num(0).abs().max().item<double>(), 1e-7);
        EXPECT_LT((l.variance - e.variance).nan_to_num(0).abs().max().item<double>(), 1e-7);
      }
    }
  }
}

// A single Matern by the general way and by its own.
TEST(MarkovFilter, EqualsTheMaternFilter) {
  const Series s = series(3000, 7);
  const MarkovModel model{MarkovKind::kMatern52, 1.2, 0.7, 0.03};
  const Kernel kernel = Kernel::parse("const(1.2)*matern52(0.7) + white(0.03)", 1);
  MarkovGradient expected;
  Vector g, m1(3000), v1(3000), m2(3000), v2(3000);
  const MarkovForm form(kernel);
  EXPECT_NEAR(filter_log_likelihood(form, s.t, s.y, {}, &g),
              markov_log_likelihood(model, s.t, s.y, {}, &expected), 1e-8);
  EXPECT_NEAR(g[0], expected.variance, 1e-7);
  EXPECT_NEAR(g[1], expected.length, 1e-7);
  EXPECT_NEAR(g[2], expected.noise, 1e-7);
  filter_smooth(form, s.t, s.y, {}, m1, v1);
  markov_smooth(model, s.t, s.y, {}, m2, v2);
  for (size_t i = 0; i < 3000; ++i) {
    ASSERT_NEAR(m1[i], m2[i], 1e-9);
    ASSERT_NEAR(v1[i], v2[i], 1e-9);
  }
}

// Periodic parts: where the harmonics that are left out carry nothing, the dense process; else what
// is left out is told.
TEST(MarkovFilter, PeriodicKernelsByTheirHarmonics) {
  const Series s = series(300, 6);
  const char* text = "const(1.5)*periodic(2.3,2.5)*matern32(5) + white(0.05)";
  GpOptions o;
  o.mean = "zero";
  o.fit = false;
  o.kernel = text;
  const GaussianProcess dense(tensor(s.t).unsqueeze(1), tensor(s.y), o);
  const MarkovForm form(Kernel::parse(text, 1));
  EXPECT_EQ(form.states(), 2 + 7 * 4);
  EXPECT_LT(form.truncated(), 1e-11);
  Vector g, expected(dense.kernel().parameters().size());
  EXPECT_NEAR(filter_log_likelihood(form, s.t, s.y, {}, &g), dense.report().log_likelihood, 1e-7);
  const GpData data =
      GpData::from(tensor(s.t).unsqueeze(1), tensor(s.y), at::Tensor(), Mean::kZero);
  MarginalLikelihood likelihood(data, 1 << 30);
  likelihood.evaluate(dense.kernel(), expected);
  for (size_t p = 0; p < g.size(); ++p) EXPECT_NEAR(g[p], expected[p], 1e-6);
  const MarkovForm rough(Kernel::parse("periodic(1,0.2)", 1), 3);
  EXPECT_GT(rough.truncated(), 0.1);
  EXPECT_NEAR(rough.variance() + rough.truncated(), 1, 1e-12);
  EXPECT_TRUE(MarkovForm::approximates(Kernel::parse(text, 1)));
}

TEST(MarkovFilter, GradientAgreesWithDifferences) {
  const Series s = series(1000, 8);
  for (const char* text :
       {kTexts[1], kTexts[3], kTexts[4], "periodic(1.9,0.5)*matern12(3) + white(0.1)",
        "const(2)*sho(3,20) + const(0.3)*periodic(17,1) + white(0.1)"}) {
    Kernel kernel = Kernel::parse(text, 1);
    Vector g;
    filter_log_likelihood(MarkovForm(kernel), s.t, s.y, s.extra, &g);
    for (size_t p = 0; p < g.size(); ++p) {
      const double h = 1e-5, value = kernel.parameters()[p].value;
      double difference = 0;
      for (const double sign : {-1.0, 1.0}) {
        kernel.parameters()[p].value = value * std::exp(sign * h);
        difference +=
            sign * filter_log_likelihood(MarkovForm(kernel), s.t, s.y, s.extra, nullptr) / (2 * h);
      }
      kernel.parameters()[p].value = value;
      EXPECT_NEAR(g[p], difference, 1e-5 * (1 + std::abs(g[p])))
          << text << " " << kernel.parameters()[p].name;
    }
  }
}

// On a grid the covariances stand still and are left alone; the answer is that of a grid that never
// repeats a gap exactly.
TEST(MarkovFilter, SteadyStateOnAGrid) {
  const size_t n = 3000;
  Series s;
  const Random random(5);
  for (size_t i = 0; i < n; ++i) {
    s.t.push_back(0.1 * static_cast<double>(i));
    s.y.push_back(std::sin(s.t.back()) + 0.2 * random.normal(i));
  }
  s.y[1500] = std::nan("");
  s.y[2000] = s.y[2001] = std::nan("");
  const MarkovForm form(Kernel::parse("matern32(2)*cosine(5) + matern12(1) + white(0.04)", 1));
  Vector g, m1(n), v1(n), m2(n), v2(n), none(n, 0.0);
  const double steady = filter_log_likelihood(form, s.t, s.y, {}, nullptr);
  EXPECT_NEAR(steady, filter_log_likelihood(form, s.t, s.y, {}, &g), 1e-8);
  EXPECT_NEAR(steady, filter_log_likelihood(form, s.t, s.y, none, nullptr), 1e-8);
  filter_smooth(form, s.t, s.y, {}, m1, v1);
  filter_smooth(form, s.t, s.y, none, m2, v2);
  for (size_t i = 0; i < n; ++i) {
    ASSERT_NEAR(m1[i], m2[i], 1e-10) << i;
    ASSERT_NEAR(v1[i], v2[i], 1e-10) << i;
  }
}

TEST(MarkovFilter, FitsAnOscillator) {
  const size_t n = 400;
  const at::Tensor t = at::linspace(0, 40, static_cast<int64_t>(n), at::kDouble);
  const Kernel truth = Kernel::parse("const(2)*sho(3,8) + white(0.05)", 1);
  at::Tensor k = at::empty({400, 400}, at::kDouble), z = at::empty({400}, at::kDouble);
  truth.matrix(t.const_data_ptr<double>(), 400, k.data_ptr<double>(), 400);
  for (int64_t i = 0; i < 400; ++i) z.data_ptr<double>()[i] = Random(4).normal(i);
  const at::Tensor y = at::linalg_cholesky(k).matmul(z);
  const MarkovProcess gp = fit_markov(t, y, {.kernel = "sho"});
  EXPECT_EQ(gp.report().ending, numeric::Ending::kConverged);
  EXPECT_NEAR(gp.report().parameters[1].value, 3, 0.2);
  EXPECT_NEAR(gp.report().noise, 0.05, 0.02);
  EXPECT_EQ(gp.report().states, 2);
}

TEST(MarkovFilter, NamesWhatIsNoMarkovProcess) {
  EXPECT_THAT(MarkovForm::obstacle(Kernel::parse("matern32 + rbf", 1)), testing::HasSubstr("rbf"));
  EXPECT_THAT(MarkovForm::obstacle(Kernel::parse("matern32(dims=0)", 2)),
              testing::HasSubstr("2 columns"));
  EXPECT_THAT(MarkovForm::obstacle(Kernel::parse("white", 1)), testing::HasSubstr("white alone"));
  EXPECT_THAT(MarkovForm::obstacle(Kernel::parse("periodic^3", 1)), testing::HasSubstr("states"));
  EXPECT_EQ(MarkovForm::obstacle(Kernel::parse("matern32 + white", 1)), "");
  EXPECT_THROW(MarkovForm(Kernel::parse("rbf", 1)), Error);
}

}  // namespace
}  // namespace covary::stat
