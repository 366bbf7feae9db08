// The formulas behind test_problems.h. A family makes a problem of the sizes given, which the
// registry has checked; it fills everything but the name.
#pragma once

#include <cstdint>

#include "covary/stat/process/test_problems.h"

namespace covary::stat::families {

// One objective (test_problems_single.cc); d variables.
TestProblem ackley(int64_t d);
TestProblem branin();
TestProblem camel();
TestProblem griewank(int64_t d);
TestProblem hartmann(int64_t d);  // 3 or 6
TestProblem levy(int64_t d);
TestProblem michalewicz(int64_t d);
TestProblem polynomial(int64_t d);  // a multiple of 4
TestProblem rastrigin(int64_t d);
TestProblem rosenbrock(int64_t d);
TestProblem shekel(int64_t terms);  // 5, 7 or 10; 4 variables
TestProblem styblinski(int64_t d);

// One objective with constraints (test_problems_constrained.cc).
TestProblem gramacy();
TestProblem pressure_vessel();
TestProblem speed_reducer();
TestProblem welded_beam();

// Several objectives (test_problems_fronts.cc); d variables, m objectives, m <= d.
TestProblem branin_currin();
TestProblem zdt(int64_t which, int64_t d);              // 1, 2, 3; d >= 2
TestProblem dtlz(int64_t which, int64_t d, int64_t m);  // 1, 2, 3, 5 (m <= 3), 7 (m <= 7)

// The formula of branin in its own units, for those that build on it.
double branin_value(double x, double y);

// A problem with d variables in [low, high].
TestProblem box_problem(int64_t d, double low, double high);

}  // namespace covary::stat::families
