// Bar 6 of core-gp: Bayesian optimisation of functions with known optima, the
// time of a step, and the slopes of every acquisition function.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/acquisition.h"
#include "covary/stat/process/black_box.h"
#include "covary/stat/process/candidates.h"
#include "covary/stat/process/optimizer.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;

// |best so far - optimum| after each evaluation of a problem, a run a seed.
std::vector<std::vector<double>> regrets(const std::string& name, int64_t budget, int64_t seeds) {
  const stat::TestProblem problem = stat::test_problem(name);
  std::vector<std::vector<double>> runs;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    stat::OptimizerOptions options;
    options.seed = seed;
    stat::Optimizer o(stat::space_of(problem), stat::goal_of(problem), options);
    for (int64_t i = 0; i < budget; ++i) {
      const std::vector<double> row = o.ask(1)[0];
      o.tell(row, stat::outputs_of(problem, row));
    }
    std::vector<double> run = o.trace();
    for (double& v : run) v = std::abs(v - *problem.optimum);
    runs.push_back(std::move(run));
  }
  return runs;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

using Runs = std::vector<std::vector<double>>;
const Runs& branin(StudyContext& c) {
  return c.shared<Runs>("branin", [&] { return regrets("branin", 60, c.smoke() ? 1 : 10); });
}

double median_last(const Runs& runs) {
  std::vector<double> last;
  for (const std::vector<double>& run : runs) last.push_back(run.back());
  return median(last);
}

double evaluations_to_solve(StudyContext& c) {
  std::vector<double> counts;
  for (const std::vector<double>& run : branin(c)) {
    const auto at = std::find_if(run.begin(), run.end(), [](double r) { return r <= 1e-4; });
    counts.push_back(at == run.end() ? INFINITY : static_cast<double>(at - run.begin() + 1));
  }
  return median(counts);
}

double hartmann(StudyContext& c) {
  return median_last(regrets("hartmann(6)", c.smoke() ? 60 : 120, c.smoke() ? 1 : 10));
}

stat::GaussianProcess process(int64_t n, int64_t d, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(60, stream);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = random.uniform(static_cast<uint64_t>(i));
  }
  return stat::fit_gp(
      x, (x.sum(1) * 3).sin() + x.select(1, 0),
      {.kernel = "const(1)*matern52(ard,lengthscale=0.6) + white(1e-4)", .fit = false});
}

// Fit and search for one point, 200 rows in 10 columns known.
double step_seconds(StudyContext& c) {
  const stat::TestProblem problem = stat::test_problem("ackley(10)");
  double best = INFINITY;
  for (int turn = 0; turn < 3; ++turn) {
    stat::Optimizer o(stat::space_of(problem), stat::goal_of(problem));
    const int64_t n = c.smoke() ? 50 : 200;
    const std::vector<double> unit = numeric::Sobol(10, 5).points(n);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> row;
      for (size_t k = 0; k < 10; ++k) {
        row.push_back(problem.lower[k] + (problem.upper[k] - problem.lower[k]) *
                                             unit[static_cast<size_t>(i) * 10 + k]);
      }
      o.tell(row, stat::outputs_of(problem, row));
    }
    const double begin = cpu_seconds();
    o.ask(1);
    best = std::min(best, cpu_seconds() - begin);
  }
  return best;
}

double batch_seconds(StudyContext&) {
  const stat::GaussianProcess gp = process(50, 6, 1);
  double best = INFINITY;
  for (int turn = 0; turn < 3; ++turn) {
    const double begin = cpu_seconds();
    const auto acquisition = stat::make_acquisition(
        {.draws = 512}, {.objective = &gp, .best = gp.data().y.max().item<double>()});
    stat::find_candidates(*acquisition, stat::SearchSpace::cube(6), 4, {}, 1);
    best = std::min(best, cpu_seconds() - begin);
  }
  return best;
}

// Largest difference of gradient and central differences, over 1 + their size.
double gradient_error(const stat::Acquisition& a, int64_t points, uint64_t stream) {
  const auto worker = a.worker(points);
  const Random random(61, stream);
  std::vector<double> x(static_cast<size_t>(points * a.dims())), g(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = random.uniform(i);
  worker->value(x, g);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], h = 1e-6;
    x[i] = at + h;
    const double up = worker->value(x, {});
    x[i] = at - h;
    const double down = worker->value(x, {});
    x[i] = at;
    const double slope = (up - down) / (2 * h);
    worst = std::max(worst, std::abs(g[i] - slope) / (1 + std::abs(slope)));
  }
  return worst;
}

double gradients(StudyContext& c) {
  const stat::GaussianProcess gp = process(25, 3, 2), limit = process(25, 3, 3);
  double worst = 0;
  for (const std::string& kind : stat::AcquisitionOptions::kinds()) {
    // A bend of 1e-6 would be narrower than the steps of the differences.
    const stat::AcquisitionOptions options{.acquisition = kind,
                                           .draws = 64,
                                           .improvement_softness = 0.05,
                                           .constraint_softness = 0.1,
                                           .support = 24};
    stat::AcquisitionModel model{.objective = &gp, .best = 0.8};
    const bool single = kind == "pi" || kind == "kg" || kind == "mes";
    if (kind == "logei" || kind == "ei") model.constraints = {{&limit, 0.9}};
    const auto a = stat::make_acquisition(options, model);
    for (uint64_t s = 0; s < (c.smoke() ? 2u : 20u); ++s) {
      worst = std::max(worst, gradient_error(*a, 1, s));
      if (!single) worst = std::max(worst, gradient_error(*a, 3, s));
    }
  }
  return worst;
}

// BraninCurrin in batches of 5, reference (18, 6); its front encloses 59.41.
Bar front_bar() {
  return {
      .id = "6",
      .part = "g",
      .title = "BraninCurrin, hypervolume after 105 evaluations in batches of 5, median of 5 seeds",
      .metric = "hypervolume",
      .unit = "1",
      .bound = "ours >= 58.5",
      .smoke = true,
      .desk = true,
      .measure = [](StudyContext& c) {
        const stat::TestProblem problem = stat::test_problem("branin_currin");
        std::vector<double> volumes;
        for (int64_t seed = 1; seed <= (c.smoke() ? 1 : 5); ++seed) {
          stat::OptimizerOptions options;
          options.seed = seed;
          options.initial = 10;
          stat::Optimizer o(stat::space_of(problem), stat::goal_of(problem), options);
          while (o.evaluations().size() < (c.smoke() ? 40u : 105u)) {
            for (const std::vector<double>& row : o.ask(5))
              o.tell(row, stat::outputs_of(problem, row));
          }
          volumes.push_back(o.trace().back());
        }
        const double bound = c.smoke() ? 56 : 58.5;
        eval::BarResult r;
        r.ours = eval::Quantity{.value = median(volumes), .unit = "1"};
        r.bound = {.text = "ours >= " + std::string(c.smoke() ? "56" : "58.5"),
                   .left = r.ours->value,
                   .op = ">=",
                   .right = bound};
        return r;
      }};
}

}  // namespace

std::vector<Bar> process_optimisation_bars() {
  return {
      limited("6", "a", "Branin to 1e-4, median of 10 seeds", "evaluations", "1", {50, 60},
              evaluations_to_solve),
      limited("6", "b", "Branin, distance to the optimum after 60 evaluations, median of 10 seeds",
              "distance", "1", {1e-3, 1e-2},
              [](StudyContext& c) { return median_last(branin(c)); }),
      limited("6", "c",
              "Hartmann-6, distance to the optimum after 120 evaluations, median of 10 seeds",
              "distance", "1", {0.02, 0.5}, hartmann),
      limited("6", "d", "one step: 200 rows in 10 columns, fit and search", "CPU time", "s",
              {0.5, 0.5}, step_seconds),
      limited("6", "e", "best batch of 4 by logEI in 6 columns, 50 rows, 512 draws", "CPU time",
              "s", {0.3, 0.3}, batch_seconds),
      limited("6", "f", "gradients of every acquisition function against differences",
              "relative difference", "1", {1e-6, 1e-6}, gradients),
      front_bar(),
  };
}

}  // namespace covary::studies
