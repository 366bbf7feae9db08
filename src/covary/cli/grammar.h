// The grammar of the command line: words in, an invocation or a text to print out.
//
//   covary VERB [ACTION] [INPUT...] [-o OUT] [--option value] [--config F] [--set k=v] [--preset P]
//               [--sweep k=a,b]
//
// Everything that is wrong from the command line and its config alone is found here, before the
// library of verbs is opened: unknown verbs, flags, keys and choices (each with the nearest),
// values that do not parse, options that contradict each other. Precedence: defaults < --preset <
// --config < flags and --set in the order typed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "covary/cli/invocation.h"

namespace covary::cli {

struct Parsed {
  std::string text;                      // print this and exit 0
  std::optional<Invocation> invocation;  // or run this
};

// args: the words after the program's name. Throws Error(kUsage), or Error(kData) for a config file
// that is not there.
Parsed parse(const std::vector<std::string>& args);

// What errors need to know before anything is understood: was --json asked for, and with which
// file.
void find_json(const std::vector<std::string>& args, bool* json, std::string* file);

}  // namespace covary::cli
