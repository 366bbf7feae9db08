// How a value comes about, given the function: densities with their derivatives, expectations under
// normal distributions of the function, and what they predict.
//
//   Likelihood l = Likelihood::parse("student-t(df=4,scale=0.3)");
//   LogDensity p = l.log_density(y, f);            // p.value, p.d1 = d/df, p.d2, p.d3
//   ExpectedDensity e = l.expected(y, m, v, {});   // E log p(y | f), f ~ N(m, v), and by m and v
//   TiltedMoments t = l.tilted(y, m, v, {});       // log E p(y | f), moments of p(y | f) N(f; m, v)
//
// Families, and what f is:
//   gaussian(noise)                 y ~ N(f, noise)
//   student-t(df,scale)             y = f + scale t, t of Student's distribution with df degrees
//   bernoulli-logit, bernoulli      y in {0, 1}, P(1) = 1 / (1 + exp(-f))
//   bernoulli-probit                y in {0, 1}, P(1) = Phi(f)
//   poisson                         y = 0, 1, ..., mean exp(f)
//   neg-binomial(dispersion)        y = 0, 1, ..., mean u = exp(f), variance u + u^2 / dispersion
// Parameters are positive and move by their logarithm; one that the text states is where a fit
// starts, others start by the data; `fixed` among the arguments: they are not fitted.
//
// Closed forms where they exist (gaussian; the tilted moments of probit, the expectations of
// poisson). Other expectations: Gauss-Hermite with 20 points, value and derivatives of the same
// sum. Other tilted moments: Gauss-Legendre on panels around the modes, relative error below 1e-8.
// Values that no double holds (exp(f) beyond 1e308) give -infinity, never NaN. About 20 ns a
// density, 0.5 us an expectation, 5 us a tilted moment.
// Source: Rasmussen and Williams 2006, table 3.1, eq. 3.58 and 3.82; Jylanki, Vanhatalo and Vehtari
// 2011 (Student-t); the curvature of Student-t is its Fisher information, Hartmann and Vanhatalo
// 2019.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "covary/stat/process/prior.h"

namespace covary::stat {

enum class LikelihoodKind {
  kGaussian,
  kStudentT,
  kBernoulliLogit,
  kBernoulliProbit,
  kPoisson,
  kNegativeBinomial
};

struct LikelihoodParameter {
  std::string name;  // "noise", "df", "scale", "dispersion"
  double value = 1;
  double lower = 0, upper = std::numeric_limits<double>::infinity();  // 0, infinity: by the data
  bool given = false, fixed = false;
  Prior prior;
};

struct LogDensity {
  double value = 0, d1 = 0, d2 = 0, d3 = 0;  // derivatives by f
};

// What Laplace's approximation takes for -d2, never negative, and its derivative by f.
struct Curvature {
  double value = 0, slope = 0;
};

// Derivatives by the logarithm of one parameter.
struct ParameterSlope {
  double value = 0, d1 = 0, curvature = 0;
};

struct ExpectedDensity {
  double value = 0, by_mean = 0, by_variance = 0;
};

struct TiltedMoments {
  double log_z = 0, mean = 0, variance = 0;
};

class Likelihood {
 public:
  static constexpr size_t kMostParameters = 2;

  // Throws Error(kUsage) naming the place: unknown family (with the nearest name) or argument, a
  // value that is not positive.
  static Likelihood parse(std::string_view text);
  std::string text() const;  // with the present values; parses to the same family
  std::string_view name() const;
  LikelihoodKind kind() const { return kind_; }
  // Values are 0 and 1, or counts.
  bool binary() const;
  bool counts() const;
  bool log_concave() const { return kind_ != LikelihoodKind::kStudentT; }

  std::vector<LikelihoodParameter>& parameters() { return parameters_; }
  const std::vector<LikelihoodParameter>& parameters() const { return parameters_; }
  // As in kernel.h: the parameters that a fit moves, as logarithms.
  std::vector<double> pack() const;
  void unpack(std::span<const double> logs);
  void bounds(std::vector<double>* lower, std::vector<double>* upper) const;
  std::vector<double> pack_gradient(std::span<const double> gradient) const;
  double log_prior(std::span<double> gradient) const;  // adds to a gradient by all parameters

  // Throws Error(kData) naming the first row whose value the family does not know. NaN is left out.
  void check(std::span<const double> y) const;
  // First values and bounds of what the text does not state.
  void start_by_data(std::span<const double> y);
  // Where the function lies when it tells nothing: the link of the mean, or the median.
  double start_mean(std::span<const double> y) const;
  // Variance of the function to start from.
  double start_variance(std::span<const double> y) const;

  LogDensity log_density(double y, double f) const;
  Curvature curvature(double y, double f) const;
  void parameter_slopes(double y, double f, ParameterSlope* out) const;  // [parameters]

  // f ~ N(mean, variance). by_parameters [parameters], or empty: by their logarithms, written.
  ExpectedDensity expected(double y, double mean, double variance,
                           std::span<double> by_parameters) const;
  TiltedMoments tilted(double y, double mean, double variance,
                       std::span<double> by_parameters) const;

  // A row of weight w has w times its log density, but for gaussian, whose noise a weight divides
  // (row_noise.h): what is added for that, 1/2 ((w - 1) log(2 pi noise) + log w), and its derivative
  // by log noise. Else 0.
  struct WeightTerm {
    double value = 0, by_noise = 0;
  };
  WeightTerm weight_term(double weight) const;

  double mean_at(double f) const;  // of y given f: probability, rate, or f
  // Mean and variance of y, f ~ N(mean, variance).
  std::pair<double, double> predict(double mean, double variance) const;
  // Variance of mean_at(f).
  double mean_variance(double mean, double variance) const;
  // Of a new value where values are continuous, of mean_at(f) where they are not; 0 < p < 1.
  double quantile(double p, double mean, double variance) const;
  // A value given f; a function of (seed, element).
  double sample(double f, uint64_t seed, uint64_t element) const;

 private:
  double value(size_t p) const { return parameters_[p].value; }
  template <class F>
  void over_tilted(double y, double mean, double variance, F&& visit) const;

  LikelihoodKind kind_ = LikelihoodKind::kGaussian;
  std::vector<LikelihoodParameter> parameters_;
};

}  // namespace covary::stat
