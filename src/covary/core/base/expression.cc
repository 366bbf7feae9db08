#include "covary/core/base/expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/base/threads.h"

namespace covary {
namespace {

constexpr size_t kMostText = 4096;  // characters
constexpr int kDeepest = 64;        // nested brackets, signs and calls
constexpr size_t kMostNodes = 1024;
constexpr size_t kMostArguments = 16;  // of a call
constexpr int64_t kBlock = 256;        // rows that are evaluated together

enum Operation : int {
  kNumber,
  kName,
  kPart,
  // Binary, with signs.
  kOr,
  kAnd,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kMore,
  kMoreEqual,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRest,
  kPower,
  // Unary.
  kNot,
  kNegate,
  // Functions of one number, part by part.
  kAbs,
  kSqrt,
  kExp,
  kLog,
  kLog10,
  kFloor,
  kCeil,
  kRound,
  kSin,
  kCos,
  kSigmoid,
  kSign,
  kIsNan,
  kIsFinite,
  // Functions of a vector's parts; the first two also of several arguments.
  kMax,
  kMin,
  kSum,
  kMean,
  kLength,
};

struct Sign {
  const char* text;
  int level;  // how tightly it holds
  Operation operation;
};
constexpr int kNotLevel = 2, kComparison = 3, kUnaryLevel = 6, kPowerLevel = 7, kAtomLevel = 8;
// Longer signs before those that they begin with.
constexpr Sign kSigns[] = {{"||", 0, kOr},
                           {"&&", 1, kAnd},
                           {"==", kComparison, kEqual},
                           {"!=", kComparison, kNotEqual},
                           {"<=", kComparison, kLessEqual},
                           {">=", kComparison, kMoreEqual},
                           {"<", kComparison, kLess},
                           {">", kComparison, kMore},
                           {"+", 4, kAdd},
                           {"-", 4, kSubtract},
                           {"*", 5, kMultiply},
                           {"/", 5, kDivide},
                           {"%", 5, kRest},
                           {"^", kPowerLevel, kPower}};

struct Function {
  const char* name;
  Operation operation;
};
constexpr Function kFunctions[] = {
    {"abs", kAbs},     {"sqrt", kSqrt},         {"exp", kExp},         {"log", kLog},
    {"log10", kLog10}, {"floor", kFloor},       {"ceil", kCeil},       {"round", kRound},
    {"sin", kSin},     {"cos", kCos},           {"sigmoid", kSigmoid}, {"sign", kSign},
    {"isnan", kIsNan}, {"isfinite", kIsFinite}, {"max", kMax},         {"min", kMin},
    {"sum", kSum},     {"mean", kMean},         {"length", kLength}};

bool reduces(int operation) { return operation >= kMax; }
bool is_logic(int operation) {
  return (operation >= kOr && operation <= kMoreEqual) || operation == kNot;
}

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

double unary(int operation, double x) {
  switch (operation) {
    case kNot:
      return x == 0;
    case kNegate:
      return -x;
    case kAbs:
      return std::abs(x);
    case kSqrt:
      return std::sqrt(x);
    case kExp:
      return std::exp(x);
    case kLog:
      return std::log(x);
    case kLog10:
      return std::log10(x);
    case kFloor:
      return std::floor(x);
    case kCeil:
      return std::ceil(x);
    case kRound:
      return std::round(x);
    case kSin:
      return std::sin(x);
    case kCos:
      return std::cos(x);
    case kSigmoid:
      return 1 / (1 + std::exp(-x));
    case kSign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    case kIsNan:
      return std::isnan(x);
    default:
      return std::isfinite(x);
  }
}

double binary(int operation, double a, double b) {
  switch (operation) {
    case kOr:
      return a != 0 || b != 0;
    case kAnd:
      return a != 0 && b != 0;
    case kEqual:
      return a == b;
    case kNotEqual:
      return a != b;
    case kLess:
      return a < b;
    case kLessEqual:
      return a <= b;
    case kMore:
      return a > b;
    case kMoreEqual:
      return a >= b;
    case kAdd:
      return a + b;
    case kSubtract:
      return a - b;
    case kMultiply:
      return a * b;
    case kDivide:
      return a / b;
    case kRest:
      return a - b * std::floor(a / b);
    case kPower:
      return std::pow(a, b);
    case kMax:
      return a > b || std::isnan(a) ? a : b;
    default:
      return a < b || std::isnan(a) ? a : b;
  }
}

// The same operation on every number of a block; the switch is outside of the loop where it matters.
template <class F>
void each(int64_t n, double* out, const F& f) {
  for (int64_t i = 0; i < n; ++i) out[i] = f(i);
}

std::string number_text(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return "inf";
  if (x == std::numbers::pi) return "pi";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), x);
  return {buffer, end.ptr};
}

}  // namespace

class ExpressionParser {
 public:
  ExpressionParser(const std::string& text, const std::string& where) : text_(text) {
    out_.source_ = text;
    out_.where_ = where;
  }

  Expression read() {
    if (text_.size() > kMostText)
      fail(0, "is longer than " + std::to_string(kMostText) + " characters",
           "write several filters");
    const int32_t whole = binary_of(0);
    skip();
    if (at_ < text_.size())
      fail(at_, "expected an operation, got '" + text_.substr(at_, 12) + "'",
           "for example: opacity > 0.1 && max(scale) < 0.5");
    (void)whole;  // it is the last node
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(size_t place, const std::string& what, const std::string& hint) const {
    throw Error(ExitCode::kUsage, what, out_.where_ + ", character " + std::to_string(place + 1),
                hint);
  }

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
      ++at_;
  }

  bool take(const char* sign) {
    skip();
    const std::string_view s(sign);
    if (text_.compare(at_, s.size(), s) != 0) return false;
    // `and`, `or`, `not` end where the word ends.
    if (begins_name(s[0]) && at_ + s.size() < text_.size() &&
        (begins_name(text_[at_ + s.size()]) || is_digit(text_[at_ + s.size()])))
      return false;
    at_ += s.size();
    return true;
  }

  int32_t add(Expression::Node node) {
    if (out_.nodes_.size() >= kMostNodes)
      fail(at_, "has more than " + std::to_string(kMostNodes) + " operations",
           "write several filters");
    out_.nodes_.push_back(std::move(node));
    return static_cast<int32_t>(out_.nodes_.size()) - 1;
  }

  int32_t add(int operation, std::vector<int32_t> arguments, size_t place) {
    Expression::Node n;
    n.operation = operation;
    n.arguments = std::move(arguments);
    n.place = static_cast<int64_t>(place);
    return add(std::move(n));
  }

  const Sign* take_sign(int level) {
    skip();
    if (level == 0 && take("or")) return &kSigns[0];
    if (level == 1 && take("and")) return &kSigns[1];
    for (const Sign& s : kSigns) {
      const std::string_view text(s.text);
      if (text_.compare(at_, text.size(), text) != 0) continue;
      if (s.level != level) return nullptr;
      at_ += text.size();
      return &s;
    }
    return nullptr;
  }

  // Counts how deep brackets, signs and calls are nested.
  class Deeper {
   public:
    explicit Deeper(ExpressionParser& p) : p_(p) {
      if (++p_.depth_ > kDeepest)
        p_.fail(p_.at_, "is nested deeper than " + std::to_string(kDeepest), "use fewer brackets");
    }
    ~Deeper() { --p_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    ExpressionParser& p_;
  };

  int32_t binary_of(int level) {
    if (level == kNotLevel) {
      skip();
      const size_t place = at_;
      const bool negates =
          (at_ < text_.size() && text_[at_] == '!' && text_.compare(at_, 2, "!=") != 0 && ++at_) ||
          take("not");
      if (!negates) return binary_of(kComparison);
      const Deeper deeper(*this);
      return add(kNot, {binary_of(kNotLevel)}, place);
    }
    if (level == kUnaryLevel) return signed_value();
    int32_t left = binary_of(level + 1);
    bool compared = false;
    for (;;) {
      skip();
      const size_t place = at_;
      const Sign* sign = take_sign(level);
      if (!sign) return left;
      if (level == kComparison && compared)
        fail(place, "compares a comparison", "write a < b && b < c");
      compared = true;
      left = add(sign->operation, {left, binary_of(level + 1)}, place);
    }
  }

  int32_t signed_value() {
    skip();
    const size_t place = at_;
    if (take("-")) {
      const Deeper deeper(*this);
      return add(kNegate, {signed_value()}, place);
    }
    if (take("+")) {
      const Deeper deeper(*this);
      return signed_value();
    }
    const int32_t base = part_of(value());
    skip();
    const size_t power = at_;
    if (!take("^")) return base;
    const Deeper deeper(*this);
    return add(kPower, {base, signed_value()}, power);
  }

  int32_t part_of(int32_t vector) {
    for (;;) {
      skip();
      const size_t place = at_;
      if (!take("[")) return vector;
      skip();
      size_t end = at_;
      while (end < text_.size() && is_digit(text_[end])) ++end;
      Expression::Node n;
      n.operation = kPart;
      n.arguments = {vector};
      n.place = static_cast<int64_t>(place);
      const auto read = std::from_chars(text_.data() + at_, text_.data() + end, n.index);
      if (end == at_ || read.ec != std::errc() || n.index > 1'000'000)
        fail(at_, "expected the number of a part", "parts count from 0: scale[2]");
      at_ = end;
      if (!take("]")) fail(at_, "a ] is missing", "write scale[2]");
      vector = add(std::move(n));
    }
  }

  int32_t value() {
    skip();
    const size_t place = at_;
    if (at_ >= text_.size())
      fail(at_, "a value is missing", "for example: opacity > 0.1 && max(scale) < 0.5");
    if (take("(")) {
      const Deeper deeper(*this);
      const int32_t inner = binary_of(0);
      if (!take(")"))
        fail(at_, "a ) is missing", "the ( stands at character " + std::to_string(place + 1));
      return inner;
    }
    const char c = text_[at_];
    if (is_digit(c) || c == '.') return number();
    if (!begins_name(c))
      fail(at_, std::string("expected a number, a name or a bracket, got '") + c + "'",
           "for example: opacity > 0.1 && max(scale) < 0.5");
    size_t end = at_;
    while (end < text_.size() && (begins_name(text_[end]) || is_digit(text_[end]))) ++end;
    const std::string name = text_.substr(at_, end - at_);
    at_ = end;
    if (take("(")) return call(name, place);
    if (name == "and" || name == "or" || name == "not")
      fail(place, "a value is missing before '" + name + "'", "write a > 1 " + name + " b > 1");
    for (const auto& [constant, number] : {std::pair("pi", std::numbers::pi),
                                           {"inf", std::numeric_limits<double>::infinity()},
                                           {"nan", std::numeric_limits<double>::quiet_NaN()}})
      if (name == constant) return constant_of(number, place);
    return named(name, place);
  }

  int32_t number() {
    double x = 0;
    const auto read = std::from_chars(text_.data() + at_, text_.data() + text_.size(), x);
    if (read.ec != std::errc())
      fail(at_, "is no number that can be held", "write numbers as 0.5 or 1e-3");
    const size_t place = at_;
    at_ = static_cast<size_t>(read.ptr - text_.data());
    return constant_of(x, place);
  }

  int32_t constant_of(double x, size_t place) {
    Expression::Node n;
    n.operation = kNumber;
    n.number = x;
    n.place = static_cast<int64_t>(place);
    return add(std::move(n));
  }

  int32_t named(const std::string& name, size_t place) {
    Expression::Node n;
    n.operation = kName;
    n.place = static_cast<int64_t>(place);
    const auto found = std::find(out_.names_.begin(), out_.names_.end(), name);
    n.name = static_cast<int32_t>(found - out_.names_.begin());
    if (found == out_.names_.end()) out_.names_.push_back(name);
    return add(std::move(n));
  }

  int32_t call(const std::string& name, size_t place) {
    const Deeper deeper(*this);
    const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                     [&](const Function& f) { return name == f.name; });
    if (found == std::end(kFunctions)) {
      std::vector<std::string> names;
      std::string all;
      for (const Function& f : kFunctions) {
        names.emplace_back(f.name);
        all += (all.empty() ? "" : ", ") + names.back();
      }
      const std::string near = nearest_word(name, names);
      fail(place, "there is no function '" + name + "'",
           near.empty() ? "the functions are " + all : "did you mean " + near + "?");
    }
    std::vector<int32_t> arguments;
    do {
      arguments.push_back(binary_of(0));
      if (arguments.size() > kMostArguments)
        fail(at_, "takes at most " + std::to_string(kMostArguments) + " arguments",
             "nest two of them");
    } while (take(","));
    if (!take(")")) fail(at_, "a ) is missing", "it ends the arguments of " + name);
    if (arguments.size() > 1 && found->operation != kMax && found->operation != kMin)
      fail(place, name + " takes one argument", "max and min take several");
    return add(found->operation, std::move(arguments), place);
  }

  const std::string& text_;
  size_t at_ = 0;
  int depth_ = 0;
  Expression out_;
};

Expression Expression::parse(const std::string& text, const std::string& where) {
  return ExpressionParser(text, where).read();
}

std::string Expression::text() const { return text_of(static_cast<int32_t>(nodes_.size()) - 1, 0); }

std::string Expression::text_of(int32_t node, int level) const {
  const Node& n = nodes_[static_cast<size_t>(node)];
  const auto argument = [&](size_t i, int inner) { return text_of(n.arguments[i], inner); };
  const auto bracketed = [&](int own, const std::string& text) {
    return own < level ? "(" + text + ")" : text;
  };
  if (n.operation == kNumber) return number_text(n.number);
  if (n.operation == kName) return names_[static_cast<size_t>(n.name)];
  if (n.operation == kPart) return argument(0, kAtomLevel) + "[" + std::to_string(n.index) + "]";
  if (n.operation == kNot) return bracketed(kNotLevel, "!" + argument(0, kNotLevel));
  if (n.operation == kNegate) return bracketed(kUnaryLevel, "-" + argument(0, kUnaryLevel));
  if (n.operation == kPower)
    return bracketed(kPowerLevel, argument(0, kAtomLevel) + "^" + argument(1, kUnaryLevel));
  for (const Sign& s : kSigns)
    if (s.operation == n.operation)
      return bracketed(s.level, argument(0, s.level == kComparison ? s.level + 1 : s.level) + " " +
                                    s.text + " " + argument(1, s.level + 1));
  std::string out;
  for (const Function& f : kFunctions)
    if (f.operation == n.operation) out = std::string(f.name) + "(";
  for (size_t i = 0; i < n.arguments.size(); ++i) out += (i > 0 ? ", " : "") + argument(i, 0);
  return out + ")";
}

Expression::Bound Expression::bind(const std::vector<int64_t>& widths) const {
  if (widths.size() != names_.size())
    throw Error(ExitCode::kFailed, "a width for each name is needed", where_);
  Bound b;
  b.name_widths_ = widths;
  std::vector<int64_t> width_of(nodes_.size());
  int64_t depth = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& n = nodes_[i];
    const auto fail = [&](const std::string& what, const std::string& hint) {
      throw Error(ExitCode::kUsage, what, where_ + ", character " + std::to_string(n.place + 1),
                  hint);
    };
    Bound::Step s;
    s.operation = n.operation;
    s.arguments = static_cast<int>(n.arguments.size());
    s.index = n.operation == kName ? n.name : n.index;
    s.number = n.number;
    for (const int32_t a : n.arguments) {
      const int64_t w = width_of[static_cast<size_t>(a)];
      if (w > 1 && s.taken > 1 && w != s.taken)
        fail("vectors of " + std::to_string(s.taken) + " and of " + std::to_string(w) + " numbers",
             "they need one width");
      s.taken = std::max(s.taken, w);
      s.widths.push_back(w);
    }
    s.width = s.taken;
    if (n.operation == kName) {
      s.width = widths[static_cast<size_t>(n.name)];
    } else if (n.operation == kPart) {
      if (n.index >= s.taken)
        fail("has " + std::to_string(s.taken) + " parts", "they count from 0");
      s.width = 1;
    } else if (is_logic(n.operation) && s.taken > 1) {
      fail("compares a vector of " + std::to_string(s.taken) + " numbers",
           "make one number of it: max(v), min(v), length(v) or v[0]");
    } else if (reduces(n.operation) && s.arguments == 1) {
      s.width = 1;
    }
    width_of[i] = s.width;
    b.widest_ = std::max({b.widest_, s.width, s.taken});
    depth += 1 - s.arguments;
    b.deepest_ = std::max(b.deepest_, depth);
    b.steps_.push_back(std::move(s));
  }
  if (width_of.back() > 1)
    throw Error(ExitCode::kUsage,
                "is a vector of " + std::to_string(width_of.back()) + " numbers, not one", where_,
                "make one number of it: max(v), min(v), length(v) or v[0]");
  return b;
}

void Expression::Bound::evaluate(int64_t rows, const std::vector<const double*>& columns,
                                 double* out) const {
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  const int64_t slot = kBlock * widest_;
  parallel_for(blocks, 8, [&](int64_t begin, int64_t end) {
    std::vector<double> stack(static_cast<size_t>(slot * deepest_));
    for (int64_t block = begin; block < end; ++block) {
      const int64_t row = block * kBlock, n = std::min(kBlock, rows - row);
      double* top = stack.data();  // behind the last value
      for (const Step& s : steps_) {
        double* const first = top - s.arguments * slot;  // where the result goes
        const int64_t w = s.width, wa = s.widths.empty() ? 1 : s.widths[0];
        if (s.operation == kNumber) {
          std::fill(first, first + n, s.number);
        } else if (s.operation == kName) {
          const double* from = columns[static_cast<size_t>(s.index)] + row * w;
          std::copy(from, from + n * w, first);
        } else if (s.operation == kPart) {
          each(n, first, [&](int64_t i) { return first[i * wa + s.index]; });
        } else if (reduces(s.operation) && s.arguments == 1) {
          for (int64_t i = 0; i < n; ++i) {
            const double* v = first + i * wa;
            double x = s.operation == kLength ? v[0] * v[0] : v[0];
            for (int64_t k = 1; k < wa; ++k)
              x = s.operation == kMax || s.operation == kMin ? binary(s.operation, x, v[k])
                  : s.operation == kLength                   ? x + v[k] * v[k]
                                                             : x + v[k];
            first[i] = s.operation == kLength ? std::sqrt(x)
                       : s.operation == kMean ? x / static_cast<double>(wa)
                                              : x;
          }
        } else if (s.arguments == 1) {
          each(n * w, first, [&](int64_t i) { return unary(s.operation, first[i]); });
        } else {
          // A number beside a vector counts for each of its parts. From the last row on, since the
          // result may be wider than what it is made of.
          for (int a = 1; a < s.arguments; ++a) {
            const double* right = first + a * slot;
            const int64_t left_width = a == 1 ? wa : w,
                          right_width = s.widths[static_cast<size_t>(a)];
            for (int64_t i = n - 1; i >= 0; --i)
              for (int64_t k = w - 1; k >= 0; --k)
                first[i * w + k] = binary(s.operation, first[left_width == 1 ? i : i * w + k],
                                          right[right_width == 1 ? i : i * w + k]);
          }
        }
        top = first + slot;
      }
      std::copy(stack.data(), stack.data() + n, out + row);
    }
  });
}

}  // namespace covary
