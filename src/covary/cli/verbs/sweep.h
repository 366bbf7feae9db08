// --sweep: one training for each point of a grid, into OUT/sweep/000, 001, ..., with table.csv and table.json. Points
// that are finished are not run again with --resume.
#pragma once

#include <filesystem>

#include "covary/cli/verbs/verb.h"

namespace covary::cli {

Result run_sweep(const Job& job, const std::filesystem::path& out);

}  // namespace covary::cli
