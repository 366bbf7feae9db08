#include "covary/core/data/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/table_rows.h"

namespace covary::data {
namespace {

// Letters to change, add or drop to turn a into b (Levenshtein 1966).
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1])});
      corner = above;
    }
  }
  return row[b.size()];
}

void check_names(const std::vector<std::string>& names, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second)
      throw Error(ExitCode::kData, "two columns are named '" + name + "'", where, "rename one");
  }
}

double value_at(const Array& a, int64_t i) {
  switch (a.dtype) {
    case DType::kFloat32:
      return a.as<float>()[i];
    case DType::kFloat64:
      return a.as<double>()[i];
    case DType::kInt32:
      return a.as<int32_t>()[i];
    case DType::kInt64:
      return static_cast<double>(a.as<int64_t>()[i]);
    case DType::kUInt16:
      return a.as<uint16_t>()[i];
    case DType::kUInt8:
    case DType::kBool:
      return a.bytes[static_cast<size_t>(i)];
  }
  return 0;
}

// An array of one or two dimensions as columns.
struct Columns {
  int64_t rows = 0, count = 0;
};

Columns shape_of(const Array& a, const std::string& where, const TableOptions& options) {
  if (a.shape.empty() || a.shape.size() > 2)
    throw Error(ExitCode::kData,
                "a table has one or two dimensions, the array " + std::to_string(a.shape.size()),
                where, "reshape it to [rows, columns]");
  const Columns c{a.shape[0], a.shape.size() == 2 ? a.shape[1] : 1};
  if (c.count > options.max_columns)
    throw Error(ExitCode::kData, std::to_string(c.count) + " columns are too many", where);
  return c;
}

Table table_of(const std::vector<std::pair<std::string, const Array*>>& arrays,
               const std::string& path, const TableOptions& options) {
  Table t;
  int64_t total = 0;
  bool first = true;
  for (const auto& [name, array] : arrays) {
    const std::string where = name.empty() ? path : path + ": " + name;
    const Columns c = shape_of(*array, where, options);
    if (!first && c.rows != t.rows)
      throw Error(
          ExitCode::kData,
          "has " + std::to_string(c.rows) + " rows, the arrays before it " + std::to_string(t.rows),
          where);
    first = false;
    t.rows = c.rows;
    total += c.count;
    for (int64_t j = 0; j < c.count; ++j) {
      const std::string stem = name.empty() || name == "X" ? "x" : name;
      const bool alone = array->shape.size() == 1 && stem != "x";
      t.names.push_back(alone ? stem : stem + std::to_string(j));
    }
  }
  if (total > options.max_columns)
    throw Error(ExitCode::kData, std::to_string(total) + " columns are too many", path);
  check_names(t.names, path);
  t.words.resize(t.names.size());
  t.values.resize(static_cast<size_t>(t.rows * total));
  int64_t left = 0;
  for (const auto& [name, array] : arrays) {
    const int64_t count = array->shape.size() == 2 ? array->shape[1] : 1;
    for (int64_t i = 0; i < t.rows; ++i) {
      for (int64_t j = 0; j < count; ++j) {
        t.values[static_cast<size_t>(i * total + left + j)] = value_at(*array, i * count + j);
      }
    }
    left += count;
  }
  return t;
}

enum class Format { kCsv, kArff, kNpy, kNpz };

Format format_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char head[4096] = {};
  in.read(head, sizeof head);
  const std::string_view text(head, static_cast<size_t>(in.gcount()));
  if (text.starts_with("\x93NUMPY")) return Format::kNpy;
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return Format::kNpz;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    const std::string_view line = trimmed(text.substr(at, end - at));
    at = end + 1;
    if (line.empty() || line.front() == '%') continue;
    if (equal_ignoring_case(line.substr(0, 9), "@relation") ||
        equal_ignoring_case(line.substr(0, 10), "@attribute"))
      return Format::kArff;
    break;
  }
  return equal_ignoring_case(path.extension().string(), ".arff") ? Format::kArff : Format::kCsv;
}

Table read_arrays(const std::filesystem::path& path, Format format, const TableOptions& options) {
  if (format == Format::kNpy) {
    const Array a = read_npy(path);
    return table_of({{"", &a}}, path.string(), options);
  }
  const std::map<std::string, Array> arrays = read_npz(path);
  std::vector<std::pair<std::string, const Array*>> used;
  if (arrays.contains("X")) {
    for (const char* name : {"X", "y", "w"}) {
      const auto found = arrays.find(name);
      if (found != arrays.end()) used.emplace_back(name, &found->second);
    }
  } else {
    for (const auto& [name, array] : arrays) used.emplace_back(name, &array);
  }
  if (used.empty())
    throw Error(ExitCode::kData, "no array inside", path.string(),
                "a table needs X [n,d], and may have y and w");
  return table_of(used, path.string(), options);
}

std::string quoted_name(const std::string& name) {
  double number = 0;
  const bool plain = name.find_first_of(",;|\t\"\r\n") == std::string::npos &&
                     trimmed(name).size() == name.size() && !is_missing(name) &&
                     !parse_number(name, number) && name.front() != '#';
  if (plain) return name;
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace

int64_t Table::column(std::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return found - names.begin();
  std::string nearest;
  size_t fewest = name.size() / 2 + 2;
  for (const std::string& other : names) {
    const size_t n = edits(name, other);
    if (n < fewest) fewest = n, nearest = other;
  }
  throw Error(ExitCode::kData, "no column '" + std::string(name) + "'", "table",
              nearest.empty() ? "the table has " + std::to_string(names.size()) + " columns"
                              : "did you mean '" + nearest + "'?");
}

int64_t Table::missing() const {
  return std::count_if(values.begin(), values.end(), [](double v) { return std::isnan(v); });
}

TableSplit Table::split(const SplitChoice& choice) const {
  const int64_t target = choice.target.empty() ? -1 : column(choice.target);
  const int64_t weights = choice.weights.empty() ? -1 : column(choice.weights);
  const int64_t noise = choice.noise.empty() ? -1 : column(choice.noise);
  if (target >= 0 && target == weights)
    throw Error(ExitCode::kUsage, "is the target as well", "weights");
  if (noise >= 0 && (noise == target || noise == weights))
    throw Error(ExitCode::kUsage,
                noise == target ? "is the target as well" : "is the weight as well", "noise");
  std::vector<int64_t> kept;
  if (choice.columns.empty()) {
    for (int64_t j = 0; j < columns(); ++j) {
      if (j != target && j != weights && j != noise) kept.push_back(j);
    }
  } else {
    for (const std::string& name : choice.columns) kept.push_back(column(name));
  }
  TableSplit s;
  s.rows = rows;
  for (const int64_t j : kept) s.names.push_back(names[static_cast<size_t>(j)]);
  s.x.reserve(static_cast<size_t>(rows) * kept.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (const int64_t j : kept) s.x.push_back(at(i, j));
    if (target >= 0) s.y.push_back(at(i, target));
    const auto take = [&](int64_t j, const char* what, std::vector<double>* to) {
      if (j < 0) return;
      const double v = at(i, j);
      if (!(v >= 0) || !std::isfinite(v))
        throw Error(
            ExitCode::kData, std::string("the ") + what + " is negative, missing or not finite",
            "row " + std::to_string(i) + ", column '" + names[static_cast<size_t>(j)] + "'");
      to->push_back(v);
    };
    take(weights, "weight", &s.weights);
    take(noise, "noise variance", &s.noise);
  }
  return s;
}

struct TableReader::Impl {
  std::unique_ptr<RowSource> source;  // text
  Table whole;                        // or arrays,
  int64_t done = 0;                   // of which these rows have been handed out
  const std::vector<std::string>& names() const { return source ? source->names : whole.names; }
};

TableReader::TableReader(const std::filesystem::path& path, const TableOptions& options)
    : impl_(std::make_unique<Impl>()) {
  const Format format = format_of(path);
  if (format == Format::kCsv) {
    impl_->source = open_csv(path, options);
  } else if (format == Format::kArff) {
    impl_->source = open_arff(path, options);
  } else {
    impl_->whole = read_arrays(path, format, options);
  }
  check_names(impl_->names(), path.string());
}
TableReader::~TableReader() = default;
TableReader::TableReader(TableReader&&) noexcept = default;

const std::vector<std::string>& TableReader::names() const { return impl_->names(); }

bool TableReader::next(int64_t max_rows, Table& chunk) {
  chunk.names = impl_->names();
  chunk.rows = 0;
  chunk.values.clear();
  if (impl_->source) {
    while (chunk.rows < max_rows && impl_->source->next(chunk.values)) ++chunk.rows;
    chunk.words = impl_->source->words;
  } else {
    const Table& whole = impl_->whole;
    chunk.rows = std::min(max_rows, whole.rows - impl_->done);
    const auto begin = whole.values.begin() + impl_->done * whole.columns();
    chunk.values.assign(begin, begin + chunk.rows * whole.columns());
    chunk.words = whole.words;
    impl_->done += chunk.rows;
  }
  return chunk.rows > 0;
}

Table read_table(const std::filesystem::path& path, const TableOptions& options) {
  const Format format = format_of(path);
  if (format == Format::kNpy || format == Format::kNpz) return read_arrays(path, format, options);
  TableReader reader(path, options);
  Table t;
  reader.next(std::numeric_limits<int64_t>::max(), t);
  return t;
}

void write_csv(const std::filesystem::path& path, const Table& table) {
  AtomicFile file(path);
  std::string text;
  for (int64_t j = 0; j < table.columns(); ++j) {
    text += (j ? "," : "") + quoted_name(table.names[static_cast<size_t>(j)]);
  }
  text += '\n';
  for (int64_t i = 0; i < table.rows; ++i) {
    for (int64_t j = 0; j < table.columns(); ++j) {
      if (j) text += ',';
      const double v = table.at(i, j);
      if (std::isnan(v)) continue;
      const auto& words =
          table.words.empty() ? std::vector<std::string>{} : table.words[static_cast<size_t>(j)];
      if (!words.empty()) {
        if (!(v >= 0 && v < static_cast<double>(words.size())))
          throw Error(ExitCode::kFailed, "a code stands for no word",
                      "row " + std::to_string(i) + ", column " + std::to_string(j));
        text += quoted_name(words[static_cast<size_t>(v)]);
        continue;
      }
      char digits[32];
      text.append(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
    }
    text += '\n';
    if (text.size() > (1 << 20)) {
      file.write(text);
      text.clear();
    }
  }
  file.write(text);
  file.commit();
}

void write_npy(const std::filesystem::path& path, const Table& table) {
  Array a;
  a.dtype = DType::kFloat64;
  a.shape = {table.rows, table.columns()};
  a.bytes.resize(table.values.size() * sizeof(double));
  std::memcpy(a.bytes.data(), table.values.data(), a.bytes.size());
  write_npy(path, a);
}

}  // namespace covary::data
