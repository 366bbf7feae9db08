// Functions with known minima, for the tests of optimisation.
#pragma once

#include <cmath>
#include <span>

namespace covary::stat {

// x in [0, 1]^2, standing for [-5, 10] x [0, 15]; least value 0.39788736, in three places.
inline double branin(std::span<const double> u) {
  const double x = 15 * u[0] - 5, y = 15 * u[1], pi = 3.14159265358979323846;
  const double a = y - 5.1 / (4 * pi * pi) * x * x + 5 / pi * x - 6;
  return a * a + 10 * (1 - 1 / (8 * pi)) * std::cos(x) + 10;
}
constexpr double kBraninLeast = 0.39788735772973816;

// x in [0, 1]^6; least value -3.32237, in one place of six valleys.
inline double hartmann6(std::span<const double> x) {
  constexpr double kHeight[4] = {1.0, 1.2, 3.0, 3.2};
  constexpr double kWidth[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                   {0.05, 10, 17, 0.1, 8, 14},
                                   {3, 3.5, 1.7, 10, 17, 8},
                                   {17, 8, 0.05, 10, 0.1, 14}};
  constexpr double kPlace[4][6] = {{0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
                                   {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
                                   {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
                                   {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}};
  double sum = 0;
  for (int i = 0; i < 4; ++i) {
    double square = 0;
    for (int k = 0; k < 6; ++k) {
      square += kWidth[i][k] * (x[static_cast<size_t>(k)] - kPlace[i][k]) *
                (x[static_cast<size_t>(k)] - kPlace[i][k]);
    }
    sum -= kHeight[i] * std::exp(-square);
  }
  return sum;
}
constexpr double kHartmann6Least = -3.3223680114155147;

}  // namespace covary::stat
