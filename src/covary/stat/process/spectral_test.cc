#include "covary/stat/process/spectral.h"

#include <cmath>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::stat {
namespace {

double kernel_at(const Kernel& k, double tau) {
  double value = 0;
  const double zero = 0;
  k.cross(&tau, 1, &zero, 1, &value, 1);
  return value;
}

// The integral of cos(w tau) over density and atoms, by the trapezoidal rule after w = sinh(t).
double transformed(const SpectralMeasure& s, double tau) {
  double sum = 0;
  const double h = 1e-3;
  for (double t = -16; t <= 16; t += h) {
    const double w = std::sinh(t);
    sum += h * std::cosh(t) * std::cos(w * tau) * s.density(&w);
  }
  for (const auto& a : s.atoms()) sum += a.mass * std::cos(a.w[0] * tau);
  return sum;
}

TEST(Spectral, DensityAndAtomsTransformToTheKernel) {
  for (const char* text :
       {"rbf(0.7)", "const(2)*matern52(0.5)", "matern(0.8,nu=3.3)", "rq(0.6,alpha=2.2)",
        "const(1.5) + 2*rbf*cosine(1.7) + white(3)", "rbf(0.7)*rbf(2)", "rbf(0.7)^3",
        "matern52*cosine(3)*cosine(2) + cosine(0.5)*cosine(0.8)",
        "spectral_mixture(components=2)"}) {
    SCOPED_TRACE(text);
    const Kernel k = Kernel::parse(text, 1);
    const SpectralMeasure s(k);
    for (const double tau : {0.0, 0.3, 1.1}) {
      const double expected = kernel_at(k, tau);
      EXPECT_NEAR(transformed(s, tau), expected, 2e-6 * s.mass()) << tau;
    }
  }
  // Atoms alone, to rounding.
  const Kernel periodic = Kernel::parse("periodic(1.3,0.4)*cosine(2)", 1);
  double sum = 0;
  for (const auto& a : SpectralMeasure(periodic).atoms()) sum += a.mass * std::cos(a.w[0] * 0.37);
  EXPECT_NEAR(sum, kernel_at(periodic, 0.37), 1e-13);
}

// Over the plane: the density of two columns in polar coordinates, at (1, 0).
TEST(Spectral, DensityInTwoColumns) {
  for (const char* text :
       {"matern32(ard,lengthscale=[0.5,2])", "rq(ard,lengthscale=[0.5,2],alpha=3)",
        "rbf(0.5,dims=0)*matern52(2,dims=1)"}) {
    const Kernel k = Kernel::parse(text, 2);
    const SpectralMeasure s(k);
    double sum = 0, expected = 0;
    const double tau[2] = {0.3, -0.4}, zero[2] = {0, 0};
    k.cross(tau, 1, zero, 1, &expected, 1);
    const double h = 0.05;
    for (double a = -9; a <= 9; a += h) {
      for (double b = -9; b <= 9; b += h) {
        const double w[2] = {std::sinh(a), std::sinh(b)};
        sum += h * h * std::cosh(a) * std::cosh(b) * std::cos(w[0] * tau[0] + w[1] * tau[1]) *
               s.density(w);
      }
    }
    EXPECT_NEAR(sum, expected, 2e-3) << text;
  }
}

// The mean of cos(w.tau) over drawn frequencies is the kernel over its mass, within five standard
// errors.
TEST(Spectral, DrawsHaveTheMeasure) {
  for (const char* text :
       {"rbf(ard,lengthscale=[0.7,2])", "matern12", "matern(1.3,nu=0.4)", "rq(0.8,alpha=0.6)",
        "periodic(1.5,0.6)*matern32(3,dims=1)", "2*rbf(0.5)*cosine(ard,period=[2,3]) + const(0.5)",
        "rbf*matern52^2 + rq*periodic(2,5)", "periodic(2,2e-4,dims=0)"}) {
    SCOPED_TRACE(text);
    const Kernel k = Kernel::parse(text, 2);
    const SpectralMeasure s(k);
    for (const auto& tau : {std::array{0.4, 0.0}, std::array{-0.3, 0.6}}) {
      const double zero[2] = {0, 0};
      double expected = 0, sum = 0, squares = 0;
      k.cross(tau.data(), 1, zero, 1, &expected, 1);
      const int count = 20000;
      for (int i = 0; i < count; ++i) {
        double w[2];
        s.draw(3, static_cast<uint64_t>(i), w);
        const double c = std::cos(w[0] * tau[0] + w[1] * tau[1]);
        sum += c / count;
        squares += c * c / count;
      }
      const double error = std::sqrt((squares - sum * sum) / count) + 1e-12;
      EXPECT_NEAR(sum, expected / s.mass(), 5 * error);
    }
  }
}

TEST(Spectral, RefusesWhatHasNoMeasure) {
  for (const char* text : {"linear", "brownian", "polynomial", "wendland", "white"}) {
    EXPECT_THROW(SpectralMeasure(Kernel::parse(text, 1)), Error) << text;
  }
  const double w = 1;
  EXPECT_THROW(SpectralMeasure(Kernel::parse("rbf*matern12", 1)).density(&w), Error);
  EXPECT_THROW(SpectralMeasure(Kernel::parse("periodic", 1)).density(&w), Error);
  EXPECT_EQ(SpectralMeasure(Kernel::parse("const", 1)).density(&w), 0);
  EXPECT_THROW(SpectralMeasure(Kernel::parse("(rbf+matern12+rq+cosine)^9", 1)), Error);
}

}  // namespace
}  // namespace covary::stat
