// Regression of several outputs of one table: each by itself, or together, learning from each
// other (multi_output.h).
//
//   OutputRegression r(X, Y, "lmc:2", {.kernel = "matern52(ard)"});  // X [n,d], Y [n,m], NaN = missing
//   auto [mean, variance] = r.predict(Xs, /*noise=*/true);           // [s,m] each
//   at::Tensor f = r.sample(Xs, 10, 1);                              // [10,s,m], joint
//   data::write_model("m.cov", r.model());
//
// The ways, by their texts:
//   icm:R        one latent kernel, a matrix B = W W' + diag between the outputs with R columns in W
//                (intrinsic coregionalisation; also written icl); R is 1 where it is left out
//   lmc:Q        Q latent kernels, each with its B of one column (linear model of coregionalisation)
//   independent  a Regression an output, by whatever method serves it
// Together: normal values, one noise variance an output, mean zero or const; a kernel's white is the
// outputs' noise and its scale their matrix, so the kernel's text has neither a const nor a stated
// white. Independent: normal values too. Errors as in multi_output.h and regression.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/data/model.h"
#include "covary/stat/process/multi_output.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {

struct OutputForm {
  bool independent = false;
  int64_t latent = 1, rank = 1;
  // Throws Error(kUsage) naming the text.
  static OutputForm parse(const std::string& text);
  std::string text() const;
};

class OutputRegression {
 public:
  OutputRegression(const at::Tensor& x, const at::Tensor& y, const OutputForm& form,
                   const RegressionOptions& options);

  MultiOutputPrediction predict(const at::Tensor& points, bool noise) const;
  MultiOutputPrediction leave_one_out() const;  // noise included
  at::Tensor sample(const at::Tensor& points, int64_t count, uint64_t seed) const;
  // More rows; parameters stay, or are fitted again from the kernels' where they are.
  void update(const at::Tensor& x, const at::Tensor& y, bool refit);

  const OutputForm& form() const { return form_; }
  const at::Tensor& x() const { return x_; }
  const at::Tensor& y() const { return y_; }
  double log_likelihood() const;  // of all outputs, nats
  // Of the functions at one place, [m,m]: sum of the latent processes' B. Undefined if independent.
  at::Tensor covariance_between() const;
  const MultiOutputProcess* together() const { return process_ ? &*process_ : nullptr; }
  const std::vector<Regression>& apart() const { return each_; }

  // For a person and for a program; names of the outputs.
  std::string text(const std::vector<std::string>& outputs) const;
  nlohmann::json to_json(const std::vector<std::string>& outputs) const;

  // Data and parameters; schema covary.outputs. Predictions come back to rounding.
  data::Model model() const;
  static OutputRegression of_model(const data::Model& model);

 private:
  OutputRegression() = default;
  void infer(const RegressionOptions& options);

  OutputForm form_;
  std::string mean_;
  at::Tensor x_, y_;
  std::optional<MultiOutputProcess> process_;
  MultiOutputReport search_;  // how the parameters came about
  std::vector<Regression> each_;
};

}  // namespace covary::stat
