// Likelihoods as text, as parameters of a fit, and as the data find them.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/median.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/likelihood.h"

namespace covary::stat {
namespace {

using Kind = LikelihoodKind;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Family {
  const char* name;
  Kind kind;
  std::vector<const char*> parameters;
};

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies{
      {"gaussian", Kind::kGaussian, {"noise"}},
      {"student-t", Kind::kStudentT, {"df", "scale"}},
      {"bernoulli-logit", Kind::kBernoulliLogit, {}},
      {"bernoulli-probit", Kind::kBernoulliProbit, {}},
      {"poisson", Kind::kPoisson, {}},
      {"neg-binomial", Kind::kNegativeBinomial, {"dispersion"}}};
  return kFamilies;
}

const Family& family_of(Kind kind) { return families()[static_cast<size_t>(kind)]; }

std::string trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t"), end = s.find_last_not_of(" \t");
  return begin == std::string_view::npos ? "" : std::string(s.substr(begin, end - begin + 1));
}

std::string digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

[[noreturn]] void refuse(const std::string& what, std::string_view text, const std::string& hint) {
  throw Error(ExitCode::kUsage, what, "likelihood " + std::string(text), hint);
}

double mean_of(std::span<const double> y) {
  double sum = 0, count = 0;
  for (const double v : y) {
    if (std::isnan(v)) continue;
    sum += v;
    ++count;
  }
  return count > 0 ? sum / count : 0;
}

double variance_of(std::span<const double> y) {
  const double mean = mean_of(y);
  double sum = 0, count = 0, largest = 0;
  for (const double v : y) {
    if (std::isnan(v)) continue;
    sum += (v - mean) * (v - mean);
    largest = std::max(largest, std::abs(v));
    ++count;
  }
  // Equal values: what is left after their mean is rounding.
  const double least = largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1;
  return count > 0 ? std::max(sum / count, least) : 1;
}

}  // namespace

Likelihood Likelihood::parse(std::string_view text) {
  const std::string all = trimmed(text);
  const size_t open = all.find('(');
  std::string word = trimmed(all.substr(0, open));
  if (word == "bernoulli") word = "bernoulli-logit";
  Likelihood out;
  const auto it = std::find_if(families().begin(), families().end(),
                               [&](const Family& f) { return word == f.name; });
  if (it == families().end()) {
    std::vector<std::string> names;
    std::string list;
    for (const Family& f : families()) {
      names.emplace_back(f.name);
      list += (list.empty() ? "" : ", ") + names.back();
    }
    const std::string near = nearest_word(word, names);
    refuse("there is no such family", all,
           near.empty() ? "there are " + list : "did you mean " + near + "?");
  }
  out.kind_ = it->kind;
  for (const char* name : it->parameters) out.parameters_.push_back({.name = name, .prior = {}});
  if (open == std::string::npos) return out;
  if (all.back() != ')') refuse("has an open parenthesis", all, "close it");
  std::string inside = all.substr(open + 1, all.size() - open - 2);
  size_t position = 0;
  while (!trimmed(inside).empty()) {
    const size_t comma = inside.find(',');
    const std::string argument = trimmed(inside.substr(0, comma));
    inside = comma == std::string::npos ? "" : inside.substr(comma + 1);
    if (argument == "fixed") {
      for (LikelihoodParameter& p : out.parameters_) p.fixed = true;
      continue;
    }
    const size_t equals = argument.find('=');
    size_t index = position++;
    if (equals != std::string::npos) {
      const std::string name = trimmed(argument.substr(0, equals));
      index = 0;
      while (index < out.parameters_.size() && out.parameters_[index].name != name) ++index;
    }
    if (index >= out.parameters_.size()) {
      std::string names;
      for (const LikelihoodParameter& p : out.parameters_)
        names += (names.empty() ? "" : ", ") + p.name;
      refuse("knows no argument \"" + argument + "\"", all,
             names.empty() ? "it has no parameters" : "its parameters are " + names);
    }
    const std::string number =
        trimmed(equals == std::string::npos ? argument : argument.substr(equals + 1));
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != 0 || !(value > 0) || std::isinf(value))
      refuse("needs a positive number, not \"" + number + "\"", all, "write it as in df=4");
    out.parameters_[index].value = value;
    out.parameters_[index].given = true;
  }
  return out;
}

std::string Likelihood::text() const {
  std::string s(name());
  for (const LikelihoodParameter& p : parameters_)
    s += (&p == &parameters_.front() ? "(" : ",") + p.name + "=" + digits(p.value);
  if (parameters_.empty()) return s;
  return s + (parameters_.front().fixed ? ",fixed)" : ")");
}

std::string_view Likelihood::name() const { return family_of(kind_).name; }
bool Likelihood::binary() const {
  return kind_ == Kind::kBernoulliLogit || kind_ == Kind::kBernoulliProbit;
}
bool Likelihood::counts() const {
  return kind_ == Kind::kPoisson || kind_ == Kind::kNegativeBinomial;
}

std::vector<double> Likelihood::pack() const {
  std::vector<double> logs;
  for (const LikelihoodParameter& p : parameters_) {
    if (!p.fixed) logs.push_back(std::log(p.value));
  }
  return logs;
}

void Likelihood::unpack(std::span<const double> logs) {
  size_t next = 0;
  for (LikelihoodParameter& p : parameters_) {
    if (!p.fixed) p.value = std::exp(logs[next++]);
  }
}

void Likelihood::bounds(std::vector<double>* lower, std::vector<double>* upper) const {
  lower->clear();
  upper->clear();
  for (const LikelihoodParameter& p : parameters_) {
    if (p.fixed) continue;
    lower->push_back(std::log(p.lower));
    upper->push_back(std::log(p.upper));
  }
}

std::vector<double> Likelihood::pack_gradient(std::span<const double> gradient) const {
  std::vector<double> packed;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].fixed) packed.push_back(gradient[i]);
  }
  return packed;
}

double Likelihood::log_prior(std::span<double> gradient) const {
  double sum = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const LikelihoodParameter& p = parameters_[i];
    if (p.fixed || p.prior.flat()) continue;
    double slope = 0;
    sum += p.prior.log_density(p.value, &slope);
    if (!gradient.empty()) gradient[i] += slope;
  }
  return sum;
}

void Likelihood::check(std::span<const double> y) const {
  for (size_t i = 0; i < y.size(); ++i) {
    if (std::isnan(y[i])) continue;
    const std::string where = "y, row " + std::to_string(i);
    char seen[40];
    std::snprintf(seen, sizeof seen, "%.6g", y[i]);
    if (binary() && y[i] != 0 && y[i] != 1)
      throw Error(ExitCode::kData, std::string(seen) + " is no label: they are 0 and 1", where,
                  "write the two classes as 0 and 1");
    if (counts() && !(y[i] >= 0 && y[i] == std::floor(y[i]) && y[i] <= 1e15))
      throw Error(ExitCode::kData, std::string(seen) + " is no count: they are 0, 1, 2, ...", where,
                  "for values that are no counts write --likelihood gaussian or student-t");
  }
}

void Likelihood::start_by_data(std::span<const double> y) {
  const double variance = variance_of(y);
  for (LikelihoodParameter& p : parameters_) {
    double value = 1, down = 1e-3, up = 1e4;
    if (p.name == "noise") {
      value = 0.1 * variance;
      down = 1e-6;
      up = 1e3;
    } else if (p.name == "scale") {
      value = std::sqrt(0.1 * variance);
    } else if (p.name == "df") {
      value = 4;
      down = 0.5;  // a mean exists, nearly always, and beyond a thousand it is a normal
      up = 250;
    }
    if (!p.given) p.value = value;
    if (p.lower == 0) p.lower = std::min(value * down, p.value * (p.name == "df" ? 1 : 1e-2));
    if (p.upper == kInfinity) p.upper = std::max(value * up, p.value * (p.name == "df" ? 1 : 1e2));
    p.value = std::clamp(p.value, p.lower, p.upper);
  }
}

double Likelihood::start_mean(std::span<const double> y) const {
  const double mean = mean_of(y);
  switch (kind_) {
    case Kind::kGaussian:
      return mean;
    case Kind::kStudentT: {
      std::vector<double> known;
      for (const double v : y) {
        if (!std::isnan(v)) known.push_back(v);
      }
      if (known.empty()) return 0;
      return numeric::upper_median(std::move(known));
    }
    case Kind::kBernoulliLogit:
    case Kind::kBernoulliProbit: {
      // One label alone tells that the other is rare, not that there is none.
      double count = 0;
      for (const double v : y) count += !std::isnan(v);
      const double p = (mean * count + 0.5) / (count + 1);
      return kind_ == Kind::kBernoulliLogit ? std::log(p / (1 - p)) : numeric::normal_quantile(p);
    }
    default:
      return std::log(std::max(mean, 0.1));
  }
}

double Likelihood::start_variance(std::span<const double> y) const {
  if (binary()) return kind_ == Kind::kBernoulliLogit ? 4 : 1.5;
  if (counts()) {
    std::vector<double> logs;
    for (const double v : y) {
      if (!std::isnan(v)) logs.push_back(std::log(v + 0.5));
    }
    return std::clamp(variance_of(logs), 0.1, 25.0);
  }
  return variance_of(y);
}

}  // namespace covary::stat
