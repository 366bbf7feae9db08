// Gaussian processes behind a likelihood that sees several of them in every row: regression whose
// noise changes with x, and classification into several classes.
//
//   RowProcess gp(X, y, {.likelihood = "heteroscedastic"});      // X [n,d], y [n], NaN = missing
//   RowPrediction f = gp.predict(Xs);                            // of the functions, [s,2]
//   at::Tensor density = gp.log_densities(f, ys);                // of values, nats
//   RowProcess c(X, labels, {.likelihood = "softmax"});          // labels 0, 1, ..
//   auto [p, sd] = c.probabilities(c.predict(Xs));               // [s,classes]
//
// heteroscedastic: y = f(x) + exp(g(x) / 2) e, two kernels, each with parameters of its own; by
// variational inference (row_variational.h), method vi (dense) or state-space, which auto takes for
// one column and kernels of markov_form.h: the same bound, in linear time. softmax: one function a
// class, all of one kernel, by Laplace's approximation (softmax_laplace.h). Kernels and means of the
// functions are fitted by L-BFGS on bound or evidence, plus log priors.
// Dense: twenty to sixty times 2 n^3 flops an evaluation; softmax: ten times C n^3.
// Errors as in gp_data.h and row_likelihood.h; Error(kUsage) for a kernel with white, Error(kFailed)
// when no evidence is finite, or for more memory than the limit.
// The same seed gives the same bits at any number of threads. Const members may be called from
// several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/data/model.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/row_process_options.h"
#include "covary/stat/process/row_variational.h"
#include "covary/stat/process/softmax_laplace.h"

namespace covary::stat {

struct RowPrediction {
  at::Tensor mean, covariance;  // of the functions, [s,latents], [s,latents,latents]
};

struct RowReport {
  std::string method, why;
  double log_likelihood = 0;  // nats: a lower bound, with softmax approximate
  bool converged = false;     // the inference at these parameters
  bool fitted = false;
  std::string ending;
  double gradient_norm = 0;  // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

class RowProcess {
 public:
  RowProcess(const at::Tensor& x, const at::Tensor& y, const RowProcessOptions& options = {});

  // The method that a fit would take and why, for so many columns; classes: of softmax, else 0.
  static RowReport plan(int64_t columns, const RowProcessOptions& options, int64_t classes);
  // What it would take in bytes at its peak, an estimate.
  static double bytes(const std::string& method, int64_t rows, int64_t classes);

  RowPrediction predict(const at::Tensor& points) const;
  // At each row as all other rows tell it, parameters as they are; NaN where y is missing.
  RowPrediction leave_one_out() const;
  at::Tensor log_densities(const RowPrediction& f, const at::Tensor& y) const;  // [s]
  // heteroscedastic: variance of a new value, and its quantile; [s] each.
  at::Tensor value_variance(const RowPrediction& f) const;
  at::Tensor quantile(const RowPrediction& f, double p) const;
  // Standard deviation of the noise: its mean, or a quantile of what is known of it; [s].
  at::Tensor noise_sd(const RowPrediction& f) const;
  at::Tensor noise_quantile(const RowPrediction& f, double p) const;
  // softmax: expected probabilities, and how well they are known; [s,classes] each.
  std::pair<at::Tensor, at::Tensor> probabilities(const RowPrediction& f) const;
  // heteroscedastic: joint draws of the mean function, [count,s].
  at::Tensor sample(const at::Tensor& points, int64_t count, uint64_t seed) const;
  // More rows; parameters stay, or are fitted again from where they are.
  void update(const at::Tensor& x, const at::Tensor& y, bool refit);

  const RowLikelihood& likelihood() const { return likelihood_; }
  const std::vector<Kernel>& kernels() const { return kernels_; }  // softmax: one
  const std::vector<double>& means() const { return means_; }
  const RowReport& report() const { return report_; }
  const at::Tensor& x() const { return all_x_; }
  const at::Tensor& y() const { return all_y_; }

  std::string text() const;  // several lines for a person
  nlohmann::json to_json() const;
  // Data and parameters; schema covary.rows. Predictions come back to rounding.
  data::Model model() const;
  static RowProcess of_model(const data::Model& model);

  // Value and gradient of the evidence by the packed parameters of a fit: kernels, then means.
  std::vector<double> packed() const;
  double evidence(std::span<const double> packed, std::vector<double>* gradient) const;

 private:
  RowProcess() = default;
  void take(const at::Tensor& x, const at::Tensor& y);  // rows with a value, ascending in x
  static RowReport choice(const RowLikelihood& likelihood, const std::vector<Kernel>& kernels,
                          const std::string& method);
  void choose(const std::string& method);
  void unpack(std::span<const double> packed);
  void bounds(std::vector<double>* lower, std::vector<double>* upper) const;
  double evaluate(std::vector<SiteState>* states, std::vector<double>* alpha,
                  std::vector<double>* gradient) const;
  void fit(const RowProcessOptions& options);
  void condition();

  RowLikelihood likelihood_ = RowLikelihood::parse("heteroscedastic", 0);
  std::vector<Kernel> kernels_;
  std::vector<double> means_;
  bool free_means_ = true;
  std::string mean_ = "const", noise_kernel_;
  std::vector<double> units_;  // that the means of a fit are counted in
  at::Tensor all_x_, all_y_;
  std::vector<int64_t> rows_;
  std::vector<double> x_, y_;
  std::vector<SiteState> states_;
  std::shared_ptr<const RowVariational> variational_;
  std::shared_ptr<const SoftmaxPosterior> softmax_;
  RowReport report_;
};

}  // namespace covary::stat
