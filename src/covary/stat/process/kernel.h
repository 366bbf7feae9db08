// Covariance functions made of parts, from text: values, diagonals, and gradients contracted with a
// weight matrix, tile by tile.
//
//   Kernel k = Kernel::parse("const(2)*matern52(ard,dims=0:3) + periodic(1.0)*rbf + white", 5);
//   k.parameter("rbf.lengthscale").value = 0.7;
//   k.matrix(x, n, buffer, n);                    // x [n, 5] row by row; both halves filled
//   k.contract(x, n, weights, gradient);          // gradient[p] = sum_ij W_ij dK_ij / dlog(p)
//
// Text: sums, products and whole powers (rbf^2) of leaves with parentheses; a number is a const that
// stays as it is. A
// leaf takes a value for its first parameter, `name=value` for any (with ard also
// `name=[1,2,3]`), and
//   ard          a length scale (period, variance) a dimension
//   dims=0:3     the columns it sees, both ends included; dims=[0,2,5] a list; without it all
//   fixed        its parameters are not fitted
// Leaves, with r^2 = sum_k (x_k - x'_k)^2 / l_k^2:
//   const(variance)            variance
//   white(variance)            variance where both are the same row of one data set, else 0
//   rbf(lengthscale)           exp(-r^2 / 2)
//   matern12 matern32 matern52 (lengthscale)   exp(-r) times a polynomial, see compute/pairwise
//   rq(lengthscale,alpha)      (1 + r^2 / (2 alpha))^-alpha
//   periodic(period,lengthscale)  exp(-2 sum_k sin^2(pi (x_k - x'_k) / p_k) / l_k^2)
//   cosine(period)             cos(2 pi sum_k (x_k - x'_k) / p_k)
//   linear(variance)           sum_k v_k x_k x'_k
//   polynomial(variance,offset,degree=2)  (offset + sum_k v_k x_k x'_k)^degree, degree 1..10
//   matern(lengthscale,nu)     Matern of any order nu, see radial.h; fitted with the rest
//   wendland(lengthscale,smoothness=2)  0 from distance 1 on, smoothness 0..3, see radial.h
//   brownian(variance) integrated_brownian(variance)  motion from x = 0 in both directions; over
//                              several columns their product
//   relu erf step (lengthscale,bias,depth=1,weight)  infinitely wide networks of `depth` hidden
//                              layers; relu and step are the arc-cosine kernels of order 1 and 0
//   hamming(lengthscale)       exp(-sum_k [x_k != x'_k] / l_k), for categories
//   index(levels=3,rank=1,loading,variance)  (W W' + diag v) between levels 0, 1, .. of one column
//   eigenvectors(lengthscale,values=[0,1,4],density=matern32,dimension=0)   sum_i w_i x_i x'_i: columns
//                              are eigenvectors of a Laplacian, values their eigenvalues, w a spectral
//                              density of them: rbf, matern12, matern32, matern52, or matern with
//                              nu fitted too; see eigen_spectrum.h
//   sho(period,quality)        a damped oscillator driven by white noise, one column
//   rising falling (location,width)  s(x) s(x') with a logistic step s, one column
//   and those of a user, see define_kernel in pair_function.h
// Of inputs:
//   warp(A,a=1,b=1,dims=..,low=0,high=1)   A with its columns seen through 1 - (1 - u^a)^b, u their place
//                              in the range; a and b a column, or one for all; the range is that
//                              of the data unless it is stated: see kernel_warp.h
//   deep(A,layers=[8,2],dims=..)   A sees the outputs of a network of the columns, as many as the last
//                              layer is wide; its weights are fitted with the rest: see kernel_net.h
// Written for short:
//   changepoint(A,B,location=1,width=0.1,dims=0)   falling*A + rising*B, one location and width
//   spectral_mixture(components=3,base=rbf)        sum of const*base(ard)*cosine(ard); with matern32
//                              and its like as base the spectral densities are Student's t
// Parameters are positive and optimised by their logarithm, but for locations and loadings, which
// are as they are ("real"). Leaves of one kind after the first are named rbf2, rbf3, ...
//
// All leaves are evaluated in one pass over tiles of 32 x 128 pairs that stay in cache; no n x n
// matrix is stored for a derivative. Sums are formed by strips of 32 rows in order: the same bits
// at any number of threads. Coordinates are taken relative to the first point before they are
// scaled, so that data far from the origin lose no digits (linear and polynomial excepted, which
// know an origin, and pair functions, which see x as it is).
// Source: Rasmussen and Williams 2006, chapters 4 and 5 (eq. 5.9 for the contraction); Wilson and
// Adams 2013 (spectral mixtures); Lloyd et al. 2014 (change points); Snoek et al. 2014 (warps).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "covary/core/compute/pairwise/pairwise.h"
#include "covary/stat/process/eigen_spectrum.h"
#include "covary/stat/process/kernel_net.h"
#include "covary/stat/process/kernel_parameter.h"
#include "covary/stat/process/kernel_warp.h"
#include "covary/stat/process/pair_function.h"

namespace covary::stat {

// The terms of a kernel's text that are white, and the others, each joined by + again; either may be
// empty. For what gives noise a place of its own. The text is not checked.
struct KernelTerms {
  std::string smooth, white;
};
KernelTerms part_from_white(std::string_view text);

// The text with a const before it, if it has neither const nor linear part, all but its white; and
// with a white, if it has none and no noise of single rows is given.
std::string completed_kernel(const std::string& text, bool noise_given, int64_t dims);

// W over a tile: rows `row`.. and columns `column`.. of a symmetric matrix, on or below its
// diagonal or one square on it; writes [rows, columns]. Called from several threads.
using TileWeights = std::function<void(const compute::PairBlock& tile, double* weights)>;

class Kernel {
 public:
  // Throws Error(kUsage) naming the place in the text: unknown leaf (with the nearest name) or
  // argument, a value that is not positive, a column outside [0, dims), unbalanced parentheses.
  static Kernel parse(std::string_view text, int64_t dims);

  int64_t dims() const { return dims_; }
  // With the present values; parses to the same kernel, but for bounds, ties and priors.
  std::string text() const;

  std::vector<KernelParameter>& parameters() & { return parameters_; }
  const std::vector<KernelParameter>& parameters() const& { return parameters_; }
  void parameters() && = delete;  // a loop over those of a temporary would outlive it
  KernelParameter& parameter(std::string_view name);  // Error(kUsage) with the nearest name
  void tie(std::string_view name, std::string_view to);
  bool has(ParameterRole role) const;
  // "matern12", "matern32" or "matern52" when the kernel is that leaf in one column, alone or times
  // one const, with or without a white beside it, and every parameter is free: what state_space.h
  // knows. Else empty.
  std::string single_matern() const;
  // Whether a leaf sees columns by something else than their differences in place: a warp, a network.
  bool warped() const { return !warps_.empty() || !nets_.empty(); }
  bool deep() const { return !nets_.empty(); }
  bool stationary() const;  // every leaf sees differences of inputs alone
  // Whether a column may hold one value alone, as the first eigenvector of a Laplacian does.
  bool takes_constant_columns() const;
  // The range of every column, for warps and networks whose text does not state one.
  void set_ranges(std::span<const double> low, std::span<const double> high);

  // The parameters that a fit moves: neither fixed nor tied.
  std::vector<const KernelParameter*> free_parameters() const;
  // Their values, as logarithms; real ones as they are.
  std::vector<double> pack() const;
  void unpack(std::span<const double> logs);
  void bounds(std::vector<double>* lower, std::vector<double>* upper) const;
  // A gradient by all parameters to one by the packed ones.
  std::vector<double> pack_gradient(std::span<const double> gradient) const;
  double log_prior(std::span<double> gradient) const;  // adds to a gradient by all parameters

  // Points x [n, dims], row by row. out rows are `stride` apart.
  void matrix(const double* x, int64_t n, double* out, int64_t stride) const;
  void cross(const double* x, int64_t n, const double* y, int64_t m, double* out,
             int64_t stride) const;  // [n, m]; white is 0
  void diagonal(const double* x, int64_t n, bool with_white, double* out) const;

  // gradient [parameters] = sum_ij W_ij dK_ij / dlog(parameter), W symmetric; by real parameters as
  // they are.
  void contract(const double* x, int64_t n, const TileWeights& weights,
                std::span<double> gradient) const;
  // The same, W [n, n] in memory with rows `stride` apart.
  void contract(const double* x, int64_t n, const double* weights, int64_t stride,
                std::span<double> gradient) const;
  // The same over two sets, W [n, m] with rows `stride` apart, and over a diagonal, w [n]; white is 0.
  void contract_cross(const double* x, int64_t n, const double* y, int64_t m, const double* weights,
                      int64_t stride, std::span<double> gradient) const;
  void contract_diagonal(const double* x, int64_t n, const double* weights,
                         std::span<double> gradient) const;
  // gradient [n, dims] = sum_j W_ij dk(x_i, y_j) / dx_i, W [n, m]. Where a derivative does not
  // exist (Matern 1/2 at distance 0) the term is 0.
  void contract_inputs(const double* x, int64_t n, const double* y, int64_t m,
                       const double* weights, double* gradient) const;

 private:
  friend class KernelParser;
  friend class KernelTape;
  friend class SpectralMeasure;
  friend class MarkovForm;
  friend class KernelJets;

  enum class Kind {
    kConst,
    kWhite,
    kRbf,
    kMatern12,
    kMatern32,
    kMatern52,
    kRationalQuadratic,
    kPeriodic,
    kCosine,
    kLinear,
    kPolynomial,
    kMatern,
    kWendland,
    kEigenvectors,
    kPair
  };
  struct Leaf {
    Kind kind = Kind::kConst;
    bool ard = false;
    bool literal = false;       // a bare number
    std::vector<int64_t> dims;  // empty for const and white
    int64_t degree = 2;         // of a polynomial; smoothness of wendland
    // Index of the first parameter of each role and how many there are: scales are length scales
    // or variances of slopes.
    int64_t scale = -1, scales = 0, period = -1, periods = 0, shape = -1;
    // A pair function, its parameters from `first` on, and what the text says of it.
    std::shared_ptr<const PairFunction> function;
    int64_t first = -1;
    std::map<std::string, int64_t> whole;
    int64_t warp = -1;  // through which it sees its columns
    int64_t net = -1;   // whose outputs are its columns
    EigenDensity density;
    std::vector<double> eigenvalues;  // a column
    std::string kind_name, name;
  };
  // Post-order: children before parents.
  struct Node {
    enum class Op { kLeaf, kSum, kProduct, kPower } op = Op::kLeaf;
    int64_t leaf = -1, left = -1, right = -1;
    int64_t exponent = 1;
  };

  static const std::vector<std::string>& profile_leaves();  // names, in the order of Kind
  std::string text_of(int64_t node, bool inside_product) const;
  std::string tree_text(int64_t node, bool inside_product) const;  // without warps of the node
  std::string warp_text(const KernelWarp& warp) const;
  std::string net_text(const KernelNet& net) const;
  EigenSpectrum spectrum_of(const Leaf& leaf) const;
  // Of points as a leaf sees them: 0 as they came, then the warps, then the networks.
  size_t space_of(const Leaf& leaf) const {
    if (leaf.net >= 0) return warps_.size() + static_cast<size_t>(leaf.net) + 1;
    return static_cast<size_t>(leaf.warp + 1);
  }
  int64_t dims_of(size_t space) const {
    return space > warps_.size() ? nets_[space - warps_.size() - 1].outputs() : dims_;
  }
  int64_t most_dims() const;   // of any space
  int64_t most_units() const;  // of a network's
  // x [dims] as a space shows it, [dims_of(space)]; units [most_units()] is scratch.
  void show_point(size_t space, const double* x, double* out, double* units) const;
  // The columns that leaves in a warp see, ascending.
  std::vector<int64_t> columns_in(const KernelWarp& warp) const;
  // x [dims] as a warp shows it.
  void warp_point(const KernelWarp& warp, const double* x, double* out) const;
  std::string leaf_text(const Leaf& leaf) const;
  double value_of(int64_t parameter) const {
    return parameters_[static_cast<size_t>(parameter)].value;
  }

  int64_t dims_ = 0;
  std::vector<KernelParameter> parameters_;
  std::vector<Leaf> leaves_;
  std::vector<Node> nodes_;
  std::vector<KernelWarp> warps_;
  std::vector<KernelNet> nets_;
};

}  // namespace covary::stat
