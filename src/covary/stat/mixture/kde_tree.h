// A tree over weighted points for sums of a falling kernel with a bound on the error of each. Within
// mixture only.
//
// Kinds differ in how points are split and in what a node is bounded by:
//   kd     halves across the widest column; boxes
//   ball   halves along the line between two far points; balls about the means
//   cover  a net of points, each half the node's radius from the others, and to each net point what is
//          nearest to it, at most 256 parts; balls about the means
// Balls are of Euclidean distance, for the laplacian of summed distances; products, whose support is
// a box, use boxes in every kind. (Omohundro 1989; Beygelzimer, Kakade, Langford 2006.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/mixture/kde_kernel.h"

namespace covary::mixture {

inline double square_between(const double* a, const double* b, int64_t d) {
  double s = 0;
  for (int64_t j = 0; j < d; ++j) s += (a[j] - b[j]) * (a[j] - b[j]);
  return s;
}

// Of the smallest balls about one centre that hold points, rounded up: by Euclidean and by summed
// distances.
struct BallRadii {
  double euclidean = 0, summed = 0;
  void hold(const double* point, const double* centre, int64_t d);
};

enum class TreeKind { kKd, kBall, kCover };
TreeKind tree_kind_of(const std::string& name);

// Orders ids [begin,end) of rows of x [.,d] so that neighbours in the list are neighbours in space:
// leaves of a kd-tree (or ball tree) of at most `most` points, halves at multiples of `most`.
void order_in_space(const double* x, int64_t d, int64_t* begin, int64_t* end, int64_t most,
                    TreeKind kind = TreeKind::kKd);

// Points in bandwidths, in the order of the leaves, each padded to kKdePad with weight 0; columns of a
// leaf lie together.
class KdeTree {
 public:
  // shrink: what kernels of each point multiply s by (kde_kernel.h); empty: 1.
  KdeTree(const std::vector<double>& points, const std::vector<double>& weights,
          const std::vector<double>& shrink, int64_t n, int64_t d, TreeKind kind = TreeKind::kKd);

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
    int64_t begin = 0, end = 0;       // padded storage
    int64_t first = 0, children = 0;  // in children_; a leaf has none
    double weight = 0;
    double least_shrink = 1, most_shrink = 1;
    BallRadii ball = {};   // about centres_
    double heaviest = 0;   // of a leaf: log2 of its largest weight over the tree's
    bool centred = false;  // of a leaf: columns are about its middle, and products serve
  };
  int64_t build(std::vector<int64_t>& ids, int64_t begin, int64_t end, int64_t depth,
                const std::vector<double>& points, const std::vector<double>& weights,
                const std::vector<double>& shrink);
  void centre(int64_t leaf);
  void block_sums(Kernel kernel, const double* queries, int64_t m, double relative, double absolute,
                  double* out) const;

  // The least and the largest s of a node's points from a block of queries.
  struct Block;
  void range(Kernel kernel, const Block& block, int64_t node, double& nearest,
             double& farthest) const;

  int64_t d_;
  TreeKind kind_;
  std::vector<int64_t> children_;
  std::vector<double> centres_;  // [nodes,d]; of balls
  int64_t storage_ = 0;          // points stored, padding included
  std::vector<Node> nodes_;
  std::vector<double> low_, high_;  // boxes, [nodes,d]
  // Calls visit(leaf, the query about its middle) for every leaf.
  template <class Visit>
  void each_leaf(const double* query, Visit&& visit) const;
  double term_sum(Kernel kernel, const Node& leaf, const double* query, int64_t point) const;

  std::vector<double> middles_;  // [nodes,d]: what columns_ of a leaf are about; 0 where it is wide
  std::vector<double> columns_, weights_, shrink_;  // shrink_ is empty when all are 1
  double heaviest_ = 0;                             // the largest weight
  int64_t count_ = 0;                               // points of weight above 0
  std::vector<double> starts_;                      // of exponents (kde_gaussian.h)
};

}  // namespace covary::mixture
