// Filters, smoothers and draws of any model by any method, with the same results.
//
//   const FilterRun f = run_filter(model, y, u, {.method = "ukf"});    // model: filter_model.h
//   const FilterRun s = run_smoother(model, y, u, {});
//   FilterStream stream(model, {});
//   const FilterRun one = stream.step(row, control);                   // row [p], as it comes
//
// Linear models take every method, the others all but kalman. Particles know no exact observation
// (R must be definite), draw by the seed of their options, and smooth by backward draws.
//
// A stream gives what run_filter gives row by row, the Kalman filter to rounding, the others to the
// bit; matrices by step are for the steps that they have.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/filter_model.h"
#include "covary/stat/filter/run_options.h"

namespace covary::filter {

struct FilterRun {
  std::string method;    // the one that ran
  at::Tensor mean, cov;  // of x_t given y_0 .. y_t, or given all: [T,n], [T,n,n]
  at::Tensor sd;         // [T,n]; infinite while a state is diffuse
  at::Tensor fitted;     // H x_t, h at the mean, of what `mean` is given: [T,p]
  at::Tensor fitted_sd;  // [T,p] of it, without the observation's noise; kalman only
  // Of y_t given y_0 .. y_{t-1}; undefined where there is no h (particles of volatility).
  at::Tensor predicted, predicted_sd;  // [T,p]; infinite while diffuse
  at::Tensor innovation;               // [T,p], NaN where missing
  at::Tensor standardised;             // [T,p] innovation / predicted_sd
  at::Tensor nis;                      // [T], NaN where nothing is observed
  at::Tensor observed;                 // [T] int64: numbers observed
  at::Tensor log_likelihoods;          // [T]
  double log_likelihood = 0;
  at::Tensor effective;  // [T] particles only: effective sample size
};

// y [T,p] with NaN for what is missing; u [T,k], undefined = none.
FilterRun run_filter(const FilterModel& model, const at::Tensor& y, const at::Tensor& u,
                     const RunOptions& options);
// mean, cov, sd, fitted given the whole series; the rest as the filter has it.
FilterRun run_smoother(const FilterModel& model, const at::Tensor& y, const at::Tensor& u,
                       const RunOptions& options);

// Draws of the states given the whole series: [draws,T,n]. Linear models by the simulation smoother
// of Durbin and Koopman 2002, others by particles (particle_paths).
at::Tensor sample_states(const FilterModel& model, const at::Tensor& y, const at::Tensor& u,
                         int64_t draws, const RunOptions& options);
// A series of the model. A diffuse start is drawn without its diffuse part: at mean0 with cov0.
Simulated simulate(const FilterModel& model, int64_t steps, int64_t seed, const at::Tensor& u = {});

class FilterStream {
 public:
  FilterStream(const FilterModel& model, const RunOptions& options);
  ~FilterStream();
  FilterRun step(const at::Tensor& y, const at::Tensor& u = {});  // [p], [k]; T = 1

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covary::filter
