#include "covary/stat/filter/switching_particle.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

struct Two {
  Two() : a(random_model(2, 1, 0, 0, 381)), b(random_model(2, 1, 0, 0, 382)) {
    switching = at::tensor({0.8, 0.2, 0.3, 0.7}, at::kDouble).reshape({2, 2});
    start = at::tensor({0.4, 0.6}, at::kDouble);
    y = series_with_holes(6, 1, 383);
  }
  // The sum over all 2^6 histories of regimes, each a Kalman filter of its own.
  double log_likelihood() const {
    double total = 0;
    for (int64_t way = 0; way < 64; ++way) {
      LinearModel m = a;
      m.f = at::empty({6, 2, 2}, at::kDouble);
      m.q = at::empty_like(m.f);
      m.h = at::empty({6, 1, 2}, at::kDouble);
      m.r = at::empty({6, 1, 1}, at::kDouble);
      double p = 1;
      for (int64_t t = 0; t < 6; ++t) {
        const int64_t k = (way >> t) & 1;
        const LinearModel& now = k ? b : a;
        p *= (t == 0 ? start[k] : switching[(way >> (t - 1)) & 1][k]).item<double>();
        if (t == 0) {
          m.mean0 = now.mean0;
          m.cov0 = now.cov0;
        } else {  // the step into t is by t's regime
          m.f[t - 1] = now.f;
          m.q[t - 1] = now.q;
        }
        m.h[t] = now.h;
        m.r[t] = now.r;
      }
      m.f[5] = a.f;
      m.q[5] = a.q;
      total += p * std::exp(kalman_log_likelihood(m, y));
    }
    return std::log(total);
  }
  LinearModel a, b;
  at::Tensor switching, start, y;
};

TEST(SwitchingParticle, OneModelIsTheKalmanFilter) {
  const LinearModel m = random_model(3, 2, 1, 12, 384);
  const at::Tensor y = series_with_holes(12, 2, 385), u = normal_tensor({12, 1}, 386);
  const at::Tensor one = at::ones({1, 1}, at::kDouble);
  for (const std::string method : {"bootstrap", "auxiliary"}) {
    const SwitchingFiltered f =
        switching_particle_filter({m}, one, one[0], y, {.particles = 20, .method = method}, u);
    const Filtered exact = kalman_filter(m, y, u);
    EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 1e-10);
    EXPECT_LT((f.mean - exact.mean).abs().max().item<double>(), 1e-10);
    EXPECT_LT((f.cov - exact.cov).abs().max().item<double>(), 1e-10);
  }
}

TEST(SwitchingParticle, LikelihoodIsUnbiased) {
  const Two two;
  const double exact = two.log_likelihood();
  for (const std::string method : {"bootstrap", "auxiliary"}) {
    SCOPED_TRACE(method);
    const int runs = 200;
    double sum = 0, squares = 0;
    for (int i = 0; i < runs; ++i) {
      const SwitchingFiltered f =
          switching_particle_filter({two.a, two.b}, two.switching, two.start, two.y,
                                    {.particles = 30, .method = method, .seed = i});
      const double ratio = std::exp(f.log_likelihood - exact);
      sum += ratio;
      squares += ratio * ratio;
    }
    const double mean = sum / runs, error = std::sqrt((squares / runs - mean * mean) / runs);
    EXPECT_NEAR(mean, 1, 3 * error);
    EXPECT_LT(error, 0.1);
  }
}

TEST(SwitchingParticle, SameBitsAtAnyNumberOfThreadsAndBadProbabilitiesAreNamed) {
  const Two two;
  set_threads(1);
  const auto f = switching_particle_filter({two.a, two.b}, two.switching, two.start, two.y);
  set_threads(3);
  const auto g = switching_particle_filter({two.a, two.b}, two.switching, two.start, two.y);
  set_threads(0);
  EXPECT_EQ(f.log_likelihood, g.log_likelihood);
  EXPECT_TRUE(at::equal(f.mean, g.mean));
  EXPECT_THROW(switching_particle_filter({two.a}, two.switching, two.start, two.y), Error);
  EXPECT_THROW(switching_particle_filter({two.a, two.b}, 2 * two.switching, two.start, two.y),
               Error);
}

}  // namespace
}  // namespace covary::filter
