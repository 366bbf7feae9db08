// Variational inference for several independent processes that meet in every row's likelihood: a
// Gaussian each, whose product maximises a lower bound of the evidence.
//
//   RowVariational q = row_variational("vi", kernels, means, likelihood, x, y, &states, &gradient);
//   q.value;                                    // the bound, nats
//   q.processes[1]->mean();                     // of the second function, less its mean
//
//   bound = sum_i E log p(y_i | f_0i, f_1i, ..) - sum_k KL(q_k | prior_k).
// Every q_k is its prior times one site a row (site_process.h); all sites move at once by natural
// gradient steps, halved while the bound falls, so that it never does. Where the expected curvature
// is never negative, as for heteroscedastic noise, every q exists along the way, and the steps end
// at a stationary point. Its gradient by kernels and means is exact there.
// Dense: n^3 flops a function and step; state-space: linear in the rows. Twenty to sixty steps.
// Source: Lazaro-Gredilla and Titsias 2011 (the bound); Khan and Lin 2017 (the steps).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "covary/stat/process/row_likelihood.h"
#include "covary/stat/process/site_process.h"

namespace covary::stat {

struct RowGradient {
  std::vector<std::vector<double>> kernels;  // [latents][parameters], by logarithms
  std::vector<double> means;
};

struct RowVariational {
  double value = 0;  // -infinity when the inference failed
  bool converged = false;
  int64_t iterations = 0;
  std::vector<std::unique_ptr<SiteProcess>> processes;
};

// x [n, dims], y [n]; states: where the steps begin and end, one a function, or empty. gradient may
// be null. likelihood: one whose expectations are closed.
RowVariational row_variational(const std::string& method, const std::vector<Kernel>& kernels,
                               std::span<const double> means, const RowLikelihood& likelihood,
                               std::span<const double> x, std::span<const double> y,
                               std::vector<SiteState>* states, RowGradient* gradient);

}  // namespace covary::stat
