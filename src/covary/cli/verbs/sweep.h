// --sweep: one run for each point of a grid, into OUT/sweep/000, 001, ..., with table.csv and table.json. Points
// that are finished are not run again with --resume.
#pragma once

#include <filesystem>
#include <functional>

#include "covary/cli/verbs/verb.h"

namespace covary::cli {

// Runs one point into its folder, when it is there already and `resume` holds not again: its figures, flattened or not.
using RunPoint = std::function<nlohmann::json(const Job& point, const std::filesystem::path& run)>;

Result run_sweep(const Job& job, const std::filesystem::path& out, const RunPoint& run);

// Of a verb of statistics: each run leaves model.cov and result.json, what --json prints.
Result sweep_fits(const Job& job, Result (*fit)(const Job&));

}  // namespace covary::cli
