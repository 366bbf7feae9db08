#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/compute/activation/activation.h"

namespace covary::compute {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Function = void (*)(const float*, int64_t, float*);

std::vector<float> of(Function f, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  f(x.data(), static_cast<int64_t>(x.size()), out.data());
  return out;
}

// From -100 to 88.7: e^x is a subnormal number at first, where 1 / (1 + e^-x) is 0 already.
std::vector<float> arguments() {
  std::vector<float> x;
  for (int i = 0; i <= 18870; ++i) x.push_back(-100.0f + 0.01f * static_cast<float>(i));
  return x;
}

TEST(Activation, IsWithinThreeUnitsOfTheLastPlace) {
  const std::vector<float> x = arguments();
  const std::vector<float> e = of(exponential, x), l = of(logistic, x);
  constexpr double kUnits = 3.0 / (1 << 23), kSmallest = 1.2e-38;  // the least normal number
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i])), share = 1 / (1 + 1 / exact);
    EXPECT_NEAR(e[i], exact, kUnits * std::max(exact, kSmallest)) << x[i];
    EXPECT_NEAR(l[i], share, std::max(kUnits * share, kSmallest)) << x[i];
  }
}

TEST(Activation, AgreesWithTheReference) {
  const std::vector<float> x = arguments();
  const std::vector<float> e = of(exponential, x), plain_e = of(exponential_reference, x);
  const std::vector<float> l = of(logistic, x), plain_l = of(logistic_reference, x);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(e[i], plain_e[i], 4e-7f * std::max(plain_e[i], 1.2e-38f)) << x[i];
    EXPECT_NEAR(l[i], plain_l[i], 4e-7f * std::max(plain_l[i], 1.2e-38f)) << x[i];
  }
}

TEST(Activation, EndsAsTheFunctionsDo) {
  const std::vector<float> x = {-kInfinity, -3e38f, -200, 89, 3e38f, kInfinity, kNan, 0};
  const std::vector<float> e = of(exponential, x), l = of(logistic, x);
  EXPECT_EQ(e[0], 0);
  EXPECT_EQ(e[1], 0);
  EXPECT_EQ(e[2], 0);
  EXPECT_EQ(e[3], kInfinity);
  EXPECT_EQ(e[4], kInfinity);
  EXPECT_EQ(e[5], kInfinity);
  EXPECT_TRUE(std::isnan(e[6]));
  EXPECT_EQ(e[7], 1);
  EXPECT_EQ(l[0], 0);
  EXPECT_EQ(l[1], 0);
  EXPECT_EQ(l[2], 0);
  EXPECT_EQ(l[3], 1);
  EXPECT_EQ(l[4], 1);
  EXPECT_EQ(l[5], 1);
  EXPECT_TRUE(std::isnan(l[6]));
  EXPECT_EQ(l[7], 0.5f);
}

TEST(Activation, IsTheSameWhereverAnElementStands) {
  const std::vector<float> x = arguments();
  for (const Function f : {exponential, logistic}) {
    const std::vector<float> whole = of(f, x);
    std::vector<float> cut(x.size());
    for (size_t i = 0, n = 1; i < x.size(); i += n, n = n % 37 + 1)
      f(x.data() + i, static_cast<int64_t>(std::min(n, x.size() - i)), cut.data() + i);
    EXPECT_EQ(cut, whole);
  }
}

}  // namespace
}  // namespace covary::compute
