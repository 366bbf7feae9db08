// What may be chosen: named parameters, real, integer or categorical, and how they become columns of a process.
//
//   const SearchSpace space = SearchSpace::parse(R"({"parameters": [
//       {"name": "rate",  "type": "real", "bounds": [1e-5, 0.1], "scale": "log"},
//       {"name": "depth", "type": "integer", "bounds": [2, 12]},
//       {"name": "kind",  "type": "categorical", "values": ["relu", "tanh", "gelu"]}]})");
//   std::vector<double> code = space.encode(row);      // row: 0.003, 5, 1 (index of "tanh"); code in [0, 1]^width
//   space.decode(code);                                // the nearest row that may be chosen
//
// Columns: a real or integer parameter is one column from 0 at its lower bound to 1 at its upper, by its logarithm with
// "scale": "log"; a categorical one of two values is one column, of k > 2 values k columns, one of which is
// 1 / sqrt(2), so that any two values are at distance 1. A parameter that can only take one value has no column.
// Errors of the text are Error(kUsage) with the parameter's name; "type" may be left out where "values" are words, and
// is real then for "bounds" alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::stat {

struct SearchParameter {
  enum class Kind { kReal, kInteger, kCategorical } kind = Kind::kReal;
  std::string name;
  double lower = 0, upper = 1;  // of numbers
  bool log_scale = false;
  std::vector<std::string> values = {};  // of categories

  // How many values an integer or categorical parameter may take.
  double count() const;
};

class SearchSpace {
 public:
  SearchSpace() = default;
  explicit SearchSpace(std::vector<SearchParameter> parameters);
  static SearchSpace of_json(const nlohmann::json& document);  // reads its "parameters"
  static SearchSpace parse(const std::string& text);
  static SearchSpace cube(int64_t dims);  // reals x0, x1, ... in [0, 1]
  nlohmann::json to_json() const;         // {"parameters": [...]}

  const std::vector<SearchParameter>& parameters() const { return parameters_; }
  int64_t size() const { return static_cast<int64_t>(parameters_.size()); }
  int64_t width() const { return width_; }  // columns of a code
  int64_t column(int64_t parameter) const { return columns_[static_cast<size_t>(parameter)].first; }
  int64_t columns(int64_t parameter) const {
    return columns_[static_cast<size_t>(parameter)].second;
  }
  bool continuous() const;  // no integer and no categorical parameter with a column

  // row [size] to code [width] and back; decode takes any finite numbers and gives an allowed row.
  std::vector<double> encode(const std::vector<double>& row) const;
  std::vector<double> decode(const std::vector<double>& code) const;
  void round(double* code) const;  // to that of the nearest allowed row
  // From a point of the unit cube of as many coordinates as there are parameters, evenly over all values.
  std::vector<double> code_of_unit(const double* unit) const;
  // Codes of a discrete parameter next to the present one: one step down and up for integers, every other category.
  std::vector<std::vector<double>> neighbours(const double* code, int64_t parameter) const;

  // Error(kData) naming the parameter and the row when a value is not allowed; integers may be off by rounding.
  void check_row(const std::vector<double>& row, const std::string& where) const;
  std::string text_of(int64_t parameter, double value) const;  // "0.003", "5", "tanh"
  double value_of(int64_t parameter, const std::string& text,
                  const std::string& where) const;  // Error(kData)

 private:
  void encode_parameter(size_t parameter, double value, double* code) const;
  double decode_parameter(size_t parameter, const double* code) const;

  std::vector<SearchParameter> parameters_;
  std::vector<std::pair<int64_t, int64_t>> columns_;  // first, count
  int64_t width_ = 0;
};

}  // namespace covary::stat
