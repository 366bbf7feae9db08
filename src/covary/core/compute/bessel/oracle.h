// For tests: the rows of bessel_oracle.csv, which scripts/bessel_oracle.py writes.
#pragma once

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace covary::compute {

struct OracleRow {
  double v, x;
  long double log_i, log_k, scaled_i, scaled_k, ratio_i, ratio_k, dv_i, dv_k;

  // In units of max(1, |expected|); infinite for what is not finite.
  static double error(double got, long double expected) {
    if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
    const long double scale = std::fmax(1.0L, std::fabs(expected));
    return static_cast<double>(std::fabs(got - expected) / scale);
  }
};

inline const std::vector<OracleRow>& bessel_oracle() {
  static const std::vector<OracleRow> rows = [] {
    std::vector<OracleRow> all;
    std::ifstream file(std::string(COVARY_SOURCE_DIR) +
                       "/src/covary/core/compute/bessel/bessel_oracle.csv");
    std::string line;
    while (std::getline(file, line)) {
      const char* at = line.c_str();
      long double field[10];
      for (long double& f : field) {
        char* end = nullptr;
        f = std::strtold(at, &end);
        at = *end == ',' ? end + 1 : end;
      }
      all.push_back({static_cast<double>(field[0]), static_cast<double>(field[1]), field[2],
                     field[3], field[4], field[5], field[6], field[7], field[8], field[9]});
    }
    EXPECT_GE(all.size(), 2000u) << "the oracle is missing";
    return all;
  }();
  return rows;
}

}  // namespace covary::compute
