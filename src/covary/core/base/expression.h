// Arithmetic over named columns, typed by a person: `opacity > 0.1 && max(scale) < 0.5`.
//
//   const Expression e = Expression::parse("opacity > 0.1 && max(scale) < 0.5");
//   e.names();                                   // {"opacity", "scale"}
//   const Expression::Bound b = e.bind({1, 3});  // how wide each of them is
//   b.evaluate(rows, {opacities, scales}, out);  // out[rows]; columns are rows x width, row by row
//
// In order of how tightly they hold, the loosest first (each line from left to right, but ^):
//
//   || or        && and        ! not        == != < <= > >=        + -        * / %        - +        ^
//   numbers, names, (e), f(e), name[2] counted from 0
//
// Truth is 1, lies are 0, and what is not 0 counts as true (NaN too: ask isnan). Comparing with NaN is
// false, but for !=. A comparison of a comparison (a < b < c) is refused. Names of more than one number
// are vectors: arithmetic works on each part, with numbers or vectors of one width; comparisons, logic
// and the result take numbers. `%` is the rest of a division with the sign of the divisor.
//
//   max(v) min(v) sum(v) mean(v) length(v)     of a vector's parts; of several arguments, max and min
//                                              part by part
//   abs sqrt exp log log10 floor ceil round sin cos sigmoid sign isnan isfinite
//   pi inf nan                                 constants
//
// The text may come from anywhere: its length, its nesting and its number of operations are bounded, and
// evaluating it takes time and memory in proportion to operations times rows. Errors: Error(kUsage)
// naming the place in the text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace covary {

class Expression {
 public:
  // where: the option or field that holds the text, for errors.
  static Expression parse(const std::string& text, const std::string& where = "expression");

  const std::vector<std::string>& names() const { return names_; }  // each once, in order
  // The same with the brackets that it needs: parse(text()) is the same expression, with the same text.
  std::string text() const;

  class Bound {
   public:
    // columns[i]: rows x widths[i] numbers of the i-th name. On all threads; same bits on any number.
    void evaluate(int64_t rows, const std::vector<const double*>& columns, double* out) const;

   private:
    friend class Expression;
    struct Step {
      int operation = 0;            // an index into the table of operations
      int arguments = 0;            // that it takes from the stack
      int64_t width = 1;            // of its result
      int64_t taken = 1;            // width of its widest argument
      int64_t index = 0;            // of a name, or of a vector's part
      double number = 0;            // of a constant
      std::vector<int64_t> widths;  // of the arguments
    };
    std::vector<Step> steps_;
    std::vector<int64_t> name_widths_;
    int64_t deepest_ = 0, widest_ = 1;  // of the stack
  };
  // widths: of names(), each at least 1. Error(kUsage) where they do not fit together.
  Bound bind(const std::vector<int64_t>& widths) const;

 private:
  struct Node {
    int operation = 0;
    std::vector<int32_t> arguments;  // nodes before this one
    int32_t name = -1;
    int64_t index = 0;
    double number = 0;
    int64_t place = 0;  // in the text
  };
  friend class ExpressionParser;
  std::string text_of(int32_t node, int level) const;  // in brackets where it holds looser

  std::string source_, where_;
  std::vector<std::string> names_;
  std::vector<Node> nodes_;  // the last is the whole
};

}  // namespace covary
