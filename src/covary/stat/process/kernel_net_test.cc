// Kernels on the outputs of a network.
#include "covary/stat/process/kernel_net.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_checks.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {
namespace {

// Outputs of the network of three columns, of which it sees the first and last, layers 4 and 2.
Vector outputs_of(const Kernel& k, const char* net, Point x) {
  const auto value = [&](const std::string& name) {
    for (const KernelParameter& p : k.parameters())
      if (p.name == net + name) return p.value;
    return std::nan("");
  };
  const double u[] = {(2 * x[0] + 2 - 3) / 5, (2 * x[2] + 1 - 2) / 3};
  Vector hidden, out;
  for (int i = 0; i < 4; ++i) {
    double sum = 0;
    for (int j = 0; j < 2; ++j)
      sum += value(".weight1[" + std::to_string(i) + "," + std::to_string(j) + "]") * u[j];
    hidden.push_back(std::tanh(sum / std::sqrt(2.0) + value(".bias1[" + std::to_string(i) + "]")));
  }
  for (int i = 0; i < 2; ++i) {
    double sum = 0;
    for (int j = 0; j < 4; ++j)
      sum += value(".weight2[" + std::to_string(i) + "," + std::to_string(j) + "]") * hidden[j];
    out.push_back(sum / 2);
  }
  return out;
}

double square(const Vector& a, const Vector& b, double first, double second) {
  return std::pow((a[0] - b[0]) / first, 2) + std::pow((a[1] - b[1]) / second, 2);
}

TEST(KernelNet, EveryLeafSeesTheOutputs) {
  const std::string net = ",layers=[4,2],low=[-2,-1],high=[3,2],dims=[0,2])";
  const Vector x = normals(3 * 40, 1), y = normals(3 * 9, 2);
  {
    const Kernel k = Kernel::parse("1.3*deep(rbf(ard,lengthscale=[0.7,1.4])" + net, 3);
    expect_sound(
        k,
        [&](Point a, Point b, bool) {
          return 1.3 * std::exp(-0.5 * square(outputs_of(k, "deep", a), outputs_of(k, "deep", b),
                                              0.7, 1.4));
        },
        x, y, 1);
  }
  {
    const Kernel k = Kernel::parse(
        "deep(linear(0.8) + cosine(1.7,dims=1:1)" + net + "*rbf(1.1,dims=1:1) + white(0.2)", 3);
    expect_sound(
        k,
        [&](Point a, Point b, bool same) {
          const Vector u = outputs_of(k, "deep", a), v = outputs_of(k, "deep", b);
          const double inside =
              0.8 * (u[0] * v[0] + u[1] * v[1]) + std::cos(2 * M_PI * (u[1] - v[1]) / 1.7);
          const double z = (a[1] - b[1]) / 1.1;
          return inside * std::exp(-0.5 * z * z) + (same ? 0.2 : 0);
        },
        x, y, 2);
  }
  {
    const Kernel k = Kernel::parse("deep(erf(0.9,0.6)" + net + " + deep(rbf" + net, 3);
    expect_sound(
        k,
        [&](Point a, Point b, bool) {
          const Vector u = outputs_of(k, "deep", a), v = outputs_of(k, "deep", b);
          const auto dot = [](const Vector& p, const Vector& q) {
            return 0.6 + (p[0] * q[0] + p[1] * q[1]) / 0.81;
          };
          const double sine = 2 * dot(u, v) / std::sqrt((1 + 2 * dot(u, u)) * (1 + 2 * dot(v, v)));
          return 2 / M_PI * std::asin(sine) +
                 std::exp(-0.5 *
                          square(outputs_of(k, "deep2", a), outputs_of(k, "deep2", b), 1, 1));
        },
        x, y, 3);
  }
}

TEST(KernelNet, DepthAndWidthAreThoseOfTheText) {
  const Kernel k = Kernel::parse("deep(matern52(ard),layers=[5,4,3])", 2);
  int64_t weights = 0, scales = 0;
  for (const KernelParameter& p : k.parameters()) {
    weights += p.role == ParameterRole::kWeight;
    scales += p.name.starts_with("matern52.lengthscale");
  }
  EXPECT_EQ(weights, 5 * 2 + 5 + 4 * 5 + 4 + 3 * 4);
  EXPECT_EQ(scales, 3);
  const Vector x = normals(2 * 35, 4);
  Vector values(35 * 35);
  k.matrix(x.data(), 35, values.data(), 35);
  // Gradients, against differences; the values are those above, once more for cross values.
  expect_sound(
      k,
      [&](Point a, Point b, bool) {
        const auto row = [&](Point p) { return (p - x.data()) / 2; };
        return values[static_cast<size_t>(row(a) * 35 + row(b))];
      },
      x, x, 4);
}

TEST(KernelNet, TextComesBack) {
  for (const char* text :
       {"deep(rbf(ard))", "1.5*deep(matern32(dims=1:1),layers=[3,2],low=0,high=2,dims=[1]) + white",
        "deep(rbf,layers=[2,1],fixed)"}) {
    Kernel k = Kernel::parse(text, 2);
    for (KernelParameter& p : k.parameters()) {
      if (p.role == ParameterRole::kWeight) p.value *= 0.37;
    }
    const Kernel again = Kernel::parse(k.text(), 2);
    EXPECT_EQ(again.text(), k.text());
    const Vector x = normals(2 * 20, 6);
    Vector a(400), b(400);
    k.matrix(x.data(), 20, a.data(), 20);
    again.matrix(x.data(), 20, b.data(), 20);
    EXPECT_EQ(a, b);
  }
  for (const char* bad :
       {"deep(warp(rbf))", "deep(deep(rbf))", "warp(deep(rbf))", "deep(rbf+white)", "deep(hamming)",
        "deep(rbf,layers=[0])", "deep(rbf,layers=[2.5])", "deep(rbf,weights=[1])", "deep(rbf,ard)",
        "deep(rbf(dims=2:2),layers=[3,2])", "deep(rbf,low=1,high=0)", "deep(rbf",
        "deep(rbf,layers=[1,1,1,1,1,1,1,1,1])", "deep(rbf,layers=[256,256])"}) {
    EXPECT_THROW(Kernel::parse(bad, 2), Error) << bad;
  }
}

// A step: stationary in x no length scale is right, behind a network one is.
TEST(KernelNet, AFitLearnsFeatures) {
  constexpr int64_t kCount = 50;
  at::Tensor x = at::empty({kCount, 1}, at::kDouble), y = at::empty({kCount}, at::kDouble);
  const Random random(7);
  for (int64_t i = 0; i < kCount; ++i) {
    const double t = (static_cast<double>(i) + 0.5) / kCount;
    x[i][0] = 100 + 40 * t;
    y[i] = std::tanh(30 * (t - 0.5)) + 0.05 * random.normal(static_cast<uint64_t>(i));
  }
  const GaussianProcess plain = fit_gp(x, y, {.kernel = "rbf", .priors = "none"}),
                        deep = fit_gp(x, y, {.kernel = "deep(rbf,layers=[3,1])"});
  EXPECT_GT(deep.report().log_likelihood, plain.report().log_likelihood + 5);
  EXPECT_LT(deep.report().log_prior, -1);  // weights are about standard normal
  const GaussianProcess back = GaussianProcess::of_model(deep.model());
  EXPECT_EQ(back.kernel().text(), deep.kernel().text());
  const at::Tensor at = at::linspace(90, 150, 15, at::kDouble).unsqueeze(1);
  EXPECT_TRUE(at::allclose(back.predict(at).mean, deep.predict(at).mean, 1e-9, 1e-9));
  const GaussianProcess again = fit_gp(x, y, {.kernel = "deep(rbf,layers=[3,1])"});
  EXPECT_EQ(again.kernel().text(), deep.kernel().text());
}

TEST(KernelNet, WeightsStandInOneLineOfTheReport) {
  const at::Tensor x = at::linspace(0, 1, 20, at::kDouble).unsqueeze(1);
  const Regression r(x, at::sin(6 * x.squeeze(1)),
                     {.kernel = "deep(rbf,layers=[4,2])", .method = "exact", .fit = false});
  const std::string text = r.report().text();
  EXPECT_NE(text.find("16 weights, root mean square"), std::string::npos) << text;
  EXPECT_EQ(text.find("deep.weight1[0,0]"), std::string::npos) << text;
  EXPECT_TRUE(r.report().to_json().at("parameters").contains("deep.weight1[0,0]"));
}

TEST(KernelNet, OtherMethodsRefuseIt) {
  const at::Tensor x = at::linspace(0, 1, 20, at::kDouble).unsqueeze(1), y = x.squeeze(1).sin();
  for (const char* method : {"hsgp", "toeplitz", "state-space"}) {
    EXPECT_THROW(Regression(x, y, {.kernel = "deep(rbf)", .method = method}), Error) << method;
  }
}

}  // namespace
}  // namespace covary::stat
