// Test problems with one objective; see test_problems.h.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <utility>

#include "covary/core/base/random.h"
#include "covary/stat/process/test_problem_families.h"

namespace covary::stat::families {
namespace {

constexpr double kPi = std::numbers::pi;

// A problem of one objective f(x).
template <class F>
TestProblem single(TestProblem p, double optimum, std::vector<std::vector<double>> optima, F f) {
  p.optimum = optimum;
  p.optima = std::move(optima);
  p.formula = [f = std::move(f)](std::span<const double> x, std::span<double> value,
                                 std::span<double>) { value[0] = f(x); };
  return p;
}

std::vector<std::vector<double>> everywhere(int64_t d, double value) {
  return {std::vector<double>(static_cast<size_t>(d), value)};
}

double square(double x) { return x * x; }

// Where sin(x) sin(i x^2 / pi)^20 is largest in [0, pi]. Between two zeros of the second sine the
// logarithm is concave, so its slope has one root there; the best peak is beside pi / 2.
double michalewicz_peak(int64_t i) {
  const auto n = static_cast<double>(i);
  const auto value = [&](double x) {
    return std::sin(x) * std::pow(std::sin(n * x * x / kPi), 20);
  };
  const auto near = static_cast<int64_t>(std::floor(n / 4));  // i x^2 / pi = pi n / 4 at pi / 2
  double best = 0;
  for (int64_t k = std::max<int64_t>(0, near - 2); k <= std::min(i - 1, near + 2); ++k) {
    double low = kPi * std::sqrt(static_cast<double>(k) / n);
    double high = kPi * std::sqrt(static_cast<double>(k + 1) / n);
    for (int step = 0; step < 100; ++step) {
      const double x = 0.5 * (low + high);
      const double slope = 1 / std::tan(x) + 40 * n * x / kPi / std::tan(n * x * x / kPi);
      (slope > 0 ? low : high) = x;
    }
    if (value(low) > value(best)) best = low;
  }
  return best;
}

}  // namespace

TestProblem box_problem(int64_t d, double low, double high) {
  TestProblem p;
  p.lower.assign(static_cast<size_t>(d), low);
  p.upper.assign(static_cast<size_t>(d), high);
  p.integer.assign(static_cast<size_t>(d), 0);
  return p;
}

double branin_value(double x, double y) {
  return square(y - 5.1 / (4 * kPi * kPi) * x * x + 5 / kPi * x - 6) +
         10 * (1 - 1 / (8 * kPi)) * std::cos(x) + 10;
}

TestProblem branin() {
  TestProblem p = box_problem(2, 0, 15);
  p.lower = {-5, 0};
  p.upper = {10, 15};
  return single(p, 10 / (8 * kPi), {{-kPi, 12.275}, {kPi, 2.275}, {3 * kPi, 2.475}},
                [](std::span<const double> x) { return branin_value(x[0], x[1]); });
}

TestProblem camel() {
  TestProblem p = box_problem(2, -3, 3);
  p.lower[1] = -2;
  p.upper[1] = 2;
  return single(
      p, -1.0316284534898774,
      {{0.089842013100318062, -0.71265640302073963}, {-0.089842013100318062, 0.71265640302073963}},
      [](std::span<const double> x) {
        const double a = x[0] * x[0], b = x[1] * x[1];
        return (4 - 2.1 * a + a * a / 3) * a + x[0] * x[1] + (4 * b - 4) * b;
      });
}

TestProblem hartmann(int64_t d) {
  static constexpr double kWeight[4] = {1, 1.2, 3, 3.2};
  static constexpr double kScale3[4][6] = {{3, 10, 30}, {0.1, 10, 35}, {3, 10, 30}, {0.1, 10, 35}};
  static constexpr double kCentre3[4][6] = {{0.3689, 0.1170, 0.2673},
                                            {0.4699, 0.4387, 0.7470},
                                            {0.1091, 0.8732, 0.5547},
                                            {0.0381, 0.5743, 0.8828}};
  static constexpr double kScale6[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                           {0.05, 10, 17, 0.1, 8, 14},
                                           {3, 3.5, 1.7, 10, 17, 8},
                                           {17, 8, 0.05, 10, 0.1, 14}};
  static constexpr double kCentre6[4][6] = {{0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
                                            {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
                                            {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
                                            {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}};
  const auto* scale = d == 3 ? kScale3 : kScale6;
  const auto* centre = d == 3 ? kCentre3 : kCentre6;
  const std::vector<double> at =
      d == 3 ? std::vector<double>{0.11458887665506897, 0.55564889461693004, 0.85254698468667744}
             : std::vector<double>{0.20168951100670542, 0.15001069182345797, 0.47687397422189699,
                                   0.27533243049405607, 0.31165161660011324, 0.65730053406562031};
  return single(box_problem(d, 0, 1), d == 3 ? -3.8627797873326625 : -3.3223680114155148, {at},
                [=](std::span<const double> x) {
                  double sum = 0;
                  for (int i = 0; i < 4; ++i) {
                    double s = 0;
                    for (size_t j = 0; j < x.size(); ++j) {
                      s += scale[i][j] * square(x[j] - centre[i][j]);
                    }
                    sum -= kWeight[i] * std::exp(-s);
                  }
                  return sum;
                });
}

TestProblem shekel(int64_t terms) {
  static constexpr double kBeta[10] = {0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5};
  // Coordinates 0 and 2 of the centres, then 1 and 3.
  static constexpr double kEven[10] = {4, 1, 8, 6, 3, 2, 5, 8, 6, 7};
  static constexpr double kOdd[10] = {4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6};
  double optimum = -10.536443153483528, even = 4.0007468682706344, odd = 3.9995094800857736;
  if (terms == 5) {
    optimum = -10.153199679058227, even = 4.0000371528196762, odd = 4.0001332765915601;
  } else if (terms == 7) {
    optimum = -10.402915336777743, even = 4.0005728192511172, odd = 3.9996062096096889;
  }
  return single(box_problem(4, 0, 10), optimum, {{even, odd, even, odd}},
                [=](std::span<const double> x) {
                  double sum = 0;
                  for (int64_t i = 0; i < terms; ++i) {
                    sum -= 1 / (kBeta[i] + square(x[0] - kEven[i]) + square(x[1] - kOdd[i]) +
                                square(x[2] - kEven[i]) + square(x[3] - kOdd[i]));
                  }
                  return sum;
                });
}

TestProblem ackley(int64_t d) {
  return single(box_problem(d, -32.768, 32.768), 0, everywhere(d, 0),
                [](std::span<const double> x) {
                  double squares = 0, cosines = 0;
                  for (const double v : x) {
                    squares += v * v;
                    cosines += std::cos(2 * kPi * v);
                  }
                  const auto n = static_cast<double>(x.size());
                  // 20 - 20 exp(-a) + e - exp(c), without the cancellation at the optimum.
                  return -20 * std::expm1(-0.2 * std::sqrt(squares / n)) -
                         std::numbers::e * std::expm1(cosines / n - 1);
                });
}

TestProblem griewank(int64_t d) {
  return single(box_problem(d, -600, 600), 0, everywhere(d, 0), [](std::span<const double> x) {
    double sum = 0, product = 1;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += x[i] * x[i] / 4000;
      product *= std::cos(x[i] / std::sqrt(static_cast<double>(i + 1)));
    }
    return sum + (1 - product);
  });
}

TestProblem levy(int64_t d) {
  return single(box_problem(d, -10, 10), 0, everywhere(d, 1), [](std::span<const double> x) {
    // sin(pi w) = -sin(pi (w - 1)), and w - 1 = (x - 1) / 4: exact at the optimum.
    const auto from_one = [&](size_t i) { return (x[i] - 1) / 4; };
    double sum = square(std::sin(kPi * from_one(0)));
    for (size_t i = 0; i + 1 < x.size(); ++i) {
      const double w = from_one(i);
      sum += w * w * (1 + 10 * square(std::sin(kPi * (w + 1) + 1)));
    }
    const double w = from_one(x.size() - 1);
    return sum + w * w * (1 + square(std::sin(2 * kPi * w)));
  });
}

TestProblem michalewicz(int64_t d) {
  std::vector<double> at;
  double optimum = 0;
  const auto term = [](double x, size_t i) {
    return std::sin(x) * std::pow(std::sin(static_cast<double>(i + 1) * x * x / kPi), 20);
  };
  for (size_t i = 0; i < static_cast<size_t>(d); ++i) {
    at.push_back(michalewicz_peak(static_cast<int64_t>(i) + 1));
    optimum -= term(at.back(), i);
  }
  return single(box_problem(d, 0, kPi), optimum, {at}, [term](std::span<const double> x) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum -= term(x[i], i);
    return sum;
  });
}

// sum over d/4 columns of the product of four (x - c), c standard normal. It is linear in each
// variable, so a column's largest product is at one of the 16 corners of its box.
TestProblem polynomial(int64_t d) {
  const size_t columns = static_cast<size_t>(d) / 4;
  const auto centre = std::make_shared<std::vector<double>>(static_cast<size_t>(d));
  const Random random(0, stream_of("test_problem.polynomial"));
  for (size_t i = 0; i < centre->size(); ++i) (*centre)[i] = random.normal(i);
  std::vector<double> at(static_cast<size_t>(d));
  double optimum = 0;
  for (size_t j = 0; j < columns; ++j) {
    double best = -std::numeric_limits<double>::infinity();
    unsigned corner = 0;
    for (unsigned c = 0; c < 16; ++c) {
      double product = 1;
      for (size_t i = 0; i < 4; ++i) product *= ((c >> i) & 1) - (*centre)[i * columns + j];
      if (product > best) best = product, corner = c;
    }
    optimum += best;
    for (size_t i = 0; i < 4; ++i) at[i * columns + j] = (corner >> i) & 1;
  }
  TestProblem p =
      single(box_problem(d, 0, 1), optimum, {at}, [centre, columns](std::span<const double> x) {
        const double* c = centre->data();
        double sum = 0;
        for (size_t j = 0; j < columns; ++j) {
          double product = 1;
          for (size_t i = j; i < x.size(); i += columns) product *= x[i] - c[i];
          sum += product;
        }
        return sum;
      });
  p.maximise = true;
  return p;
}

TestProblem rastrigin(int64_t d) {
  return single(box_problem(d, -5.12, 5.12), 0, everywhere(d, 0), [](std::span<const double> x) {
    double sum = 0;
    for (const double v : x) sum += v * v + 20 * square(std::sin(kPi * v));  // 10 (1 - cos 2 pi v)
    return sum;
  });
}

TestProblem rosenbrock(int64_t d) {
  return single(box_problem(d, -5, 10), 0, everywhere(d, 1), [](std::span<const double> x) {
    double sum = 0;
    for (size_t i = 0; i + 1 < x.size(); ++i) {
      sum += 100 * square(x[i + 1] - x[i] * x[i]) + square(x[i] - 1);
    }
    return sum;
  });
}

TestProblem styblinski(int64_t d) {
  return single(box_problem(d, -5, 5), -39.166165703771415 * static_cast<double>(d),
                everywhere(d, -2.9035340277711771), [](std::span<const double> x) {
                  double sum = 0;
                  for (const double v : x) sum += 0.5 * ((v * v - 16) * v + 5) * v;
                  return sum;
                });
}

}  // namespace covary::stat::families
