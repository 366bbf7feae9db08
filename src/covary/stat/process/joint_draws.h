// Draws of a process's values at a few points that move, and the way back from slopes by the draws
// to slopes by the points.
//
//   JointDraws draws(posterior, 4, 128, normals);      // normals [4, 128], fixed
//   const std::vector<double>& f = draws.move(x);      // f [4, 128] = mean + L z at x [4, d]
//   draws.add_gradient(slopes, gradient);              // slopes [4, 128] by f; adds to [4, d]
//
// L L' is the joint covariance with `jitter` (units of y^2) on its diagonal, so that a batch may
// hold a point twice. A posterior of several outputs gives draw s the mean of output s: there must
// be as many outputs as draws. One object serves one thread; no memory is taken after it was made.
// 2 q^2 draws flops a move beside the posterior's, the gradient twice that.
// Source: Wilson, Hutter and Deisenroth 2018 (draws by fixed normals); Murray 2016 (back through the
// factor).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/process/joint_posterior.h"

namespace covary::stat {

class JointDraws {
 public:
  // posterior and normals [count, draws] must outlive it.
  JointDraws(const JointPosterior& posterior, int64_t count, int64_t draws, const double* normals,
             double jitter);

  // x [count, d]. Throws Error(kFailed) where no jitter makes the covariance positive definite.
  const std::vector<double>& move(const double* x);  // [count, draws]
  double mean(int64_t point, int64_t draw) const {
    return at_.mean()[static_cast<size_t>(outputs_ == 1 ? point : point * outputs_ + draw)];
  }
  // more_by_mean [count]: slopes by the means alone, of a posterior of one output; or null.
  void add_gradient(const double* slopes, double* gradient, const double* more_by_mean = nullptr);

 private:
  int64_t outputs_, count_, draws_;
  const double* normals_;
  double jitter_;
  JointPosterior::At at_;
  std::vector<double> factor_, by_factor_, by_covariance_, by_mean_, values_;
};

}  // namespace covary::stat
