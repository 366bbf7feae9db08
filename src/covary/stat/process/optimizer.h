// Bayesian optimisation by asking and telling: the least (or largest) value of a function that costs much, from few
// evaluations, with limits on further outputs, failed evaluations and several at once.
//
//   Optimizer optimizer(SearchSpace::parse(text));           // or with a goal and options
//   for (int i = 0; i < 50; ++i) {
//     const std::vector<double> row = optimizer.ask(1)[0];   // as in search_space.h
//     optimizer.tell(row, {f(row)});                         // NaN: the evaluation failed
//   }
//   optimizer.best()->row;
//
// The first `initial` rows are scrambled Sobol points. From then on a process of every output is fitted to all values
// (standardised, parameters of the largest posterior density), and the batch with the best acquisition is asked for;
// rows that were asked for and not told are pending. Where evaluations failed, a process of failed or not is one more
// limit. In many columns candidates stay in a box about the best row, which doubles after three gains in a row and
// halves after as many failures to gain as there are columns (Eriksson et al. 2019).
//
// Several objectives: one process each, rows by the expected enlargement of the volume between front
// and reference (acquisition_hypervolume.h), whatever --acquisition says.
//
// Where the expected improvement is as good as none, every other batch is one of Thompson sampling: a process that is
// sure of a valley that is not the deepest would stay in it.
//
// What is asked depends on space, goal, options, seed, told rows in their order and pending ones alone: an optimiser
// that was written to a file and read back asks for the same rows, and so does one at another number of threads.
// Seconds a step: see optimizer_bench.cc; the fit n^3 flops a likelihood, some 100 of them.
// Priors: gamma: length scale Gamma(3, 6), variance Gamma(2, 0.15), noise Gamma(1.1, 0.05); dim-scaled: length scale
// LogNormal(sqrt 2 + log(columns) / 2, sqrt 3), noise LogNormal(-4, 1), variance 1; both for standardised values on the
// unit cube. Source: Balandat et al. 2020 (gamma); Hvarfner, Hellsten and Nardi 2024 (dim-scaled).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "covary/core/data/model.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/optimizer_options.h"
#include "covary/stat/process/search_space.h"

namespace covary::stat {

// What is optimised, and what must hold: outputs in the order objectives, limits.
struct OptimizerGoal {
  struct Objective {
    std::string name = "y";
    bool maximise = false;
    std::optional<double> reference = {};  // with several: what a row must beat; none: by the rows
    double sign() const { return maximise ? 1 : -1; }
  };
  struct Limit {
    std::string name;
    double upper = 0;  // that it must not exceed
  };
  std::vector<Objective> objectives = {Objective{}};
  std::vector<Limit> limits = {};

  bool several() const { return objectives.size() > 1; }
  size_t outputs() const { return objectives.size() + limits.size(); }

  // {"objective": {"name": "y", "goal": "minimise"}, "constraints": [{"name": "c", "upper": 0}]}, both optional;
  // "objectives" with a list for several, each with "reference" where it is known.
  static OptimizerGoal of_json(const nlohmann::json& document);
  nlohmann::json to_json() const;
  std::vector<std::string> names() const;
};

struct Evaluation {
  std::vector<double> row;
  std::vector<double> values;  // an output each; all NaN: failed
};

// Seconds and figures of the last batch that was asked for.
struct AskReport {
  std::string by;  // "initial", "random", or the acquisition's name
  double fit_s = 0, search_s = 0;
  double acquisition = 0;
  double region = 0;   // side of the trust region, 0 without
  std::string kernel;  // of the objective's process
};

class Optimizer {
 public:
  // Throws Error(kUsage) for bad options.
  explicit Optimizer(SearchSpace space, OptimizerGoal goal = {}, OptimizerOptions options = {});

  // Rows to evaluate; they are pending from now on. Error(kUsage) when count < 1.
  std::vector<std::vector<double>> ask(int64_t count);
  // values: objectives and limits, or one NaN for a failed evaluation. A row that is pending is so no
  // longer; others are welcome. Error(kData) naming `where` when a row is not of the space or a value is infinite.
  void tell(const std::vector<double>& row, std::vector<double> values,
            const std::string& where = "row");
  void forget_pending() { pending_.clear(); }

  const SearchSpace& space() const { return space_; }
  const OptimizerGoal& goal() const { return goal_; }
  const OptimizerOptions& options() const { return options_; }
  const std::vector<Evaluation>& evaluations() const { return evaluations_; }
  const std::vector<std::vector<double>>& pending() const { return pending_; }
  const AskReport& report() const { return report_; }
  int64_t initial() const;  // evaluations before the first fit
  // The best row that holds all limits, by the first objective; none when there is no such row.
  std::optional<Evaluation> best() const;
  // Evaluations of several objectives that hold the limits and that none dominates, in order.
  std::vector<size_t> front() const;
  // The corner that volumes of several objectives are measured from: as given, else the worst value
  // of rows that hold the limits, a tenth of their range further.
  std::vector<double> reference() const;
  // Best objective after each evaluation, NaN while there is none; of several the volume between
  // front and reference().
  std::vector<double> trace() const;

  data::Model model() const;  // schema covary.optimizer
  static Optimizer of_model(const data::Model& model);
  void save(const std::filesystem::path& path) const { data::write_model(path, model()); }
  static Optimizer load(const std::filesystem::path& path) {
    return of_model(data::read_model(path, "covary.optimizer", 1));
  }

 private:
  bool feasible(const Evaluation& e) const;
  std::vector<std::vector<double>> propose(int64_t count);
  std::vector<double> spread_row();
  std::vector<double> take(const double* code);
  // Of the first rows, those that hold the limits: [rows, objectives], all to be maximised.
  std::vector<double> signed_objectives(size_t count) const;
  bool is_known(const std::vector<double>& row) const;

  SearchSpace space_;
  OptimizerGoal goal_;
  OptimizerOptions options_;
  std::vector<Evaluation> evaluations_;
  std::vector<std::vector<double>> pending_;
  int64_t asked_ = 0;   // rows so far: numbers the batches
  int64_t spread_ = 0;  // Sobol points taken
  AskReport report_;
};

}  // namespace covary::stat
