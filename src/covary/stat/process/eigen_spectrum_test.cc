// Kernels on the eigenvectors of a Laplacian.
#include "covary/stat/process/eigen_spectrum.h"

#include <cmath>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_checks.h"

namespace covary::stat {
namespace {

double density_of(const std::string& kind, double lambda, double l, double nu, int64_t d) {
  if (kind == "rbf") return std::exp(-0.5 * l * l * lambda);
  return std::pow(2 * nu / (l * l) + lambda, -nu - 0.5 * static_cast<double>(d));
}

TEST(EigenSpectrum, WeightsAreSharesOfTheDensity) {
  const std::vector<double> lambda = {0, 0.5, 0.5, 2, 7};
  for (const auto& [kind, nu] : {std::pair{"rbf", 1.5}, std::pair{"matern12", 0.5},
                                 std::pair{"matern52", 2.5}, std::pair{"matern", 0.8}}) {
    for (const int64_t d : {0, 2}) {
      const EigenSpectrum s = eigen_spectrum({kind, d}, lambda, 1.3, nu);
      double sum = 0;
      for (const double v : lambda) sum += density_of(kind, v, 1.3, nu, d);
      for (size_t i = 0; i < lambda.size(); ++i)
        EXPECT_NEAR(s.weight[i], density_of(kind, lambda[i], 1.3, nu, d) / sum, 1e-14);
      EXPECT_NEAR(std::accumulate(s.weight.begin(), s.weight.end(), 0.0), 1, 1e-14);
    }
  }
}

TEST(EigenSpectrum, SlopesMeetFiniteDifferences) {
  const std::vector<double> lambda = {0, 0.5, 2, 7};
  constexpr double kStep = 1e-5;
  for (const char* kind : {"rbf", "matern32", "matern"}) {
    const EigenSpectrum s = eigen_spectrum({kind, 2}, lambda, 0.7, 1.2),
                        up = eigen_spectrum({kind, 2}, lambda, 0.7 * std::exp(kStep), 1.2),
                        down = eigen_spectrum({kind, 2}, lambda, 0.7 * std::exp(-kStep), 1.2),
                        more = eigen_spectrum({kind, 2}, lambda, 0.7, 1.2 * std::exp(kStep)),
                        less = eigen_spectrum({kind, 2}, lambda, 0.7, 1.2 * std::exp(-kStep));
    for (size_t i = 0; i < lambda.size(); ++i) {
      EXPECT_NEAR(s.by_log_lengthscale[i], std::log(up.weight[i] / down.weight[i]) / (2 * kStep),
                  1e-8);
      if (kind == std::string("matern")) {
        EXPECT_NEAR(s.by_log_nu[i], std::log(more.weight[i] / less.weight[i]) / (2 * kStep), 1e-8);
      }
    }
  }
}

TEST(EigenSpectrum, ALongLengthScaleLeavesTheFirstAlone) {
  const std::vector<double> lambda = {0, 1, 4};
  const EigenSpectrum s = eigen_spectrum({"rbf", 0}, lambda, 1e4);
  EXPECT_EQ(s.weight[0], 1);
  EXPECT_EQ(s.weight[2], 0);
  EXPECT_TRUE(std::isfinite(s.by_log_lengthscale[0]));
}

TEST(EigenSpectrum, TheLeafIsTheSumOverEigenvectors) {
  const std::vector<double> lambda = {0, 0.5, 3};
  const Vector x = normals(4 * 37, 1), y = normals(4 * 8, 2);
  for (const char* kind : {"rbf", "matern12", "matern32", "matern"}) {
    const bool free = kind == std::string("matern");
    const Kernel k =
        Kernel::parse(std::string("1.2*eigenvectors(0.8,values=[0,0.5,3],density=") + kind +
                          (free ? ",nu=0.9" : "") + ",dimension=2,dims=1:3) + rbf(0.7,dims=0:0)",
                      4);
    const EigenSpectrum s = eigen_spectrum({kind, 2}, lambda, 0.8, 0.9);
    expect_sound(
        k,
        [&](Point a, Point b, bool) {
          double sum = 0;
          for (size_t i = 0; i < 3; ++i) sum += s.weight[i] * a[i + 1] * b[i + 1];
          return 1.2 * sum + std::exp(-0.5 * std::pow((a[0] - b[0]) / 0.7, 2));
        },
        x, y, 3);
    const Kernel again = Kernel::parse(k.text(), 4);
    EXPECT_EQ(again.text(), k.text());
    EXPECT_EQ(k.has(ParameterRole::kSmoothness), free);
  }
}

TEST(EigenSpectrum, WrongTextIsNamed) {
  for (const char* bad :
       {"eigenvectors", "eigenvectors(values=[0,1,2])", "eigenvectors(values=[0,-1])",
        "eigenvectors(values=[0,1],density=wendland)", "eigenvectors(values=[0,1],nu=1)",
        "eigenvectors(values=[0,1],dimension=1.5)", "eigenvectors(values=[0,1],ard)",
        "eigenvectors(0,values=[0,1])", "rbf(density=rbf)"}) {
    EXPECT_THROW(Kernel::parse(bad, 2), Error) << bad;
  }
}

// On a ring of 60 nodes, whose eigenvectors are cosines and sines: a smooth function of half of the
// nodes is met on the others, and the length scale begins at the eigenvalues' scale.
TEST(EigenSpectrum, AFitOnARingMeetsTheNodesLeftOut) {
  constexpr int64_t kNodes = 60, kModes = 21;
  at::Tensor phi = at::empty({kNodes, kModes}, at::kDouble), f = at::empty({kNodes}, at::kDouble);
  std::string values;
  for (int64_t m = 0; m < kModes; ++m) {
    const auto wave = static_cast<double>((m + 1) / 2);
    // The scale of eigenvalues is not the kernel's business.
    values += (m ? "," : "") + std::to_string(1e4 * (2 - 2 * std::cos(2 * M_PI * wave / kNodes)));
    for (int64_t i = 0; i < kNodes; ++i) {
      const double turn = 2 * M_PI * wave * static_cast<double>(i) / kNodes;
      phi[i][m] = m == 0 ? 1 : std::sqrt(2.0) * (m % 2 ? std::cos(turn) : std::sin(turn));
    }
  }
  const Random random(5);
  for (int64_t i = 0; i < kNodes; ++i) {
    const double turn = 2 * M_PI * static_cast<double>(i) / kNodes;
    f[i] = std::exp(std::sin(turn)) + 0.5 * std::cos(3 * turn);
  }
  const at::Tensor even = at::arange(0, kNodes, 2, at::kLong), odd = even + 1;
  at::Tensor y = f.index_select(0, even).clone();
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data_ptr<double>()[i] += 0.01 * random.normal(static_cast<uint64_t>(i));
  const GaussianProcess gp =
      fit_gp(phi.index_select(0, even), y, {.kernel = "eigenvectors(values=[" + values + "])"});
  const at::Tensor left = gp.predict(phi.index_select(0, odd)).mean - f.index_select(0, odd);
  EXPECT_LT(left.abs().max().item<double>(), 0.05);
  const double scale = gp.kernel().parameters()[1].value;
  EXPECT_EQ(gp.kernel().parameters()[1].name, "eigenvectors.lengthscale");
  EXPECT_GT(scale, 1e-3);
  EXPECT_LT(scale, 1);
  EXPECT_TRUE(gp.report().at_bound.empty());
}

}  // namespace
}  // namespace covary::stat
