// Kernel density estimates: p(q) = 1 / (W c_d prod_j h_j) sum_i w_i K(|(q - x_i) / h|).
//
//   KernelDensity kde({.bandwidth = "silverman", .rtol = 1e-6});
//   kde.fit(x);                                  // [n,d]
//   at::Tensor log_density = kde.score_samples(q);   // [m]
//   at::Tensor draws = kde.sample(1000, seed), slope = kde.gradient(q);   // d log p / d q, [m,d]
//
// K is radial in units of the widths h_j, one a column; c_d is its integral (kde_kernel.h). Rules
// give h_j = factor * standard deviation (of column j): Scott's and Silverman's factors, improved
// Sheather-Jones (column by column), leave-one-out likelihood (lcv), which scales Scott's widths
// together so that the rows' mean log-density without themselves is largest, or least squares (lscv;
// Bowman 1984; gaussian), which makes the integral of p^2 less twice the mean of p left out least
// (both on at most 2,000 rows, evenly spread, against all; every width of a grid in one pass over the
// distances, width_scan(), then parabolas about the best). Rules see neither bounds nor factors. A column that
// does not vary is given the width 1; widths() and notes() say so.
//
// Kernel vmf: rows are directions, of length 1 within 1e-6, d >= 2; the density is that on the
// sphere. With kappa = 1 / h^2 the kernel exp(kappa (q . x - 1)) is exp(-|q - x|^2 / 2 h^2), the
// gaussian's, so engines and bounds are the same, but for its constant (von_mises_fisher.h). All
// columns have one width: a rule's factor for d - 1 dimensions times the root of the columns'
// variances' sum over d - 1, a number, or lcv. gradient is along the sphere. (Hall, Watson, Cabrera 1987.)
//
// Shape full: z = C^-1 (q - x) / h in place of (q - x) / h, C the Cholesky factor of the data's correlations, so that
// H = D C C' D with D = diag(h) (Wand and Jones 1993). Kinds adaptive and knn multiply the widths of point i by a
// factor (kde_local.h), whose geometric mean is 1. Bounds fold the density back (kde_bounds.h).
//
// Option product: products over columns of the kernel of one column, whose support is a box instead of
// a ball; c_d = c_1^d. Of gaussians it is the gaussian, of exponentials the laplacian.
//
// Engines: exact sums all pairs in SIMD tiles; tree is a kd-, ball or cover tree with the bound of
// kde_tree.h on every density's error, |p - exact| <= rtol * exact + atol; moments (one column,
// gaussian) is right to 1e-12 relative; fft (gaussian, up to three columns) stays within atol by a grid
// (kde_grid.h), ifgt (gaussian, up to eight) by Taylor expansions (kde_expansion.h); error_bound() says
// within what. auto: exact when rtol = atol = 0 or points are few; else moments where they serve and
// rtol >= 1e-12; else ifgt where it serves, atol is above 0 and its plan has many points in reach for
// each term; else tree. A density below the smallest double keeps its logarithm; outside the
// kernel's support it is -inf.
//
// rff and nystrom (kde_features.h) are estimates, approximate() says so, and are taken only when asked
// for: there is no bound. standard_error(q) tells what is known. Where an estimate is not above that
// error, the density cannot be told from 0, and the error is returned in its place.
//
// Errors: Error(kData) with row and column for missing or infinite entries and bad weights;
// Error(kUsage) for options; Error(kFailed) before fit.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/stat/mixture/kde_bounds.h"
#include "covary/stat/mixture/kde_expansion.h"
#include "covary/stat/mixture/kde_features.h"
#include "covary/stat/mixture/kde_grid.h"
#include "covary/stat/mixture/kde_kernel.h"
#include "covary/stat/mixture/kde_moments.h"
#include "covary/stat/mixture/kde_options.h"
#include "covary/stat/mixture/kde_scan.h"
#include "covary/stat/mixture/kde_tree.h"

namespace covary::mixture {

// Criteria of a density's widths times factors.
struct WidthScan {
  std::vector<double> factors;
  // Mean log-density of rows without themselves. A row that no other row's kernel reaches (bounded
  // kernels) counts as 1e-13 of its own.
  std::vector<double> likelihood;
  // Twice the mean of p left out, less the integral of p^2; gaussian, else empty.
  std::vector<double> least_squares;
};

class KernelDensity {
 public:
  explicit KernelDensity(KernelDensityOptions options = {});

  KernelDensity& fit(const at::Tensor& x, const at::Tensor& weights = {});
  at::Tensor score_samples(const at::Tensor& q) const;  // log p, [m]
  double score(const at::Tensor& q) const;              // mean log p
  at::Tensor gradient(const at::Tensor& q) const;       // [m,d], exact; 0 where p is 0
  at::Tensor sample(int64_t n, int64_t seed) const;     // [n,d]

  // Points, weights, widths and options as a model file's content (schema covary.density), and back,
  // to the bit.
  data::Model model() const;
  static KernelDensity of_model(const data::Model& model);
  // The same kernel and widths with other weights [n] (not all 0), other points [n,d], or the first
  // columns alone (gaussian kernels: their marginal).
  KernelDensity reweighted(const at::Tensor& weights) const;
  KernelDensity moved(const at::Tensor& points) const;
  KernelDensity marginal(int64_t columns) const;
  // The engine and errors allowed from now on; not the kernel and bandwidth.
  KernelDensity& set_accuracy(double rtol, double atol, const std::string& engine);
  // rtol, atol, engine, tree, features, landmarks and engine_seed of these.
  KernelDensity& set_accuracy(const KernelDensityOptions& accuracy);

  int64_t columns() const { return x_.defined() ? x_.size(1) : 0; }
  int64_t rows() const { return x_.defined() ? x_.size(0) : 0; }
  const at::Tensor& points() const { return x_; }  // [n,d]
  const KernelDensityOptions& options() const { return options_; }
  at::Tensor widths() const;            // h [d]
  at::Tensor bandwidth_matrix() const;  // H [d,d]
  // Of the grid that lcv and lscv looked at, factors of Scott's widths; empty for other rules.
  const WidthScan& width_scan() const { return scan_; }
  // The same criteria for these widths times any factors, in one pass. Not for kinds adaptive and knn.
  WidthScan scan_widths(const std::vector<double>& factors) const;
  at::Tensor factors() const;  // of the widths, [n]; 1 for kind fixed
  // Absolute, of every density: that of the engine that answers. 0 for exact, and where the bound is
  // relative.
  double error_bound() const;
  // Whether the engine is an estimate without a bound; then standard_error: rff, the standard error of
  // each density; nystrom, the root mean square error of densities at 128 rows, the same for all. [m]
  bool approximate() const;
  at::Tensor standard_error(const at::Tensor& q) const;
  // Log-densities and standard errors of an estimate, its sums taken once.
  struct Estimate {
    at::Tensor log_density, standard_error;  // [m]
  };
  Estimate estimate(const at::Tensor& q) const;
  const std::vector<std::string>& notes() const { return notes_; }
  // What auto would take, or the engine forced.
  std::string engine() const;

 private:
  void need_fit() const;
  at::Tensor own_rows(const at::Tensor& q) const;
  at::Tensor open_log_density(const at::Tensor& rows) const;
  at::Tensor open_gradient(const at::Tensor& rows) const;
  // Calls visit(which [m'], rows [m',d], signs [d]) for each image of the rows that can matter.
  template <class Visit>
  void each_image(const at::Tensor& rows, Visit&& visit) const;
  void shape_from_data();
  void local_factors();
  void take_shape(const KernelDensity& other, int64_t columns);
  std::vector<double> scaled_rows(const double* rows, int64_t m) const;
  void set_points(const at::Tensor& x, const at::Tensor& weights);
  void scale(const std::vector<double>& widths);
  void build(const std::vector<double>& widths);  // scale, and what the engine needs
  std::vector<double> chosen_widths();
  double log_scale_of(const std::vector<double>& widths) const;
  std::vector<int64_t> left_out_rows() const;
  // Of widths_, which scaled_ and points are of; squares: least squares too.
  WidthScan scan_with(const ScanPoints& points, const std::vector<double>& factors,
                      bool squares) const;
  WidthScan scan_products(const std::vector<double>& factors) const;
  double best_factor(const std::vector<double>& widths);

  KernelDensityOptions options_;
  Kernel kernel_ = Kernel::kGaussian;
  bool directions_ = false;                 // kernel vmf
  at::Tensor x_;                            // [n,d]
  std::vector<double> weights_;             // [n]
  std::vector<double> widths_;              // [d]
  std::vector<double> lean_;                // C, row-major [d,d]; empty for shape diagonal
  std::vector<double> factors_;             // [n]; empty for kind fixed
  std::vector<Interval> bounds_;            // [d]; empty without
  std::vector<std::vector<Image>> images_;  // of each column
  double image_count_ = 1;
  double log_scale_ = 0;  // -log(W c_d prod h)
  // Built when first asked for: moments seldom need it.
  struct LazyTree {
    std::once_flag once;
    std::unique_ptr<KdeTree> tree;
  };
  const KdeTree& tree() const;

  std::vector<double> scaled_;  // x in bandwidths
  std::unique_ptr<LazyTree> tree_;
  std::unique_ptr<LineMoments> moments_;
  std::unique_ptr<GridSums> grid_;
  std::unique_ptr<ClusterExpansions> expansions_;
  std::unique_ptr<RandomFeatures> features_;
  std::unique_ptr<Landmarks> landmarks_;
  std::vector<std::string> notes_;
  WidthScan scan_;
};

}  // namespace covary::mixture
