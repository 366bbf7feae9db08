// The named numbers of a model: what its text, its file and its fit speak about.
//
//   Parameter p{.name = "level", .kind = Parameter::Kind::kVariance, .help = "variance a step"};
//   set_parameter(all, "level", 1469.18, "model.json");      // unknown: the nearest name is said
//
// A value that is NaN was not given: a fit finds it. `free` says whether a fit may change it.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace covary::filter {

struct Parameter {
  enum class Kind {
    kVariance,  // >= 0
    kPositive,  // > 0
    kShare,     // in (0, 1)
    kReal,      // finite
    // A coefficient of an autoregression; those that follow one another and share what stands
    // before the last dot of their names belong together and must be stationary.
    kAutoregressive
  };
  std::string name;
  Kind kind = Kind::kVariance;
  std::string help = {};
  double value = std::nan("");
  bool free = true;
};

// Error(kData) naming `where` and the parameter when the value is outside its kind.
void check_parameter(const Parameter& p, const std::string& where);

// Sets a parameter by its name, or all of name.1, name.2, ...; it is fixed then.
void set_parameter(std::vector<Parameter>& all, const std::string& name, double value,
                   const std::string& where);

double value_of(const std::vector<Parameter>& all, std::string_view name);
bool all_set(const std::vector<Parameter>& all);

// A text "name(1, key=2, ~3)+other": names with arguments. "~" marks a value that a fit starts from
// and may change. Error(kUsage) tells the place in the text.
struct Term {
  struct Argument {
    std::string key;  // "" by position
    double value;
    bool free;  // "~"
  };
  std::string name;
  std::vector<Argument> arguments;
};
std::vector<Term> parse_terms(const std::string& text);

}  // namespace covary::filter
