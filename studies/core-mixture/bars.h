// The parts of the study core-mixture: each file gives its bars, core-mixture.cc puts them in order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/eval/study.h"

namespace covary::studies {

std::vector<eval::Bar> value_bars();          // 1: likelihoods, densities, chunks
std::vector<eval::Bar> mixture_speed_bars();  // 2a-c: EM and densities beside their peers
std::vector<eval::Bar> filter_speed_bars();   // 2d: many Kalman filters
std::vector<eval::Bar> robustness_bars();     // 3: hostile data
std::vector<eval::Bar> process_bars();        // 4: Dirichlet-process mixtures
std::vector<eval::Bar> streaming_bars();      // 5: more rows than memory holds
std::vector<eval::Bar> filter_bars();         // 6: filters and smoothers

// 3c: how many of the failures that users of other filters reported are ours too.
double reported_filter_failures(eval::StudyContext& c);

using eval::at_most;

// Rows [n,d], normal in every column.
at::Tensor normal_rows(int64_t n, int64_t d, uint64_t seed, uint64_t stream);
// Rows of k clumps of unit covariance whose centres lie on a circle of a radius, in two dimensions.
at::Tensor clump_rows(int64_t n, int64_t k, double radius, uint64_t seed);

}  // namespace covary::studies
