// A fitted function at a few points that move: mean, joint covariance, and gradients by the points. The hot path under
// acquisition.h.
//
//   const JointPosterior posterior(gp);                  // one output of an exact process, or several
//   JointPosterior::At at(posterior, 4);                 // a worker of one thread, for 4 points
//   at.move(x);                                          // x [4, d]: at.mean() [4], at.covariance() [4, 4]
//   at.add_gradient(by_mean, by_covariance, gradient);   // of a function of both, by x: [4, d]
//
// With k = k(X, x), v = L^-1 k, u = h(x) - H' K^-1 k (mean of coefficients, G = H' K^-1 H):
//   mean = k' a + h' b,   cov(x, x') = k(x, x') - v' v' + u' G^-1 u'.
// Several outputs share rows, and so the covariance; their means lie beside one another.
// L^-1 is formed once, so that a move is one product with it and no memory is taken. Of the function itself, without
// noise. Variances are not below 0.
// 2 q n^2 flops a move and as many a gradient, 8 n^2 bytes for the object.
// Source: Rasmussen and Williams 2006, eq. 2.23 to 2.24, 2.41.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_tape.h"

namespace covary::stat {

class JointPosterior {
 public:
  // Copies what it needs of gp. Throws Error(kUsage) when there is no such output, or when outputs
  // have different missing rows.
  explicit JointPosterior(const GaussianProcess& gp, const std::vector<int64_t>& outputs = {0});
  JointPosterior(const JointPosterior&) = delete;
  JointPosterior& operator=(const JointPosterior&) = delete;

  int64_t dims() const { return kernel_.dims(); }
  int64_t rows() const { return n_; }
  int64_t outputs() const { return outputs_; }
  const std::vector<double>& x() const { return x_; }  // training points [rows, dims]
  double noise() const { return noise_; }              // variance of the kernel's white, 0 without
  // Of each point alone, x [count, dims]: mean [count, outputs], variance [count] or null. On all
  // threads.
  void moments(const double* x, int64_t count, double* mean, double* variance) const;

  class At {
   public:
    // posterior must outlive it.
    At(const JointPosterior& posterior, int64_t count);
    int64_t count() const { return count_; }
    void move(const double* x);
    const std::vector<double>& mean() const { return mean_; }  // [count, outputs]
    const std::vector<double>& covariance() const { return covariance_; }
    // After move: adds to gradient [count, dims]. by_mean [count, outputs]; by_covariance [count, count] is symmetric; entry i, j and entry j, i
    // stand for one number each.
    void add_gradient(const double* by_mean, const double* by_covariance, double* gradient);

   private:
    struct Tile {
      compute::PairBlock block;
      KernelTape::Scratch scratch;
    };
    static std::vector<Tile> tiles_of(const KernelTape& tape, int64_t rows, int64_t columns);

    const JointPosterior& posterior_;
    int64_t count_;
    KernelTape cross_, own_;
    std::vector<Tile> cross_tiles_, own_tiles_;
    std::vector<double> k_, v_, dk_, dv_;  // [count, n]
    std::vector<double> h_, u_, dh_;       // [count, p]; u_ = G^-1/2 u
    std::vector<double> mean_, covariance_, tile_;
  };

 private:
  void basis_at(const double* x, int64_t count, double* out) const;  // [count, p]
  void means(const double* k, const double* h, int64_t count, double* out) const;

  Kernel kernel_;
  int64_t n_ = 0, p_ = 0, outputs_ = 1;
  double noise_ = 0;
  std::vector<double> x_;
  std::vector<double> inverse_;               // row i: column i of L^-1, [n, n]
  std::vector<double> alpha_, coefficients_;  // [outputs, n], [outputs, p]
  std::vector<double> basis_;                 // G^-1/2 H' L^-T, [p, n]
  std::vector<double> root_;                  // G^-1/2: what u is multiplied by, [p, p]
  std::vector<double> centre_, scale_;        // of the linear mean's columns
};

}  // namespace covary::stat
