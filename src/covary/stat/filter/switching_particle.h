// Rao-Blackwellised particles for switching linear models: particles hold regimes, each carries the
// Kalman filter of its own history.
//
//   const SwitchingFiltered f = switching_particle_filter({cruise, turn}, switching, start, y,
//                                                         {.particles = 500});
//   f.probability;                               // [T,M] of each regime given y_0 .. y_t
//
// The regime follows a Markov chain as in imm.h (switching [M,M], start [M]); given its history the
// state is Gaussian and is integrated out exactly, so that a few particles do what a thousand would
// on states. exp(log_likelihood) is an unbiased estimate. With one model it is the Kalman filter.
// Where imm_filter mixes histories by moments, this keeps some of them exactly.
//
// The next regime is drawn from the chain (bootstrap), or with `auxiliary` from its posterior given
// y_t (all M predictions weighed: the optimal proposal). Resampling as in particle.h.
//
// Cost: particles (x M for auxiliary) Kalman steps a step. Errors as imm.h.
//
// Source: Doucet, de Freitas, Murphy and Russell 2000.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/particle_options.h"

namespace covary::filter {

struct SwitchingFiltered {
  at::Tensor mean, cov;    // of x_t given y_0 .. y_t, over regimes: [T,n], [T,n,n]
  at::Tensor probability;  // [T,M]
  at::Tensor effective;    // [T]
  double log_likelihood = 0;
};

SwitchingFiltered switching_particle_filter(const std::vector<LinearModel>& models,
                                            const at::Tensor& switching, const at::Tensor& start,
                                            const at::Tensor& y,
                                            const ParticleOptions& options = {},
                                            const at::Tensor& u = {});

}  // namespace covary::filter
