// Leaves beyond those of kernel_test.cc: every one against its formula, its gradients against
// differences, its text and its errors.
#include <cmath>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/kernel_checks.h"
#include "covary/stat/process/pair_leaves.h"
#include "covary/stat/process/radial.h"

namespace covary::stat {
namespace {

constexpr double kPi = std::numbers::pi;

double square(double x) { return x * x; }

double matern(double nu, double r) {
  if (r == 0) return 1;
  const double z = std::sqrt(2 * nu) * r;
  return std::pow(2, 1 - nu) / std::tgamma(nu) * std::pow(z, nu) * std::cyl_bessel_k(nu, z);
}

double relu_layer(double a, double ab, double b) {
  const double t = std::acos(std::min(ab / std::sqrt(a * b), 1.0));
  return std::sqrt(a * b) / kPi * (std::sin(t) + (kPi - t) * std::cos(t));
}
double erf_layer(double a, double ab, double b) {
  return 2 / kPi * std::asin(2 * ab / std::sqrt((1 + 2 * a) * (1 + 2 * b)));
}

struct Case {
  const char* text;
  int64_t d;
  Formula formula;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"matern(0.8,nu=0.3)", 1,
       [](Point x, Point y, bool) { return matern(0.3, std::abs(x[0] - y[0]) / 0.8); }},
      {"const(2)*matern(ard,lengthscale=[0.7,1.3],nu=1)", 2,
       [](Point x, Point y, bool) {
         return 2 * matern(1, std::hypot((x[0] - y[0]) / 0.7, (x[1] - y[1]) / 1.3));
       }},
      {"matern(1.1,nu=3.7)", 2,
       [](Point x, Point y, bool) {
         return matern(3.7, std::hypot(x[0] - y[0], x[1] - y[1]) / 1.1);
       }},
      {"wendland(2.5,smoothness=1)", 1,
       [](Point x, Point y, bool) {
         const double r = std::abs(x[0] - y[0]) / 2.5;  // j = 2
         return r < 1 ? std::pow(1 - r, 3) * (3 * r + 1) : 0;
       }},
      {"wendland(ard,lengthscale=[3,4],smoothness=2)", 2,
       [](Point x, Point y, bool) {
         const double r = std::hypot((x[0] - y[0]) / 3, (x[1] - y[1]) / 4);  // j = 4
         return r < 1 ? std::pow(1 - r, 6) * (35 * r * r + 18 * r + 3) / 3 : 0;
       }},
      {"wendland(4,smoothness=3,dims=1:3)", 4,
       [](Point x, Point y, bool) {
         double q = 0;
         for (int k = 1; k < 4; ++k) q += square((x[k] - y[k]) / 4);
         const double r = std::sqrt(q);  // j = 5
         return r < 1 ? std::pow(1 - r, 8) *
                            (480 * r * r * r + (150 + 180 + 45) * r * r + 120 * r + 15) / 15
                      : 0;
       }},
      {"brownian(1.7)", 1,
       [](Point x, Point y, bool) {
         return 1.7 * 0.5 * (std::abs(x[0]) + std::abs(y[0]) - std::abs(x[0] - y[0]));
       }},
      {"integrated_brownian(0.6)", 2,
       [](Point x, Point y, bool) {
         double k = 0.6;
         for (int c = 0; c < 2; ++c) {
           // The integral of min(s,t) over both, by its own closed form.
           const double a = std::abs(x[c]), b = std::abs(y[c]), m = std::min(a, b),
                        M = std::max(a, b);
           k *= x[c] * y[c] > 0 ? m * m * (3 * M - m) / 6 : 0;
         }
         return k;
       }},
      {"relu(1.2,bias=0.3)", 2,
       [](Point x, Point y, bool) {
         const double l = 1.44;
         return relu_layer(0.3 + (x[0] * x[0] + x[1] * x[1]) / l,
                           0.3 + (x[0] * y[0] + x[1] * y[1]) / l,
                           0.3 + (y[0] * y[0] + y[1] * y[1]) / l);
       }},
      {"relu(ard,lengthscale=[1.2,0.8],bias=0.3,weight=0.9,depth=3)", 2,
       [](Point x, Point y, bool) {
         const auto inner = [](Point a, Point b) {
           return 0.3 + a[0] * b[0] / 1.44 + a[1] * b[1] / 0.64;
         };
         double a = inner(x, x), ab = inner(x, y), b = inner(y, y);
         for (int layer = 0; layer < 2; ++layer) {
           const double ka = relu_layer(a, a, a), kab = relu_layer(a, ab, b),
                        kb = relu_layer(b, b, b);
           a = 0.3 + 0.9 * ka;
           ab = 0.3 + 0.9 * kab;
           b = 0.3 + 0.9 * kb;
         }
         return relu_layer(a, ab, b);
       }},
      {"erf(0.9,bias=0.4,weight=1.3,depth=2)", 1,
       [](Point x, Point y, bool) {
         const auto inner = [](double a, double b) { return 0.4 + a * b / 0.81; };
         const double a = inner(x[0], x[0]), ab = inner(x[0], y[0]), b = inner(y[0], y[0]);
         return erf_layer(0.4 + 1.3 * erf_layer(a, a, a), 0.4 + 1.3 * erf_layer(a, ab, b),
                          0.4 + 1.3 * erf_layer(b, b, b));
       }},
      {"step(bias=0.5)", 2,
       [](Point x, Point y, bool same) {
         if (same) return 1.0;
         const double ab = 0.5 + x[0] * y[0] + x[1] * y[1];
         const double a = 0.5 + x[0] * x[0] + x[1] * x[1], b = 0.5 + y[0] * y[0] + y[1] * y[1];
         return 1 - std::acos(std::clamp(ab / std::sqrt(a * b), -1.0, 1.0)) / kPi;
       }},
      {"sho(2.5,quality=4)", 1,
       [](Point x, Point y, bool) {
         const double t = std::abs(x[0] - y[0]) * 2 * kPi / 2.5, eta = std::sqrt(1 - 1.0 / 64);
         return std::exp(-t / 8) * (std::cos(eta * t) + std::sin(eta * t) / (8 * eta));
       }},
      {"sho(period=2.5,quality=0.5)", 1,
       [](Point x, Point y, bool) {
         const double t = std::abs(x[0] - y[0]) * 2 * kPi / 2.5;
         return std::exp(-t) * (1 + t);
       }},
      {"sho(2.5,quality=0.2)", 1,
       [](Point x, Point y, bool) {
         const double t = std::abs(x[0] - y[0]) * 2 * kPi / 2.5, b = t * std::sqrt(6.25 - 1);
         return t == 0 ? 1 : std::exp(-2.5 * t) * (std::cosh(b) + 2.5 * t / b * std::sinh(b));
       }},
      {"rising(0.2,0.7,dims=1)", 2,
       [](Point x, Point y, bool) {
         return 1 / (1 + std::exp(-(x[1] - 0.2) / 0.7)) / (1 + std::exp(-(y[1] - 0.2) / 0.7));
       }},
      {"changepoint(rbf(0.5), const(2)*matern32 + white(0.1), location=-0.3,width=0.4)", 1,
       [](Point x, Point y, bool same) {
         const auto up = [](double v) { return 1 / (1 + std::exp(-(v + 0.3) / 0.4)); };
         const auto down = [&](double v) { return 1 - up(v); };
         const double r = std::abs(x[0] - y[0]), s = std::sqrt(3) * r;
         return down(x[0]) * down(y[0]) * std::exp(-2 * r * r) +
                up(x[0]) * up(y[0]) * (2 * (1 + s) * std::exp(-s) + (same ? 0.1 : 0));
       }},
      {"(linear(0.3) + const(0.7))^3*rbf^2", 1,
       [](Point x, Point y, bool) {
         return std::pow(0.3 * x[0] * y[0] + 0.7, 3) * std::exp(-square(x[0] - y[0]));
       }},
      {"(const + white(2))^2", 1, [](Point, Point, bool same) { return same ? 9.0 : 1.0; }},
      {"spectral_mixture(components=2)", 2, [](Point x, Point y, bool) {
         return 2 * std::exp(-0.5 * (square(x[0] - y[0]) + square(x[1] - y[1]))) *
                std::cos(2 * kPi * (x[0] - y[0] + x[1] - y[1]));
       }}};
  return all;
}

TEST(KernelLeaves, AgreeWithFormulasAndDifferences) {
  uint64_t seed = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.text);
    const Kernel kernel = Kernel::parse(c.text, c.d);
    const Vector x = normals(23 * c.d, 100 + seed), y = normals(5 * c.d, 200 + seed);
    expect_sound(kernel, c.formula, x, y, ++seed);
    if (HasFatalFailure()) return;
    // Text reads back.
    const Kernel again = Kernel::parse(kernel.text(), c.d);
    Vector a(36), b(36);
    kernel.matrix(x.data(), 6, a.data(), 6);
    again.matrix(x.data(), 6, b.data(), 6);
    EXPECT_EQ(a, b) << kernel.text();
    EXPECT_EQ(kernel.text(), again.text());
  }
}

TEST(KernelLeaves, CategoriesAgreeWithFormulas) {
  Vector x, y;
  for (int i = 0; i < 21; ++i) x.insert(x.end(), {double(i % 4), double(i * i % 3)});
  for (int i = 0; i < 5; ++i) y.insert(y.end(), {double(i * 3 % 4), double(i % 3)});
  expect_sound(
      Kernel::parse("hamming(ard,lengthscale=[0.7,1.9])", 2),
      [](Point a, Point b, bool) { return std::exp(-(a[0] != b[0]) / 0.7 - (a[1] != b[1]) / 1.9); },
      x, y, 1, false);
  const Kernel index = Kernel::parse(
      "index(levels=4,rank=2,dims=0,loading=[1,-2,0.5,0.25,-1,3,0,1],variance=[1,2,3,4])", 2);
  expect_sound(
      index,
      [](Point a, Point b, bool) {
        const double w[4][2] = {{1, -2}, {0.5, 0.25}, {-1, 3}, {0, 1}};
        const int i = static_cast<int>(a[0]), j = static_cast<int>(b[0]);
        return w[i][0] * w[j][0] + w[i][1] * w[j][1] + (i == j ? 1 + i : 0);
      },
      x, y, 2, false);
  EXPECT_EQ(Kernel::parse(index.text(), 2).text(), index.text());
  EXPECT_EQ(index.parameters()[3].name, "index.loading[1,1]");
  // Loadings are fitted as they are, variances by their logarithm.
  EXPECT_EQ(index.pack()[1], -2);
  EXPECT_EQ(index.pack()[9], std::log(2.0));
  Kernel moved = index;
  Vector packed = index.pack();
  packed[1] = -0.5;
  packed[9] = 0;
  moved.unpack(packed);
  EXPECT_EQ(moved.parameters()[1].value, -0.5);
  EXPECT_EQ(moved.parameters()[9].value, 1);
  Vector out(1);
  for (const double bad : {4.0, -1.0, 0.5, std::nan("")}) {
    const Vector point{bad, 0};
    EXPECT_THROW(index.diagonal(point.data(), 1, true, out.data()), Error) << bad;
    EXPECT_THROW(index.matrix(point.data(), 1, out.data(), 1), Error) << bad;
  }
}

TEST(KernelLeaves, MaternOfHalfOrdersIsTheClosedForm) {
  Vector q{0, 1e-300, 1e-30, 1e-17, 1e-8, 1e-3, 0.3, 1, 17, 300, 1e4, 1e8, 1e300};
  const auto count = static_cast<int64_t>(q.size());
  Vector value(q.size()), slope(q.size()), order(q.size()), expected(q.size()), fall(q.size());
  for (const auto& [nu, profile] : {std::pair{0.5, compute::Profile::kMatern12},
                                    {1.5, compute::Profile::kMatern32},
                                    {2.5, compute::Profile::kMatern52}}) {
    matern_profile(nu, q.data(), count, value.data(), slope.data(), order.data());
    compute::radial_profile(profile, 0, q.data(), count, expected.data(), fall.data(), nullptr);
    for (size_t i = 0; i < q.size(); ++i) {
      EXPECT_NEAR(value[i], expected[i], 1e-12) << nu << " " << q[i];
      EXPECT_NEAR(slope[i] * q[i], fall[i] * q[i], 1e-12) << nu << " " << q[i];
      EXPECT_TRUE(std::isfinite(order[i])) << nu << " " << q[i];
    }
  }
  for (const double nu : {0.01, 0.2, 1.0, 1.999, 20.0, 100.0}) {
    matern_profile(nu, q.data(), count, value.data(), slope.data(), order.data());
    EXPECT_EQ(value[0], 1);
    for (size_t i = 0; i < q.size(); ++i) {
      ASSERT_TRUE(std::isfinite(value[i]) && std::isfinite(slope[i]) && std::isfinite(order[i]))
          << nu << " " << q[i];
      ASSERT_TRUE(value[i] >= 0 && value[i] <= 1 + 1e-12) << nu << " " << q[i];
    }
  }
  // Towards the exponential of the square.
  matern_profile(100, q.data(), count, value.data(), nullptr, nullptr);
  EXPECT_NEAR(value[6], std::exp(-0.15), 2e-3);
}

TEST(KernelLeaves, RadialJetsAgreeWithDifferences) {
  for (const RadialFunction& f :
       {RadialFunction{RadialKind::kRbf}, RadialFunction{RadialKind::kMatern, 1.5},
        RadialFunction{RadialKind::kMatern, 2.5}, RadialFunction{RadialKind::kMatern, 0.7},
        RadialFunction{RadialKind::kMatern, 4.2},
        RadialFunction{RadialKind::kRationalQuadratic, 0.6},
        RadialFunction{RadialKind::kWendland, 0, 1, 2},
        RadialFunction{RadialKind::kWendland, 0, 2, 3},
        RadialFunction{RadialKind::kWendland, 0, 3, 1}}) {
    for (const double q : {0.01, 0.3, 0.9, 2.0}) {
      const double h = 1e-5 * q;
      const RadialJet here = radial_jet(f, q), up = radial_jet(f, q + h),
                      down = radial_jet(f, q - h);
      EXPECT_NEAR(here.slope, (up.value - down.value) / (2 * h), 1e-7 * (1 + std::abs(here.slope)));
      EXPECT_NEAR(here.curvature, (up.slope - down.slope) / (2 * h),
                  1e-7 * (1 + std::abs(here.curvature)));
    }
  }
}

TEST(KernelLeaves, UserFunctionsTakePart) {
  static const bool once = [] {
    define_kernel(
        "sinc", {{.name = "width", .role = ParameterRole::kLengthscale}},
        [](std::span<const double> x, std::span<const double> y, std::span<const double> p) {
          const double u = kPi * (x[0] - y[0]) / p[0];
          return u == 0 ? 1 : std::sin(u) / u;
        });
    return true;
  }();
  ASSERT_TRUE(once);
  const Kernel kernel = Kernel::parse("const(2)*sinc(0.9,dims=1) + rbf", 2);
  expect_sound(
      kernel,
      [](Point x, Point y, bool) {
        const double u = kPi * (x[1] - y[1]) / 0.9;
        return 2 * (u == 0 ? 1 : std::sin(u) / u) +
               std::exp(-0.5 * (square(x[0] - y[0]) + square(x[1] - y[1])));
      },
      normals(40, 1), normals(10, 2), 3);
  EXPECT_EQ(Kernel::parse(kernel.text(), 2).text(), kernel.text());
  EXPECT_THROW(define_kernel("sinc", {}, [](auto, auto, auto) { return 1.0; }), Error);
  EXPECT_THROW(define_kernel("rbf", {}, [](auto, auto, auto) { return 1.0; }), Error);
  EXPECT_THROW(define_kernel("sinc2", {}, [](auto, auto, auto) { return 1.0; }), Error);
  EXPECT_THROW(define_kernel("empty", {}, {}), Error);
}

TEST(KernelLeaves, NameWhatIsWrong) {
  const auto message = [](const char* text, int64_t d = 1) -> std::string {
    try {
      Kernel::parse(text, d);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      return std::string(e.what()) + " | " + e.hint();
    }
    return "accepted";
  };
  using testing::HasSubstr;
  EXPECT_THAT(message("brownain"), HasSubstr("did you mean \"brownian\""));
  EXPECT_THAT(message("matern(nu=0)"), HasSubstr("nu must be"));
  EXPECT_THAT(message("wendland(smoothness=4)"), HasSubstr("0, 1, 2 or 3"));
  EXPECT_THAT(message("index"), HasSubstr("needs levels="));
  EXPECT_THAT(message("index(levels=2.5)"), HasSubstr("whole number"));
  EXPECT_THAT(message("index(levels=2,variance=[1,2,3])"), HasSubstr("takes 2 values"));
  EXPECT_THAT(message("index(levels=2)", 3), HasSubstr("sees one column"));
  EXPECT_THAT(message("relu(weight=2)"), HasSubstr("has no weight"));
  EXPECT_THAT(message("relu(depth=0)"), HasSubstr("depth must be"));
  EXPECT_THAT(message("sho(-1)"), HasSubstr("must be positive"));
  EXPECT_THAT(message("sho(ard)"), HasSubstr("no ard"));
  EXPECT_THAT(message("rbf^0"), HasSubstr("power"));
  EXPECT_THAT(message("rbf^2^2"), HasSubstr("parentheses"));
  EXPECT_THAT(message("changepoint(rbf)"), HasSubstr("expected ','"));
  EXPECT_THAT(message("changepoint(rbf,rbf,place=1)"), HasSubstr("unknown argument"));
  EXPECT_THAT(message("spectral_mixture(components=0)"), HasSubstr("1 to 50"));
  EXPECT_THAT(message("spectral_mixture(base=cosine)"), HasSubstr("no base"));
}

}  // namespace
}  // namespace covary::stat
