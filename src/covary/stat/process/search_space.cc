#include "covary/stat/process/search_space.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::stat {
namespace {

using nlohmann::json;
using Kind = SearchParameter::Kind;

constexpr const char* kKinds[] = {"real", "integer", "categorical"};
const double kCategory = std::sqrt(0.5);
constexpr double kMostWhole = 9e15;  // integers that a double holds

[[noreturn]] void refuse(const std::string& name, const std::string& what,
                         const std::string& hint = "") {
  throw Error(
      ExitCode::kUsage, what, "parameter " + name,
      hint.empty() ? "as in {\"name\": \"rate\", \"type\": \"real\", \"bounds\": [0, 1]}" : hint);
}

// For what stands before names are known.
const json& member(const json& object, const char* key, const std::string& name, const char* what) {
  const auto it = object.find(key);
  if (it == object.end()) refuse(name, std::string("has no \"") + key + "\": " + what);
  return *it;
}

void check(const SearchParameter& p) {
  if (p.name.empty()) refuse("\"\"", "has no name");
  if (p.kind == Kind::kCategorical) {
    if (p.values.empty()) refuse(p.name, "has no values");
    if (std::set<std::string>(p.values.begin(), p.values.end()).size() != p.values.size()) {
      refuse(p.name, "names a value twice", "list every value once");
    }
    return;
  }
  if (!std::isfinite(p.lower) || !std::isfinite(p.upper))
    refuse(p.name, "has a bound that is not finite");
  if (!(p.upper - p.lower < 1e300)) refuse(p.name, "has bounds too far apart");
  if (p.lower > p.upper)
    refuse(p.name, "has its lower bound above its upper one", "write the smaller one first");
  if (p.log_scale && !(p.lower > 0))
    refuse(p.name, "has a log scale and a bound that is not positive");
  if (p.kind == Kind::kInteger &&
      (p.lower != std::floor(p.lower) || p.upper != std::floor(p.upper) ||
       std::abs(p.lower) > kMostWhole || std::abs(p.upper) > kMostWhole)) {
    refuse(p.name, "is an integer and has a bound that is none");
  }
}

SearchParameter parameter_of(const json& object, size_t index) {
  if (!object.is_object()) refuse(std::to_string(index), "is no JSON object");
  SearchParameter p;
  const auto name = object.find("name");
  p.name =
      name != object.end() && name->is_string() ? name->get<std::string>() : std::to_string(index);
  if (name == object.end() || !name->is_string()) refuse(p.name, "has no \"name\"");
  for (const auto& [key, value] : object.items()) {
    static const std::vector<std::string> known = {"name", "type", "bounds", "scale", "values"};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string near = nearest_word(key, known);
      refuse(p.name, "has an unknown field \"" + key + "\"",
             near.empty() ? "fields: name, type, bounds, scale, values"
                          : "did you mean \"" + near + "\"?");
    }
  }
  std::string type = object.contains("values") ? "categorical" : "real";
  if (object.contains("type")) {
    if (!object["type"].is_string()) refuse(p.name, "has a \"type\" that is no text");
    type = object["type"].get<std::string>();
  }
  const auto kind = std::find(std::begin(kKinds), std::end(kKinds), type);
  if (kind == std::end(kKinds))
    refuse(p.name, "has the type \"" + type + "\"", "types: real, integer, categorical");
  p.kind = static_cast<Kind>(kind - std::begin(kKinds));
  if (p.kind == Kind::kCategorical) {
    const json& values = member(object, "values", p.name, "a list of words");
    if (!values.is_array()) refuse(p.name, "has \"values\" that are no list");
    for (const json& v : values)
      p.values.push_back(v.is_string() ? v.get<std::string>() : v.dump());
    return p;
  }
  const json& bounds = member(object, "bounds", p.name, "two numbers");
  if (!bounds.is_array() || bounds.size() != 2 || !bounds[0].is_number() ||
      !bounds[1].is_number()) {
    refuse(p.name, "has \"bounds\" that are not two numbers");
  }
  p.lower = bounds[0].get<double>();
  p.upper = bounds[1].get<double>();
  if (object.contains("scale")) {
    const json& scale = object["scale"];
    if (scale != "log" && scale != "linear")
      refuse(p.name, "has a \"scale\" that is neither log nor linear");
    p.log_scale = scale == "log";
  }
  return p;
}

json json_of(const SearchParameter& p) {
  json j = {{"name", p.name}, {"type", kKinds[static_cast<int>(p.kind)]}};
  if (p.kind == Kind::kCategorical) {
    j["values"] = p.values;
  } else {
    j["bounds"] = {p.lower, p.upper};
    if (p.log_scale) j["scale"] = "log";
  }
  return j;
}

}  // namespace

double SearchParameter::count() const {
  return kind == Kind::kCategorical ? static_cast<double>(values.size())
         : kind == Kind::kInteger   ? upper - lower + 1
                                    : std::numeric_limits<double>::infinity();
}

SearchSpace::SearchSpace(std::vector<SearchParameter> parameters)
    : parameters_(std::move(parameters)) {
  if (parameters_.empty()) throw Error(ExitCode::kUsage, "has no parameters", "search space");
  std::set<std::string> names;
  for (const SearchParameter& p : parameters_) {
    check(p);
    if (!names.insert(p.name).second)
      refuse(p.name, "is named twice", "give every parameter its own name");
    const int64_t width = p.kind == Kind::kCategorical
                              ? (p.values.size() < 2    ? 0
                                 : p.values.size() == 2 ? 1
                                                        : static_cast<int64_t>(p.values.size()))
                              : (p.lower < p.upper ? 1 : 0);
    columns_.emplace_back(width_, width);
    width_ += width;
  }
  if (width_ == 0)
    throw Error(ExitCode::kUsage, "leaves nothing to choose", "search space", "widen the bounds");
}

SearchSpace SearchSpace::of_json(const json& document) {
  const auto it = document.is_object() ? document.find("parameters") : document.end();
  if (!document.is_object() || it == document.end() || !it->is_array()) {
    throw Error(ExitCode::kUsage, "has no list \"parameters\"", "search space",
                "write {\"parameters\": [{\"name\": \"x\", \"bounds\": [0, 1]}]}");
  }
  std::vector<SearchParameter> parameters;
  for (const json& p : *it) parameters.push_back(parameter_of(p, parameters.size()));
  return SearchSpace(std::move(parameters));
}

SearchSpace SearchSpace::parse(const std::string& text) {
  try {
    return of_json(json::parse(text));
  } catch (const json::exception& e) {
    throw Error(ExitCode::kUsage, std::string("is no JSON: ") + e.what(), "search space");
  }
}

SearchSpace SearchSpace::cube(int64_t dims) {
  std::vector<SearchParameter> parameters;
  for (int64_t k = 0; k < dims; ++k) parameters.push_back({.name = "x" + std::to_string(k)});
  return SearchSpace(std::move(parameters));
}

json SearchSpace::to_json() const {
  json list = json::array();
  for (const SearchParameter& p : parameters_) list.push_back(json_of(p));
  return {{"parameters", list}};
}

bool SearchSpace::continuous() const {
  for (int64_t i = 0; i < size(); ++i) {
    if (parameters_[static_cast<size_t>(i)].kind != Kind::kReal && columns(i) > 0) return false;
  }
  return true;
}

void SearchSpace::encode_parameter(size_t i, double value, double* code) const {
  const SearchParameter& p = parameters_[i];
  const auto [first, count] = columns_[i];
  if (count == 0) return;
  if (p.kind == Kind::kCategorical) {
    for (int64_t k = 0; k < count; ++k) code[first + k] = 0;
    if (count == 1) {
      code[first] = value;
    } else {
      code[first + static_cast<int64_t>(value)] = kCategory;
    }
    return;
  }
  code[first] = p.log_scale ? std::log(value / p.lower) / std::log(p.upper / p.lower)
                            : (value - p.lower) / (p.upper - p.lower);
}

double SearchSpace::decode_parameter(size_t i, const double* code) const {
  const SearchParameter& p = parameters_[i];
  const auto [first, count] = columns_[i];
  if (count == 0) return p.kind == Kind::kCategorical ? 0 : p.lower;
  if (p.kind == Kind::kCategorical) {
    if (count == 1) return code[first] > 0.5 ? 1 : 0;
    return static_cast<double>(std::max_element(code + first, code + first + count) -
                               (code + first));
  }
  const double t = std::clamp(code[first], 0.0, 1.0);
  double value = t == 0        ? p.lower
                 : t == 1      ? p.upper
                 : p.log_scale ? p.lower * std::exp(t * std::log(p.upper / p.lower))
                               : p.lower + t * (p.upper - p.lower);
  if (p.kind == Kind::kInteger) value = std::round(value);
  return std::clamp(value, p.lower, p.upper);
}

std::vector<double> SearchSpace::encode(const std::vector<double>& row) const {
  std::vector<double> code(static_cast<size_t>(width_));
  for (size_t i = 0; i < parameters_.size(); ++i) encode_parameter(i, row[i], code.data());
  return code;
}

std::vector<double> SearchSpace::decode(const std::vector<double>& code) const {
  std::vector<double> row(parameters_.size());
  for (size_t i = 0; i < parameters_.size(); ++i) row[i] = decode_parameter(i, code.data());
  return row;
}

void SearchSpace::round(double* code) const {
  for (size_t i = 0; i < parameters_.size(); ++i)
    encode_parameter(i, decode_parameter(i, code), code);
}

std::vector<double> SearchSpace::code_of_unit(const double* unit) const {
  std::vector<double> code(static_cast<size_t>(width_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const SearchParameter& p = parameters_[i];
    const int64_t first = columns_[i].first;
    if (p.kind == Kind::kReal || (p.kind == Kind::kInteger && p.log_scale)) {
      if (columns_[i].second > 0) code[static_cast<size_t>(first)] = unit[i];
      continue;
    }
    const double index = std::min(std::floor(unit[i] * p.count()), p.count() - 1);
    encode_parameter(i, p.kind == Kind::kInteger ? p.lower + index : index, code.data());
  }
  round(code.data());
  return code;
}

std::vector<std::vector<double>> SearchSpace::neighbours(const double* code,
                                                         int64_t parameter) const {
  const auto i = static_cast<size_t>(parameter);
  const SearchParameter& p = parameters_[i];
  std::vector<std::vector<double>> out;
  if (p.kind == Kind::kReal || columns_[i].second == 0) return out;
  const double now = decode_parameter(i, code);
  const auto add = [&](double value) {
    std::vector<double> other(code, code + width_);
    encode_parameter(i, value, other.data());
    out.push_back(std::move(other));
  };
  if (p.kind == Kind::kInteger) {
    if (now > p.lower) add(now - 1);
    if (now < p.upper) add(now + 1);
  } else {
    for (size_t k = 0; k < p.values.size(); ++k) {
      if (static_cast<double>(k) != now) add(static_cast<double>(k));
    }
  }
  return out;
}

void SearchSpace::check_row(const std::vector<double>& row, const std::string& where) const {
  if (row.size() != parameters_.size()) {
    throw Error(ExitCode::kData,
                "has " + std::to_string(row.size()) + " values for " +
                    std::to_string(parameters_.size()) + " parameters",
                where);
  }
  for (size_t i = 0; i < row.size(); ++i) {
    const SearchParameter& p = parameters_[i];
    const double low = p.kind == Kind::kCategorical ? 0 : p.lower;
    const double high =
        p.kind == Kind::kCategorical ? static_cast<double>(p.values.size() - 1) : p.upper;
    const double room = 1e-9 * std::max({high - low, std::abs(low), std::abs(high)});
    if (!(row[i] >= low - room && row[i] <= high + room) ||
        (p.kind != Kind::kReal && std::abs(row[i] - std::round(row[i])) > 1e-6)) {
      char value[40];
      std::snprintf(value, sizeof value, "%.9g", row[i]);
      throw Error(ExitCode::kData, std::string(value) + " is no value that " + p.name + " may take",
                  where, "its place in the search space: " + json_of(p).dump());
    }
  }
}

std::string SearchSpace::text_of(int64_t parameter, double value) const {
  const SearchParameter& p = parameters_[static_cast<size_t>(parameter)];
  if (p.kind == Kind::kCategorical) return p.values[static_cast<size_t>(value)];
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return {text, end};
}

double SearchSpace::value_of(int64_t parameter, const std::string& text,
                             const std::string& where) const {
  const SearchParameter& p = parameters_[static_cast<size_t>(parameter)];
  if (p.kind == Kind::kCategorical) {
    const auto it = std::find(p.values.begin(), p.values.end(), text);
    if (it != p.values.end()) return static_cast<double>(it - p.values.begin());
    const std::string near = nearest_word(text, p.values);
    throw Error(
        ExitCode::kData, "\"" + text + "\" is no value that " + p.name + " may take", where,
        near.empty() ? "one of those of the search space" : "did you mean \"" + near + "\"?");
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ExitCode::kData, "\"" + text + "\" is no number, as " + p.name + " needs", where);
  }
  return value;
}

}  // namespace covary::stat
