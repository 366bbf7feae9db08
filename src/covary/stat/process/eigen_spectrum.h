// The spectral density of a stationary kernel on the eigenvalues of a Laplacian: what a kernel on a
// manifold, a mesh or a graph weighs its eigenvectors by.
//
//   EigenSpectrum s = eigen_spectrum({.density = "matern32"}, eigenvalues, /*lengthscale=*/2);
//   // k(x, x') = sum_i s.weight[i] phi_i(x) phi_i(x')
//
// With lambda an eigenvalue (a squared frequency), l the length scale and d the dimension:
//   matern   S = (2 nu / l^2 + lambda)^-(nu + d / 2); matern12, matern32, matern52: nu = 1/2, 3/2, 5/2
//   rbf      S = exp(-l^2 lambda / 2)
// Weights are S over their sum: eigenvectors whose mean square is 1 make a kernel whose variance is 1
// on average. The length scale has the unit of 1 / sqrt(lambda). d = 0 is the kernel of rvgp; on a
// surface d = 2 makes nu the smoothness.
// Source: Borovitskiy, Terenin, Mostowsky and Deisenroth 2020 (eq. 10 and 11); Peach et al. 2024
// (eq. 8, d = 0).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace covary::stat {

struct EigenDensity {
  std::string density = "matern32";  // rbf, matern12, matern32, matern52, matern
  int64_t dimension = 0;             // d

  static bool knows(const std::string& density);
  bool free_order() const { return density == "matern"; }
};

struct EigenSpectrum {
  std::vector<double> weight;                         // an eigenvalue, sum 1
  std::vector<double> by_log_lengthscale, by_log_nu;  // slopes of log weight
};

// eigenvalues >= 0; nu: of matern alone.
EigenSpectrum eigen_spectrum(const EigenDensity& density, std::span<const double> eigenvalues,
                             double lengthscale, double nu = 1.5);

}  // namespace covary::stat
