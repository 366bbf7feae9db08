// Markov processes of one variable in time linear in the number of points: likelihood, gradient,
// smoothing and prediction by the Kalman filter of the equivalent stochastic differential equation.
// One Matern has a filter of its own here; any other kernel of markov_form.h (sums and products of
// Matern, sho, cosine, const, periodic by its harmonics) goes by markov_filter.h.
//
//   auto gp = stat::fit_markov(t, y, {.kernel = "matern32"});   // t [n] in any order, y [n]
//   auto [mean, variance] = gp.predict(ts);                     // of the function at ts [s]
//   auto quasi = stat::fit_markov(t, y, {.kernel = "matern32*cosine(1) + matern12"});
//   double l = markov_log_likelihood(model, t, y, {}, &slope);  // spans, t ascending
//
// The model is y_i = f(t_i) + noise, f with mean 0, or a constant by generalised least squares, and covariance variance * k(|t - t'| / length)
// of Matern 1/2, 3/2 or 5/2: exactly the dense process of the same parameters, at O(n) cost (about
// 40 ns a point for Matern 3/2, 60 with the gradient). Any gaps, repeated times, NaN in y
// = missing, a noise variance a point beside the common one. Serial: the same bits always.
//
// The state is (f, f' / r, f'' / r^2), r the rate sqrt(2 v) / length: its transition over a gap D
// depends on x = r D alone, so no scale of time or y overflows. Process noise is formed from sums of
// positive terms (incomplete gamma functions), not as P - A P A', which cancels for short gaps.
// The gradient carries derivatives through the filter (forward mode, compile-time size).
// Source: Hartikainen and Sarkka 2010 (state form); Sarkka and Solin 2019, chapters 6 and 12;
// Bierman 1973 (smoother without an inverse); all checked against the dense form to 1e-8.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/row_noise.h"
#include "covary/stat/process/state_space_options.h"

namespace covary::stat {

enum class MarkovKind { kMatern12, kMatern32, kMatern52 };
MarkovKind markov_kind_of(const std::string& name);  // "matern12", "matern32", "matern52"

struct MarkovModel {
  MarkovKind kind = MarkovKind::kMatern32;
  double variance = 1;  // of f, units of y^2, > 0
  double length = 1;    // units of t, > 0
  double noise = 0.1;   // variance of every y, units of y^2, >= 0
};

// By the logarithms of the parameters.
struct MarkovGradient {
  double variance = 0, length = 0, noise = 0;
};

// Log density of y (without its NaN) at ascending times; extra: noise variances a point, or empty;
// weights a point, > 0, divide the model's noise, or empty.
// -infinity when two equal times carry no noise. gradient may be null. n doubles of input, no other
// memory that grows with n. Sizes and order are the caller's duty.
double markov_log_likelihood(const MarkovModel& model, std::span<const double> t,
                             std::span<const double> y, std::span<const double> extra,
                             MarkovGradient* gradient, std::span<const double> weights = {});

// Posterior of f at every t, those with missing y among them. 9 n doubles of memory at most.
// Returns the log likelihood.
double markov_smooth(const MarkovModel& model, std::span<const double> t, std::span<const double> y,
                     std::span<const double> extra, std::span<double> mean,
                     std::span<double> variance, std::span<const double> weights = {});

struct MarkovReport {
  std::string kernel;  // with the fitted values
  std::vector<KernelParameter> parameters;
  std::optional<MarkovModel> model;  // of a single Matern
  double noise = 0;                  // variance of white, units of y^2
  double mean = 0;                   // the constant, units of y
  double log_likelihood = 0;
  int64_t states = 0;
  double truncated = 0;  // share of the variance that the harmonics of periodic parts leave out
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;  // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;  // parameters that a bound holds back
};

struct MarkovPrediction {
  at::Tensor mean, variance;  // [s]
};

class MarkovProcess {
 public:
  // t [n] doubles, finite, any order; y [n], NaN = missing; noise of the rows, or undefined.
  // Throws Error(kData) naming the row for bad values, no rows, no value in y, or times that are
  // all equal (n >= 2); Error(kUsage) for shapes and options; Error(kFailed) when no parameters give
  // a finite likelihood.
  MarkovProcess(const at::Tensor& t, const at::Tensor& y, const MarkovOptions& options = {},
                const RowNoise& noise = {});
  // With a kernel made by hand: bounds, ties, priors. Values that stand in options are not read.
  MarkovProcess(const at::Tensor& t, const at::Tensor& y, Kernel kernel,
                const MarkovOptions& options = {}, const RowNoise& noise = {});

  // ts [s] in any order; noise: of a new value, not of f. O((n + s) log(n + s)).
  MarkovPrediction predict(const at::Tensor& ts, bool noise = false) const;
  // What each value is predicted to be from all others, noise included, in the order that they came
  // in; NaN where y is missing. O(n), no refit. Error(kFailed) when values carry no noise.
  MarkovPrediction leave_one_out() const;
  // Of these values with other parameters, the mean at its optimum for them; gradient by all
  // parameters of the kernel. -infinity where there is none.
  double log_likelihood(const Kernel& kernel, std::vector<double>* gradient) const;
  const MarkovReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }

 private:
  void begin(const at::Tensor& t, const at::Tensor& y, const MarkovOptions& options,
             const RowNoise& noise);
  void start(const MarkovOptions& options, double variance);
  void fit(const MarkovOptions& options, bool compete);
  void finish(const MarkovOptions& options, double variance);
  void find_mean();
  // What the mean moves by to its optimum, and 1' K^-1 1; a precision that is not positive: nothing.
  std::pair<double, double> mean_step(const Kernel& kernel) const;
  // Values in time, y less the mean; noise and weights of the rows, or empty.
  struct Series {
    std::span<const double> t, y, extra, weights;
    Series first(size_t count) const;
  };
  Series series() const { return {t_, y_, extra_, weights_}; }
  double noise(size_t i) const {  // of row i, variance
    return (weights_.empty() ? 1 : 1 / weights_[i]) * report_.noise +
           (extra_.empty() ? 0 : extra_[i]);
  }
  // -infinity where there is none; gradient by all parameters, or null.
  double evaluate(const Kernel& kernel, const Series& s, std::vector<double>* gradient) const;
  void smooth(const Series& s, std::span<double> mean, std::span<double> variance) const;
  void add_mean_variance(const Series& s, std::vector<double>* variance) const;
  Kernel kernel_;
  int64_t harmonics_ = 7;
  std::vector<double> t_, y_;            // ascending in time; y less the mean
  std::vector<double> extra_, weights_;  // noise of the rows, or empty
  std::vector<size_t> order_;            // of the values as they came
  bool constant_ = false;                // the mean is estimated
  double mean_precision_ = 0;            // 1' K^-1 1
  MarkovReport report_;
};

inline MarkovProcess fit_markov(const at::Tensor& t, const at::Tensor& y,
                                const MarkovOptions& options = {}, const RowNoise& noise = {}) {
  return MarkovProcess(t, y, options, noise);
}

}  // namespace covary::stat
