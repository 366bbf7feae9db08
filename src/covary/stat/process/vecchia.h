// Gaussian process regression by nearest neighbours: each value is conditioned on a few of those
// before it in an order that spreads out, so that a million rows need no large matrix.
//
//   VecchiaProcess gp(X, y, {.kernel = "matern52(ard)", .neighbours = 30});
//   auto [mean, variance] = gp.predict(Xs, /*noise=*/true);
//
//   p(y) ~ prod_i p(y_i | y_N(i)),  N(i) the m nearest of the values before i:
// a proper density, exact when m is n - 1. Order: maximin (each point the farthest from those before)
// for kSpread rows by chance, then the rest by chance; distances in columns over their length scales,
// those of the start and, once more, those of where the fit ended. Noise is part of every p.
// O(n m^3) a step of the fit, O(n^2 d) for the neighbours once or twice, O(m^3 + n d) a prediction,
// which is conditioned on the m nearest rows. The same bits at any number of threads.
// Source: Vecchia 1988; Datta et al. 2016; ordering: Guinness 2018.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/vecchia_options.h"

namespace covary::stat {

// Points [n, dims] in their order, and for each the places of its neighbours among those before it.
struct NeighbourLists {
  std::vector<int64_t> begin;  // [n + 1], into `of`
  std::vector<int64_t> of;
};
// Rows in a spread order.
std::vector<int64_t> spread_order(std::span<const double> x, int64_t dims, uint64_t seed);
// x in that order.
NeighbourLists nearest_before(std::span<const double> x, int64_t dims, int64_t count);

struct VecchiaValue {
  double log_likelihood = 0;  // -infinity where a block has no factor
  double mean = 0;            // by generalised least squares, where it is const
  double precision_of_mean = 0;
};
// x [n, dims] and y [n] in order, variances and weights of these rows (row_noise.h) or empty;
// gradient by log parameters, or empty.
VecchiaValue vecchia_log_likelihood(const Kernel& kernel, std::span<const double> x,
                                    std::span<const double> y, const NeighbourLists& lists,
                                    bool constant, std::span<double> gradient,
                                    std::span<const double> variances = {},
                                    std::span<const double> weights = {});

struct VecchiaReport {
  std::string kernel;  // with the fitted values
  double log_likelihood = 0;
  double mean = 0;  // units of y
  int64_t neighbours = 0;
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

struct VecchiaPrediction {
  at::Tensor mean, variance;  // [s]
};

class VecchiaProcess {
 public:
  static constexpr int64_t kSpread = 3000;  // rows whose order is maximin

  // y [n], NaN = missing; rows: their noise, or undefined. Errors as in gp_data.h.
  VecchiaProcess(const at::Tensor& x, const at::Tensor& y, const VecchiaOptions& options = {},
                 const RowNoise& rows = {});

  VecchiaPrediction predict(const at::Tensor& points, bool noise = false) const;
  // What each value is predicted to be from its nearest others, noise included; NaN where y is
  // missing.
  VecchiaPrediction leave_one_out() const;
  // The log likelihood of these values by a kernel, its neighbours as they are; while this lives.
  KernelObjective objective() const;
  const VecchiaReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }

 private:
  NeighbourLists order_rows(const GpGroup& group);  // fills x_, y_, rows_
  // Columns over their length scales, where the kernel has one for each; else over their ranges.
  std::vector<double> scaled(const double* x, int64_t count) const;
  VecchiaPrediction from_nearest(const double* points, int64_t count, bool noise,
                                 bool leave_out) const;

  VecchiaOptions options_;
  Kernel kernel_;
  bool constant_ = true;
  double centre_ = 0;                        // taken off y
  std::vector<double> ranges_;               // of the columns
  std::vector<double> x_, y_;                // known rows, in order; y less centre_
  std::vector<double> variances_, weights_;  // of these, or empty
  std::vector<int64_t> rows_;                // of X
  int64_t n_ = 0;                            // rows of X
  VecchiaValue value_;
  VecchiaReport report_;
};

}  // namespace covary::stat
