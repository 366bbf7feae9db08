// Rows of data as EM sees them: chunks in order, run through as often as asked. Within mixture only.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::mixture {

// A chunk of rows [n,d]; weights [n] may be left undefined (1). Called with 0, 1, 2, ... and again
// from 0 for each pass; false when there are no more.
using ChunkSource = std::function<bool(int64_t index, at::Tensor& x, at::Tensor& weights)>;

// Visits rows in chunks whose length is a multiple of the reduction block (but for the last), so
// that sums do not depend on how the source cuts them. NaN is a missing entry; infinities and bad
// weights are Error(kData) naming row and column.
class Rows {
 public:
  using Visitor = std::function<void(const double* x, const double* weights, int64_t n)>;

  Rows(const at::Tensor& x, const at::Tensor& weights);  // in memory, checked once
  explicit Rows(ChunkSource source);

  int64_t columns() const { return columns_; }
  // weights is null when all are 1.
  void visit(const Visitor& visitor) const;

 private:
  at::Tensor x_, weights_;
  ChunkSource source_;
  int64_t columns_ = 0;
};

// Double, contiguous, on the CPU, [n,d] with n, d >= 1 (a vector becomes one column); infinities are
// refused, NaN is too unless allowed. first_row counts in errors.
at::Tensor checked_rows(const at::Tensor& x, const char* what, bool allow_missing,
                        int64_t first_row = 0);
at::Tensor checked_weights(const at::Tensor& weights, int64_t n, int64_t first_row = 0);

// Of the observed entries of each column.
struct ColumnMoments {
  std::vector<double> mean, variance;
  double rows = 0, weight = 0;  // rows with at least one entry and weight above 0
  bool missing = false;
};
ColumnMoments column_moments(const Rows& rows);

}  // namespace covary::mixture
