// What can be done with two mixtures, and with a mixture as a regression.
//
//   const GaussianMixture p = product(a, b);                 // density proportional to a(x) b(x)
//   const double kl = kl_variational(a, b);                  // about KL(a | b), nats
//   const std::vector<int64_t> of = matched_components(a, b);    // component i of a is of[i] of b
//   const Regression r = regress(joint, {0, 1}, values);     // E[rest | columns 0, 1], its covariance
//
// Mixtures of the same number of columns; results have full covariances. Errors: Error(kUsage) where
// columns or components differ; Error(kFailed) for one that is not fitted.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/mixture/gaussian_mixture.h"

namespace covary::mixture {

// Components are the products of pairs: with P = P_a + P_b (precisions), covariance P^-1, mean
// P^-1 (P_a m_a + P_b m_b), weight w_a w_b N(m_a | m_b, S_a + S_b). k_a k_b components; merged() makes
// them fewer. log_mass receives the log of the integral of a(x) b(x).
GaussianMixture product(const GaussianMixture& a, const GaussianMixture& b,
                        double* log_mass = nullptr);

// KL(N_a | N_b) of single Gaussians: means [d], covariances [d,d].
double kl_gaussian(const at::Tensor& mean_a, const at::Tensor& covariance_a,
                   const at::Tensor& mean_b, const at::Tensor& covariance_b);

// The variational approximation of KL(a | b) (Hershey and Olsen 2007, ICASSP, equation 20); exact for
// single Gaussians, 0 for equal mixtures, no bound.
double kl_variational(const GaussianMixture& a, const GaussianMixture& b);
// An upper bound of KL(a | b) (the same, section 8): sum of phi_ij log(phi_ij / psi_ij) + phi_ij KL_ij
// with phi and psi improved in turn.
double kl_upper(const GaussianMixture& a, const GaussianMixture& b);

struct Estimate {
  double value = 0, standard_error = 0;
};
// The mean of log a - log b over n draws of a: without bias, right at any shape.
Estimate kl_monte_carlo(const GaussianMixture& a, const GaussianMixture& b, int64_t n,
                        int64_t seed);

// The one-to-one assignment of components that makes the sum of symmetric divergences KL_ij + KL_ji
// least (Hungarian method, k^3): labels of two fits say nothing until they are matched.
std::vector<int64_t> matched_components(const GaussianMixture& a, const GaussianMixture& b);

// Columns of a square cost matrix [n,n], one for each row, of least total cost (Kuhn 1955; in the form
// of shortest augmenting paths, Jonker and Volgenant 1987).
std::vector<int64_t> least_assignment(const std::vector<double>& cost, int64_t n);

// Gaussian mixture regression (Ghahramani and Jordan 1994): the law of the other columns at each row of
// values [n, columns.size()].
struct Regression {
  at::Tensor mean;        // [n,r]
  at::Tensor covariance;  // [n,r,r], of the mixture of conditionals
};
Regression regress(const GaussianMixture& joint, const std::vector<int64_t>& columns,
                   const at::Tensor& values);

}  // namespace covary::mixture
