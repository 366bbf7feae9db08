// What covary info says about tables and about models of the statistics verbs.
#pragma once

#include <filesystem>
#include <string>

#include "covary/cli/verbs/verb.h"
#include "covary/core/data/table.h"

namespace covary::cli {

// A column a line: range, mean and deviation, or its words; missing cells.
Result about_table(const data::Table& table, const std::string& what);

// Its schema and arrays, and the verb that says more.
Result about_model(const std::filesystem::path& path);

}  // namespace covary::cli
