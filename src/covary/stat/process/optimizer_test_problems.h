// Functions with known minima on the unit cube, for the tests of optimisation.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "covary/stat/process/test_problems.h"

namespace covary::stat {

inline double value_in_unit_cube(const TestProblem& p, std::span<const double> u) {
  std::vector<double> x(u.begin(), u.end());
  for (size_t i = 0; i < x.size(); ++i) x[i] = p.lower[i] + x[i] * (p.upper[i] - p.lower[i]);
  return p.value(x);
}

inline double branin(std::span<const double> u) {
  static const TestProblem problem = test_problem("branin");
  return value_in_unit_cube(problem, u);
}
constexpr double kBraninLeast = 0.39788735772973816;

inline double hartmann6(std::span<const double> u) {
  static const TestProblem problem = test_problem("hartmann6");
  return value_in_unit_cube(problem, u);
}

}  // namespace covary::stat
