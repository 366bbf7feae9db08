// How an error reaches a person: one line naming file and field, one line with a hint; under --json
// an object as well.
#pragma once

#include <string>

#include "covary/core/base/error.h"

namespace covary::cli {

// Prints to stderr; with json also {"error": {...}} to stdout, or to json_file. Returns the exit
// code.
int report_error(const Error& error, bool json, const std::string& json_file);

}  // namespace covary::cli
