#include "covary/core/data/table_samples.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/sample_name.h"

namespace covary::data {
namespace {

using std::numbers::pi;

std::vector<std::string> coordinates(int64_t columns) {
  std::vector<std::string> names;
  for (int64_t k = 0; k < columns; ++k) names.push_back("x" + std::to_string(k));
  return names;
}

// A table of `names` whose row i is written by fill(i, row).
template <class Fill>
Table table_of(std::vector<std::string> names, int64_t rows, Fill&& fill) {
  Table t;
  t.words.resize(names.size());
  t.names = std::move(names);
  t.rows = rows;
  t.values.resize(static_cast<size_t>(rows * t.columns()));
  for (int64_t i = 0; i < rows; ++i) fill(i, t.values.data() + i * t.columns());
  return t;
}

// Numbers of one row and column, uniform or normal, of a sample's own stream.
struct Dice {
  Random random;
  Dice(const TableSampleOptions& o, const char* name)
      : random(static_cast<uint64_t>(o.seed), stream_of(std::string("sample.") + name)) {}
  static uint64_t element(int64_t row, int64_t column) {
    return static_cast<uint64_t>(row) * 16384 + static_cast<uint64_t>(column);
  }
  double uniform(int64_t row, int64_t column) const { return random.uniform(element(row, column)); }
  double normal(int64_t row, int64_t column) const { return random.normal(element(row, column)); }
};

std::vector<std::string> with_last(std::vector<std::string> names, const char* last) {
  names.emplace_back(last);
  return names;
}

Table clumps(const TableSampleOptions& o) {
  const Dice middles(o, "clumps.middles"), dice(o, "clumps");
  Table t =
      table_of(with_last(coordinates(o.columns), "kind"), o.rows, [&](int64_t i, double* row) {
        const int64_t kind = i % o.components;
        for (int64_t k = 0; k < o.columns; ++k)
          row[k] = o.separation * middles.normal(kind, k) + dice.normal(i, k);
        row[o.columns] = static_cast<double>(kind);
      });
  for (int64_t k = 0; k < o.components; ++k) t.words.back().push_back("c" + std::to_string(k));
  return t;
}

Table moons(const TableSampleOptions& o) {
  const Dice dice(o, "moons");
  Table t = table_of(with_last(coordinates(2), "kind"), o.rows, [&](int64_t i, double* row) {
    const double angle = pi * dice.uniform(i, 0);
    const bool lower = i % 2 == 1;
    row[0] = (lower ? 1 - std::cos(angle) : std::cos(angle)) + o.noise * dice.normal(i, 1);
    row[1] = (lower ? 0.5 - std::sin(angle) : std::sin(angle)) + o.noise * dice.normal(i, 2);
    row[2] = lower;
  });
  t.words.back() = {"upper", "lower"};
  return t;
}

Table wave(const TableSampleOptions& o) {
  const Dice dice(o, "wave");
  return table_of({"x", "y"}, o.rows, [&](int64_t i, double* row) {
    row[0] = 10 * dice.uniform(i, 0);
    row[1] = std::sin(row[0]) + 0.5 * std::sin(2.7 * row[0]) + o.noise * dice.normal(i, 1);
  });
}

double hill(const double* x, int64_t columns) {
  const double second = columns > 1 ? x[1] : 0;
  return std::sin(1.5 * x[0]) + 0.5 * second * second * std::cos(x[0]) - 0.3 * second;
}

Table hills(const TableSampleOptions& o) {
  const Dice dice(o, "hills");
  return table_of(with_last(coordinates(o.columns), "y"), o.rows, [&](int64_t i, double* row) {
    for (int64_t k = 0; k < o.columns; ++k) row[k] = 4 * dice.uniform(i, k) - 2;
    row[o.columns] = hill(row, o.columns) + o.noise * dice.normal(i, o.columns);
  });
}

Table coins(const TableSampleOptions& o) {
  const Dice dice(o, "coins");
  return table_of(with_last(coordinates(o.columns), "y"), o.rows, [&](int64_t i, double* row) {
    for (int64_t k = 0; k < o.columns; ++k) row[k] = 4 * dice.uniform(i, k) - 2;
    row[o.columns] =
        dice.uniform(i, o.columns) < 1 / (1 + std::exp(-3 * hill(row, o.columns))) ? 1 : 0;
  });
}

Table events(const TableSampleOptions& o) {
  const Dice dice(o, "events");
  return table_of({"x", "y"}, o.rows, [&](int64_t i, double* row) {
    row[0] = 10 * dice.uniform(i, 0);
    // As many as unit exponentials fit below the rate.
    const double rate = std::exp(1 + std::sin(row[0]));
    double left = rate, count = -1;
    for (int64_t k = 1; left >= 0; ++k, ++count) left += std::log1p(-dice.uniform(i, k));
    row[1] = count;
  });
}

Table level(const TableSampleOptions& o) {
  const Dice dice(o, "level");
  double now = 0;
  return table_of({"time", "y"}, o.rows, [&](int64_t i, double* row) {
    now += dice.normal(i, 0);
    row[0] = static_cast<double>(i);
    row[1] = now + o.noise * dice.normal(i, 1);
  });
}

Table season(const TableSampleOptions& o) {
  const Dice dice(o, "season");
  return table_of({"time", "y"}, o.rows, [&](int64_t i, double* row) {
    row[0] = static_cast<double>(i);
    row[1] = 0.02 * row[0] + std::sin(2 * pi * row[0] / 12) + o.noise * dice.normal(i, 0);
  });
}

Table track(const TableSampleOptions& o) {
  const Dice dice(o, "track");
  double x = 0, y = 0, heading = 0;
  return table_of({"time", "x", "y"}, o.rows, [&](int64_t i, double* row) {
    heading += 0.05 * std::sin(0.02 * static_cast<double>(i)) + 0.05 * dice.normal(i, 0);
    x += 0.5 * std::cos(heading);
    y += 0.5 * std::sin(heading);
    row[0] = static_cast<double>(i);
    row[1] = x + o.noise * dice.normal(i, 1);
    row[2] = y + o.noise * dice.normal(i, 2);
  });
}

Table directions(const TableSampleOptions& o) {
  const Dice middles(o, "directions.middles"), dice(o, "directions");
  return table_of(coordinates(o.columns), o.rows, [&](int64_t i, double* row) {
    double norm = 0;
    for (int64_t k = 0; k < o.columns; ++k) {
      row[k] = middles.normal(i % o.components, k) + o.noise * dice.normal(i, k);
      norm += row[k] * row[k];
    }
    norm = std::sqrt(norm);
    for (int64_t k = 0; k < o.columns; ++k) row[k] /= norm;
  });
}

const TableSample* find_sample(const std::string& name) {
  const auto& all = table_samples();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const TableSample& s) { return s.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

std::string TableSample::parameters() const {
  TableSampleOptions options;
  const OptionList list(options);
  std::string line;
  for (const OptionField& field : list.fields())
    if (std::find(fields.begin(), fields.end(), field.path()) != fields.end())
      line += (line.empty() ? "" : " ") + field.path() + "=" + field.default_value().dump();
  return line;
}

const std::vector<TableSample>& table_samples() {
  static const std::vector<TableSample> list = {
      {"clumps",
       "Gaussian clumps",
       {"rows", "columns", "components", "separation", "seed"},
       clumps},
      {"moons", "two half circles that clasp each other", {"rows", "noise", "seed"}, moons},
      {"wave", "a noisy function of one column", {"rows", "noise", "seed"}, wave},
      {"hills", "a noisy function of several columns", {"rows", "columns", "noise", "seed"}, hills},
      {"coins", "0 or 1 by the height of those hills", {"rows", "columns", "seed"}, coins},
      {"events", "counts whose rate waves", {"rows", "seed"}, events},
      {"level", "a series that wanders", {"rows", "noise", "seed"}, level},
      {"season", "a series with trend and a cycle of 12", {"rows", "noise", "seed"}, season},
      {"track", "positions over time", {"rows", "noise", "seed"}, track},
      {"directions",
       "unit vectors",
       {"rows", "columns", "components", "noise", "seed"},
       directions},
  };
  return list;
}

bool is_table_sample(const std::string& input) {
  return is_sample(input) && find_sample(parse_sample(input).name) != nullptr;
}

Table sample_table(const std::string& input) {
  const SampleName name = parse_sample(input);
  const TableSample* sample = find_sample(name.name);
  if (sample == nullptr) {
    std::vector<std::string> names;
    for (const TableSample& s : table_samples()) names.push_back(s.name);
    throw no_such_sample(input, name.name, names);
  }
  TableSampleOptions options;
  OptionList list(options);
  for (const auto& [key, text] : name.parameters) {
    if (std::find(sample->fields.begin(), sample->fields.end(), key) == sample->fields.end())
      throw Error(ExitCode::kUsage, "has no parameter '" + key + "'", input,
                  "it has " + sample->parameters());
    list.set(key, text, input);
  }
  list.finish();
  if (name.name == "directions" && options.columns < 2)
    throw Error(ExitCode::kUsage, "columns must be at least 2", input);
  return sample->make(options);
}

}  // namespace covary::data
