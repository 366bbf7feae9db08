// A small perceptron before a kernel: deep kernel learning. The kernel sees the outputs of a network
// whose weights are parameters like any other, fitted by the marginal likelihood.
//
//   u = (2 x - low - high) / (high - low)                    columns over the data's range: [-1, 1]
//   h_1 = tanh(W_1 u / sqrt(inputs) + b_1), h_2 = tanh(W_2 h_1 / sqrt(width_1) + b_2), ...
//   outputs = W_L h_(L-1) / sqrt(width_(L-1))
//
// Weights are about standard normal whatever the widths: they begin as such draws, and their prior is
// that. Biases likewise; the outputs have none, for a stationary kernel would not see it.
// Source: Wilson, Hu, Salakhutdinov and Xing 2016; the scaling of weights as in Jacot, Gabriel and
// Hongler 2018.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace covary::stat {

struct KernelNet {
  std::string name;                      // "deep", "deep2"
  std::vector<int64_t> columns;          // that it sees
  std::vector<int64_t> widths;           // of its layers, the outputs last
  int64_t first = -1;                    // parameter: W_1 by rows, b_1, W_2, b_2, ..., W_L
  std::vector<double> low, high;         // a column's range
  bool ranged = false;                   // the range is that of data, or of the text
  int64_t node = -1;                     // of the kernel's tree: what sees the outputs
  int64_t first_leaf = 0, end_leaf = 0;  // of the kernel, in there

  int64_t inputs() const { return static_cast<int64_t>(columns.size()); }
  int64_t outputs() const { return widths.back(); }
  int64_t weights() const;  // and biases
  // Of a point on its way: scaled inputs, hidden units layer by layer, outputs.
  int64_t units() const;

  // x: a point, all columns; p: the network's parameters. The outputs are the last of units.
  void forward(const double* x, const double* p, double* units) const;
  // After forward: slope [outputs] of something by the outputs. Adds to by_weights [weights()] and to
  // by_x [all columns of the point]; either may be null. scratch [units()].
  void backward(const double* units, const double* p, const double* slope, double* by_weights,
                double* by_x, double* scratch) const;
};

// Where weight `index` begins: a standard normal draw, for a name the same always.
double first_weight(const std::string& name, int64_t index);

}  // namespace covary::stat
