// Likelihoods that see several functions in every row, and what inference asks of them.
//
//   RowLikelihood l = RowLikelihood::parse("softmax", 3);          // three classes
//   l.log_density(y, f);                                           // f [latents]
//   l.slopes(y, f, d1);                                            // by f
//   RowLikelihood h = RowLikelihood::parse("heteroscedastic", 0);
//   h.expected(y, m, v, by_mean, by_variance);                     // f_k ~ N(m_k, v_k), independent
//
// Families, and what the functions are:
//   heteroscedastic    y ~ N(f_0, exp f_1): a mean and the logarithm of a variance
//   softmax            y in {0 .. C - 1}, P(y = c) = exp f_c / sum_k exp f_k: one a class
// Expectations under independent normals are closed for heteroscedastic: with s = exp(v_1 / 2 - m_1),
//   E log p = -1/2 (log 2 pi + m_1 + s ((y - m_0)^2 + v_0)),
// whose derivatives by the variances are never positive: sites of variational inference narrow,
// always. Predictive densities: Gauss-Hermite, 20 points over the log variance; class probabilities:
// one dimension by quadrature for two classes, else 1,024 Sobol points in pairs of +z and -z.
// Source: Lazaro-Gredilla and Titsias 2011; Rasmussen and Williams 2006, section 3.5.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace covary::stat {

class RowLikelihood {
 public:
  // Whether a likelihood's text names one of these families.
  static bool knows(std::string_view text);
  // Text: the family, for heteroscedastic with the kernel of the log variance if it has one of its
  // own: "heteroscedastic(matern32)". Throws Error(kUsage): unknown family, fewer than two classes.
  static RowLikelihood parse(std::string_view text, int64_t classes);
  static std::string noise_kernel(std::string_view text);  // empty: none stated

  bool softmax() const { return classes_ > 0; }
  std::string_view name() const { return softmax() ? "softmax" : "heteroscedastic"; }
  int64_t latents() const { return softmax() ? classes_ : 2; }
  // Throws Error(kData) naming the first row that holds no class. NaN is left out.
  void check(std::span<const double> y) const;
  std::vector<double> start_means(std::span<const double> y) const;

  double log_density(double y, std::span<const double> f) const;
  void slopes(double y, std::span<const double> f, std::span<double> d1) const;
  // heteroscedastic: value, and derivatives by means and variances.
  double expected(double y, std::span<const double> mean, std::span<const double> variance,
                  std::span<double> by_mean, std::span<double> by_variance) const;
  // softmax: p_c of f.
  static void probabilities(std::span<const double> f, std::span<double> p);

  // heteroscedastic, of a new value, f_k ~ N(m_k, v_k).
  static double predictive_log_density(double y, std::span<const double> mean,
                                       std::span<const double> variance);
  static double predictive_quantile(double p, std::span<const double> mean,
                                    std::span<const double> variance);
  // Standard deviation of the noise, its mean and a quantile; the variance of a new value.
  static double noise_sd(double mean, double variance);
  static double noise_quantile(double p, double mean, double variance);
  static double value_variance(std::span<const double> mean, std::span<const double> variance);
  // softmax: expectation and standard deviation of the probabilities, f ~ N(mean, covariance [C,C]).
  static void predictive_probabilities(std::span<const double> mean,
                                       std::span<const double> covariance, std::span<double> p,
                                       std::span<double> sd);

 private:
  int64_t classes_ = 0;  // 0: heteroscedastic
};

}  // namespace covary::stat
