// The text of a kernel, read.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

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
    while (take('+')) left = add({Node::Op::kSum, -1, left, product(), 1});
    --depth_;
    return left;
  }
  int64_t product() {
    int64_t left = factor();
    while (take('*')) left = add({Node::Op::kProduct, -1, left, factor(), 1});
    return left;
  }
  int64_t factor() {
    const int64_t base = unraised();
    if (!take('^')) return base;
    const int64_t exponent = read_index();
    if (exponent < 1 || exponent > 10) refuse("a power is a whole number from 1 to 10");
    if (peek() == '^') refuse("a power of a power needs parentheses");
    return exponent == 1 ? base : add({Node::Op::kPower, -1, base, -1, exponent});
  }
  int64_t unraised() {
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
    leaf.kind_name = "const";
    leaf.name = name_of("const");
    leaf.scale = parameter(leaf.name + ".variance", ParameterRole::kVariance, value, true, true);
    return add_leaf(std::move(leaf));
  }

  struct Arguments {
    std::vector<int64_t> dims;
    bool ard = false, fixed = false;
    std::vector<double> positional;
    std::map<std::string, std::vector<double>> named;
    std::map<std::string, std::string> words;
  };

  // The first `positions` of the known may stand without their name. open: the parenthesis is
  // open already.
  Arguments arguments(const std::vector<std::string>& known, size_t positions, bool open = false) {
    Arguments a;
    if (!open && !take('(')) return a;
    if (take(')')) return a;
    do {
      const char c = peek();
      if (std::isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '-') {
        a.positional.push_back(read_number());
        if (a.positional.size() > positions) refuse("too many values");
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
        if (word == "density") {
          a.words[word] = read_word();
        } else {
          a.named[word] = read_numbers();
        }
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
    if (word == "changepoint") return changepoint();
    if (word == "spectral_mixture") return spectral_mixture();
    if (word == "warp") return warp();
    if (word == "deep") return deep();
    const std::vector<std::string>& names = Kernel::profile_leaves();
    const auto found = std::find(names.begin(), names.end(), word);
    if (found != names.end()) return profile_leaf(word, static_cast<Kind>(found - names.begin()));
    if (const auto definition = leaf_definition(word)) return pair_leaf(word, *definition);
    std::vector<std::string> all = defined_leaves();
    all.insert(all.end(), names.begin(), names.end());
    all.insert(all.end(), {"changepoint", "spectral_mixture", "warp", "deep"});
    const std::string near = nearest_word(word, all);
    refuse("unknown kernel \"" + word + "\"", near.empty() ? "" : "did you mean \"" + near + "\"?");
  }

  // falling*A + rising*B.
  int64_t changepoint() {
    expect('(');
    const int64_t before = sum();
    expect(',');
    const int64_t after = sum();
    const bool more = take(',');
    const std::shared_ptr<const LeafDefinition> gate = leaf_definition("falling");
    const size_t first = kernel_.parameters_.size();
    const size_t here = at_;
    const int64_t falling = pair_leaf("falling", *gate, more);
    const size_t end = at_;
    at_ = here;  // the same arguments again
    const int64_t rising = pair_leaf("rising", *leaf_definition("rising"), more);
    at_ = end;
    if (!more) expect(')');
    for (size_t i = 0; i < 2; ++i) {
      kernel_.parameters_[first + 2 + i].tied_to = static_cast<int64_t>(first + i);
    }
    const int64_t left = add({Node::Op::kProduct, -1, falling, before, 1});
    return add({Node::Op::kSum, -1, left, add({Node::Op::kProduct, -1, rising, after, 1}), 1});
  }

  // Of what stands before a kernel, a warp or a network: a number a column that it sees, as stated,
  // one for all of them, or `otherwise`.
  template <class Before>
  std::vector<double> column_values(const Arguments& a, const Before& of, const std::string& name,
                                    double otherwise) {
    const auto given = a.named.find(name);
    std::vector<double> v = given == a.named.end() ? std::vector<double>{otherwise} : given->second;
    if (v.size() == 1) v.assign(of.columns.size(), v[0]);
    if (v.size() != of.columns.size())
      refuse(of.name + "." + name + " takes " + std::to_string(of.columns.size()) +
             " values, not " + std::to_string(v.size()));
    return v;
  }

  // Its range of every column.
  template <class Before>
  void take_range(const Arguments& a, double low, double high, Before* of) {
    of->low = column_values(a, *of, "low", low);
    of->high = column_values(a, *of, "high", high);
    of->ranged = a.named.contains("low") || a.named.contains("high");
    for (size_t k = 0; k < of->columns.size(); ++k) {
      if (!(of->low[k] < of->high[k])) refuse(of->name + ".low must be below high");
    }
  }

  // Everything in its parentheses sees some columns through a warp.
  int64_t warp() {
    if (warping_) refuse("a warp inside a warp, or behind a network");
    warping_ = true;
    KernelWarp w;
    w.first_leaf = static_cast<int64_t>(kernel_.leaves_.size());
    expect('(');
    w.node = sum();
    w.end_leaf = static_cast<int64_t>(kernel_.leaves_.size());
    warping_ = false;
    Arguments a;
    if (take(',')) {
      a = arguments({"a", "b", "low", "high"}, 0, true);
    } else {
      expect(')');
    }
    if (a.ard) refuse("a warp takes no ard: it has a and b of every column");
    w.name = name_of("warp");
    w.columns = a.dims.empty() ? kernel_.columns_in(w) : a.dims;
    if (w.columns.empty()) refuse("nothing in the warp sees a column");
    for (int64_t i = w.first_leaf; i < w.end_leaf; ++i) {
      Kernel::Leaf& leaf = kernel_.leaves_[static_cast<size_t>(i)];
      const bool sees = std::any_of(leaf.dims.begin(), leaf.dims.end(), [&](int64_t d) {
        return std::find(w.columns.begin(), w.columns.end(), d) != w.columns.end();
      });
      if (!sees) continue;
      if (leaf.kind_name == "index" || leaf.kind_name == "hamming") {
        refuse("the categories of " + leaf.name + " cannot be warped", "name the columns: dims=0");
      }
      leaf.warp = static_cast<int64_t>(kernel_.warps_.size());
    }
    const auto values = [&](const char* name, double otherwise) {
      return column_values(a, w, name, otherwise);
    };
    take_range(a, 0, 1, &w);
    w.first = static_cast<int64_t>(kernel_.parameters_.size());
    for (const char* name : {"a", "b"}) {
      const std::vector<double> v = values(name, 1);
      for (size_t k = 0; k < w.columns.size(); ++k) {
        parameter(w.name + "." + name + "[" + std::to_string(w.columns[k]) + "]",
                  ParameterRole::kWarp, v[k], a.named.contains(name), a.fixed, w.columns[k]);
      }
    }
    const int64_t node = w.node;
    kernel_.warps_.push_back(std::move(w));
    return node;
  }

  // Layers of the network whose parenthesis is open here, which stand after what sees its outputs.
  std::vector<int64_t> layers_ahead() {
    std::vector<double> layers{8, 2};
    const size_t here = at_;
    int depth = 0;
    for (size_t i = at_; i < text_.size() && depth >= 0; ++i) {
      const char c = text_[i];
      depth += (c == '(' || c == '[') - (c == ')' || c == ']');
      if (c != ',' || depth != 0) continue;
      at_ = i + 1;
      if (read_word() == "layers" && take('=')) {
        layers = read_numbers();
        break;
      }
    }
    at_ = here;
    std::vector<int64_t> widths;
    for (const double w : layers) {
      if (w != std::floor(w) || w < 1 || w > 256 || layers.size() > 8)
        refuse("layers are up to 8, of 1 to 256 units each", "for example deep(rbf,layers=[16,2])");
      widths.push_back(static_cast<int64_t>(w));
    }
    return widths;
  }

  // Everything in its parentheses sees the outputs of a network.
  int64_t deep() {
    if (warping_) refuse("a network inside a warp, or behind another network");
    warping_ = true;
    expect('(');
    KernelNet n;
    n.widths = layers_ahead();
    n.first_leaf = static_cast<int64_t>(kernel_.leaves_.size());
    const size_t inner = kernel_.parameters_.size();
    const int64_t dims = std::exchange(kernel_.dims_, n.outputs());
    n.node = sum();
    kernel_.dims_ = dims;
    n.end_leaf = static_cast<int64_t>(kernel_.leaves_.size());
    warping_ = false;
    Arguments a;
    if (take(',')) {
      a = arguments({"layers", "weights", "low", "high"}, 0, true);
    } else {
      expect(')');
    }
    if (a.ard) refuse("a network takes no ard: what sees its outputs may");
    n.name = name_of("deep");
    n.columns = a.dims;
    if (n.columns.empty()) {
      for (int64_t d = 0; d < dims; ++d) n.columns.push_back(d);
    }
    constexpr int64_t kMostWeights = 10000;
    if (n.weights() > kMostWeights)
      refuse(n.name + " has " + std::to_string(n.weights()) + " weights, " +
                 std::to_string(kMostWeights) + " are the most",
             "write fewer or narrower layers, or name its columns: dims=0:3");
    for (int64_t i = n.first_leaf; i < n.end_leaf; ++i) {
      Kernel::Leaf& leaf = kernel_.leaves_[static_cast<size_t>(i)];
      if (leaf.kind == Kind::kWhite) refuse("white behind a network: put it beside deep()");
      if (leaf.kind_name == "index" || leaf.kind_name == "hamming")
        refuse("the outputs of a network are no categories for " + leaf.name);
      if (!leaf.dims.empty()) leaf.net = static_cast<int64_t>(kernel_.nets_.size());
    }
    // Outputs have no unit, and belong to no column.
    for (size_t i = inner; i < kernel_.parameters_.size(); ++i) {
      KernelParameter& p = kernel_.parameters_[i];
      p.dimension = -1;
      if (p.role == ParameterRole::kLengthscale || p.role == ParameterRole::kPeriod ||
          p.role == ParameterRole::kLinear)
        p.role = ParameterRole::kShape;
      if (p.role == ParameterRole::kLocation) p.role = ParameterRole::kLoading;
    }
    take_range(a, -1, 1, &n);
    net_weights(&n, a);
    const int64_t node = n.node;
    kernel_.nets_.push_back(std::move(n));
    return node;
  }

  void net_weights(KernelNet* n, const Arguments& a) {
    const auto given = a.named.find("weights");
    const bool stated = given != a.named.end();
    if (stated && static_cast<int64_t>(given->second.size()) != n->weights())
      refuse(n->name + ".weights takes " + std::to_string(n->weights()) + " values, not " +
             std::to_string(given->second.size()));
    n->first = static_cast<int64_t>(kernel_.parameters_.size());
    int64_t index = 0, before = n->inputs();
    const auto add_weight = [&](const std::string& name) {
      KernelParameter p;
      p.name = n->name + "." + name;
      p.role = ParameterRole::kWeight;
      p.value = stated ? given->second[static_cast<size_t>(index)] : first_weight(n->name, index);
      p.real = true;
      p.lower = -std::numeric_limits<double>::infinity();
      p.given = stated;
      p.fixed = a.fixed;
      kernel_.parameters_.push_back(std::move(p));
      ++index;
    };
    for (size_t l = 0; l < n->widths.size(); ++l) {
      const std::string layer = std::to_string(l + 1);
      for (int64_t i = 0; i < n->widths[l]; ++i) {
        for (int64_t j = 0; j < before; ++j)
          add_weight("weight" + layer + "[" + std::to_string(i) + "," + std::to_string(j) + "]");
      }
      for (int64_t i = 0; l + 1 < n->widths.size() && i < n->widths[l]; ++i)
        add_weight("bias" + layer + "[" + std::to_string(i) + "]");
      before = n->widths[l];
    }
  }

  // Q times const*base(ard)*cosine(ard); each begins at another frequency.
  int64_t spectral_mixture() {
    std::string base = "rbf";
    int64_t components = 3;
    std::string dims;
    if (take('(') && !take(')')) {
      do {
        const std::string word = read_word();
        if (word != "base" && word != "components" && word != "dims") {
          refuse("unknown argument \"" + word + "\"", "components, base and dims are known");
        }
        expect('=');
        const size_t from = at_;
        if (word == "base") base = read_word();
        if (word == "components") components = read_index();
        if (word == "dims") {
          dims_list();
          dims = ",dims=" + std::string(text_.substr(from, at_ - from));
        }
      } while (take(','));
      expect(')');
    }
    if (components < 1 || components > 50) refuse("components are 1 to 50");
    static const std::vector<std::string> kBases{"rbf",      "matern12", "matern32",
                                                 "matern52", "matern",   "rq"};
    if (std::find(kBases.begin(), kBases.end(), base) == kBases.end()) {
      refuse("\"" + base + "\" is no base of a spectral mixture",
             "rbf, matern12, matern32, matern52, matern and rq are");
    }
    const std::string one = "const*" + base + "(ard" + dims + ")*cosine(ard" + dims + ")";
    int64_t all = -1;
    for (int64_t q = 0; q < components; ++q) {
      const size_t first = kernel_.parameters_.size(), here = at_;
      const std::string_view text = text_;
      text_ = one;
      at_ = 0;
      const int64_t term = product();
      text_ = text;
      at_ = here;
      for (size_t i = first; i < kernel_.parameters_.size(); ++i) {
        KernelParameter& p = kernel_.parameters_[i];
        if (p.role == ParameterRole::kVariance) p.start = 1.0 / static_cast<double>(components);
        if (p.role == ParameterRole::kPeriod) p.start = 3 * std::pow(0.4, static_cast<double>(q));
      }
      all = all < 0 ? term : add({Node::Op::kSum, -1, all, term, 1});
    }
    return all;
  }

  // A pair function; its parameters' names may end in [..], which makes a list of them.
  int64_t pair_leaf(const std::string& word, const LeafDefinition& definition, bool open = false) {
    Kernel::Leaf leaf;
    leaf.kind = Kind::kPair;
    leaf.kind_name = word;
    leaf.name = name_of(word);
    const size_t here = at_;
    // Settings decide which parameters there are: they are read first.
    std::vector<std::string> known = definition.positional;
    for (const WholeArgument& w : definition.whole) known.push_back(w.name);
    known.insert(known.end(), definition.lists.begin(), definition.lists.end());
    Arguments a = arguments(known, definition.positional.size(), open);
    LeafSettings settings;
    for (const WholeArgument& w : definition.whole) {
      const auto given = a.named.find(w.name);
      double v = static_cast<double>(w.value);
      if (given != a.named.end()) {
        if (given->second.size() != 1) refuse(w.name + " takes one value");
        v = given->second[0];
        a.named.erase(given);
      } else if (w.value == 0) {
        at_ = here;
        refuse(word + " needs " + w.name + "=");
      }
      if (v != std::floor(v) || v < static_cast<double>(w.lowest) ||
          v > static_cast<double>(w.highest)) {
        refuse(w.name + " must be a whole number from " + std::to_string(w.lowest) + " to " +
               std::to_string(w.highest));
      }
      settings.whole[w.name] = static_cast<int64_t>(v);
    }
    leaf.dims = a.dims;
    if (leaf.dims.empty()) {
      for (int64_t d = 0; d < kernel_.dims_; ++d) leaf.dims.push_back(d);
    }
    if (definition.one_column && leaf.dims.size() != 1) {
      refuse(word + " sees one column", "write dims=0, or another");
    }
    if (a.ard && !definition.takes_ard) refuse(word + " takes no ard");
    leaf.ard = settings.ard = a.ard;
    settings.columns = static_cast<int64_t>(leaf.dims.size());
    leaf.whole = settings.whole;
    leaf.function = definition.make(settings);
    leaf.first = static_cast<int64_t>(kernel_.parameters_.size());
    for (size_t i = 0; i < a.positional.size(); ++i) {
      a.named.emplace(known[i], std::vector<double>{a.positional[i]});
    }
    std::map<std::string, size_t> seen;  // of each list
    std::map<std::string, size_t> lengths;
    for (const KernelParameter& p : leaf.function->parameters()) ++lengths[group_of(p.name)];
    for (const auto& [name, values] : a.named) {
      if (!lengths.contains(name)) refuse(word + " has no " + name + " here");
      if (values.size() != 1 && values.size() != lengths[name]) {
        refuse(leaf.name + "." + name + " takes " + std::to_string(lengths[name]) +
               " values, not " + std::to_string(values.size()));
      }
    }
    for (KernelParameter p : leaf.function->parameters()) {
      const std::string group = group_of(p.name);
      const size_t k = seen[group]++;
      const auto given = a.named.find(group);
      if (given != a.named.end()) {
        p.value = given->second[given->second.size() == 1 ? 0 : k];
        p.given = true;
      }
      p.fixed = a.fixed;
      if (p.dimension >= 0) p.dimension = leaf.dims[static_cast<size_t>(p.dimension)];
      p.name = leaf.name + "." + p.name +
               (leaf.ard && lengths[group] > 1 ? "[" + std::to_string(p.dimension) + "]" : "");
      if (!p.real && !(p.value > 0)) refuse(p.name + " must be positive");
      if (p.real) p.lower = -std::numeric_limits<double>::infinity();
      kernel_.parameters_.push_back(std::move(p));
    }
    return add_leaf(std::move(leaf));
  }
  static std::string group_of(const std::string& name) { return name.substr(0, name.find('[')); }

  int64_t profile_leaf(const std::string& word, Kind kind) {
    Kernel::Leaf leaf;
    leaf.kind = kind;
    leaf.kind_name = word;
    leaf.name = name_of(word);
    static const std::map<Kind, std::vector<std::string>> kArguments{
        {Kind::kConst, {"variance"}},
        {Kind::kWhite, {"variance"}},
        {Kind::kRationalQuadratic, {"lengthscale", "alpha"}},
        {Kind::kPeriodic, {"period", "lengthscale"}},
        {Kind::kCosine, {"period"}},
        {Kind::kLinear, {"variance"}},
        {Kind::kPolynomial, {"variance", "offset", "degree"}},
        {Kind::kMatern, {"lengthscale", "nu"}},
        {Kind::kWendland, {"lengthscale", "smoothness"}},
        {Kind::kEigenvectors, {"lengthscale", "nu", "values", "density", "dimension"}}};
    const auto listed = kArguments.find(leaf.kind);
    const std::vector<std::string> known =
        listed == kArguments.end() ? std::vector<std::string>{"lengthscale"} : listed->second;
    const bool eigen = leaf.kind == Kind::kEigenvectors;
    Arguments a = arguments(known, eigen ? 1 : known.size());
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
    if (eigen) {
      if (a.ard) refuse("eigenvectors take no ard: their eigenvalues tell them apart");
      leaf.eigenvalues = values("values", &given);
      if (!given) refuse("eigenvectors need values=[..], the eigenvalue of each column");
      take_density(&leaf, a);
      const double dimension = value("dimension", &given);
      if (given) leaf.density.dimension = static_cast<int64_t>(dimension);
      if (given && (dimension != std::floor(dimension) || dimension < 0 || dimension > 100))
        refuse("dimension must be a whole number from 0 to 100");
    }
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
      const ParameterRole role =  // of these it has not the unit of a column
          leaf.kind == Kind::kPeriodic || eigen ? ParameterRole::kShape
                                                : ParameterRole::kLengthscale;
      leaf.scale = several(leaf, "lengthscale", role, lengthscale, given, a.fixed, &leaf.scales);
      if (eigen) start_by_eigenvalues(leaf, given);
    }
    if (eigen && leaf.density.free_order()) {
      double nu = value("nu", &given);
      if (!given) nu = 1.5;
      leaf.shape = parameter(leaf.name + ".nu", ParameterRole::kSmoothness, nu, given, a.fixed);
    } else if (eigen && a.named.contains("nu")) {
      refuse("nu is for density=matern");
    }
    if (leaf.kind == Kind::kRationalQuadratic) {
      const double alpha = value("alpha", &given);
      leaf.shape = parameter(leaf.name + ".alpha", ParameterRole::kShape, alpha, given, a.fixed);
    }
    if (leaf.kind == Kind::kMatern) {
      double nu = value("nu", &given);
      if (!given) nu = 1.5;
      if (nu < 0.01 || nu > 100) refuse("nu must be from 0.01 to 100");
      leaf.shape = parameter(leaf.name + ".nu", ParameterRole::kSmoothness, nu, given, a.fixed);
    }
    if (leaf.kind == Kind::kWendland) {
      const double smoothness = value("smoothness", &given);
      if (given && smoothness != 0 && smoothness != 1 && smoothness != 2 && smoothness != 3) {
        refuse("smoothness must be 0, 1, 2 or 3");
      }
      if (given) leaf.degree = static_cast<int64_t>(smoothness);
      // Neighbours must be inside.
      for (size_t i = 0; i < static_cast<size_t>(leaf.scales); ++i) {
        kernel_.parameters_[static_cast<size_t>(leaf.scale) + i].start = 3;
      }
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

  // What is said of the eigenvalues of eigenvectors, and of their density.
  void take_density(Kernel::Leaf* leaf, const Arguments& a) {
    std::vector<double>& values = leaf->eigenvalues;
    if (values.size() != leaf->dims.size())
      refuse(leaf->name + ".values takes " + std::to_string(leaf->dims.size()) + " values, not " +
             std::to_string(values.size()));
    const double most = *std::max_element(values.begin(), values.end());
    for (double& v : values) {
      if (v < -1e-9 * most || !(most >= 0)) refuse("eigenvalues must not be negative");
      v = std::max(v, 0.0);  // an eigensolver's 0
    }
    if (const auto word = a.words.find("density"); word != a.words.end()) {
      if (!EigenDensity::knows(word->second))
        refuse("\"" + word->second + "\" is no density of eigenvectors",
               "rbf, matern12, matern32, matern52 and matern are");
      leaf->density.density = word->second;
    }
  }
  // The length scale is told by the eigenvalues, not by the columns.
  void start_by_eigenvalues(const Kernel::Leaf& leaf, bool given) {
    std::vector<double> positive = leaf.eigenvalues;
    std::erase_if(positive, [](double v) { return !(v > 0); });
    if (positive.empty()) return;
    std::sort(positive.begin(), positive.end());
    KernelParameter& p = kernel_.parameters_[static_cast<size_t>(leaf.scale)];
    p.dimension = -1;
    p.start = 1 / std::sqrt(positive[positive.size() / 2]);
    if (!given) p.value = p.start;
  }

  int64_t add_leaf(Kernel::Leaf leaf) {
    kernel_.leaves_.push_back(std::move(leaf));
    return add({Node::Op::kLeaf, static_cast<int64_t>(kernel_.leaves_.size()) - 1, -1, -1, 1});
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool warping_ = false;
  std::map<std::string, int> counts_;
  Kernel kernel_;
};

Kernel Kernel::parse(std::string_view text, int64_t dims) { return KernelParser(text, dims).run(); }

}  // namespace covary::stat
