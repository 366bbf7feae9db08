// Tables made by formula, to try a verb without data of one's own:
//
//   const Table t = sample_table("sample:wave,rows=200,noise=0.1");     // columns x, y
//
//   clumps      x0 ... and kind: Gaussian clumps of unit deviation around random middles
//   moons       x0, x1 and kind: two half circles that clasp each other
//   wave        x, y: two sines over 0..10, irregular x
//   hills       x0 ..., y: a smooth function of two of the columns, uniform in [-2, 2]
//   coins       x0 ..., y: 0 or 1, the more likely 1 the higher those hills
//   events      x, y: counts, Poisson with a rate that waves over 0..10
//   level       time, y: a level that wanders (deviation 1 a step), seen with noise
//   season      time, y: a trend, a cycle of 12 and noise
//   track       time, x, y: positions of something that turns slowly, seen with noise
//   directions  x0 ...: unit vectors around as many directions as there are components
//
// All take seed; what else each takes is in its `fields`. The same numbers on every machine but for
// the last bits of sines and logarithms.
#pragma once

#include <string>
#include <vector>

#include "covary/core/data/table.h"
#include "covary/core/data/table_samples_options.h"

namespace covary::data {

struct TableSample {
  std::string name, help;
  std::vector<std::string> fields;  // of TableSampleOptions that it reads
  Table (*make)(const TableSampleOptions& options);
  std::string parameters() const;  // "rows=400 noise=0.2 seed=42": with their defaults
};

const std::vector<TableSample>& table_samples();
bool is_table_sample(const std::string& input);  // "sample:" and one of their names

// Error(kUsage) for an unknown name or parameter and for a value out of range.
Table sample_table(const std::string& input);

}  // namespace covary::data
