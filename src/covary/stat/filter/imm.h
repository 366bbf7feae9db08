// Interacting multiple models: a state that follows one of several linear models, which switches
// from step to step as a Markov chain.
//
//   const ImmFiltered f = imm_filter({cruise, turn}, switching, start, y);
//   f.probability;                               // [T,M] of each model given y_0 .. y_t
//
// switching [M,M]: row i holds the probabilities of going from model i to each; start [M]. All
// models have the same states and observations; each begins with its own mean0 and cov0. Between
// steps every model's belief is mixed with the others' by moments, so that M filters stand for M^T
// histories: log_likelihood and moments are those of that approximation. With equal models it is
// the Kalman filter.
//
// Cost: M filters and M^2 mixtures. Throws Error(kData) for bad models and probabilities, for a
// diffuse start, and for an observation that no model explains.
//
// Source: Blom and Bar-Shalom 1988.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct ImmFiltered {
  at::Tensor mean, cov;    // of x_t given y_0 .. y_t, over the models: [T,n], [T,n,n]
  at::Tensor probability;  // [T,M]
  double log_likelihood = 0;
};

ImmFiltered imm_filter(const std::vector<LinearModel>& models, const at::Tensor& switching,
                       const at::Tensor& start, const at::Tensor& y, const at::Tensor& u = {});

}  // namespace covary::filter
