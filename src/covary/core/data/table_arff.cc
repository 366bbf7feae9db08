// ARFF, Weka's attribute-relation files (Witten and Frank, Data Mining, 2nd ed. 2005, section 2.4).
#include <algorithm>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/data/table_rows.h"

namespace covary::data {
namespace {

// Takes one token off the front of text: quoted by ' or ", or up to a blank or a separator.
std::string take_token(std::string_view& text, std::string_view separators,
                       const std::string& where) {
  text = trimmed(text);
  std::string token;
  if (!text.empty() && (text.front() == '\'' || text.front() == '"')) {
    const char quote = text.front();
    size_t i = 1;
    for (; i < text.size() && text[i] != quote; ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      token += text[i];
    }
    if (i >= text.size())
      throw Error(ExitCode::kData, "a quoted word is not closed", where, "add the quote");
    text = trimmed(text.substr(i + 1));
    return token;
  }
  const size_t end = std::min(text.find_first_of(separators), text.size());
  token = trimmed(text.substr(0, end));
  text = trimmed(text.substr(end));
  return token;
}

class Arff : public RowSource {
 public:
  Arff(const std::filesystem::path& path, const TableOptions& options) : lines_(path) {
    std::string line;
    for (;;) {
      if (!lines_.next(line, 0))
        throw Error(ExitCode::kData, "no @data section", lines_.path(),
                    "an ARFF file lists @attribute lines, then @data and the rows");
      std::string_view text = trimmed(line);
      if (text.empty() || text.front() == '%') continue;
      const std::string keyword = take_token(text, " \t", place(lines_));
      if (equal_ignoring_case(keyword, "@relation")) continue;
      if (equal_ignoring_case(keyword, "@data")) break;
      if (!equal_ignoring_case(keyword, "@attribute"))
        throw Error(ExitCode::kData,
                    "neither @attribute nor @data: '" + keyword.substr(0, 40) + "'", place(lines_));
      attribute(text, options);
    }
    if (names.empty()) throw Error(ExitCode::kData, "no @attribute before @data", place(lines_));
  }

  bool next(std::vector<double>& values) override {
    std::string_view text;
    do {
      if (!lines_.next(line_, 0)) return false;
      text = trimmed(line_);
    } while (text.empty() || text.front() == '%');
    const size_t start = values.size();
    if (text.front() == '{') {
      values.resize(start + names.size(), 0.0);
      sparse_row(text.substr(1), values.data() + start);
      return true;
    }
    for (size_t j = 0; j < names.size(); ++j) {
      if (text.empty() && j > 0) wrong_count(j);
      values.push_back(number_of(j, take_token(text, ",", at(j))));
      if (!text.empty() && text.front() == ',') {
        if (j + 1 == names.size()) wrong_count(j + 2);
        text = trimmed(text.substr(1));
        if (text.empty()) text = "?";
      } else if (!text.empty()) {
        throw Error(ExitCode::kData, "a comma is missing", at(j));
      } else if (j + 1 < names.size()) {
        wrong_count(j + 1);
      }
    }
    return true;
  }

 private:
  std::string at(size_t j) const { return place(lines_) + ", column '" + names[j] + "'"; }

  [[noreturn]] void wrong_count(size_t found) const {
    throw Error(ExitCode::kData,
                "the row has " + std::string(found > names.size() ? "more than " : "") +
                    std::to_string(std::min(found, names.size())) + " fields, the header " +
                    std::to_string(names.size()),
                place(lines_));
  }

  void attribute(std::string_view text, const TableOptions& options) {
    if (static_cast<int64_t>(names.size()) >= options.max_columns)
      throw Error(ExitCode::kData,
                  "more than " + std::to_string(options.max_columns) + " attributes",
                  place(lines_));
    names.push_back(take_token(text, " \t", place(lines_)));
    words.emplace_back();
    if (!text.empty() && text.front() == '{') {
      text.remove_prefix(1);
      while (!text.empty() && text.front() != '}') {
        words.back().push_back(take_token(text, ",}", at(names.size() - 1)));
        if (!text.empty() && text.front() == ',')
          text = trimmed(text.substr(1));
        else
          break;
      }
      if (text.empty() || text.front() != '}')
        throw Error(ExitCode::kData, "the list of words is not closed", at(names.size() - 1));
      if (words.back().empty())
        throw Error(ExitCode::kData, "the list of words is empty", at(names.size() - 1));
      return;
    }
    const std::string type = take_token(text, " \t", at(names.size() - 1));
    for (const std::string_view known : {"numeric", "real", "integer"}) {
      if (equal_ignoring_case(type, known)) return;
    }
    throw Error(ExitCode::kData, "the type '" + type.substr(0, 40) + "' is not read",
                at(names.size() - 1), "numeric, real, integer and {word,...} are");
  }

  double number_of(size_t j, const std::string& token) const {
    double v = std::numeric_limits<double>::quiet_NaN();
    if (is_missing(token)) return v;
    if (!words[j].empty()) {
      const auto found = std::find(words[j].begin(), words[j].end(), token);
      if (found == words[j].end())
        throw Error(ExitCode::kData, "'" + token.substr(0, 40) + "' is not in the attribute's list",
                    at(j));
      return static_cast<double>(found - words[j].begin());
    }
    if (!parse_number(token, v))
      throw Error(ExitCode::kData, "'" + token.substr(0, 40) + "' is no number", at(j),
                  "write ? when the value is missing");
    return v;
  }

  // "index value, index value }"; what is not named is 0.
  void sparse_row(std::string_view text, double* row) const {
    for (;;) {
      text = trimmed(text);
      if (!text.empty() && text.front() == '}') return;
      const std::string index = take_token(text, " \t", place(lines_));
      double j = 0;
      if (!parse_number(index, j) || !(j >= 0 && j < static_cast<double>(names.size())) ||
          j != static_cast<double>(static_cast<size_t>(j)))
        throw Error(ExitCode::kData, "'" + index.substr(0, 40) + "' is no index of a column",
                    place(lines_));
      row[static_cast<size_t>(j)] =
          number_of(static_cast<size_t>(j), take_token(text, ",}", place(lines_)));
      if (!text.empty() && text.front() == ',')
        text.remove_prefix(1);
      else if (text.empty())
        throw Error(ExitCode::kData, "a sparse row is not closed", place(lines_), "add }");
    }
  }

  LineReader lines_;
  std::string line_;
};

}  // namespace

std::unique_ptr<RowSource> open_arff(const std::filesystem::path& path,
                                     const TableOptions& options) {
  return std::make_unique<Arff>(path, options);
}

}  // namespace covary::data
