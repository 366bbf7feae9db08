#include "covary/stat/mixture/mixture_page.h"

#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace covary::mixture {
namespace {

std::string page_of(const std::string& covariance, const at::Tensor& covariances) {
  GaussianMixture m({.covariance = covariance, .init = "given"});
  m.set_parameters(at::tensor({0.3, 0.7}, at::kDouble),
                   at::tensor({-2.0, 1.0, 3.0, 0.5}, at::kDouble).reshape({2, 2}), covariances);
  std::string text = mixture_page({.title = "two", .model = m, .names = {"a", "b"}});
  if (const size_t at = text.find(">" + covariance + "<"); at != std::string::npos)
    text.replace(at + 1, covariance.size(), "shape");
  return text;
}

// However a model keeps its covariances, the picture is that of the matrices.
TEST(MixturePage, DrawsTheSameCovariancesAlike) {
  const at::Tensor one = at::eye(2, at::kDouble), both = at::stack({one, one}) * 0.4;
  const std::string full = page_of("full", both);
  EXPECT_EQ(page_of("spherical", at::full({2}, 0.4, at::kDouble)), full);
  EXPECT_EQ(page_of("EII", at::full({2}, 0.4, at::kDouble)), full);
  EXPECT_EQ(page_of("EEI", at::full({2, 2}, 0.4, at::kDouble)), full);
  EXPECT_EQ(page_of("tied", 0.4 * one), full);
  EXPECT_EQ(page_of("VEV", both), full);
  EXPECT_NE(page_of("full", 2 * both), full);
}

}  // namespace
}  // namespace covary::mixture
