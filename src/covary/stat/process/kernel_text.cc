// The text of a kernel, written, and parted.
#include <algorithm>
#include <cctype>
#include <charconv>

#include "covary/stat/process/kernel.h"

namespace covary::stat {
namespace {

std::string number(double x) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, x);  // shortest that reads back
  return {text, end.ptr};
}

}  // namespace

const std::vector<std::string>& Kernel::profile_leaves() {
  static const std::vector<std::string> names{
      "const",    "white",  "rbf",    "matern12",   "matern32", "matern52", "rq",
      "periodic", "cosine", "linear", "polynomial", "matern",   "wendland", "eigenvectors"};
  return names;
}

std::string Kernel::text() const { return text_of(static_cast<int64_t>(nodes_.size()) - 1, false); }

std::string Kernel::text_of(int64_t node, bool inside_product) const {
  for (const KernelWarp& w : warps_) {
    if (w.node == node) return warp_text(w);
  }
  for (const KernelNet& n : nets_) {
    if (n.node == node) return net_text(n);
  }
  return tree_text(node, inside_product);
}

std::string Kernel::warp_text(const KernelWarp& w) const {
  std::string s = "warp(" + tree_text(w.node, false);
  const auto list = [&s](const char* name, const auto& value, int64_t count) {
    s += std::string(",") + name + "=";
    if (count > 1) s += "[";
    for (int64_t k = 0; k < count; ++k) s += (k > 0 ? "," : "") + number(value(k));
    if (count > 1) s += "]";
  };
  const int64_t count = w.count();
  list("a", [&](int64_t k) { return value_of(w.first + k); }, count);
  list("b", [&](int64_t k) { return value_of(w.first + count + k); }, count);
  if (w.ranged) {
    list("low", [&](int64_t k) { return w.low[static_cast<size_t>(k)]; }, count);
    list("high", [&](int64_t k) { return w.high[static_cast<size_t>(k)]; }, count);
  }
  if (w.columns != columns_in(w)) {
    std::string columns;
    for (const int64_t c : w.columns) columns += (columns.empty() ? "" : ",") + std::to_string(c);
    s += ",dims=[" + columns + "]";
  }
  if (parameters_[static_cast<size_t>(w.first)].fixed) s += ",fixed";
  return s + ")";
}

std::string Kernel::net_text(const KernelNet& n) const {
  std::string s = "deep(" + tree_text(n.node, false);
  const auto list = [&s](const char* name, const auto& values) {
    s += std::string(",") + name + "=[";
    for (size_t k = 0; k < values.size(); ++k)
      s += (k > 0 ? "," : "") + number(static_cast<double>(values[k]));
    s += "]";
  };
  list("layers", n.widths);
  std::vector<double> weights;
  for (int64_t i = 0; i < n.weights(); ++i) weights.push_back(value_of(n.first + i));
  list("weights", weights);
  if (n.ranged) {
    list("low", n.low);
    list("high", n.high);
  }
  if (n.inputs() != dims_) list("dims", n.columns);
  if (parameters_[static_cast<size_t>(n.first)].fixed) s += ",fixed";
  return s + ")";
}

std::string Kernel::tree_text(int64_t node, bool inside_product) const {
  const Node& n = nodes_[static_cast<size_t>(node)];
  if (n.op == Node::Op::kSum) {
    const std::string s = text_of(n.left, false) + " + " + text_of(n.right, false);
    return inside_product ? "(" + s + ")" : s;
  }
  if (n.op == Node::Op::kProduct) return text_of(n.left, true) + "*" + text_of(n.right, true);
  if (n.op == Node::Op::kPower) {
    const bool leaf = nodes_[static_cast<size_t>(n.left)].op == Node::Op::kLeaf;
    const std::string s = text_of(n.left, false);
    return (leaf ? s : "(" + s + ")") + "^" + std::to_string(n.exponent);
  }
  return leaf_text(leaves_[static_cast<size_t>(n.leaf)]);
}

std::string Kernel::leaf_text(const Leaf& leaf) const {
  const auto value = [&](int64_t p) { return value_of(p); };
  if (leaf.literal) return number(value(leaf.scale));
  std::string s;
  const auto item = [&](const std::string& text) { s += (s.empty() ? "" : ",") + text; };
  const auto list = [&](const char* name, int64_t first, int64_t count) {
    if (first < 0) return;
    std::string values = number(value(first));
    for (int64_t k = 1; k < count; ++k) values += "," + number(value(first + k));
    item(std::string(name) + "=" + (count > 1 ? "[" + values + "]" : values));
  };
  int64_t mark = leaf.scale >= 0 ? leaf.scale : leaf.period;  // all are fixed, or none
  if (leaf.kind == Kind::kPair) {
    mark = leaf.first;
    for (const auto& [name, v] : leaf.whole) item(name + "=" + std::to_string(v));
    const std::vector<KernelParameter>& own = leaf.function->parameters();
    for (size_t i = 0, end = 0; i < own.size(); i = end) {
      const std::string group = own[i].name.substr(0, own[i].name.find('['));
      while (end < own.size() && own[end].name.substr(0, own[end].name.find('[')) == group) ++end;
      list(group.c_str(), leaf.first + static_cast<int64_t>(i), static_cast<int64_t>(end - i));
    }
  }
  if (leaf.kind == Kind::kEigenvectors) {
    std::string values;
    for (const double v : leaf.eigenvalues) values += (values.empty() ? "" : ",") + number(v);
    item("values=[" + values + "]");
  }
  list("period", leaf.period, leaf.periods);
  const bool lengths = leaf.kind != Kind::kConst && leaf.kind != Kind::kWhite &&
                       leaf.kind != Kind::kLinear && leaf.kind != Kind::kPolynomial;
  list(lengths ? "lengthscale" : "variance", leaf.scale, std::max<int64_t>(leaf.scales, 1));
  if (leaf.kind == Kind::kRationalQuadratic) list("alpha", leaf.shape, 1);
  if (leaf.kind == Kind::kMatern || leaf.kind == Kind::kEigenvectors) list("nu", leaf.shape, 1);
  if (leaf.kind == Kind::kEigenvectors) {
    item("density=" + leaf.density.density);
    item("dimension=" + std::to_string(leaf.density.dimension));
  }
  if (leaf.kind == Kind::kWendland) item("smoothness=" + std::to_string(leaf.degree));
  if (leaf.kind == Kind::kPolynomial) {
    list("offset", leaf.shape, 1);
    item("degree=" + std::to_string(leaf.degree));
  }
  if (leaf.ard) item("ard");
  if (!leaf.dims.empty() && static_cast<int64_t>(leaf.dims.size()) != dims_of(space_of(leaf))) {
    std::string columns;
    for (const int64_t d : leaf.dims) columns += (columns.empty() ? "" : ",") + std::to_string(d);
    item("dims=[" + columns + "]");
  }
  if (mark >= 0 && mark < static_cast<int64_t>(parameters_.size()) &&
      (leaf.kind != Kind::kPair || !leaf.function->parameters().empty()) &&
      parameters_[static_cast<size_t>(mark)].fixed) {
    item("fixed");
  }
  return leaf.kind_name + (s.empty() ? "" : "(" + s + ")");
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

std::string completed_kernel(const std::string& text, bool noise_given, int64_t dims) {
  const Kernel plain = Kernel::parse(text, dims);
  std::string out = text;
  if (!plain.has(ParameterRole::kVariance) && !plain.has(ParameterRole::kLinear)) {
    // White stays outside: its variance is that of the noise.
    const KernelTerms terms = part_from_white(text);
    if (!terms.smooth.empty()) {
      out = "const*(" + terms.smooth + ")" + (terms.white.empty() ? "" : " + " + terms.white);
    }
  }
  if (!plain.has(ParameterRole::kNoise) && !noise_given) out += " + white";
  return out;
}

}  // namespace covary::stat
