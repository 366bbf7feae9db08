// A kernel bound to two sets of points: every leaf's features once, then tiles forward and back.
// What Kernel::matrix, cross and contract are made of.
//
//   KernelTape tape(kernel, x, n, y, m, /*same=*/false, /*slopes=*/true);
//   KernelTape::Scratch scratch = tape.scratch();          // one a thread
//   const double* k = tape.forward(tile, scratch);         // [rows, columns]
//   tape.backward(tile, weights, scratch, gradient);       // after forward of the same tile
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/pairwise/pairwise.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

class KernelTape {
 public:
  static constexpr int64_t kRows = 32, kColumns = 128;  // of the largest tile

  // same: x and y are one set (y is ignored), and white stands on its diagonal. slopes: backward
  // will be called.
  KernelTape(const Kernel& kernel, const double* x, int64_t n, const double* y, int64_t m,
             bool same, bool slopes);

  struct Scratch {
    std::vector<double> buffers;
    std::vector<char> zero;          // a node, of this tile
    std::vector<double> transposed;  // weights of a warped leaf, columns by rows
    std::vector<double> moved;       // gradient by its warped coordinates, or a network's outputs
    std::vector<double> units;       // of a network
  };
  Scratch scratch() const;

  // Other points in the places of x and y, as many as before; null: that set stays. No memory is
  // taken. Coordinates are still taken relative to the first point that the tape was made with.
  void rebind(const double* x, const double* y);

  const double* forward(const compute::PairBlock& tile, Scratch& scratch) const;
  // gradient [parameters] += sum over the tile of weights * dK / dlog(parameter).
  void backward(const compute::PairBlock& tile, const double* weights, Scratch& scratch,
                double* gradient) const;
  // gradient [rows of the tile, dims] += sum over columns of weights * dK / dx. after_backward: the
  // tile's last call was backward with these weights, else forward.
  void backward_inputs(const compute::PairBlock& tile, const double* weights, Scratch& scratch,
                       double* gradient, bool after_backward = false) const;

 private:
  using Leaf = Kernel::Leaf;
  using Node = Kernel::Node;
  // Of both sets, coordinate by coordinate: scaled coordinates (radial), cosines and sines
  // (periodic, cosine), coordinates times the root of their variance (linear, polynomial); of a pair
  // function the coordinates as they came, point by point.
  struct Features {
    std::vector<double> x, y;
    int64_t count = 0;
  };
  // Buffers of a tile, by node: value, weight; by leaf: distance or product, slope, shape slope.
  enum Buffer { kValue, kWeight, kDistance, kSlope, kShapeSlope, kBuffers };
  double* buffer(Scratch& s, size_t node, Buffer b) const {
    return s.buffers.data() + (node * kBuffers + b) * tile_size_;
  }
  compute::Points points(const std::vector<double>& values, int64_t n, int64_t count) const {
    return {values.data(), n, count};
  }
  compute::Points rows_of(const Features& f) const { return points(f.x, n_, f.count); }
  compute::Points columns_of(const Features& f) const {
    return same_ ? points(f.x, n_, f.count) : points(f.y, m_, f.count);
  }
  // Where points are: relative to the first point of x, [dims, n], as they came, through a warp, then
  // with derivatives [columns of the warp, n], or through a network, then with its units [n, units].
  struct Places {
    std::vector<double> at, by_x, by_log_a, by_log_b, units;
  };
  struct Coordinates {
    std::vector<double> origin;  // the first point
    Places x, y;
  };
  const Coordinates& coordinates_of(const Leaf& leaf) const {
    return coordinates_[kernel_.space_of(leaf)];
  }
  const Places& places_of_columns(const Leaf& leaf) const {
    return same_ ? coordinates_of(leaf).x : coordinates_of(leaf).y;
  }
  // p [n, dims] as coordinates, and the features of every leaf.
  void relate(size_t index, const double* p, int64_t n, Places* out) const;
  void features(const Leaf& leaf, const double* x, int64_t n, std::vector<double>* out) const;
  const double* pair_point(const Features& f, int64_t row) const {
    return f.x.data() + row * f.count;
  }
  const double* pair_column(const Features& f, int64_t column) const {
    return (same_ ? f.x.data() : f.y.data()) + column * f.count;
  }
  // x: the points as they came; null: as `places` has them.
  std::vector<double> pair_features(const Leaf& leaf, const double* x, int64_t n,
                                    const Places& places) const;
  void pair_gradient(const Leaf& leaf, const Features& f, const compute::PairBlock& tile,
                     const double* weights, double* gradient) const;
  bool is_const(size_t node) const {
    const Node& n = kernel_.nodes_[node];
    return n.op == Node::Op::kLeaf &&
           kernel_.leaves_[static_cast<size_t>(n.leaf)].kind == Kernel::Kind::kConst;
  }
  void forward_leaf(size_t node, const compute::PairBlock& tile, Scratch& s) const;
  // Calls visit(node, leaf, weights) for every leaf that a weight reaches.
  template <class F>
  void walk_back(const compute::PairBlock& tile, const double* weights, Scratch& s,
                 F&& visit) const;
  void leaf_gradient(size_t node, const Leaf& leaf, const compute::PairBlock& tile,
                     const double* weights, Scratch& s, double* gradient) const;
  const EigenSpectrum& spectrum_of(const Leaf& leaf) const {
    return spectra_[static_cast<size_t>(&leaf - kernel_.leaves_.data())];
  }
  // By the coordinates that the leaf sees, rows of the gradient dims_of() its space apart; weights: of
  // dk or, for leaves with a slope, of what it is the slope by.
  void coordinate_gradient(const Leaf& leaf, const Features& f, bool swapped,
                           const compute::PairBlock& tile, const double* weights,
                           double* gradient) const;
  // The weights that coordinate_gradient takes.
  const double* sloped_weights(size_t node, const Leaf& leaf, const compute::PairBlock& tile,
                               const double* weights, Scratch& s, bool after_backward) const;
  void leaf_input_gradient(size_t node, const Leaf& leaf, const compute::PairBlock& tile,
                           const double* weights, Scratch& s, double* gradient,
                           bool after_backward) const;
  // By the exponents of the leaf's warp or the weights of its network, after leaf_gradient.
  void space_gradient(size_t node, const Leaf& leaf, const compute::PairBlock& tile,
                      const double* weights, Scratch& s, double* gradient) const;
  // The network that a leaf sees through, and its units of a point.
  const KernelNet& net_of(const Leaf& leaf) const {
    return kernel_.nets_[static_cast<size_t>(leaf.net)];
  }

  const Kernel& kernel_;
  int64_t n_, m_;
  size_t tile_size_;  // of the largest tile of these sets
  bool same_, slopes_;
  std::vector<Coordinates> coordinates_;  // as they came, then a warp, then a network
  std::vector<Features> features_;        // a leaf
  std::vector<double> parameters_;        // values of all of the kernel's
  std::vector<EigenSpectrum> spectra_;    // a leaf
};

}  // namespace covary::stat
