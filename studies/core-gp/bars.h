// The parts of the study core-gp: each file gives its bars, core-gp.cc puts
// them in order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/eval/study.h"

namespace covary::studies {

std::vector<eval::Bar> process_value_bars();       // 1: every path against the dense one, gradients
std::vector<eval::Bar> process_snelson_bars();     // 1: scikit-learn's figures on public data
std::vector<eval::Bar> process_speed_bars();       // 2: against the BLAS of the same run
std::vector<eval::Bar> process_table_bars();       // 3: held-out rows of public tables
std::vector<eval::Bar> process_series_bars();      // 4: a million points in time
std::vector<eval::Bar> process_likelihood_bars();  // 1, 2, 4: values that are not normal
std::vector<eval::Bar> process_robustness_bars();  // 5: hostile data, many fits
std::vector<eval::Bar> process_optimisation_bars();  // 6: Bayesian optimisation

std::vector<eval::Bar> likelihood_peer_bars();  // 2: likelihood and gradient beside other libraries
std::vector<eval::Bar> table_peer_bars(const std::string& part);  // 3: held-out rows beside them

eval::Bar process_large_bar();  // 3: a table beyond dense matrices
eval::Bar motorcycle_bar();     // 4: noise that changes over time

// Standard normals by the seed.
at::Tensor normal_tensor(uint64_t seed, at::IntArrayRef shape);
// A smooth function of the columns of x [n,d] with noise of the given standard
// deviation.
at::Tensor smooth_values(const at::Tensor& x, uint64_t seed, double noise);

// A bar on one number that must not exceed the bound; smoke: the bound at smoke
// scale.
struct Limit {
  double desk = 0, smoke = 0;
};
eval::Bar limited(const std::string& id, const std::string& part, const std::string& title,
                  const std::string& metric, const std::string& unit, Limit limit,
                  const std::function<double(eval::StudyContext&)>& measure);

// One that is not written yet.
eval::Bar planned(const std::string& id, const std::string& part, const std::string& title,
                  const std::string& bound);

}  // namespace covary::studies
