// Test problems with constraints; see test_problems.h.
#include <cmath>
#include <numbers>

#include "covary/stat/process/test_problem_families.h"

namespace covary::stat::families {
namespace {

constexpr double kPi = std::numbers::pi;

double square(double x) { return x * x; }
double cube(double x) { return x * x * x; }

TestProblem constrained(std::vector<double> lower, std::vector<double> upper, int64_t constraints,
                        double optimum, std::vector<double> at, TestProblem::Formula formula) {
  TestProblem p = box_problem(static_cast<int64_t>(lower.size()), 0, 1);
  p.lower = std::move(lower);
  p.upper = std::move(upper);
  p.constraints = constraints;
  p.optimum = optimum;
  p.optima = {std::move(at)};
  p.formula = std::move(formula);
  return p;
}

}  // namespace

TestProblem gramacy() {
  return constrained(
      {0, 0}, {1, 1}, 2, 0.59978805201006756, {0.19512268347207176, 0.40466536853799580},
      [](std::span<const double> x, std::span<double> f, std::span<double> c) {
        f[0] = x[0] + x[1];
        c[0] = 1.5 - x[0] - 2 * x[1] - 0.5 * std::sin(2 * kPi * (x[0] * x[0] - 2 * x[1]));
        c[1] = x[0] * x[0] + x[1] * x[1] - 1.5;
      });
}

// Shell and head thickness in sheets of 1/16 inch, inner radius, length: inches; cost in dollars.
TestProblem pressure_vessel() {
  // With 13 and 7 sheets the radius is as large as the shell allows, and the length what the volume
  // then asks for; the test enumerates the other numbers of sheets.
  const double radius = 0.8125 / 0.0193;
  const double length = 1296000 / (kPi * radius * radius) - 4.0 / 3 * radius;
  const auto cost = [](double shell, double head, double r, double l) {
    return 0.6224 * shell * r * l + 1.7781 * head * r * r + 3.1661 * shell * shell * l +
           19.84 * shell * shell * r;
  };
  TestProblem p =
      constrained({1, 1, 10, 10}, {99, 99, 200, 200}, 4, cost(0.8125, 0.4375, radius, length),
                  {13, 7, radius, length},
                  [cost](std::span<const double> x, std::span<double> f, std::span<double> c) {
                    const double shell = x[0] / 16, head = x[1] / 16, r = x[2], l = x[3];
                    f[0] = cost(shell, head, r, l);
                    c[0] = 0.0193 * r - shell;
                    c[1] = 0.00954 * r - head;
                    c[2] = 1296000 - kPi * r * r * l - 4.0 / 3 * kPi * r * r * r;
                    c[3] = l - 240;
                  });
  p.integer = {1, 1, 0, 0};
  return p;
}

TestProblem speed_reducer() {
  TestProblem p = constrained(
      {2.6, 0.7, 17, 7.3, 7.3, 2.9, 5}, {3.6, 0.8, 28, 8.3, 8.3, 3.9, 5.5}, 11, 2994.47106614682,
      {3.5, 0.7, 17, 7.3, 7.7153199114782441, 3.3502146660964473, 5.2866544649802219},
      [](std::span<const double> x, std::span<double> f, std::span<double> c) {
        const double a = x[5], b = x[6], teeth = x[1] * x[2];
        f[0] = 0.7854 * x[0] * x[1] * x[1] * (3.3333 * x[2] * x[2] + 14.9334 * x[2] - 43.0934) -
               1.508 * x[0] * (a * a + b * b) + 7.4777 * (cube(a) + cube(b)) +
               0.7854 * (x[3] * a * a + x[4] * b * b);
        c[0] = 27 / (x[0] * x[1] * teeth) - 1;
        c[1] = 397.5 / (x[0] * teeth * teeth) - 1;
        c[2] = 1.93 * cube(x[3]) / (teeth * square(a * a)) - 1;
        c[3] = 1.93 * cube(x[4]) / (teeth * square(b * b)) - 1;
        c[4] = std::sqrt(square(745 * x[3] / teeth) + 16.9e6) / (0.1 * cube(a)) - 1100;
        c[5] = std::sqrt(square(745 * x[4] / teeth) + 157.5e6) / (0.1 * cube(b)) - 850;
        c[6] = teeth - 40;
        c[7] = 5 - x[0] / x[1];
        c[8] = x[0] / x[1] - 12;
        c[9] = (1.5 * a + 1.9) / x[3] - 1;
        c[10] = (1.1 * b + 1.9) / x[4] - 1;
      });
  p.integer[2] = 1;
  return p;
}

// Weld thickness and length, bar thickness and width: inches.
TestProblem welded_beam() {
  return constrained(
      {0.125, 0.1, 0.1, 0.1}, {10, 10, 10, 10}, 7, 1.724852308597365,
      {0.20572963978607946, 3.470488665628002, 9.0366239103576337, 0.20572963978607946},
      [](std::span<const double> x, std::span<double> f, std::span<double> c) {
        constexpr double kLoad = 6000, kLength = 14, kYoung = 30e6, kShear = 12e6;
        const double h = x[0], l = x[1], t = x[2], b = x[3];
        const double arm = l * l / 4 + square((h + t) / 2);
        const double inertia = 2 * std::numbers::sqrt2 * h * l * (l * l / 12 + square((h + t) / 2));
        const double direct = kLoad / (std::numbers::sqrt2 * h * l);
        const double torsion = kLoad * (kLength + l / 2) * std::sqrt(arm) / inertia;
        const double shear =
            std::sqrt(direct * direct + direct * torsion * l / std::sqrt(arm) + torsion * torsion);
        const double buckling = 4.013 * kYoung * t * cube(b) / 6 / square(kLength) *
                                (1 - t / (2 * kLength) * std::sqrt(kYoung / (4 * kShear)));
        f[0] = 1.10471 * h * h * l + 0.04811 * t * b * (14 + l);
        c[0] = shear - 13600;
        c[1] = 6 * kLoad * kLength / (b * t * t) - 30000;
        c[2] = h - b;
        c[3] = 0.10471 * h * h + 0.04811 * t * b * (14 + l) - 5;
        c[4] = 0.125 - h;
        c[5] = 4 * kLoad * cube(kLength) / (kYoung * cube(t) * b) - 0.25;
        c[6] = kLoad - buckling;
      });
}

}  // namespace covary::stat::families
