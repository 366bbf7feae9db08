// Rules for the bandwidth of a kernel density. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

// Factors of a column's standard deviation, for n points (or n = (sum w)^2 / sum w^2) in d
// dimensions.
double scott_factor(double n, int64_t d);      // n^(-1/(d+4)) (Scott 1992)
double silverman_factor(double n, int64_t d);  // (n (d + 2) / 4)^(-1/(d+4)) (Silverman 1986)

// Improved Sheather-Jones for one column (Botev, Grotowski, Kroese 2010, Annals of Statistics 38,
// equations 36 to 38, a fixed point over seven stages; a histogram
// of 2^12 bins over the range widened by a tenth to each side). The width, in x's unit; 0 when the
// equation has no root (few distinct values): a caller takes Silverman's then, and says so.
double improved_sheather_jones(const double* x, const double* weights, int64_t n);

}  // namespace covary::mixture
