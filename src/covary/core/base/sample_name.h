// "sample:NAME,key=value,...": an input that a generator makes, taken apart.
//
//   if (is_sample(input)) {
//     const SampleName s = parse_sample(input);       // s.name, s.parameters["rows"]
//     ...
//     throw no_such_sample(input, s.name, {"clumps", "wave"});
//   }
#pragma once

#include <map>
#include <string>
#include <vector>

#include "covary/core/base/error.h"

namespace covary {

struct SampleName {
  std::string name;
  std::map<std::string, std::string> parameters;
};

bool is_sample(const std::string& input);

// Error(kUsage) for a part that is not key=value and for a key given twice.
SampleName parse_sample(const std::string& input);

// The error for a name that none of the generators has, with the nearest one and all of them.
Error no_such_sample(const std::string& input, const std::string& name,
                     const std::vector<std::string>& names);

}  // namespace covary
