// Text rows of a table, one at a time: what CSV and ARFF readers have in common. Within data only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "covary/core/data/table.h"

namespace covary::data {

// Lines of a file in one buffer that grows to the longest line, at most kMaxLine bytes.
class LineReader {
 public:
  static constexpr size_t kMaxLine = size_t{1} << 28;
  explicit LineReader(const std::filesystem::path& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end (\n, \r\n or \r); false at the end of the file. In a quoted
  // field, opened by `quote`, line ends are part of the line; 0 = no quotes.
  bool next(std::string& line, char quote);
  int64_t line() const { return line_; }  // number of the line returned last, from 1
  const std::string& path() const { return path_; }

 private:
  int get();

  std::string path_;
  int file_ = -1;
  std::vector<char> buffer_;
  size_t at_ = 0, end_ = 0;
  int64_t line_ = 0, further_ = 0;  // further_: lines that a quoted field ran over
};

// Rows of numbers with the table's columns.
class RowSource {
 public:
  virtual ~RowSource() = default;
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> words;
  // Appends one row to values; false at the end.
  virtual bool next(std::vector<double>& values) = 0;
};

std::unique_ptr<RowSource> open_csv(const std::filesystem::path& path, const TableOptions& options);
std::unique_ptr<RowSource> open_arff(const std::filesystem::path& path,
                                     const TableOptions& options);

std::string_view trimmed(std::string_view text);
bool is_missing(std::string_view field);
// A whole field as a number; hexadecimal is none.
bool parse_number(std::string_view field, double& value);
bool equal_ignoring_case(std::string_view a, std::string_view b);

// "file:12" for errors.
std::string place(const LineReader& lines);

}  // namespace covary::data
