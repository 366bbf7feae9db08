// Draws of a whole function from a process: each can be evaluated anywhere, with its gradient, as often as needed.
//
//   const FunctionPaths paths(gp, 8, seed);               // gp: one output, const * rbf or matern, + white
//   FunctionPaths::At at(paths, 1);                       // for one point at a time
//   at.move(x);  at.values();                             // [1, 8]
//   at.add_gradient(weights, gradient);                   // of sum_ij weights_ij values_ij, by x
//
// A draw of the prior by 1024 random Fourier features, plus the process' own prediction of what is left at the training
// points (values minus draw minus noise): O(n + features d) a value after O(n^3 + n features) at first.
// The features are a finite sample: covariances are theirs to about 1 / sqrt(features) of the prior's variance away from
// data, exact at data.
// Source: Wilson et al. 2021 (pathwise conditioning); Rahimi and Recht 2007 (features).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "covary/stat/process/gp.h"
#include "covary/stat/process/joint_posterior.h"

namespace covary::stat {

class FunctionPaths {
 public:
  // Throws Error(kUsage) for a kernel that is not of that form.
  FunctionPaths(const GaussianProcess& gp, int64_t count, uint64_t seed);
  int64_t count() const { return count_; }

  class At {
   public:
    At(const FunctionPaths& paths, int64_t points);
    void move(const double* x);                                    // [points, d]
    const std::vector<double>& values() const { return values_; }  // [points, count]
    void add_gradient(const double* weights, double* gradient);    // weights [points, count]

   private:
    const FunctionPaths& paths_;
    JointPosterior::At update_;
    int64_t points_;
    std::vector<double> phase_, values_, none_;  // phase_ [points, features]
  };

 private:
  double phase(int64_t feature, const double* x) const;

  int64_t count_, dims_;
  std::vector<double> frequencies_, shifts_;  // [features, d], [features]
  std::vector<double> weights_;               // [count, features], with the root of the variance
  std::unique_ptr<JointPosterior> update_;
};

}  // namespace covary::stat
