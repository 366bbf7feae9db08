// How well a process of several functions a row meets the values that came; and its page.
//
//   RowScores s = row_scores(gp, gp.leave_one_out(), gp.y());
//   s.values.nlpd;  s.coverage;                                  // of 95 % intervals
//   write_file("fit.html", row_page({.title = "mcycle", .process = gp, .names = columns,
//                                    .target = "accel", .classes = {}}));
//
// The page of changing noise: one column: data, mean, band of 95 % of new values, and the noise with
// its own band; several: noise against value, each row left out. Of classes: probabilities as
// curves (one column) or maps (two), and which class was taken for which. Always: figures of leaving
// one out, parameters.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/stat/process/row_process.h"
#include "covary/stat/process/scores.h"

namespace covary::stat {

struct RowScores {
  PredictiveScores values;  // not normal; Brier: sum over the classes of (p - hit)^2, a row's mean
  double coverage = 0;      // heteroscedastic: share of values inside central 95 % intervals
  std::vector<std::vector<int64_t>> confusion;  // softmax: rows by class and likeliest class
  nlohmann::json to_json() const;
};
// y [n]; rows where y or the prediction is NaN are left out; Error(kData) when none is left.
RowScores row_scores(const RowProcess& process, const RowPrediction& f, const at::Tensor& y);

struct RowPage {
  std::string title;
  const RowProcess& process;
  std::vector<std::string> names = {};  // of the columns
  std::string target = {};
  std::vector<std::string> classes = {};
};
std::string row_page(const RowPage& page);

}  // namespace covary::stat
