#include "covary/stat/process/state_space.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/state_space_filter.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr const char* kKinds[] = {"matern12", "matern32", "matern52"};

struct Series {
  Vector t, y, extra;
};

// Irregular, clustered times with repeats; some values missing.
Series series(size_t n, uint64_t seed, double time_scale = 1, double value_scale = 1) {
  const Random random(seed, 3);
  Series s;
  double at = -4;
  for (size_t i = 0; i < n; ++i) {
    const double u = random.uniform(3 * i);
    if (u > 0.1) at += u > 0.95 ? 3 : u < 0.3 ? 1e-6 * u : 0.2 * u;
    s.t.push_back(at * time_scale);
    const double y = std::sin(at) + 0.3 * random.normal(3 * i + 1);
    s.y.push_back(i % 9 == 4 ? std::nan("") : y * value_scale);
    s.extra.push_back(0.1 * random.uniform(3 * i + 2) * value_scale * value_scale);
  }
  return s;
}

at::Tensor tensor(const Vector& v) { return at::tensor(v, at::kDouble); }

GpOptions fixed_dense(const std::string& kind, const MarkovModel& m) {
  GpOptions o;
  char text[200];
  std::snprintf(text, sizeof text, "const(%.17g)*%s(%.17g) + white(%.17g)", m.variance,
                kind.c_str(), m.length, m.noise);
  o.kernel = text;
  o.mean = "zero";
  o.fit = false;
  return o;
}

template <int D>
void expect_transitions() {
  for (const double x : {1e-12, 1e-5, 1e-3, 0.05, 0.4, 0.51, 0.99, 1.01, 3.0, 30.0, 700.0}) {
    Transition<D> one, two, plus, minus;
    transition<D>(x, std::exp(-x), true, &one);
    // A(2x) = A(x)^2 and Q(2x) = A Q A' + Q.
    transition<D>(2 * x, std::exp(-2 * x), true, &two);
    const double h = 1e-4 * std::min(x, 1.0);
    transition<D>(x + h, std::exp(-x - h), false, &plus);
    transition<D>(x - h, std::exp(-x + h), false, &minus);
    for (int i = 0; i < D; ++i) {
      for (int j = 0; j < D; ++j) {
        double a = 0, q = one.q[i >= j ? packed(i, j) : packed(j, i)];
        for (int k = 0; k < D; ++k) {
          a += one.a[i * D + k] * one.a[k * D + j];
          for (int l = 0; l < D; ++l) {
            q += one.a[i * D + k] * one.q[k >= l ? packed(k, l) : packed(l, k)] * one.a[j * D + l];
          }
        }
        EXPECT_NEAR(two.a[i * D + j], a, 1e-14) << x;
        if (i >= j) {
          const double scale = std::sqrt(two.q[packed(i, i)] * two.q[packed(j, j)]);
          EXPECT_NEAR(two.q[packed(i, j)], q, 3e-14 * scale) << D << " " << x << " " << i << j;
        }
        if (x < 1e-3) continue;  // differences are all rounding there
        EXPECT_NEAR(one.da[i * D + j], (plus.a[i * D + j] - minus.a[i * D + j]) / (2 * h), 1e-8);
        if (i >= j) {
          EXPECT_NEAR(one.dq[packed(i, j)],
                      (plus.q[packed(i, j)] - minus.q[packed(i, j)]) / (2 * h), 1e-8);
        }
      }
    }
  }
  // From nothing to the stationary covariance.
  Transition<D> far;
  transition<D>(kFarGap, std::exp(-kFarGap), false, &far);
  for (int i = 0; i < D; ++i) {
    for (int j = 0; j <= i; ++j) {
      EXPECT_NEAR(far.q[packed(i, j)], stationary<D>(i, j), 1e-15) << i << j;
    }
  }
}

TEST(StateSpace, TransitionsCompose) {
  expect_transitions<1>();
  expect_transitions<2>();
  expect_transitions<3>();
}

TEST(StateSpace, EqualsTheDenseProcess) {
  for (const char* kind : kKinds) {
    for (const bool noisy : {false, true}) {
      SCOPED_TRACE(std::string(kind) + (noisy ? " noisy" : ""));
      const Series s = series(300, 5);
      const MarkovModel model{markov_kind_of(kind), 1.7, 0.8, 0.05};
      const at::Tensor t = tensor(s.t), y = tensor(s.y),
                       noise = noisy ? tensor(s.extra) : at::Tensor();
      const std::span<const double> extra =
          noisy ? std::span<const double>(s.extra) : std::span<const double>();
      const GaussianProcess dense(t.unsqueeze(1), y, fixed_dense(kind, model), noise);
      MarkovGradient g;
      const double value = markov_log_likelihood(model, s.t, s.y, extra, &g);
      EXPECT_NEAR(value, dense.report().log_likelihood, 1e-8);
      EXPECT_EQ(markov_log_likelihood(model, s.t, s.y, extra, nullptr), value);

      const GpData data = GpData::from(t.unsqueeze(1), y, noise, Mean::kZero);
      MarginalLikelihood likelihood(data, 1 << 30);
      Vector expected(3);
      likelihood.evaluate(dense.kernel(), expected);
      EXPECT_NEAR(g.variance, expected[0], 1e-7);
      EXPECT_NEAR(g.length, expected[1], 1e-7);
      EXPECT_NEAR(g.noise, expected[2], 1e-7);

      MarkovOptions o;
      o.kernel = kind;
      o.variance = model.variance;
      o.length = model.length;
      o.noise = model.noise;
      o.fit = false;
      const MarkovProcess gp(t, y, o, noise);
      const at::Tensor ts = at::cat({at::linspace(-6, 40, 50, at::kDouble).flip(0), t});
      const MarkovPrediction p = gp.predict(ts);
      const Prediction q = dense.predict(ts.unsqueeze(1));
      EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-8);
      EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-8);
      EXPECT_LT((gp.predict(ts, true).variance - p.variance - 0.05).abs().max().item<double>(),
                1e-14);
    }
  }
}

TEST(StateSpace, GradientAgreesWithDifferences) {
  for (const char* kind : kKinds) {
    for (const bool noisy : {false, true}) {
      const Series s = series(2000, 8);
      const std::span<const double> extra =
          noisy ? std::span<const double>(s.extra) : std::span<const double>();
      const MarkovModel model{markov_kind_of(kind), 0.7, 1.3, 0.09};
      MarkovGradient g;
      markov_log_likelihood(model, s.t, s.y, extra, &g);
      const auto difference = [&](double MarkovModel::* field) {
        const double h = 1e-4;
        MarkovModel up = model, down = model;
        up.*field *= std::exp(h);
        down.*field *= std::exp(-h);
        return (markov_log_likelihood(up, s.t, s.y, extra, nullptr) -
                markov_log_likelihood(down, s.t, s.y, extra, nullptr)) /
               (2 * h);
      };
      EXPECT_NEAR(g.variance, difference(&MarkovModel::variance), 1e-4);
      EXPECT_NEAR(g.length, difference(&MarkovModel::length), 1e-4);
      EXPECT_NEAR(g.noise, difference(&MarkovModel::noise), 1e-4);
    }
  }
}

TEST(StateSpace, KnowsNoScale) {
  const Series plain = series(400, 9);
  for (const double st : {1e-12, 1e12}) {
    for (const double sy : {1e-12, 1e12}) {
      const Series s = series(400, 9, st, sy);
      for (const char* kind : kKinds) {
        const MarkovModel a{markov_kind_of(kind), 1, 0.5, 0.1},
            b{markov_kind_of(kind), sy * sy, 0.5 * st, 0.1 * sy * sy};
        const double known = 400 - 44;
        EXPECT_NEAR(markov_log_likelihood(b, s.t, s.y, {}, nullptr) + known * std::log(sy),
                    markov_log_likelihood(a, plain.t, plain.y, {}, nullptr), 1e-7);
      }
    }
  }
}

TEST(StateSpace, FitsWhatItWasDrawnFrom) {
  const at::Tensor t = at::linspace(0, 60, 500, at::kDouble);
  const Kernel truth = Kernel::parse("const(2)*matern32(1.5) + white(0.1)", 1);
  at::Tensor k = at::empty({500, 500}, at::kDouble);
  truth.matrix(t.const_data_ptr<double>(), 500, k.data_ptr<double>(), 500);
  at::Tensor z = at::empty({500}, at::kDouble);
  for (int64_t i = 0; i < 500; ++i) z.data_ptr<double>()[i] = Random(4).normal(i);
  const at::Tensor y = at::linalg_cholesky(k).matmul(z);
  const MarkovProcess gp = fit_markov(t.flip(0), y.flip(0));
  const MarkovReport& r = gp.report();
  EXPECT_EQ(r.ending, numeric::Ending::kConverged);
  EXPECT_NEAR(r.model->length, 1.5, 0.6);
  EXPECT_NEAR(r.model->noise, 0.1, 0.03);
  GpOptions o;
  o.kernel = "const*matern32 + white";
  o.mean = "zero";
  EXPECT_NEAR(GaussianProcess(t.unsqueeze(1), y, o).report().log_likelihood, r.log_likelihood,
              1e-6);
}

TEST(StateSpace, NamesWhatIsWrong) {
  const at::Tensor t = at::arange(5, at::kDouble), y = t * 2;
  const auto refusal = [](const auto& work) -> std::string {
    try {
      work();
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  at::Tensor bad = t.clone();
  bad[2] = std::nan("");
  EXPECT_THAT(refusal([&] { fit_markov(bad, y); }), testing::HasSubstr("NaN at row 2"));
  bad[2] = INFINITY;
  EXPECT_THAT(refusal([&] { fit_markov(t, bad); }), testing::HasSubstr("infinity at row 2"));
  EXPECT_THAT(refusal([&] { fit_markov(t * 0, y); }), testing::HasSubstr("all times are equal"));
  EXPECT_THAT(refusal([&] { fit_markov(t, y * std::nan("")); }), testing::HasSubstr("no value"));
  EXPECT_THAT(
      refusal([&] { fit_markov(at::empty({0}, at::kDouble), at::empty({0}, at::kDouble)); }),
      testing::HasSubstr("no rows"));
  EXPECT_THAT(refusal([&] { fit_markov(t, y.slice(0, 0, 3)); }), testing::HasSubstr("5 long"));
  EXPECT_THAT(refusal([&] { fit_markov(t, y, {.kernel = "rbf"}); }), testing::HasSubstr("kernel"));
  const Vector same{0, 0}, two{1, 2};
  EXPECT_EQ(markov_log_likelihood({MarkovKind::kMatern32, 1, 1, 0}, same, two, {}, nullptr),
            -INFINITY);
}

TEST(StateSpace, HostileSeriesGiveFiniteAnswers) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Random random(seed);
    const size_t n = 1 + random.below(12, 0);
    Series s = series(n, seed, std::pow(10, -12 + 24 * random.uniform(1)),
                      std::pow(10, -12 + 24 * random.uniform(2)));
    if (n > 4) s.y[4] = 0;
    if (seed % 4 == 0) std::fill(s.y.begin(), s.y.end(), seed % 8 == 0 ? 0.0 : 3.0);
    MarkovOptions o;
    o.kernel = kKinds[seed % 3];
    try {
      const MarkovProcess gp(tensor(s.t), tensor(s.y), o);
      const MarkovPrediction p = gp.predict(tensor(s.t));
      EXPECT_TRUE(p.mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(p.variance.isfinite().all().item<bool>()) << seed;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("equal")) << seed;
    }
  }
}

}  // namespace
}  // namespace covary::stat
