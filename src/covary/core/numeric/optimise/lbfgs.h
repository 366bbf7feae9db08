// Minimum of a smooth function in a box, from values and gradients: L-BFGS-B.
//
//   const auto f = [](std::span<const double> x, std::span<double> g) {
//     g[0] = 2 * (x[0] - 3);
//     return (x[0] - 3) * (x[0] - 3);
//   };
//   Optimum o = minimise(f, {{0.0}}, {{-1.0}}, {{2.0}});     // o.x[0] = 2, o.ending = kAtBound
//
// A step: the Cauchy point of the quadratic model along the projected gradient, a minimisation over
// the variables that are free there, and a line search for the strong Wolfe conditions (1e-4, 0.9).
// A value or gradient that is infinite or NaN counts as higher than any other: the step is
// shortened, and the search goes on. f never rises from one step to the next.
//
// Cost beside the objective: O(history n) a step, and O(history^3) for the model. Deterministic.
// Source: Byrd, Lu, Nocedal and Zhu 1995 (model, Cauchy point, direct primal subspace method);
// Nocedal and Wright 2006, algorithms 3.5 and 3.6 (line search).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::numeric {

// Value at x; writes the gradient, which has the size of x.
using Objective = std::function<double(std::span<const double> x, std::span<double> gradient)>;

enum class Ending {
  kConverged,   // projected gradient below the tolerance, or f can decrease by its rounding only
  kAtBound,     // converged with a variable on a bound that holds it back
  kLineSearch,  // no step lowers f, though the gradient is above the tolerance; also when f is not
                // finite at the start
  kIterations,  // the limit was reached
  kStopped      // the watch of the options ended it
};
// "converged", "at bound", "line search", "iterations", "stopped"
std::string_view name_of(Ending ending);
bool ending_of(std::string_view name, Ending* ending);  // the reverse; false where there is none

// What a search has learnt of the second derivatives: steps, and the changes of the gradient along
// them, the newest last. A search on a part of the data, its changes multiplied by how much more
// data there is, tells the search on all of it where to begin.
struct Curvature {
  std::vector<std::vector<double>> steps, changes;
  void scale(double factor);  // multiplies the changes
};

struct Optimum {
  std::vector<double> x;
  double value = 0;
  std::vector<double> gradient;  // at x
  double gradient_norm = 0;      // largest entry of the projected gradient
  Ending ending = Ending::kIterations;
  int64_t iterations = 0, evaluations = 0;
  std::vector<int64_t> at_bound;  // variables that a bound holds back
  std::vector<double> trace;      // f at the start and after each step
  Curvature curvature;            // of the last steps
};

// lower and upper: empty (no bounds) or a bound a variable, infinite where there is none. A start
// outside the box is moved to its border. `known` is the curvature of an earlier search on a function
// much like this; what does not help is dropped at the first step that fails. Throws Error(kUsage) for a bad option, sizes that differ,
// lower > upper, or a start that is not finite.
Optimum minimise(const Objective& objective, std::vector<double> start,
                 std::span<const double> lower = {}, std::span<const double> upper = {},
                 const LbfgsOptions& options = {}, const Curvature& known = {});

}  // namespace covary::numeric
