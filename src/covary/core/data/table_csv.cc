// CSV: RFC 4180 with the liberties that table.h lists.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include "covary/core/base/error.h"
#include "covary/core/data/table_rows.h"

namespace covary::data {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// Fields of a line; quotes are taken off.
struct Field {
  std::string text;
  bool quoted = false;
};

void split_fields(const std::string& line, char delimiter, const std::string& where,
                  int64_t max_columns, std::vector<Field>& out) {
  size_t count = 0, i = 0;
  for (;;) {
    if (static_cast<int64_t>(count) >= max_columns)
      throw Error(ExitCode::kData, "more than " + std::to_string(max_columns) + " columns", where);
    if (count == out.size()) out.emplace_back();
    Field& field = out[count++];
    field.text.clear();
    field.quoted = false;
    size_t first = i;
    while (first < line.size() && line[first] == ' ') ++first;
    if (first < line.size() && line[first] == '"') {
      field.quoted = true;
      for (i = first + 1; i < line.size(); ++i) {
        if (line[i] == '"') {
          if (i + 1 < line.size() && line[i + 1] == '"')
            ++i;
          else
            break;
        }
        field.text += line[i];
      }
      size_t after = i + 1;
      while (after < line.size() && line[after] == ' ') ++after;
      if (i >= line.size() || (after < line.size() && line[after] != delimiter))
        throw Error(ExitCode::kData, "a quoted field is followed by text",
                    where + ", column " + std::to_string(count), "double the quotes within it");
      i = after;
    } else {
      const size_t end = std::min(line.find(delimiter, i), line.size());
      field.text = trimmed(std::string_view(line).substr(i, end - i));
      i = end;
    }
    if (i >= line.size()) break;
    ++i;  // the delimiter
  }
  out.resize(count);
}

char guess_delimiter(const std::string& line) {
  char best = ',';
  int64_t most = 0;
  for (const char c : {',', ';', '\t', '|'}) {
    bool quoted = false;
    int64_t count = 0;
    for (const char x : line) {
      if (x == '"') quoted = !quoted;
      count += !quoted && x == c;
    }
    if (count > most) most = count, best = c;
  }
  return best;
}

class Csv : public RowSource {
 public:
  Csv(const std::filesystem::path& path, const TableOptions& options)
      : lines_(path), options_(options), delimiter_(options.delimiter) {
    std::string line;
    do {
      if (!lines_.next(line, '"'))
        throw Error(ExitCode::kData, "the table is empty", lines_.path(),
                    "a table has a header or at least one row");
      if (lines_.line() == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    } while (trimmed(line).empty() || line.front() == '#');
    if (!delimiter_) delimiter_ = guess_delimiter(line);
    split_fields(line, delimiter_, place(lines_), options_.max_columns, fields_);
    bool header = options_.header == "yes";
    if (options_.header.empty()) {
      for (const Field& f : fields_) {
        double v;
        header = header || f.quoted || !(is_missing(f.text) || parse_number(f.text, v));
      }
    } else if (options_.header != "yes" && options_.header != "no") {
      throw Error(ExitCode::kUsage, "is yes, no or empty, not '" + options_.header + "'", "header");
    }
    for (size_t j = 0; j < fields_.size(); ++j) {
      std::string name = header ? fields_[j].text : "";
      if (name.empty()) name = (header ? "column" : "x") + std::to_string(j);
      names.push_back(std::move(name));
    }
    words.resize(names.size());
    codes_.resize(names.size());
    numbers_.resize(names.size());
    pending_ = !header;
  }

  bool next(std::vector<double>& values) override {
    if (!pending_) {
      do {
        if (!lines_.next(line_, '"')) return false;
        // In a table of one column an empty line is a missing value.
      } while (trimmed(line_).empty() && names.size() > 1);
      split_fields(line_, delimiter_, place(lines_), options_.max_columns, fields_);
    }
    pending_ = false;
    if (fields_.size() != names.size())
      throw Error(ExitCode::kData,
                  "the row has " + std::to_string(fields_.size()) + " fields, the header " +
                      std::to_string(names.size()),
                  place(lines_), "every row needs the same number of fields");
    for (size_t j = 0; j < fields_.size(); ++j) values.push_back(number_of(j, fields_[j].text));
    return true;
  }

 private:
  double number_of(size_t j, const std::string& text) {
    double v = kMissing;
    if (is_missing(text)) return v;
    if (words[j].empty() && parse_number(text, v)) {
      numbers_[j] = true;
      return v;
    }
    // Text below numbers is a slip; a column of nothing but text is a category.
    const std::string where = place(lines_) + ", column '" + names[j] + "'";
    if (!options_.allow_words || numbers_[j])
      throw Error(ExitCode::kData, "'" + text.substr(0, 40) + "' is no number", where,
                  "leave the field empty when the value is missing");
    const auto [found, added] = codes_[j].try_emplace(text, words[j].size());
    if (added) words[j].push_back(text);
    return static_cast<double>(found->second);
  }

  LineReader lines_;
  TableOptions options_;
  char delimiter_;
  std::string line_;
  std::vector<Field> fields_;
  std::vector<std::unordered_map<std::string, size_t>> codes_;
  std::vector<bool> numbers_;  // the column has held a number
  bool pending_ = false;       // fields_ holds the first row already
};

}  // namespace

std::unique_ptr<RowSource> open_csv(const std::filesystem::path& path,
                                    const TableOptions& options) {
  return std::make_unique<Csv>(path, options);
}

}  // namespace covary::data
