#include "covary/stat/filter/learn.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/simulate.h"
#include "covary/stat/filter/structural.h"

namespace covary::filter {
namespace {

namespace fs = std::filesystem;

// Flow of the Nile, 1871 to 1970; undefined when the data are not there.
at::Tensor nile() {
  const char* root = std::getenv("COVARY_DATA");
  if (!root || !fs::exists(fs::path(root) / "classic/Nile.csv")) return {};
  std::ifstream file(fs::path(root) / "classic/Nile.csv");
  std::string line;
  std::getline(file, line);
  std::vector<double> values;
  while (std::getline(file, line)) values.push_back(std::stod(line.substr(line.rfind(',') + 1)));
  return at::tensor(values, at::kDouble).reshape({-1, 1});
}

TEST(LearnByLikelihood, NileHasItsKnownVariances) {
  const at::Tensor y = nile();
  if (!y.defined()) GTEST_SKIP() << "no data/classic/Nile.csv here: set COVARY_DATA";
  ASSERT_EQ(y.size(0), 100);
  const LinearFit fit = fit_likelihood(local_level(10000, 10000), y);
  EXPECT_NEAR(fit.model.r.item<double>(), 15098.52, 0.05);
  EXPECT_NEAR(fit.model.q.item<double>(), 1469.18, 0.05);
  EXPECT_NEAR(fit.log_likelihood, -632.545625, 1e-6);
  EXPECT_TRUE(fit.converged) << fit.ending;
}

TEST(LearnByLikelihood, FindsFreeEntriesAndFullCovariances) {
  LinearModel truth = random_model(2, 2, 1, 0, 61);
  const at::Tensor u = normal_tensor({1500, 1}, 62);
  const at::Tensor y = simulate(truth, 1500, 4, u).y;
  LinearModel start = truth;
  start.f = truth.f.clone();
  start.f[0][1] = 0.0;
  start.b = at::zeros_like(truth.b);
  start.r = at::eye(2, at::kDouble);
  LearnMasks masks;
  masks.f = at::tensor({0, 1, 0, 0}, at::kLong).reshape({2, 2}).to(at::kBool);
  const LinearFit fit =
      fit_likelihood(start, y, u, {.f = true, .b = true, .q = "fixed", .r = "full"}, masks);
  EXPECT_GE(fit.log_likelihood, kalman_log_likelihood(truth, y, u));
  EXPECT_NEAR(fit.model.f[0][1].item<double>(), truth.f[0][1].item<double>(), 0.15);
  EXPECT_TRUE(at::equal(fit.model.f[1], truth.f[1]));
  EXPECT_LT(worst(matrix_of(fit.model.b), matrix_of(truth.b)), 0.15);
  EXPECT_LT(worst(matrix_of(fit.model.r), matrix_of(truth.r)), 0.25);
}

TEST(LearnByLikelihood, SeasonAndTrend) {
  LinearModel truth = structural_model(
      {.observation = 0.5, .level = 0.2, .slope = 0.0, .period = 4, .season = 0.1});
  LinearModel drawn = truth;
  drawn.diffuse = at::Tensor();
  drawn.cov0 = at::eye(5, at::kDouble);
  const at::Tensor y = simulate(drawn, 600, 5).y;
  LinearModel start =
      structural_model({.observation = 1, .level = 1, .slope = 0.0, .period = 4, .season = 1});
  const LinearFit fit = fit_likelihood(start, y);
  EXPECT_GE(fit.log_likelihood, kalman_log_likelihood(truth, y));
  EXPECT_EQ(fit.model.q[1][1].item<double>(), 0);  // starts at 0, stays
  EXPECT_NEAR(fit.model.q[0][0].item<double>(), 0.2, 0.12);
  EXPECT_NEAR(fit.model.r.item<double>(), 0.5, 0.2);
}

TEST(LearnByEm, NeverFallsAndEndsWhereTheSearchEnds) {
  LinearModel truth = random_model(2, 3, 0, 0, 71);
  truth.r = truth.r + 2 * at::eye(3, at::kDouble);
  at::Tensor y = simulate(truth, 300, 6).y;
  y.masked_fill_(normal_tensor({300, 3}, 72) > 1, std::numeric_limits<double>::quiet_NaN());
  LinearModel start = truth;
  start.r = at::eye(3, at::kDouble);
  // Noise of observations alone: where EM is quick, so that both ends can be compared.
  const LearnOptions options{.q = "fixed", .r = "full", .steps = 3000, .tolerance = 1e-12};
  const LinearFit em = fit_em(start, y, {}, options);
  for (size_t i = 1; i < em.trace.size(); ++i) {
    ASSERT_GE(em.trace[i], em.trace[i - 1] - 1e-9) << i;
  }
  LearnOptions search = options;
  search.tolerance = 1e-8;
  const LinearFit direct = fit_likelihood(start, y, {}, search);
  EXPECT_NEAR(em.log_likelihood, direct.log_likelihood, 1e-4);
  EXPECT_LT(worst(matrix_of(em.model.r), matrix_of(direct.model.r)), 1e-2);
}

TEST(LearnByEm, KnownEntriesStay) {
  LinearModel truth = random_model(3, 2, 0, 0, 81);
  const at::Tensor y = simulate(truth, 200, 7).y;
  LinearModel start = truth;
  LearnMasks masks;
  masks.f = at::tensor({0, 1, 0, 0, 0, 1, 1, 0, 0}, at::kLong).reshape({3, 3}).to(at::kBool);
  masks.h = at::tensor({1, 0, 0, 0, 1, 0}, at::kLong).reshape({2, 3}).to(at::kBool);
  const LinearFit fit = fit_em(start, y, {},
                               {.f = true,
                                .h = true,
                                .mean0 = true,
                                .cov0 = true,
                                .q = "full",
                                .r = "full",
                                .steps = 25,
                                .tolerance = 0},
                               masks);
  EXPECT_EQ(fit.trace.size(), 26u);
  for (size_t i = 1; i < fit.trace.size(); ++i) ASSERT_GE(fit.trace[i], fit.trace[i - 1] - 1e-9);
  const at::Tensor kept_f = ~masks.f, kept_h = ~masks.h;
  EXPECT_TRUE(at::equal(fit.model.f.masked_select(kept_f), truth.f.masked_select(kept_f)));
  EXPECT_TRUE(at::equal(fit.model.h.masked_select(kept_h), truth.h.masked_select(kept_h)));
  EXPECT_FALSE(at::equal(fit.model.f, truth.f));
}

TEST(Learn, RefusesWhatItCannotFit) {
  const LinearModel m = random_model(2, 1, 0, 5, 91);
  const at::Tensor y = at::ones({5, 1}, at::kDouble);
  EXPECT_THROW(fit_likelihood(m, y, {}, {.f = true, .q = "fixed", .r = "fixed"}), Error);
  EXPECT_THROW(fit_likelihood(m, y, {}, {.q = "fixed", .r = "fixed"}), Error);
  EXPECT_THROW(fit_em(local_level(1, 1), y), Error);
  EXPECT_THROW(fit_em(random_model(2, 1, 0, 0, 92), y, {}, {.q = "most"}), Error);
  EXPECT_THROW(
      structural_model({.observation = -1, .level = 1, .slope = {}, .period = 0, .season = 1}),
      Error);
}

}  // namespace
}  // namespace covary::filter
