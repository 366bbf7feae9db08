// Tables of numbers: named columns over a row-major double matrix, in which NaN stands for missing.
//
//   Table t = read_table("concrete.csv");
//   TableSplit s = t.split({.target = "strength"});      // s.x [n,d-1], s.y [n]
//   write_csv("out.csv", t);  write_npy("out.npy", t);   // whole or absent
//
//   TableReader reader("large.csv", {});                 // more rows than memory holds
//   for (Table chunk; reader.next(65536, chunk);) use(chunk);
//
// Formats, recognised by content first and extension second:
//   CSV   a header or none; ',', ';', tab or '|'; fields may be quoted ("" within is one quote);
//         empty, nan, na, n/a, null and ? are missing; # begins a comment line before the header
//   ARFF  Weka's: numeric, real, integer and nominal attributes, dense or sparse rows
//   NPY   [n,d] or [n] of any type that archive.h reads
//   NPZ   arrays X [n,d], y [n] or [n,m], w [n]; without an X every array is columns
// Words (a CSV column of text, a nominal attribute) become 0, 1, ... with the words kept in
// `words`; CSV numbers them in order of appearance.
//
// Errors are Error(kData) that name file, line or row, and column. Every number of a file is
// checked before memory is taken for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace covary::data {

// What a fit takes from a table.
struct TableSplit {
  std::vector<std::string> names;  // of x's columns
  int64_t rows = 0;
  std::vector<double> x;        // [rows, names.size()]
  std::vector<double> y;        // [rows], empty without a target
  std::vector<double> weights;  // [rows], empty without weights
  std::vector<double> noise;    // [rows], empty without noise
};

struct SplitChoice {
  std::string target = {};                // column that becomes y; "" = none
  std::string weights = {};               // column of weights, >= 0 and finite; "" = none
  std::string noise = {};                 // column of noise variances, likewise
  std::vector<std::string> columns = {};  // columns of x in this order; empty = all that are left
};

struct Table {
  std::vector<std::string> names;               // [d], no two alike
  std::vector<std::vector<std::string>> words;  // [d]; empty = the column holds numbers
  int64_t rows = 0;
  std::vector<double> values;  // [rows, d]

  int64_t columns() const { return static_cast<int64_t>(names.size()); }
  double at(int64_t row, int64_t column) const {
    return values[static_cast<size_t>(row * columns() + column)];
  }
  // Index of the column; an error names the nearest name when there is none.
  int64_t column(std::string_view name) const;
  int64_t missing() const;  // count of NaN
  TableSplit split(const SplitChoice& choice) const;
};

struct TableOptions {
  char delimiter = 0;       // of CSV; 0 = the one of , ; tab | that is most frequent in line 1
  std::string header = "";  // of CSV: "yes", "no"; "" = yes when line 1 has a field that is no
                            // number
  bool allow_words = true;  // text in a CSV column becomes codes; false: an error
  int64_t max_columns = 1 << 20;
};

Table read_table(const std::filesystem::path& path, const TableOptions& options = {});

// Forward-only reading of a CSV or ARFF file in memory for one chunk; NPY and NPZ are read whole
// and handed out in pieces. A column of words keeps its codes from chunk to chunk.
class TableReader {
 public:
  TableReader(const std::filesystem::path& path, const TableOptions& options);
  ~TableReader();
  TableReader(TableReader&&) noexcept;
  const std::vector<std::string>& names() const;
  // Up to max_rows further rows; false, and an empty chunk, at the end.
  bool next(int64_t max_rows, Table& chunk);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Shortest digits that read back to the same double; missing is an empty field.
void write_csv(const std::filesystem::path& path, const Table& table);
// The matrix alone, [n,d] float64; names are not kept.
void write_npy(const std::filesystem::path& path, const Table& table);

}  // namespace covary::data
