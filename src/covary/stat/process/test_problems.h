// Functions with known answers, for the test of optimisers: one objective, several, or with constraints.
//
//   const TestProblem p = test_problem("hartmann6");
//   const double f = p.value(x);                     // p.lower[i] <= x[i] <= p.upper[i]
//   const double regret = f - *p.optimum;            // p.maximise: the other way round
//
// A name is a family's, with its sizes where they are free: "branin", "ackley(10)" or "ackley10",
// "dtlz2(6,3)" for 6 variables and 3 objectives. Every problem is minimised unless `maximise`;
// a constraint is met where its value is <= 0. Variables are in the literature's units, not scaled.
//
//   one objective   branin, camel, hartmann(3|6), shekel(terms 5|7|10), and in any dimension ackley,
//                   griewank, levy, michalewicz, polynomial, rastrigin, rosenbrock, styblinski
//   constrained     gramacy, pressure_vessel (2 integers), speed_reducer (1 integer), welded_beam
//   several         branin_currin, zdt1, zdt2, zdt3 (variables), dtlz1, dtlz2, dtlz3, dtlz5, dtlz7
//                   (variables, objectives)
//
// Optima were polished from the formulas to all digits that a double holds; hypervolumes are
// integrals over the known front. Values in the literature that differ:
//   branin_currin    59.40661, not 59.36012 (an evolutionary search's) for the reference (18, 6)
//   dtlz1            r^m - (1/2)^m / m!: the front cuts a simplex from the box, not a cube
//   welded_beam      1.7248523 in this box; 1.728226 is a genetic search's end
//   pressure_vessel  6059.7143 with lengths to 200; where they may go to 240 it is 5850.3831
//   speed_reducer    2994.4711 with x5 from 7.3; 2996.3482 holds for the box that begins at 7.8
//
// Costs: O(variables) a value (polynomial, levy, ...), nothing is allocated. Const members may be
// called from several threads at once.
// Sources: Dixon and Szego 1978 (branin, hartmann, shekel, camel); Surjanovic and Bingham 2013 (the
// collection); Deb et al. 2005 (dtlz); Zitzler, Deb and Thiele 2000 (zdt); Belakaria et al. 2019
// (branin_currin); Gramacy et al. 2016 (gramacy); Coello Coello 2000 (vessel, beam); Golinski 1970
// (reducer); Li, Rudner and Wilson 2024 (polynomial).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace covary::stat {

struct TestProblem {
  // Writes objectives [objectives] and constraints [constraints] at x [dimensions].
  using Formula = std::function<void(std::span<const double> x, std::span<double> objectives,
                                     std::span<double> constraints)>;

  std::string name;                   // as test_problem takes it, with sizes
  std::vector<double> lower, upper;   // of the variables
  std::vector<std::uint8_t> integer;  // a variable: 1 where only whole numbers are allowed
  int64_t objectives = 1, constraints = 0;
  bool maximise = false;  // all objectives

  // With one objective: its best value where the constraints are met, and points that have it.
  std::optional<double> optimum;
  std::vector<std::vector<double>> optima;

  // With several: a corner that all points of the front dominate, the volume between it and the
  // front, and at most count points of the front [points, objectives], none dominated by another.
  std::vector<double> reference;
  double hypervolume = 0;
  std::function<std::vector<double>(int64_t count)> front;

  Formula formula;  // without checks

  int64_t dimensions() const { return static_cast<int64_t>(lower.size()); }
  // Throws Error(kUsage) for wrong sizes, a point outside the box or not finite, and a fraction
  // where a whole number is asked for.
  void evaluate(std::span<const double> x, std::span<double> objective_values,
                std::span<double> constraint_values) const;
  // The value of a problem with one objective, constraints left aside. Throws as evaluate.
  double value(std::span<const double> x) const;
};

// Throws Error(kUsage) for a name that no family has (naming the nearest), or sizes it cannot have.
TestProblem test_problem(std::string_view name);

// Families, alphabetically; each is a valid name, at the family's usual sizes.
std::vector<std::string> test_problem_names();

}  // namespace covary::stat
