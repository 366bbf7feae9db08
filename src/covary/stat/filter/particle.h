// Particle filters of nonlinear models, with an unbiased estimate of the likelihood.
//
//   ParticleModel m{.model = nonlinear, .log_density = {}};         // nonlinear.h
//   const ParticleFiltered f = particle_filter(m, y, {.particles = 10000});
//   const at::Tensor paths = particle_paths(m, f, 100, 7);          // [100,T,n], backward draws
//
// Particles move by f and the noise of q. A weight is the density of y_t: Gaussian about h with r,
// or log_density of the caller, which may be anything. Weights are kept as logarithms. A particle
// set whose every weight is 0 is an error that names the step.
//   bootstrap   moves first, then weighs; draws anew when the effective sample size falls below
//               the threshold (Gordon, Salmond and Smith 1993)
//   auxiliary   draws ancestors at each step by the density of y_t at f(x) (Pitt and Shephard 1999)
//   guided      bootstrap, but the noise of a step is drawn near what y_t asks for: from its law
//               given y_t with h linearised at f(x) (exact for a linear h), and the weight is set
//               right; needs h_jacobian (Doucet, Godsill and Andrieu 2000)
// exp(log_likelihood) is an unbiased estimate for every method and resampling.
//
// Memory: T N (n + 2) numbers where paths are kept (keep_history). Draws are functions of (seed,
// step, particle): the same bits at any number of threads.
//
// particle_paths: forward filtering, backward simulation (Godsill, Doucet and West 2004); O(N) a
// step and path; q must be invertible.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/nonlinear.h"
#include "covary/stat/filter/particle_options.h"

namespace covary::filter {

struct ParticleModel {
  NonlinearModel model;
  // log p(y | x) of one particle; empty = Gaussian. NaN in y is missing; a row that is missing
  // whole is not asked for. -inf is a weight of 0.
  std::function<double(std::span<const double> y, std::span<const double> x, int64_t step)>
      log_density = {};
};

struct ParticleFiltered {
  at::Tensor mean, cov;               // weighted moments given y_0 .. y_t: [T,n], [T,n,n]
  at::Tensor effective;               // [T] effective sample size, after weighing
  double log_likelihood = 0;          // log of the estimate
  at::Tensor particles, log_weights;  // [T,N,n], [T,N] normalised; undefined without history
  at::Tensor log_likelihoods;         // [T]
  // Of h(x_t) given y_0 .. y_{t-1} with r, as nonlinear.h has them; undefined with a log_density.
  at::Tensor predicted_observation, innovation, innovation_cov;
};

ParticleFiltered particle_filter(const ParticleModel& model, const at::Tensor& y,
                                 const ParticleOptions& options = {}, bool keep_history = true);

// The same filter row by row, for series that have no end: the bits of particle_filter. The model
// must outlive it; q and r are constant.
class ParticleStream {
 public:
  ParticleStream(const ParticleModel& model, const ParticleOptions& options);
  ~ParticleStream();
  // y [p]: what particle_filter says of this step, with T = 1; no history.
  ParticleFiltered step(const at::Tensor& y);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Draws of the whole path given all observations: [paths,T,n].
at::Tensor particle_paths(const ParticleModel& model, const ParticleFiltered& filtered,
                          int64_t paths, int64_t seed);

// Ancestors of n draws by normalised weights, ascending for all but multinomial. uniforms: as many
// as n, in [0, 1); systematic uses the first.
std::vector<int64_t> resample(const std::string& method, std::span<const double> weights,
                              std::span<const double> uniforms);

}  // namespace covary::filter
