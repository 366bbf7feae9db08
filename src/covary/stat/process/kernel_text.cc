// The text of a kernel: parser and printer.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {
namespace {

const std::vector<std::string>& leaf_names() {  // in the order of Kernel::Kind
  static const std::vector<std::string> names{"const",    "white",    "rbf",       "matern12",
                                              "matern32", "matern52", "rq",        "periodic",
                                              "cosine",   "linear",   "polynomial"};
  return names;
}

std::string number(double x) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, x);  // shortest that reads back
  return {text, end.ptr};
}

}  // namespace

class KernelParser {
 public:
  KernelParser(std::string_view text, int64_t dims) : text_(text) { kernel_.dims_ = dims; }

  Kernel run() {
    if (kernel_.dims_ < 1) {
      throw Error(ExitCode::kUsage, "needs at least one input column", "kernel");
    }
    sum();
    if (peek() != 0) refuse("expected + or *");
    return std::move(kernel_);
  }

 private:
  using Kind = Kernel::Kind;
  using Node = Kernel::Node;

  [[noreturn]] void refuse(const std::string& what, const std::string& hint = "") const {
    throw Error(ExitCode::kUsage, what,
                "kernel \"" + std::string(text_) + "\" at " + std::to_string(at_ + 1), hint);
  }

  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(std::string("expected '") + c + "'");
  }

  int64_t add(Node node) {
    kernel_.nodes_.push_back(node);
    return static_cast<int64_t>(kernel_.nodes_.size()) - 1;
  }

  int64_t sum() {
    if (++depth_ > 100) refuse("too many parentheses");
    int64_t left = product();
    while (take('+')) left = add({Node::Op::kSum, -1, left, product()});
    --depth_;
    return left;
  }
  int64_t product() {
    int64_t left = factor();
    while (take('*')) left = add({Node::Op::kProduct, -1, left, factor()});
    return left;
  }
  int64_t factor() {
    if (take('(')) {
      const int64_t inner = sum();
      expect(')');
      return inner;
    }
    const char c = peek();
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '.') return literal();
    if (std::isalpha(static_cast<unsigned char>(c))) return leaf();
    refuse(c == 0 ? "the text ends where a kernel is expected" : "expected a kernel");
  }

  double read_number() {
    peek();
    double value = 0;
    const auto [end, code] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (code != std::errc() || !std::isfinite(value)) refuse("expected a number");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }
  std::vector<double> read_numbers() {  // one, or a list in brackets
    if (!take('[')) return {read_number()};
    std::vector<double> values;
    do {
      values.push_back(read_number());
    } while (take(','));
    expect(']');
    return values;
  }
  int64_t read_index() {
    const double value = read_number();
    if (value != std::floor(value) || value < 0 || value > 1e9) refuse("expected a whole number");
    return static_cast<int64_t>(value);
  }
  std::string read_word() {
    peek();
    std::string word;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '_' || text_[at_] == '-')) {
      word += text_[at_++];
    }
    return word;
  }

  int64_t literal() {
    const double value = read_number();
    if (!(value > 0)) refuse("a factor must be positive");
    Kernel::Leaf leaf;
    leaf.literal = true;
    leaf.name = name_of("const");
    leaf.scale = parameter(leaf.name + ".variance", ParameterRole::kVariance, value, true, true);
    return add_leaf(std::move(leaf));
  }

  struct Arguments {
    std::vector<int64_t> dims;
    bool ard = false, fixed = false;
    std::vector<double> positional;
    std::map<std::string, std::vector<double>> named;
  };

  Arguments arguments(const std::vector<std::string>& known) {
    Arguments a;
    if (!take('(')) return a;
    if (take(')')) return a;
    do {
      const char c = peek();
      if (std::isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '-') {
        a.positional.push_back(read_number());
        if (a.positional.size() > known.size()) refuse("too many values");
        continue;
      }
      const std::string word = read_word();
      if (word == "ard") {
        a.ard = true;
      } else if (word == "fixed") {
        a.fixed = true;
      } else if (word == "dims") {
        expect('=');
        a.dims = dims_list();
      } else {
        if (std::find(known.begin(), known.end(), word) == known.end()) {
          std::vector<std::string> words = known;
          words.insert(words.end(), {"ard", "fixed", "dims"});
          const std::string near = nearest_word(word, words);
          refuse("unknown argument \"" + word + "\"",
                 near.empty() ? "" : "did you mean \"" + near + "\"?");
        }
        expect('=');
        a.named[word] = read_numbers();
      }
    } while (take(','));
    expect(')');
    return a;
  }

  std::vector<int64_t> dims_list() {
    std::vector<int64_t> dims;
    if (take('[')) {
      do {
        dims.push_back(read_index());
      } while (take(','));
      expect(']');
    } else {
      const int64_t first = read_index(), last = take(':') ? read_index() : first;
      if (last < first) refuse("dims end before they begin");
      if (last >= kernel_.dims_) out_of_range(last);
      for (int64_t d = first; d <= last; ++d) dims.push_back(d);
    }
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] >= kernel_.dims_) out_of_range(dims[i]);
      if (std::count(dims.begin(), dims.end(), dims[i]) > 1) refuse("a column is named twice");
    }
    return dims;
  }
  [[noreturn]] void out_of_range(int64_t d) const {
    refuse("column " + std::to_string(d) + " is out of range: the data have " +
           std::to_string(kernel_.dims_));
  }

  std::string name_of(const std::string& kind) {
    const int count = ++counts_[kind];
    return count == 1 ? kind : kind + std::to_string(count);
  }

  int64_t parameter(std::string name, ParameterRole role, double value, bool given, bool fixed,
                    int64_t dimension = -1) {
    if (!(value > 0)) refuse(name + " must be positive");
    KernelParameter p;
    p.name = std::move(name);
    p.role = role;
    p.value = value;
    p.given = given;
    p.fixed = fixed;
    p.dimension = dimension;
    kernel_.parameters_.push_back(std::move(p));
    return static_cast<int64_t>(kernel_.parameters_.size()) - 1;
  }

  // One parameter, or one a column; a single value is that of all of them.
  int64_t several(const Kernel::Leaf& leaf, const std::string& name, ParameterRole role,
                  const std::vector<double>& values, bool given, bool fixed, int64_t* count) {
    *count = leaf.ard ? static_cast<int64_t>(leaf.dims.size()) : 1;
    if (values.size() != 1 && static_cast<int64_t>(values.size()) != *count) {
      refuse(leaf.name + "." + name + " takes " + std::to_string(*count) + " values, not " +
             std::to_string(values.size()));
    }
    const int64_t first = static_cast<int64_t>(kernel_.parameters_.size());
    for (int64_t k = 0; k < *count; ++k) {
      const std::string suffix =
          leaf.ard ? "[" + std::to_string(leaf.dims[static_cast<size_t>(k)]) + "]" : "";
      const int64_t dimension =
          leaf.dims.size() == 1 || leaf.ard ? leaf.dims[static_cast<size_t>(k)] : -1;
      const double value = values[values.size() == 1 ? 0 : static_cast<size_t>(k)];
      parameter(leaf.name + "." + name + suffix, role, value, given, fixed, dimension);
    }
    return first;
  }

  int64_t leaf() {
    const std::string word = read_word();
    const auto& names = leaf_names();
    const auto found = std::find(names.begin(), names.end(), word);
    if (found == names.end()) {
      const std::string near = nearest_word(word, names);
      refuse("unknown kernel \"" + word + "\"",
             near.empty() ? "" : "did you mean \"" + near + "\"?");
    }
    Kernel::Leaf leaf;
    leaf.kind = static_cast<Kind>(found - names.begin());
    leaf.name = name_of(word);
    static const std::map<Kind, std::vector<std::string>> kArguments{
        {Kind::kConst, {"variance"}},
        {Kind::kWhite, {"variance"}},
        {Kind::kRationalQuadratic, {"lengthscale", "alpha"}},
        {Kind::kPeriodic, {"period", "lengthscale"}},
        {Kind::kCosine, {"period"}},
        {Kind::kLinear, {"variance"}},
        {Kind::kPolynomial, {"variance", "offset", "degree"}}};
    const auto listed = kArguments.find(leaf.kind);
    const std::vector<std::string> known =
        listed == kArguments.end() ? std::vector<std::string>{"lengthscale"} : listed->second;
    Arguments a = arguments(known);
    for (size_t i = 0; i < a.positional.size(); ++i) {
      a.named.emplace(known[i], std::vector<double>{a.positional[i]});
    }
    const bool flat = leaf.kind == Kind::kConst || leaf.kind == Kind::kWhite;
    if (flat && (a.ard || !a.dims.empty())) refuse(word + " takes neither ard nor dims");
    leaf.ard = a.ard;
    leaf.dims = a.dims;
    if (!flat && leaf.dims.empty()) {
      for (int64_t d = 0; d < kernel_.dims_; ++d) leaf.dims.push_back(d);
    }
    const auto values = [&](const std::string& name, bool* given) {
      const auto it = a.named.find(name);
      *given = it != a.named.end();
      return *given ? it->second : std::vector<double>{1.0};
    };
    const auto value = [&](const std::string& name, bool* given) {
      const std::vector<double> v = values(name, given);
      if (v.size() != 1) refuse(name + " takes one value");
      return v[0];
    };
    bool given = false;
    if (leaf.kind == Kind::kPeriodic || leaf.kind == Kind::kCosine) {
      const auto period = values("period", &given);
      leaf.period =
          several(leaf, "period", ParameterRole::kPeriod, period, given, a.fixed, &leaf.periods);
    }
    if (flat || leaf.kind == Kind::kLinear || leaf.kind == Kind::kPolynomial) {
      const auto variance = values("variance", &given);
      if (flat) {
        leaf.scale =
            parameter(leaf.name + ".variance",
                      leaf.kind == Kind::kWhite ? ParameterRole::kNoise : ParameterRole::kVariance,
                      value("variance", &given), given, a.fixed);
      } else {
        leaf.scale = several(leaf, "variance", ParameterRole::kLinear, variance, given, a.fixed,
                             &leaf.scales);
      }
    } else if (leaf.kind != Kind::kCosine) {
      const auto lengthscale = values("lengthscale", &given);
      const ParameterRole role =  // of a periodic kernel it has no unit: a share of the period
          leaf.kind == Kind::kPeriodic ? ParameterRole::kShape : ParameterRole::kLengthscale;
      leaf.scale = several(leaf, "lengthscale", role, lengthscale, given, a.fixed, &leaf.scales);
    }
    if (leaf.kind == Kind::kRationalQuadratic) {
      const double alpha = value("alpha", &given);
      leaf.shape = parameter(leaf.name + ".alpha", ParameterRole::kShape, alpha, given, a.fixed);
    }
    if (leaf.kind == Kind::kPolynomial) {
      const double offset = value("offset", &given);
      leaf.shape = parameter(leaf.name + ".offset", ParameterRole::kOffset, offset, given, a.fixed);
      const double degree = value("degree", &given);
      if (given) {
        if (degree != std::floor(degree) || degree < 1 || degree > 10) {
          refuse("degree must be a whole number from 1 to 10");
        }
        leaf.degree = static_cast<int64_t>(degree);
      }
    }
    return add_leaf(std::move(leaf));
  }

  int64_t add_leaf(Kernel::Leaf leaf) {
    kernel_.leaves_.push_back(std::move(leaf));
    return add({Node::Op::kLeaf, static_cast<int64_t>(kernel_.leaves_.size()) - 1, -1, -1});
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::map<std::string, int> counts_;
  Kernel kernel_;
};

Kernel Kernel::parse(std::string_view text, int64_t dims) { return KernelParser(text, dims).run(); }

std::string Kernel::text() const { return text_of(static_cast<int64_t>(nodes_.size()) - 1, false); }

std::string Kernel::text_of(int64_t node, bool inside_product) const {
  const Node& n = nodes_[static_cast<size_t>(node)];
  if (n.op == Node::Op::kSum) {
    const std::string s = text_of(n.left, false) + " + " + text_of(n.right, false);
    return inside_product ? "(" + s + ")" : s;
  }
  if (n.op == Node::Op::kProduct) return text_of(n.left, true) + "*" + text_of(n.right, true);
  const Leaf& leaf = leaves_[static_cast<size_t>(n.leaf)];
  const auto value = [&](int64_t p) { return parameters_[static_cast<size_t>(p)].value; };
  if (leaf.literal) return number(value(leaf.scale));
  std::string s;
  const auto item = [&](const std::string& text) { s += (s.empty() ? "" : ",") + text; };
  const auto list = [&](const char* name, int64_t first, int64_t count) {
    if (first < 0) return;
    std::string values = number(value(first));
    for (int64_t k = 1; k < count; ++k) values += "," + number(value(first + k));
    item(std::string(name) + "=" + (count > 1 ? "[" + values + "]" : values));
  };
  list("period", leaf.period, leaf.periods);
  const bool lengths = leaf.kind != Kind::kConst && leaf.kind != Kind::kWhite &&
                       leaf.kind != Kind::kLinear && leaf.kind != Kind::kPolynomial;
  list(lengths ? "lengthscale" : "variance", leaf.scale, std::max<int64_t>(leaf.scales, 1));
  if (leaf.kind == Kind::kRationalQuadratic) list("alpha", leaf.shape, 1);
  if (leaf.kind == Kind::kPolynomial) {
    list("offset", leaf.shape, 1);
    item("degree=" + std::to_string(leaf.degree));
  }
  if (leaf.ard) item("ard");
  if (!leaf.dims.empty() && static_cast<int64_t>(leaf.dims.size()) != dims_) {
    std::string columns;
    for (const int64_t d : leaf.dims) columns += (columns.empty() ? "" : ",") + std::to_string(d);
    item("dims=[" + columns + "]");
  }
  if (parameters_[static_cast<size_t>(leaf.scale >= 0 ? leaf.scale : leaf.period)].fixed) {
    item("fixed");
  }
  return leaf_names()[static_cast<size_t>(leaf.kind)] + "(" + s + ")";
}

KernelTerms part_from_white(std::string_view text) {
  KernelTerms terms;
  const auto add = [&terms](std::string_view term) {
    const size_t first = term.find_first_not_of(" \t"), last = term.find_last_not_of(" \t");
    if (first == std::string_view::npos) return;
    term = term.substr(first, last - first + 1);
    const size_t name = term.find_first_of(" \t(*");
    const size_t closed = term.find(')');
    // white, or white(...), and nothing after it.
    const bool white = term.substr(0, name) == "white" &&
                       (name == std::string_view::npos || closed == term.size() - 1);
    std::string& side = white ? terms.white : terms.smooth;
    side += (side.empty() ? "" : " + ") + std::string(term);
  };
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' || text[i] == '[';
    depth -= text[i] == ')' || text[i] == ']';
    // The plus of 1e+3 is no sum.
    const bool exponent =
        i > 1 && (text[i - 1] == 'e' || text[i - 1] == 'E') &&
        (std::isdigit(static_cast<unsigned char>(text[i - 2])) || text[i - 2] == '.');
    if (text[i] != '+' || depth != 0 || exponent) continue;
    add(text.substr(begin, i - begin));
    begin = i + 1;
  }
  add(text.substr(begin));
  return terms;
}

}  // namespace covary::stat
