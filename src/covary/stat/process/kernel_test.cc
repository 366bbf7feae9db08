#include "covary/stat/process/kernel.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/kernel_checks.h"

namespace covary::stat {
namespace {

struct Composition {
  std::string text;
  Formula formula;
};

// A random expression over d columns together with its formula, written down independently.
class Composer {
 public:
  Composer(uint64_t seed, int64_t d) : random_(seed), d_(d) {}
  Composition make(int depth) {
    const uint64_t kind = depth == 0 ? 2 : random_.below(3, next_++);
    if (kind == 2) return leaf();
    const Composition a = make(depth - 1), b = make(depth - 1);
    if (kind == 0) {
      return {"(" + a.text + " + " + b.text + ")", [=](Point x, Point y, bool same) {
                return a.formula(x, y, same) + b.formula(x, y, same);
              }};
    }
    return {a.text + "*" + b.text, [=](Point x, Point y, bool same) {
              return a.formula(x, y, same) * b.formula(x, y, same);
            }};
  }

 private:
  double draw() { return std::round(1000 * (0.4 + 1.5 * random_.uniform(next_++))) / 1000; }
  static std::string list(const Vector& v) {
    std::string s;
    for (const double x : v) s += (s.empty() ? "" : ",") + std::to_string(x);
    return "[" + s + "]";
  }

  Composition leaf() {
    static constexpr const char* kNames[] = {"const",    "white",    "rbf",       "matern12",
                                             "matern32", "matern52", "rq",        "periodic",
                                             "cosine",   "linear",   "polynomial"};
    const uint64_t kind = random_.below(11, next_++);
    const std::string name = kNames[kind];
    if (kind < 2) {
      const double v = draw();
      return {name + "(" + std::to_string(v) + ")",
              [=](Point, Point, bool same) { return kind == 0 || same ? v : 0; }};
    }
    std::vector<int64_t> dims;
    for (int64_t k = 0; k < d_; ++k) {
      if (random_.uniform(next_++) < 0.7) dims.push_back(k);
    }
    if (dims.empty()) dims.push_back(0);
    const bool ard = random_.uniform(next_++) < 0.5;
    Vector a, b;  // a value a column
    const double a0 = draw(), b0 = 2 * draw(), c = draw();
    for (size_t k = 0; k < dims.size(); ++k) {
      a.push_back(ard ? draw() : a0);
      b.push_back(ard ? 2 * draw() : b0);
    }
    std::string columns;
    for (const int64_t k : dims) columns += (columns.empty() ? "" : ",") + std::to_string(k);
    std::string text = name + "(dims=[" + columns + "]" + (ard ? ",ard" : "");
    const auto values = [&](const Vector& v) { return ard ? list(v) : std::to_string(v[0]); };
    const auto squares = [=](Point x, Point y) {
      double q = 0;
      for (size_t k = 0; k < dims.size(); ++k) {
        q += std::pow((x[dims[k]] - y[dims[k]]) / a[k], 2);
      }
      return q;
    };
    const double pi = std::numbers::pi;
    switch (kind) {
      case 2:
        return {text + ",lengthscale=" + values(a) + ")",
                [=](Point x, Point y, bool) { return std::exp(-0.5 * squares(x, y)); }};
      case 3:
        return {text + ",lengthscale=" + values(a) + ")",
                [=](Point x, Point y, bool) { return std::exp(-std::sqrt(squares(x, y))); }};
      case 4:
        return {text + ",lengthscale=" + values(a) + ")", [=](Point x, Point y, bool) {
                  const double s = std::sqrt(3 * squares(x, y));
                  return (1 + s) * std::exp(-s);
                }};
      case 5:
        return {text + ",lengthscale=" + values(a) + ")", [=](Point x, Point y, bool) {
                  const double s = std::sqrt(5 * squares(x, y));
                  return (1 + s + s * s / 3) * std::exp(-s);
                }};
      case 6:
        return {text + ",lengthscale=" + values(a) + ",alpha=" + std::to_string(c) + ")",
                [=](Point x, Point y, bool) { return std::pow(1 + squares(x, y) / (2 * c), -c); }};
      case 7:
        return {text + ",period=" + values(b) + ",lengthscale=" + values(a) + ")",
                [=](Point x, Point y, bool) {
                  double q = 0;
                  for (size_t k = 0; k < dims.size(); ++k) {
                    q += std::pow(std::sin(pi * (x[dims[k]] - y[dims[k]]) / b[k]) / a[k], 2);
                  }
                  return std::exp(-2 * q);
                }};
      case 8:
        return {text + ",period=" + values(b) + ")", [=](Point x, Point y, bool) {
                  double phase = 0;
                  for (size_t k = 0; k < dims.size(); ++k) {
                    phase += (x[dims[k]] - y[dims[k]]) / b[k];
                  }
                  return std::cos(2 * pi * phase);
                }};
      default: {
        const int degree = kind == 9 ? 1 : 1 + static_cast<int>(random_.below(3, next_++));
        text += ",variance=" + values(a);
        if (kind == 10) {
          text += ",offset=" + std::to_string(c) + ",degree=" + std::to_string(degree);
        }
        return {text + ")", [=](Point x, Point y, bool) {
                  double s = kind == 9 ? 0 : c;
                  for (size_t k = 0; k < dims.size(); ++k) s += a[k] * x[dims[k]] * y[dims[k]];
                  return std::pow(s, degree);
                }};
      }
    }
  }

  Random random_;
  int64_t d_;
  uint64_t next_ = 0;
};

// Values, diagonal and cross values against the formula; contracted gradients against central
// differences of sum W.K; derivatives in x likewise. 250 compositions.
TEST(Kernel, RandomCompositionsAgreeWithFormulasAndDifferences) {
  for (uint64_t seed = 0; seed < 250; ++seed) {
    const int64_t d = 1 + static_cast<int64_t>(seed % 4);
    const int64_t n = seed % 10 == 0 ? 150 : 3 + static_cast<int64_t>(seed % 40), m = 5;
    const Composition c = Composer(seed, d).make(static_cast<int>(seed % 3));
    SCOPED_TRACE(std::to_string(seed) + ": " + c.text);
    Kernel kernel = Kernel::parse(c.text, d);
    Vector x = normals(n * d, 1000 + seed), y = normals(m * d, 5000 + seed);
    for (int64_t k = 0; k < d; ++k) x[static_cast<size_t>(d + k)] = x[static_cast<size_t>(k)];
    expect_sound(kernel, c.formula, x, y, seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Kernel, TextReadsBack) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Composition c = Composer(seed, 3).make(2);
    const Kernel kernel = Kernel::parse(c.text, 3), again = Kernel::parse(kernel.text(), 3);
    const Vector x = normals(12, seed);
    Vector a(16), b(16);
    kernel.matrix(x.data(), 4, a.data(), 4);
    again.matrix(x.data(), 4, b.data(), 4);
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], 1e-14 * (1 + std::abs(a[i]))) << c.text << "\n" << kernel.text();
    }
  }
}

TEST(Kernel, GivesTheSameBitsAtAnyNumberOfThreads) {
  const int64_t n = 517;
  const Vector x = normals(n * 3, 4);
  const Kernel kernel = Kernel::parse("const(2)*matern52(ard)*rq + periodic(dims=1) + white", 3);
  std::vector<Vector> results;
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    Vector k(static_cast<size_t>(n * n)), g(kernel.parameters().size());
    kernel.matrix(x.data(), n, k.data(), n);
    kernel.contract(
        x.data(), n,
        [&](const compute::PairBlock& t, double* w) {
          for (int64_t i = 0; i < t.rows; ++i) {
            for (int64_t j = 0; j < t.columns; ++j) {
              w[i * t.columns + j] = x[t.row + i] * x[t.column + j];
            }
          }
        },
        g);
    k.insert(k.end(), g.begin(), g.end());
    results.push_back(k);
  }
  set_threads(0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// Points near 1e9: distances keep their digits.
TEST(Kernel, KeepsDigitsFarFromTheOrigin) {
  Vector near{0, 0.25, 1.5, 2}, far;
  for (const double x : near) far.push_back(x + 1e9);
  for (const char* text : {"rbf(0.7)", "periodic(1.3)", "cosine(0.9)", "matern12"}) {
    const Kernel kernel = Kernel::parse(text, 1);
    Vector a(16), b(16);
    kernel.matrix(near.data(), 4, a.data(), 4);
    kernel.matrix(far.data(), 4, b.data(), 4);
    EXPECT_EQ(a, b) << text;
  }
}

TEST(Kernel, PacksFreeParametersAndSharesTiedOnes) {
  Kernel kernel = Kernel::parse("const(3)*rbf(ard,lengthscale=[1,2]) + 0.5*white(4,fixed)", 2);
  kernel.tie("rbf.lengthscale[1]", "rbf.lengthscale[0]");
  EXPECT_THAT(kernel.pack(), testing::ElementsAre(std::log(3.0), 0.0));
  kernel.unpack(Vector{0.0, std::log(5.0)});
  EXPECT_NEAR(kernel.parameter("rbf.lengthscale[1]").value, 5, 1e-14);
  EXPECT_EQ(kernel.parameter("white.variance").value, 4);
  EXPECT_EQ(kernel.parameter("const2.variance").value, 0.5);
  EXPECT_THAT(kernel.pack_gradient(Vector{1, 2, 4, 8, 16}), testing::ElementsAre(1, 6));
  EXPECT_THROW(kernel.tie("const.variance", "const.variance"), Error);
  EXPECT_THROW(kernel.tie("rbf.lengthscale[0]", "const.variance"), Error);
}

TEST(Kernel, PriorsAddTheirSlopes) {
  Kernel kernel = Kernel::parse("const(3)*rbf(0.4)", 1);
  kernel.parameter("rbf.lengthscale").prior = Prior::gamma(3, 6);
  Vector gradient(2, 1.0);
  double slope = 0;
  const double expected = Prior::gamma(3, 6).log_density(0.4, &slope);
  EXPECT_EQ(kernel.log_prior(gradient), expected);
  EXPECT_THAT(gradient, testing::ElementsAre(1.0, 1 + slope));
}

TEST(Kernel, NamesWhatIsWrongWithAText) {
  const auto message = [](const char* text) -> std::string {
    try {
      Kernel::parse(text, 3);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      return std::string(e.what()) + " | " + e.hint();
    }
    return "accepted";
  };
  EXPECT_THAT(message("mattern52"), testing::HasSubstr("did you mean \"matern52\""));
  EXPECT_THAT(message("rbf(lengthscal=2)"), testing::HasSubstr("did you mean \"lengthscale\""));
  EXPECT_THAT(message("rbf(dims=1:3)"), testing::HasSubstr("column 3 is out of range"));
  EXPECT_THAT(message("rbf(dims=[0,0])"), testing::HasSubstr("twice"));
  EXPECT_THAT(message("rbf(-1)"), testing::HasSubstr("must be positive"));
  EXPECT_THAT(message("0*rbf"), testing::HasSubstr("positive"));
  EXPECT_THAT(message("rbf +"), testing::HasSubstr("ends where a kernel"));
  EXPECT_THAT(message("(rbf"), testing::HasSubstr("expected ')'"));
  EXPECT_THAT(message("rbf rbf"), testing::HasSubstr("expected + or *"));
  EXPECT_THAT(message("const(ard)"), testing::HasSubstr("neither ard nor dims"));
  EXPECT_THAT(message("polynomial(degree=1.5)"), testing::HasSubstr("whole number"));
  EXPECT_THAT(message("rbf(ard,lengthscale=[1,2])"), testing::HasSubstr("takes 3 values"));
  EXPECT_THAT(message(""), testing::HasSubstr("ends"));
  EXPECT_THAT(message(std::string(5000, '(').c_str()), testing::HasSubstr("parentheses"));
  EXPECT_THROW(Kernel::parse("rbf", 0), Error);
  EXPECT_THROW(Kernel::parse("rbf", 1).parameter("rbf.length"), Error);
}

}  // namespace
}  // namespace covary::stat
