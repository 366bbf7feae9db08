// A kd-tree over weighted points for sums of a falling kernel with a bound on the error of each.
// Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/kde_kernel.h"

namespace covary::mixture {

// Points in bandwidths, in the order of the leaves: columns [d][stride], each leaf padded to
// kKdePad with weight 0.
class KdeTree {
 public:
  // shrink: what kernels of each point multiply s by (kde_kernel.h); empty: 1.
  KdeTree(const std::vector<double>& points, const std::vector<double>& weights,
          const std::vector<double>& shrink, int64_t n, int64_t d);

  // Sums of weight times kernel at queries [m,d]. Each is within relative * sum + absolute of the
  // exact one. Both 0: to rounding, every term that is above 2^-60 of the sum over n. The bound: a
  // node is taken as a whole, at the middle of the kernel's range over it, only while
  //   errors so far + its own <= 3/4 (relative * least + absolute) * share
  // where least is a lower bound of the sums of the block of queries, and share the part of all
  // weight that is then dealt with; so budget that summed leaves leave unused passes on. The last
  // quarter is for single Gaussians: a term below that over n is not summed (kde_gaussian.h).
  void sums(Kernel kernel, const double* queries, int64_t m, double relative, double absolute,
            double* out) const;

  // The least s (kde_kernel.h), shrunk, to a point of weight above 0, by all pairs.
  double nearest(Kernel kernel, const double* query) const;
  // log of the sum, for a query so far that the sum underflows.
  double log_sum(Kernel kernel, const double* query) const;
  double weight() const { return nodes_.front().weight; }

 private:
  struct Node {
    int64_t begin = 0, end = 0;     // padded storage
    int64_t left = -1, right = -1;  // children, or -1
    double weight = 0;
    double least_shrink = 1, most_shrink = 1;
    double heaviest = 0;  // of a leaf: the largest weight, log2 of its part of the tree's
  };
  int64_t build(std::vector<int64_t>& ids, int64_t begin, int64_t end,
                const std::vector<double>& points, const std::vector<double>& weights,
                const std::vector<double>& shrink);
  void block_sums(Kernel kernel, const double* queries, int64_t m, double relative, double absolute,
                  double* out) const;

  int64_t d_, stride_ = 0;
  int64_t storage_ = 0;  // points stored, padding included
  std::vector<Node> nodes_;
  std::vector<double> low_, high_;  // boxes, [nodes,d]
  double term_sum(Kernel kernel, const double* query, int64_t point) const;

  std::vector<double> columns_, weights_, shrink_;  // shrink_ is empty when all are 1
  double heaviest_ = 0;                             // the largest weight
  int64_t count_ = 0;                               // points of weight above 0
  std::vector<double> log2_weights_;                // of weights over the largest
};

}  // namespace covary::mixture
