// A filter's or smoother's result as one self-contained page.
//
//   write_file("out.html", filter_page({.title = "Nile", .model = m, .run = r, .y = y}));
//
// Each column with what was expected of it and its 95 % band (with forecasts where the table ends),
// each state with its band, the way through the plane with ellipses where two states are positions;
// standardised innovations, their autocorrelation, the normalised innovations squared beside their
// 95 % bound, and parameters.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/filter_run.h"

namespace covary::filter {

struct FilterPage {
  std::string title;
  const FilterModel& model;
  const FilterRun& run;
  at::Tensor y;                   // [T,p] as the table has it
  std::vector<double> time = {};  // [T]; empty = 0, 1, ...
  std::string time_name = "step";
  bool smoothed = false;
};
std::string filter_page(const FilterPage& page);

}  // namespace covary::filter
