// Gaussian process regression by the method that serves the data: one face for the exact process
// (gp.h), the one by conjugate gradients (iterative.h), the sparse one (sparse.h), the one in time
// (state_space.h), those of structure (structured.h), and those behind a likelihood (latent.h,
// variational.h).
//
//   Regression r(X, y, {.kernel = "matern52(ard)+white"});      // X [n,d], y [n], NaN = missing
//   log_info(r.report().text());                                // also which method, and why
//   auto [mean, variance] = r.predict(Xs, /*noise=*/true);
//   r.update(X_new, y_new);                                     // parameters as they are
//   data::write_model("m.cov", r.model());
//
// What `auto` takes:
//   state-space   one column, a kernel of markov_form.h (sums and products of Matern, sho, cosine,
//                 const, white), mean zero or const: the same answer as exact, in linear time; with
//                 a periodic part, which is cut after seven harmonics, beyond 15,000 rows only
//   kron          rows that are cells of a grid of several columns, 500 and more, and rbf(ard), which
//                 is a product over them: the same answer as exact; holes are served, up to 2,000
//                 exactly
//   exact         up to 15,000 rows
//   cg            up to 300,000, where the noise of a dense fit to a sample is at least 1e-4 of the
//                 signal: exact too, the likelihood with a stated error
//   hsgp          more rows in up to three columns, a kernel that it knows, mean zero or const
//   sgpr          else: a bound, with the gap to the exact likelihood certified
// and for values that are not normal given the function (likelihood.h):
//   laplace       up to 5,000 rows; its evidence is approximate
//   svgp          beyond: a bound, by batches
// With inference nuts the parameters are known by draws of their posterior (hyper_sample.h), by the
// exact method up to 15,000 rows, and every prediction mixes the processes of some of them.
// Nothing is approximated unless the report says so. Errors are those of the three.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/data/model.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/hyper_sample.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/latent.h"
#include "covary/stat/process/regression_options.h"
#include "covary/stat/process/row_noise.h"
#include "covary/stat/process/sparse.h"
#include "covary/stat/process/standard_errors.h"
#include "covary/stat/process/state_space.h"
#include "covary/stat/process/structured.h"
#include "covary/stat/process/variational.h"

namespace covary::stat {

constexpr int64_t kExactRows = 15000;       // up to which the dense process is the default
constexpr int64_t kIterativeRows = 300000;  // up to which conjugate gradients are
constexpr int64_t kLatentRows = 5000;       // the dense process behind a likelihood

struct MethodChoice {
  std::string method, why;
  double seconds = 0;  // of a fit on this machine, an estimate from a short measurement; 0 in a
                       // model that was read
  double bytes = 0;    // at the peak
};
// noise_given, weights_given: rows bring variances of their own, or weights; x: the rows, where they
// are at hand: without them no grid is seen. Throws Error(kUsage) when the method that the options
// name cannot serve.
MethodChoice choose_method(const RegressionOptions& options, int64_t n, int64_t dims,
                           bool noise_given, bool weights_given = false, const at::Tensor& x = {});
// Whether the options ask for inference behind a likelihood, and by what; without estimates.
bool asks_for_latent(const RegressionOptions& options);
MethodChoice choose_latent_method(const RegressionOptions& options, int64_t n, bool noise_given,
                                  bool weights_given = false);

struct FittedParameter {
  std::string name;  // "matern52.lengthscale[0]", as in kernel.h
  double value = 0;
  bool at_bound = false, fixed = false;
  int64_t column = -1;  // of X, for a parameter of one column
  bool weight = false;  // of a network before the kernel
  // Where the options of the fit asked for it; see standard_errors.h.
  std::optional<ParameterError> error = {};
};

struct RegressionReport {
  MethodChoice choice;
  std::string kernel;  // with the fitted values
  std::string mean;
  std::vector<FittedParameter> parameters;
  int64_t rows = 0, columns = 0;
  int64_t weightless = 0;               // rows of weight 0, which are left out
  std::string likelihood = "gaussian";  // with the fitted values
  double log_likelihood = 0;    // marginal, nats; a lower bound with sgpr, vi and svgp; approximate
                                // with laplace and ep
  double log_prior = 0;         // of the parameters, nats
  std::optional<double> upper;  // sgpr: the exact one is between
  int64_t inducing = 0;         // sgpr, svgp
  std::string structure;        // kron, toeplitz, hsgp, vecchia: a line on it
  std::optional<IterativeReport> solves;  // cg: errors of likelihood and predictions
  bool fitted = false;
  std::string ending;  // of the fit
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
  double jitter = 0;                // added to the diagonal, units of y^2
  std::optional<double> condition;  // of the kernel matrix, exact only
  std::optional<HyperSample>
      posterior;             // inference nuts: draws of the parameters; the values above
                             // are the likeliest, where chains began
  std::string text() const;  // several lines for a person
  nlohmann::json to_json() const;
};

// Of a new value where values are continuous; of the probability or rate, and how well it is known,
// where they are labels or counts.
struct ValuePrediction {
  at::Tensor mean, sd;                // [s]
  std::vector<at::Tensor> quantiles;  // [s] each
};

class Regression {
 public:
  // noise: variances or weights of the rows (row_noise.h), or undefined. Both are known to exact, cg,
  // sgpr, state-space and vecchia; weights to hsgp, laplace, vi and svgp too, where they multiply the
  // log densities of a likelihood that is not gaussian.
  Regression(const at::Tensor& x, const at::Tensor& y, const RegressionOptions& options = {},
             const RowNoise& noise = {});

  // How values come about where they are not normal given the function; else null.
  const Likelihood* likelihood() const;

  // [s] each. noise: of a new value, not of the function. How far near variances (iterative.h) are
  // above the solved ones is logged.
  std::pair<at::Tensor, at::Tensor> predict(const at::Tensor& points, bool noise) const;
  // Of new values whose rows have noise of their own; without likelihood().
  std::pair<at::Tensor, at::Tensor> predict_rows(const at::Tensor& points,
                                                 const RowNoise& rows) const;
  // noise: of a new value; without, of the function.
  ValuePrediction predict_values(const at::Tensor& points, const std::vector<double>& quantiles,
                                 bool noise = true) const;
  // Of each value by all others, noise included; with a likelihood() of the function there. cg: of
  // 256 rows by chance, NaN for the others.
  std::pair<at::Tensor, at::Tensor> leave_one_out() const;
  // Joint draws of the function: [count,s]. Those of state-space and cg come from the dense process
  // of the same parameters, up to kExactRows rows and points.
  at::Tensor sample(const at::Tensor& points, int64_t count, uint64_t seed) const;
  // More rows; parameters, and their draws, stay, or are fitted and drawn again from where they are.
  void update(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise, bool refit,
              const numeric::SearchWatch& watch = {}, const SampleWatch& sampling = {});

  // Draws of the parameters with inference nuts, else null. With them moments above are those of
  // these mixtures, whose quantiles and densities are no normal's.
  const HyperSample* posterior() const;
  PredictiveMixture mixture(const at::Tensor& points, bool noise) const;
  PredictiveMixture mixture(const at::Tensor& points, const RowNoise& rows) const;
  PredictiveMixture mixture_left_out() const;

  // A length scale a column, where every column has one; else empty.
  std::vector<double> length_scales() const;

  const RegressionReport& report() const { return report_; }
  const at::Tensor& x() const { return x_; }
  const at::Tensor& y() const { return y_; }
  const RowNoise& noise() const { return noise_; }

  // Data, parameters and report; schema covary.process. Predictions come back to rounding.
  data::Model model() const;
  static Regression of_model(const data::Model& model);

 private:
  Regression() = default;
  void infer(const RegressionOptions& options);
  // With the parameters of the kernel's text.
  void restore(const std::string& method, Kernel kernel, const at::Tensor& inducing);
  void restore_structure(const nlohmann::json& state);
  void keep_search(const RegressionReport& before);  // how the parameters came about
  void complete_report();
  void find_errors(int64_t memory_limit);  // of the parameters
  void put_errors(data::Model* model) const;
  void read_errors(const data::Model& model);
  std::vector<ParameterError> latent_errors() const;
  // regression_sampled.cc: parameters by draws.
  void sample_parameters(const RegressionOptions& options);
  const HyperSample& draws() const;
  ValuePrediction mixed_values(const at::Tensor& points, const std::vector<double>& quantiles,
                               bool noise) const;
  // regression_latent.cc: behind a likelihood.
  bool is_latent() const {
    return std::holds_alternative<LatentProcess>(process_) ||
           std::holds_alternative<VariationalProcess>(process_);
  }
  void infer_latent(const RegressionOptions& options);
  void restore_latent(LatentModel model, const at::Tensor& inducing);
  void complete_latent_report();
  LatentPrediction predict_function(const at::Tensor& points) const;
  LatentPrediction leave_out_function() const;
  const LatentModel& latent_model() const;
  void put_latent(data::Model* model) const;
  void read_latent(const data::Model& model);

  at::Tensor x_, y_;
  RowNoise noise_;
  std::string mean_;
  std::variant<std::monostate, GaussianProcess, SparseProcess, MarkovProcess, IterativeProcess,
               StructuredProcess, LatentProcess, VariationalProcess>
      process_;
  RegressionReport report_;
};

}  // namespace covary::stat
