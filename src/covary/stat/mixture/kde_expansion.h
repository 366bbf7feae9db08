// Gaussian sums over clusters of points by Taylor expansions: the improved fast Gauss transform.
// Within mixture only.
//
//   ClusterExpansions sums(x, weights, n, 4, 1e-3);      // x [n,4] in bandwidths
//   sums.sums(queries, m, out);                          // |out - exact| <= sums.bound() <= 1e-3
//
// With y = q - c and v = x - c about the centre c of the cluster that holds x,
//   exp(-|q - x|^2 / 2) = exp(-|y|^2 / 2) exp(-|v|^2 / 2) sum over multi-indices y^a v^a / a!
// so a cluster is its coefficients sum w exp(-|v|^2 / 2) v^a / a!, |a| < p: C(p - 1 + d, d) numbers,
// one multiply-add each a query. Leaving out |a| >= p costs a point, whatever the query, at most
//   E(p, |v|) = max over |y| of exp(-(|y|^2 + |v|^2) / 2) sum over k >= p of (|y||v|)^k / k!
// (taylor_error). Every point gets the least p that keeps this within its share of `absolute`; points
// of clusters out of reach of a query, which are left out, cost an eighth of it.
// Source: Yang, Duraiswami, Gumerov 2003; p point by point after Raykar et al. 2005.
//
// Clusters are those of farthest points (Gonzalez 1985), as many as make the modelled cost least,
// each about the better of its first point and its mean.
// Cost: (n / 2 + m K') C(p - 1 + d, d) for K' clusters in reach; memory K C(p - 1 + d, d).
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

// Bound of what a Taylor polynomial of degree below p leaves of one Gaussian, at any query; b: from
// the point to the centre, in bandwidths.
double taylor_error(int64_t p, double b);

class ClusterExpansions {
 public:
  static constexpr int64_t kMostColumns = 8;

  // Points x [n,d] in bandwidths, d at most kMostColumns; absolute: the error allowed of a sum.
  // least_gain: usable() is false unless gain() is at least this.
  ClusterExpansions(const std::vector<double>& x, const std::vector<double>& weights, int64_t n,
                    int64_t d, double absolute, double least_gain = 0);

  // False when `absolute` is below rounding, or too many terms would be needed.
  bool usable() const { return usable_; }
  // Points in reach of a query for each term that stands for them, by a sample of the points.
  double gain() const { return plan_.gain; }
  void sums(const double* queries, int64_t m, double* out) const;  // [m], not below 0
  double bound() const { return bound_; }
  int64_t clusters() const { return static_cast<int64_t>(orders_.size()); }

 private:
  struct Groups;
  struct Plan {
    double radius = 0;  // of clusters; 0 when none serves
    double gain = 0;
  };
  Plan planned(const double* x, int64_t n, int64_t d) const;
  int64_t order_of(double b) const;  // p for a point at b
  void expand(const std::vector<double>& x, const std::vector<double>& weights, Groups& groups);

  int64_t d_ = 0;
  bool usable_ = false;
  Plan plan_;
  double share_ = 0, reach_ = 0, bound_ = 0;
  std::vector<double> limits_;            // the largest |v| that order p serves, from p = 1
  std::vector<double> centres_;           // [K,d]
  std::vector<double> radii_;             // [K]
  std::vector<int64_t> orders_, starts_;  // degree + 1 and first coefficient, [K]
  std::vector<double> coefficients_;
};

}  // namespace covary::mixture
