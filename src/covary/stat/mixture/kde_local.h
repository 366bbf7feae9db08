// Factors of the widths that differ from point to point. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::mixture {

// Factors stay within these: beyond, rounding would rule.
constexpr double kLeastFactor = 1e-3, kMostFactor = 1e3;

// Abramson 1982 (Annals of Statistics 10): (f(x_i) / g)^(-1/2), f a pilot density and g the
// geometric mean of f over the points, by weight. log_density [n]; points of weight 0 get 1.
std::vector<double> square_root_factors(const at::Tensor& log_density,
                                        const std::vector<double>& weights);

// Distance to the k-th nearest other point over the geometric mean of such distances (Loftsgaarden
// and Quesenberry 1965; Breiman, Meisel, Purcell 1977). x [n,d]; k below n. Points that k others
// equal get the least positive distance. Cost: n log n up to three columns, else all pairs.
std::vector<double> neighbour_factors(const std::vector<double>& x, int64_t n, int64_t d,
                                      int64_t k);

}  // namespace covary::mixture
