#include "covary/stat/filter/imm.h"

#include <cmath>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/simulate.h"

namespace covary::filter {
namespace {

const at::Tensor kChain = at::tensor({0.95, 0.05, 0.1, 0.9}, at::kDouble).reshape({2, 2});
const at::Tensor kStart = at::tensor({0.5, 0.5}, at::kDouble);

TEST(Imm, EqualModelsAreTheKalmanFilter) {
  const LinearModel m = random_model(2, 2, 0, 0, 171);
  const at::Tensor y = series_with_holes(30, 2, 172);
  const Filtered exact = kalman_filter(m, y);
  const ImmFiltered f = imm_filter({m, m}, kChain, kStart, y);
  EXPECT_LT((f.mean - exact.mean).abs().max().item<double>(), 1e-11);
  EXPECT_LT((f.cov - exact.cov).abs().max().item<double>(), 1e-11);
  EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 1e-10);
}

TEST(Imm, TheFirstStepIsBayesRule) {
  const LinearModel a = random_model(2, 1, 0, 0, 173), b = random_model(2, 1, 0, 0, 174);
  const at::Tensor y = at::ones({1, 1}, at::kDouble);
  const double la = kalman_log_likelihood(a, y), lb = kalman_log_likelihood(b, y);
  const ImmFiltered f = imm_filter({a, b}, kChain, kStart, y);
  EXPECT_NEAR(f.log_likelihood, std::log(0.5 * (std::exp(la) + std::exp(lb))), 1e-12);
  EXPECT_NEAR(f.probability[0][0].item<double>(), 1 / (1 + std::exp(lb - la)), 1e-12);
}

TEST(Imm, SeesTheModelSwitch) {
  LinearModel calm = random_model(1, 1, 0, 0, 175);
  calm.f = at::ones({1, 1}, at::kDouble);
  calm.h = at::ones({1, 1}, at::kDouble);
  calm.r = at::full({1, 1}, 0.01, at::kDouble);
  calm.q = at::full({1, 1}, 1e-4, at::kDouble);
  LinearModel wild = calm;
  wild.q = at::full({1, 1}, 4.0, at::kDouble);
  const at::Tensor quiet = simulate(calm, 60, 1).y;
  const at::Tensor y = at::cat({quiet, quiet[59] + simulate(wild, 60, 2).y});
  const ImmFiltered f = imm_filter({calm, wild}, kChain, kStart, y);
  EXPECT_GT(f.probability.slice(0, 10, 60).select(1, 0).mean().item<double>(), 0.9);
  EXPECT_GT(f.probability.slice(0, 65, 120).select(1, 1).mean().item<double>(), 0.9);
}

TEST(Imm, BadProbabilitiesAreNamed) {
  const LinearModel m = random_model(1, 1, 0, 0, 176);
  const at::Tensor y = at::zeros({3, 1}, at::kDouble);
  EXPECT_THROW(imm_filter({}, kChain, kStart, y), Error);
  EXPECT_THROW(imm_filter({m, m}, kChain * 2, kStart, y), Error);
  EXPECT_THROW(imm_filter({m, m}, kChain, at::ones({3}, at::kDouble) / 3, y), Error);
  EXPECT_THROW(imm_filter({m, random_model(2, 1, 0, 0, 177)}, kChain, kStart, y), Error);
}

}  // namespace
}  // namespace covary::filter
