// A fitted process as one self-contained page.
//
//   write_file("fit.html", regression_page({.title = "concrete", .process = r, .names = columns,
//                                           .target = "strength", .seed = 1}));
//
// One column: data, mean, band of 95 % for a new value, draws of the function. Several: values
// against what they are predicted to be from all others, and length scales. Always: figures of the
// leave-one-out predictions, their probability integral transform, parameters. Where these are draws,
// bands and figures are those of the mixture, and each has its chains and histogram.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/process/regression.h"

namespace covary::stat {

struct RegressionPage {
  std::string title;
  const Regression& process;
  std::vector<std::string> names = {};  // of the columns
  std::string target = {};
  uint64_t seed = 0;  // of the draws
};
std::string regression_page(const RegressionPage& page);

}  // namespace covary::stat
