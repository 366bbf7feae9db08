#include "covary/stat/filter/parameters.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {
namespace {

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  std::vector<Term> run() {
    std::vector<Term> terms;
    do {
      terms.push_back(term());
    } while (take('+'));
    if (peek() != 0) refuse("expected + or the end");
    return terms;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ExitCode::kUsage, what, "model \"" + text_ + "\" at " + std::to_string(at_ + 1),
                "write terms like level+seasonal(12)+noise(0.5)");
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
  std::string word() {
    std::string w;
    if (!std::isalpha(static_cast<unsigned char>(peek()))) return w;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-') break;
      w += c;
      ++at_;
    }
    return w;
  }
  Term term() {
    Term t;
    t.name = word();
    if (t.name.empty()) refuse("expected the name of a term");
    if (!take('(')) return t;
    if (take(')')) return t;
    do {
      Term::Argument a{"", 0, false};
      a.key = word();
      if (!a.key.empty() && !take('=')) refuse("expected = after '" + a.key + "'");
      a.free = take('~');
      peek();
      const char* begin = text_.data() + at_;
      const auto end = std::from_chars(begin, text_.data() + text_.size(), a.value);
      if (end.ec != std::errc() || !std::isfinite(a.value)) refuse("expected a number");
      at_ += static_cast<size_t>(end.ptr - begin);
      t.arguments.push_back(a);
    } while (take(','));
    if (!take(')')) refuse("expected , or )");
    return t;
  }

  const std::string text_;
  size_t at_ = 0;
};

}  // namespace

std::vector<Term> parse_terms(const std::string& text) { return Parser(text).run(); }

void check_parameter(const Parameter& p, const std::string& where) {
  using Kind = Parameter::Kind;
  const char* rule = nullptr;
  if (!std::isfinite(p.value)) {
    rule = "is not finite";
  } else if (p.kind == Kind::kVariance && p.value < 0) {
    rule = "is a variance and must not be negative";
  } else if (p.kind == Kind::kPositive && !(p.value > 0)) {
    rule = "must be above 0";
  } else if (p.kind == Kind::kShare && !(p.value > 0 && p.value < 1)) {
    rule = "must lie between 0 and 1";
  }
  if (rule) {
    throw Error(ExitCode::kData, rule, (where.empty() ? "" : where + ": ") + p.name, p.help);
  }
}

void set_parameter(std::vector<Parameter>& all, const std::string& name, double value,
                   const std::string& where) {
  bool found = false;
  for (Parameter& p : all) {
    const bool one_of = p.name.size() > name.size() + 1 && p.name.starts_with(name) &&
                        p.name[name.size()] == '.' &&
                        std::all_of(p.name.begin() + static_cast<std::ptrdiff_t>(name.size()) + 1,
                                    p.name.end(), [](char c) { return std::isdigit(c) != 0; });
    if (p.name != name && !one_of) continue;
    p.value = value;
    p.free = false;
    check_parameter(p, where);
    found = true;
  }
  if (found) return;
  std::vector<std::string> names;
  std::string list;
  for (const Parameter& p : all) {
    names.push_back(p.name);
    list += (list.empty() ? "" : ", ") + p.name;
  }
  const std::string near = nearest_word(name, names);
  throw Error(ExitCode::kData, "is no parameter of the model",
              (where.empty() ? "" : where + ": ") + name,
              near.empty() ? (list.empty() ? "it has none" : "its parameters are " + list)
                           : "did you mean " + near + "?");
}

double value_of(const std::vector<Parameter>& all, std::string_view name) {
  for (const Parameter& p : all)
    if (p.name == name) return p.value;
  throw Error(ExitCode::kFailed, "is no parameter", std::string(name));
}

bool all_set(const std::vector<Parameter>& all) {
  return std::none_of(all.begin(), all.end(),
                      [](const Parameter& p) { return std::isnan(p.value); });
}

}  // namespace covary::filter
