// Processes that use a structure of the points or the kernel, behind one face for regression.h: on a
// grid (grid.h), on a Hilbert-space basis (hilbert.h), by nearest neighbours (vecchia.h).
//
//   StructuredProcess p("kron", X, y, options);        // X [n,d], y [n], NaN = missing
//   auto [mean, variance] = p.predict(Xs, /*noise=*/true);
//   p.report().note;                                   // what is approximated, and by how much
//
// kron      rows that are cells of a grid, each once, in any order; the kernel is that of each axis,
//           and their product the process': "matern52" is a Matern along every axis. Cells without a
//           row or a value, up to three of four, and rows with variances of their own are served by
//           grid_gaps.h
// toeplitz  one column with equal steps and no holes: memory grows with the rows alone; several such
//           columns that are a full grid, for a kernel of their differences that is no product over
//           them (regular_grid.h): solutions by conjugate gradients, the likelihood with a stated
//           error
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
#include "covary/stat/process/regular_grid.h"
#include "covary/stat/process/standard_errors.h"
#include "covary/stat/process/vecchia.h"

namespace covary::stat {

// A table's rows as cells of a grid.
struct GridTable {
  GridAxes axes;        // sorted
  at::Tensor y, noise;  // [n_1, ..., n_d]; NaN where there is no value; noise as it was given
  std::vector<int64_t> cells;  // of each row
  int64_t holes = 0;           // cells without value
};
// noise [n] variances, or undefined. Throws Error(kData) where the rows fill less than a quarter of
// the cells, or a cell is given twice.
GridTable grid_table(const at::Tensor& x, const at::Tensor& y, const at::Tensor& noise = {});
// Sizes of the axes where the rows are such a grid of several, else empty. O(n log n).
std::vector<int64_t> grid_shape(const at::Tensor& x);

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
  // Standard errors of a grid's parameters, in the order of its report's kernel; empty for others,
  // and where the likelihood is known by probes alone.
  std::vector<ParameterError> grid_errors() const;
  const Kernel& kernel() const;  // not of a grid whose axes have their own
  const StructuredReport& report() const { return report_; }
  nlohmann::json state() const;

 private:
  void complete();

  int64_t dims_ = 0;
  std::vector<int64_t> cells_;  // of a grid
  std::variant<std::monostate, GridProcess, RegularGridProcess, HilbertProcess, VecchiaProcess>
      process_;
  StructuredReport report_;
  nlohmann::json state_;
};

}  // namespace covary::stat
