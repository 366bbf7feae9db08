// Training data of a process, checked, and sorted by which rows each output knows.
//
//   GpData data = GpData::from(X, y, noise, Mean::kConst);   // throws Error(kData) on bad cells
//   for (const GpGroup& g : data.groups) ...                 // one factorisation each
//
// y may hold NaN: that output has no value in that row. Outputs with the same missing rows share a
// group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/row_noise.h"

namespace covary::stat {

// Quadratic: const, every column, and every product of two columns.
enum class Mean { kZero, kConst, kLinear, kQuadratic };
Mean mean_of(const std::string& name);  // "zero", "const", "linear", "quadratic"

struct GpGroup {
  std::vector<int64_t> rows;     // of X, ascending
  std::vector<int64_t> outputs;  // of y
  std::vector<double> x;         // [rows, dims]
  std::vector<double> y;         // [outputs, rows]
  std::vector<double> basis;     // [coefficients, rows]: of the mean
  std::vector<double> noise;     // [rows], variances beside the kernel's white; empty: none
  std::vector<double> weights;   // [rows], > 0, divide the kernel's white; empty: 1 each
  int64_t count() const { return static_cast<int64_t>(rows.size()); }
  int64_t width() const { return static_cast<int64_t>(outputs.size()); }
};

struct GpData {
  int64_t n = 0, dims = 0, outputs = 0;
  bool vector_y = false;  // y came as [n]
  Mean mean = Mean::kZero;
  std::vector<double> centre, scale;  // of the columns: the basis sees (x - centre) / scale
  at::Tensor x, y;                    // [n,d], [n,m]; double, contiguous
  RowNoise noise;                     // of the rows
  std::vector<GpGroup> groups;

  // X [n,d] double; y [n] or [n,m] double, NaN = missing, and in rows of weight 0; noise of the
  // rows, or undefined.
  // Throws Error(kData) naming the cell or column: no rows, NaN or infinity in X, infinity in y, a
  // column of X whose values are all equal (n >= 2), values whose squares overflow, an output
  // without any value, fewer values than the mean has coefficients; Error(kUsage) for shapes and
  // types.
  // constant_columns: such a column is taken all the same, as where a kernel's priors say enough.
  static GpData from(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise, Mean mean,
                     bool constant_columns = false);

  int64_t coefficients() const;  // of the mean
  // The mean's basis at points [count, dims]: [coefficients, count].
  std::vector<double> basis_at(const double* x, int64_t count) const;
  // And its derivative by a column, likewise.
  std::vector<double> basis_slopes(const double* x, int64_t count, int64_t column) const;
  // The first `count` rows of a shuffled order, with the same centre and scale; for quick fits.
  GpData sample(int64_t count, uint64_t seed) const;
  void form_groups();  // from x, y and noise
};

// A tensor of doubles [count, dims], contiguous and finite, or an error naming `what` and the cell.
at::Tensor checked_points(const at::Tensor& x, int64_t dims, const std::string& what);

}  // namespace covary::stat
