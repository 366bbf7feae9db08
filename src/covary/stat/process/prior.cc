#include "covary/stat/process/prior.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <numbers>

#include "covary/core/base/error.h"

namespace covary::stat {
namespace {

constexpr double kLogRootTwoPi = 0.91893853320467274178;

constexpr const char* kNames[] = {"flat",        "gamma",        "log_normal", "normal",
                                  "half_cauchy", "smoothed_box", "log_box"};
constexpr int kArguments[] = {0, 2, 2, 2, 1, 3, 3};

void require(bool holds, const char* prior, const char* rule) {
  if (!holds) throw Error(ExitCode::kUsage, rule, std::string("prior ") + prior);
}

}  // namespace

Prior Prior::gamma(double shape, double rate) {
  require(shape > 0 && rate > 0, "gamma", "shape and rate must be positive");
  return {Kind::kGamma, shape, rate};
}
Prior Prior::log_normal(double mean, double sd) {
  require(std::isfinite(mean) && sd > 0, "log_normal", "sd must be positive");
  return {Kind::kLogNormal, mean, sd};
}
Prior Prior::normal(double mean, double sd) {
  require(std::isfinite(mean) && sd > 0, "normal", "sd must be positive");
  return {Kind::kNormal, mean, sd};
}
Prior Prior::half_cauchy(double scale) {
  require(scale > 0, "half_cauchy", "scale must be positive");
  return {Kind::kHalfCauchy, scale, 0};
}
Prior Prior::smoothed_box(double low, double high, double sd) {
  require(low < high && sd > 0, "smoothed_box", "low must be below high, and sd positive");
  return {Kind::kSmoothedBox, low, high, sd};
}

Prior Prior::log_box(double low, double high, double sd) {
  require(low > 0 && low < high && std::isfinite(high) && sd > 0, "log_box",
          "low must be positive and below high, and sd positive");
  return {Kind::kLogBox, low, high, sd};
}

double Prior::log_density(double value, double* slope_of_log) const {
  double slope = 0;
  const double density = at(value, &slope);
  if (slope_of_log) *slope_of_log = slope * value;
  return density;
}

double Prior::slope(double value) const {
  double slope = 0;
  at(value, &slope);
  return slope;
}

double Prior::at(double value, double* slope_of_value) const {
  double density = 0, slope = 0;
  switch (kind_) {
    case Kind::kFlat:
      break;
    case Kind::kGamma:
      density = a_ * std::log(b_) - std::lgamma(a_) + (a_ - 1) * std::log(value) - b_ * value;
      slope = (a_ - 1) / value - b_;
      break;
    case Kind::kLogNormal: {
      const double z = (std::log(value) - a_) / b_;
      density = -kLogRootTwoPi - std::log(b_ * value) - 0.5 * z * z;
      slope = -(1 + z / b_) / value;
      break;
    }
    case Kind::kNormal: {
      const double z = (value - a_) / b_;
      density = -kLogRootTwoPi - std::log(b_) - 0.5 * z * z;
      slope = -z / b_;
      break;
    }
    case Kind::kHalfCauchy: {
      const double z = value / a_;
      density = std::log(2 / (std::numbers::pi * a_)) - std::log1p(z * z);
      slope = -2 * z / (a_ * (1 + z * z));
      break;
    }
    case Kind::kSmoothedBox: {
      const double out = value < a_ ? value - a_ : value > b_ ? value - b_ : 0, z = out / c_;
      density = -std::log(b_ - a_ + c_ * std::sqrt(2 * std::numbers::pi)) - 0.5 * z * z;
      slope = -z / c_;
      break;
    }
    case Kind::kLogBox: {
      const double edge = value < a_ ? a_ : value > b_ ? b_ : value;
      const double z = std::log(value / edge) / c_;
      // The tails hold exp(sd^2 / 2) Phi(-sd) and Phi(sd) times sd sqrt(2 pi) times their edge.
      const double below = 0.5 * std::erfc(c_ / std::numbers::sqrt2);
      const double tails = c_ * std::sqrt(2 * std::numbers::pi) * std::exp(0.5 * c_ * c_) *
                           (a_ * below + b_ * (1 - below));
      density = -std::log(b_ - a_ + tails) - 0.5 * z * z;
      slope = -z / (c_ * value);
      break;
    }
  }
  *slope_of_value = slope;
  return density;
}

std::string Prior::text() const {
  const size_t k = static_cast<size_t>(kind_);
  std::string s = kNames[k];
  const double values[] = {a_, b_, c_};
  for (int i = 0; i < kArguments[k]; ++i) {
    char number[40];
    std::snprintf(number, sizeof number, "%.17g", values[i]);
    s += (i == 0 ? "(" : ",") + std::string(number);
  }
  return kArguments[k] > 0 ? s + ")" : s;
}

Prior Prior::parse(const std::string& text) {
  for (size_t k = 0; k < std::size(kNames); ++k) {
    const std::string name = kNames[k];
    if (text.rfind(name + "(", 0) != 0 && text != name) continue;
    double v[3] = {};
    size_t at = name.size();
    for (int i = 0; i < kArguments[k]; ++i) {
      char* end = nullptr;
      const char* begin = text.c_str() + at + 1;
      v[i] = at < text.size() ? std::strtod(begin, &end) : 0;
      if (end == nullptr || end == begin) break;
      at = static_cast<size_t>(end - text.c_str());
    }
    if (text.substr(at) != (kArguments[k] > 0 ? ")" : "")) break;
    switch (static_cast<Kind>(k)) {
      case Kind::kFlat:
        return {};
      case Kind::kGamma:
        return gamma(v[0], v[1]);
      case Kind::kLogNormal:
        return log_normal(v[0], v[1]);
      case Kind::kNormal:
        return normal(v[0], v[1]);
      case Kind::kHalfCauchy:
        return half_cauchy(v[0]);
      case Kind::kSmoothedBox:
        return smoothed_box(v[0], v[1], v[2]);
      case Kind::kLogBox:
        return log_box(v[0], v[1], v[2]);
    }
  }
  throw Error(ExitCode::kUsage, "is no prior", "\"" + text + "\"");
}

}  // namespace covary::stat
