// The texts of --help, --help=all, --help=json, --list and --version.
#pragma once

#include <string>

#include "covary/cli/verb_table.h"

namespace covary::cli {

std::string overview();                             // covary --help: the verbs by group
std::string overview_json();                        // covary --help=json
std::string verb_help(const Verb& verb, bool all);  // covary VERB --help[=all]
std::string verb_schema(const Verb& verb);          // covary VERB --help=json
std::string verb_choices(
    const Verb& verb);  // covary VERB --list: every value of every choice, one a line
std::string version_text();

}  // namespace covary::cli
