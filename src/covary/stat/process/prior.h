// Prior densities of positive hyper-parameters, as functions of the logarithm that is optimised.
//
//   Prior p = Prior::gamma(3, 6);            // shape 3, rate 6: mean 0.5
//   double slope;
//   double logp = p.log_density(0.4, &slope); // slope: d log density / d log(value)
//
// The density is that of the value itself, not of its logarithm: a posterior mode found with it is
// the mode over the value.
#pragma once

#include <string>

namespace covary::stat {

class Prior {
 public:
  Prior() = default;                                // flat: log density 0
  static Prior gamma(double shape, double rate);    // mean shape / rate
  static Prior log_normal(double mean, double sd);  // of the logarithm
  static Prior normal(double mean, double sd);      // cut at 0, not renormalised
  static Prior half_cauchy(double scale);
  // Flat in [low, high], falling like a normal of the given sd outside.
  static Prior smoothed_box(double low, double high, double sd);
  // Flat in [low, high], falling outside like a normal of the logarithm with the given sd.
  static Prior log_box(double low, double high, double sd);

  bool flat() const { return kind_ == Kind::kFlat; }
  // value > 0. slope may be null.
  double log_density(double value, double* slope_of_log) const;
  // d log density / d value, also of a value that is not positive, where the density is that of a
  // normal or a box.
  double slope(double value) const;
  std::string text() const;  // "gamma(3,6)"; "flat"
  // What text() writes. Throws Error(kUsage) for anything else.
  static Prior parse(const std::string& text);

 private:
  enum class Kind { kFlat, kGamma, kLogNormal, kNormal, kHalfCauchy, kSmoothedBox, kLogBox };
  Prior(Kind kind, double a, double b, double c = 0) : kind_(kind), a_(a), b_(b), c_(c) {}

  double at(double value, double* slope_of_value) const;

  Kind kind_ = Kind::kFlat;
  double a_ = 0, b_ = 0, c_ = 0;
};

}  // namespace covary::stat
