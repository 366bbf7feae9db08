// Processes that use a structure of the points or the kernel, behind one face for regression.h: on a
// grid (grid.h), on a Hilbert-space basis (hilbert.h), by nearest neighbours (vecchia.h).
//
//   StructuredProcess p("kron", X, y, options);        // X [n,d], y [n], NaN = missing
//   auto [mean, variance] = p.predict(Xs, /*noise=*/true);
//   p.report().note;                                   // what is approximated, and by how much
//
// kron      rows that are a full grid, each cell once, in any order; the kernel is that of each axis,
//           and their product the process': "matern52" is a Matern along every axis
// toeplitz  the same for one column with equal steps: memory grows with the rows alone
// hsgp      a fixed basis, up to three columns
// vecchia   the nearest 30 values before each
// Errors: kUsage where method, kernel and columns do not fit, kData where the rows are no grid.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/grid.h"
#include "covary/stat/process/hilbert.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/regression_options.h"
#include "covary/stat/process/vecchia.h"

namespace covary::stat {

// A table's rows as cells of a grid.
struct GridTable {
  GridAxes axes;               // sorted
  at::Tensor y;                // [n_1, ..., n_d]
  std::vector<int64_t> cells;  // of each row
};
// Throws Error(kData) where a cell is missing or given twice.
GridTable grid_table(const at::Tensor& x, const at::Tensor& y);

struct StructuredReport {
  std::string kernel;  // of all columns, with the fitted values and white
  double log_likelihood = 0;
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
  std::string note;  // one line for a person
};

class StructuredProcess {
 public:
  static bool knows(const std::string& method);

  // rows: their noise, for what takes it: weights hsgp, both vecchia.
  StructuredProcess(const std::string& method, const at::Tensor& x, const at::Tensor& y,
                    const RegressionOptions& options, const RowNoise& rows = {});
  // With the parameters of a fit before: those of another one's `state`.
  StructuredProcess(const std::string& method, const at::Tensor& x, const at::Tensor& y,
                    const std::string& mean, const nlohmann::json& state,
                    const RowNoise& rows = {});

  std::pair<at::Tensor, at::Tensor> predict(const at::Tensor& points, bool noise) const;
  std::pair<at::Tensor, at::Tensor> leave_one_out() const;
  // The log likelihood of these values by a kernel, while this lives; none (empty) for a grid.
  KernelObjective objective() const;
  const Kernel& kernel() const;  // not of a grid
  const StructuredReport& report() const { return report_; }
  nlohmann::json state() const;

 private:
  void complete();

  int64_t dims_ = 0;
  std::vector<int64_t> cells_;  // of a grid
  std::variant<std::monostate, GridProcess, HilbertProcess, VecchiaProcess> process_;
  StructuredReport report_;
  nlohmann::json state_;
};

}  // namespace covary::stat
