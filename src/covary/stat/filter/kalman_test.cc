#include "covary/stat/filter/kalman.h"

#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <Eigen/Eigenvalues>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/simulate.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

using testing::HasSubstr;

constexpr int64_t kSteps = 20;
constexpr double kTight = 1e-10;

using Case = std::tuple<std::string, bool>;  // form, matrices change each step
class KalmanAgainstDense : public testing::TestWithParam<Case> {};

TEST_P(KalmanAgainstDense, FilterSmootherAndLikelihood) {
  const KalmanOptions options{std::get<0>(GetParam())};
  for (const auto& [n, p] : {std::pair{1, 1}, {3, 2}, {4, 6}}) {
    SCOPED_TRACE(n);
    const LinearModel m = random_model(n, p, 2, std::get<1>(GetParam()) ? kSteps : 0, uint64_t(n));
    const at::Tensor y = series_with_holes(kSteps, p, 5), u = normal_tensor({kSteps, 2}, 8);
    const DenseOracle oracle(m, y, u);
    const Filtered f = kalman_filter(m, y, u, options);
    for (int64_t t = 0; t < kSteps; ++t) {
      const auto now = oracle.given(t), before = oracle.given(t - 1);
      ASSERT_LT(worst(vector_at(f.mean, t), oracle.mean_at(now, t)), kTight) << t;
      ASSERT_LT(worst(matrix_at(f.cov, t), oracle.cov_at(now, t, t)), kTight) << t;
      ASSERT_LT(worst(vector_at(f.predicted_mean, t), oracle.mean_at(before, t)), kTight) << t;
      ASSERT_LT(worst(matrix_at(f.predicted_cov, t), oracle.cov_at(before, t, t)), kTight) << t;
    }
    const auto all = oracle.given(kSteps - 1);
    EXPECT_NEAR(f.log_likelihood, all.log_likelihood, kTight * 20);
    EXPECT_NEAR(kalman_log_likelihood(m, y, u, options), f.log_likelihood, 1e-12);
    const Smoothed s = kalman_smoother(m, y, u, options);
    const Smoothed backward = bryson_frazier_smoother(m, y, f);
    const Smoothed lagged = fixed_lag_smoother(m, y, 4, u, options);
    for (int64_t t = 0; t < kSteps; ++t) {
      for (const Smoothed* one : {&s, &backward}) {
        ASSERT_LT(worst(vector_at(one->mean, t), oracle.mean_at(all, t)), kTight) << t;
        ASSERT_LT(worst(matrix_at(one->cov, t), oracle.cov_at(all, t, t)), kTight) << t;
      }
      const auto later = oracle.given(std::min(t + 4, kSteps - 1));
      ASSERT_LT(worst(vector_at(lagged.mean, t), oracle.mean_at(later, t)), kTight) << t;
      ASSERT_LT(worst(matrix_at(lagged.cov, t), oracle.cov_at(later, t, t)), kTight) << t;
      if (t + 1 < kSteps) {
        ASSERT_LT(worst(matrix_at(s.lag_cov, t), oracle.cov_at(all, t + 1, t)), kTight) << t;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, KalmanAgainstDense,
                         testing::Combine(testing::Values("square-root", "joseph", "information",
                                                          "sequential"),
                                          testing::Bool()));

TEST(KalmanDiffuse, EqualsAFlatPrior) {
  for (const std::string form : {"square-root", "joseph", "sequential"}) {
    SCOPED_TRACE(form);
    for (const auto& [n, p, directions] : {std::tuple{1, 1, 1}, {3, 1, 3}, {4, 2, 3}, {3, 2, 1}}) {
      SCOPED_TRACE(n);
      LinearModel m = random_model(n, p, 0, 0, uint64_t(10 * n + p));
      // Random states are hardly told apart by one observation; a trend's are.
      if (p == 1) {
        m.f = at::eye(n, at::kDouble) + at::diag(at::ones({n - 1}, at::kDouble), 1);
        m.h = at::eye(n, at::kDouble).slice(0, 0, 1).contiguous();
      }
      m.diffuse = normal_tensor({n, directions}, 77);
      const at::Tensor y = series_with_holes(kSteps, p, 6);
      const DenseOracle oracle(m, y);
      const Filtered f = kalman_filter(m, y, {}, {form});
      EXPECT_GT(f.diffuse_steps, 0);
      EXPECT_TRUE(f.resolved);
      for (int64_t t = f.diffuse_steps + 3; t < kSteps; ++t) {
        const auto now = oracle.given(t);
        ASSERT_LT(worst(vector_at(f.mean, t), oracle.mean_at(now, t)), kTight) << t;
        ASSERT_LT(worst(matrix_at(f.cov, t), oracle.cov_at(now, t, t)), kTight) << t;
      }
      const auto all = oracle.given(kSteps - 1);
      EXPECT_NEAR(f.log_likelihood, all.log_likelihood, kTight * 20);
      const Smoothed s = kalman_smoother(m, y, {}, {form});
      for (int64_t t = 0; t < kSteps; ++t) {
        ASSERT_LT(worst(vector_at(s.mean, t), oracle.mean_at(all, t)), kTight) << t;
        ASSERT_LT(worst(matrix_at(s.cov, t), oracle.cov_at(all, t, t)), kTight) << t;
      }
    }
  }
}

TEST(KalmanDiffuse, AnUnresolvedStartIsSaid) {
  LinearModel m = random_model(2, 1, 0, 0, 3);
  m.diffuse = at::eye(2, at::kDouble);
  const at::Tensor y = at::ones({1, 1}, at::kDouble);
  EXPECT_FALSE(kalman_filter(m, y).resolved);
  EXPECT_THROW(kalman_smoother(m, y), Error);
  EXPECT_THROW(kalman_filter(m, y, {}, {"information"}), Error);
}

TEST(Kalman, ExactObservationsAreTakenExactly) {
  LinearModel m = random_model(3, 2, 0, 0, 4);
  m.r.zero_();
  const at::Tensor y = simulate(m, kSteps, 1).y;
  const DenseOracle oracle(m, y);
  for (const std::string form : {"square-root", "joseph", "sequential"}) {
    SCOPED_TRACE(form);
    const Filtered f = kalman_filter(m, y, {}, {form});
    const auto all = oracle.given(kSteps - 1);
    EXPECT_NEAR(f.log_likelihood, all.log_likelihood, 1e-8);
    for (int64_t t = 0; t < kSteps; ++t) {
      EXPECT_LT(worst(matrix_of(m.h) * vector_at(f.mean, t), vector_at(y, t)), 1e-12);
      EXPECT_LT((matrix_of(m.h) * matrix_at(f.cov, t)).norm(), 1e-12);
    }
  }
}

TEST(Kalman, AnExactStateSeenTwiceTellsNothingNewOrIsContradicted) {
  LinearModel m;
  m.f = m.h = m.cov0 = at::eye(1, at::kDouble);
  m.q = m.r = at::zeros({1, 1}, at::kDouble);
  m.mean0 = at::zeros({1}, at::kDouble);
  at::Tensor y = at::full({5, 1}, 0.7, at::kDouble);
  const Filtered f = kalman_filter(m, y);
  EXPECT_NEAR(f.log_likelihood, -0.5 * (std::log(2 * std::numbers::pi) + 0.49), 1e-14);
  EXPECT_EQ(f.nis[3].item<double>(), 0);
  y[4][0] = 0.8;
  try {
    kalman_filter(m, y);
    FAIL() << "0.8 after 0.7 was accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("contradicted"));
    EXPECT_FALSE(e.hint().empty());
  }
}

TEST(Kalman, BadSeriesAreNamed) {
  const LinearModel m = random_model(2, 1, 0, 0, 5);
  at::Tensor y = at::zeros({4, 1}, at::kDouble);
  y[2][0] = std::numeric_limits<double>::infinity();
  try {
    kalman_filter(m, y);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("y at step 2, column 0: is infinite"));
  }
  EXPECT_THROW(kalman_filter(m, at::zeros({4, 2}, at::kDouble)), Error);
  EXPECT_THROW(kalman_filter(m, at::zeros({4, 1}, at::kFloat)), Error);
  EXPECT_THROW(kalman_filter(m, at::zeros({4, 1}, at::kDouble), at::zeros({4, 1}, at::kDouble)),
               Error);
  EXPECT_THROW(kalman_filter(m, at::zeros({4, 1}, at::kDouble), {}, {"fast"}), Error);
  EXPECT_EQ(kalman_filter(m, at::zeros({0, 1}, at::kDouble)).log_likelihood, 0);
}

TEST(Kalman, AnExplodingStateIsAnErrorNotNan) {
  LinearModel m = random_model(2, 1, 0, 0, 6);
  m.f = 1e30 * at::eye(2, at::kDouble);
  const at::Tensor y = at::full({40, 1}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  EXPECT_THROW(kalman_filter(m, y), Error);
}

TEST(Kalman, EveryEigenvalueStaysNonNegativeInFloatOverAMillionSteps) {
  // Nearly exact observations of one of two strongly coupled states: where the plain update
  // P - K H P loses its sign.
  MatrixX<float> f(2, 2), q(2, 2), h(1, 2), r(1, 1), q_root(2, 2), r_root(1, 1);
  f << 1, 0.01f, 0, 1;
  q << 3.3e-9f, 5e-7f, 5e-7f, 1e-4f;
  h << 1, 0;
  r << 1e-6f;
  q_root = q.llt().matrixL();
  r_root << 1e-3f;
  const VectorX<float> none = VectorX<float>::Zero(2);
  Belief<float> joseph{none, 1e4f * MatrixX<float>::Identity(2, 2)};
  RootBelief<float> root{none, 1e2f * MatrixX<float>::Identity(2, 2)};
  float lowest_joseph = 1, lowest_root = 1;
  VectorX<float> y(1);
  for (int t = 0; t < 1000000; ++t) {
    y << std::sin(0.001f * float(t % 6283));
    Scores<float> s;
    ASSERT_TRUE(joseph_update<float>(joseph, h, r, y, s)) << t;
    ASSERT_TRUE(root_update<float>(root, h, r_root, y, s)) << t;
    joseph_predict<float>(joseph, f, q, none);
    root_predict<float>(root, f, q_root, none);
    const auto lowest = [](const MatrixX<float>& m) {
      const double a = m(0, 0), b = m(0, 1), d = m(1, 1);
      return float((a * d - b * b) / std::max(a + d, 1e-30));
    };
    lowest_joseph = std::min(lowest_joseph, lowest(joseph.cov));
    lowest_root = std::min(lowest_root, lowest(root.root * root.root.transpose()));
    ASSERT_TRUE(std::isfinite(s.log_likelihood)) << t;
  }
  EXPECT_GT(lowest_joseph, 0);
  EXPECT_GT(lowest_root, 0);
  EXPECT_LT(worst(joseph.cov.cast<double>(), (root.root * root.root.transpose()).cast<double>()),
            1e-3 * double(joseph.cov.norm()));
}

TEST(Kalman, NormalisedErrorsLieInTheirBand) {
  const LinearModel m = random_model(3, 2, 0, 0, 12);
  const int64_t steps = 4000;
  const Simulated s = simulate(m, steps, 3);
  const Filtered f = kalman_filter(m, s.y);
  double nees = 0;
  for (int64_t t = 0; t < steps; ++t) {
    const VectorXd e = vector_at(s.states, t) - vector_at(f.mean, t);
    nees += e.dot(matrix_at(f.cov, t).llt().solve(e)) / double(steps);
  }
  // Chi-squared with 3 and 2 degrees of freedom; errors of the state are correlated over time,
  // innovations are not.
  EXPECT_NEAR(nees, 3, 1.96 * std::sqrt(6.0 / double(steps)) * 2);
  EXPECT_NEAR(f.nis.mean().item<double>(), 2, 1.96 * std::sqrt(4.0 / double(steps)));
}

TEST(SteadyStateTest, IsWhatTheFilterTendsTo) {
  for (const auto& [n, p] : {std::pair{1, 1}, {3, 2}, {5, 1}}) {
    const LinearModel m = random_model(n, p, 0, 0, uint64_t(20 + n));
    const SteadyState s = steady_state(m);
    const Filtered f = kalman_filter(m, at::zeros({400, p}, at::kDouble));
    EXPECT_LT(worst(matrix_of(s.predicted_cov), matrix_at(f.predicted_cov, 399)), 1e-12);
    EXPECT_LT(worst(matrix_of(s.cov), matrix_at(f.cov, 399)), 1e-12);
    EXPECT_LT(worst(matrix_of(s.innovation_cov), matrix_at(f.innovation_cov, 399)), 1e-12);
    EXPECT_LT(s.iterations, 15);
  }
}

TEST(SteadyStateTest, AnUnseenUnstableStateHasNone) {
  LinearModel m = random_model(2, 1, 0, 0, 9);
  m.f = 1.1 * at::eye(2, at::kDouble);
  m.h = at::tensor({1.0, 0.0}, at::kDouble).reshape({1, 2});
  EXPECT_THROW(steady_state(m), Error);
  m.r.zero_();
  EXPECT_THROW(steady_state(m), Error);
}

}  // namespace
}  // namespace covary::filter
