// Parameters that belong to photos or lenses: a small table of which a step touches a few rows.
//
//   PhotoRows poses({n, 6}, at::kDouble, nn::exponential(2e-3, 2e-5, steps));   // begin as zeros
//   at::Tensor delta = poses.row(3);           // [6], a leaf; the same one until the next update
//   loss.backward();
//   poses.update(step, {.weight_decay = 1e-6}); // the rows handed out move, all others stay
//
// Adam whose bias correction counts the updates of each row: one count for all, as of
// Gaussians, would make the first moves of a row that is seen at every hundredth step three times as long.
// Order of sums is fixed. Source: Kingma and Ba 2015.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/rows.h"

namespace covary::fit {

struct PhotoRowsOptions {
  double beta1 = 0.9, beta2 = 0.999;  // decay of the moments, an update of the row
  double weight_decay = 0;            // times the value, added to the gradient
  double eps = 1e-15;                 // added to the root of the second moment
  std::vector<double> factors = {};   // of the rate, an element of a row; empty: 1
};

class PhotoRows {
 public:
  PhotoRows() = default;
  PhotoRows(at::IntArrayRef shape, at::ScalarType type, const nn::Schedule& rate);

  void reset();  // zeros again, as if never updated
  int64_t size() const { return table_.rows(); }
  at::Tensor values() const { return table_.parameter("value").detach(); }  // shared
  at::Tensor row(int64_t index);  // [...], requires a gradient
  void retime(int64_t steps) { table_.retime(steps); }
  const nn::Schedule& rate() const { return table_.entry("value").rate; }

  // One update of the rows that were handed out and have a gradient. Error(kFailed) naming `what` when a
  // gradient is not finite, before anything moved.
  void update(int64_t step, const PhotoRowsOptions& options, const std::string& what);

  void center();  // subtracts the mean row from all

  // Under names that begin with `prefix`.
  void save(const std::string& prefix, nn::NamedTensors& arrays, nlohmann::json& document) const;
  // Error(kData) naming the array when one is missing or of another shape than now.
  void restore(const std::string& prefix, const nn::NamedTensors& arrays,
               const nlohmann::json& document);

 private:
  nn::RowTable table_;
  std::map<int64_t, at::Tensor> handed_out_;
};

}  // namespace covary::fit
