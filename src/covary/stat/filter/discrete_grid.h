// The discrete Bayes filter: a state on finitely many places, with any noise and any sensor.
//
//   const GridFiltered f = grid_filter(transition, start, log_density);   // [N,N], [N], [T,N]
//   f.probability;  f.smoothed;                     // [T,N] given y_0 .. y_t, given all
//
//   // One continuous state on a grid: x' ~ N(f(x), q), y ~ N(h(x), r).
//   const at::Tensor places = at::linspace(-5, 5, 400, at::kDouble);
//   const at::Tensor a = grid_transition(places, 0.9 * places, q), s = grid_start(places, 0, 1);
//
// transition: row i holds the probabilities of going from place i to each; start of the places when
// y_0 is seen; log_density[t,i] = log p(y_t | place i), 0 for all where nothing is observed, -inf
// where it is impossible. Exact for chains; for a continuous state exact as the grid becomes fine
// and wide. Probabilities are normalised at each step, so that no length underflows.
//
// Cost: O(T N^2). Error(kData) for what is no probability and for a step that no place explains.
//
// Source: Rabiner 1989 (forward, backward); Kitagawa 1987 (grids).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace covary::filter {

struct GridFiltered {
  at::Tensor probability;  // [T,N] given y_0 .. y_t
  at::Tensor smoothed;     // [T,N] given all
  at::Tensor path;         // [T] int64, the most probable places in a row (Viterbi)
  double log_likelihood = 0;
};

GridFiltered grid_filter(const at::Tensor& transition, const at::Tensor& start,
                         const at::Tensor& log_density);

// Rows of normal densities about next [N] (where each place goes) with variance q > 0, normalised
// over the places [N].
at::Tensor grid_transition(const at::Tensor& places, const at::Tensor& next, double q);
// Normalised normal weights of places.
at::Tensor grid_start(const at::Tensor& places, double mean, double variance);

}  // namespace covary::filter
