// What a program takes: CPU seconds and memory of a process, its start included.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace covary::studies {

struct Taken {
  double cpu_s = 0;         // user and system time
  double memory_bytes = 0;  // largest resident set, looked at every millisecond
};

// Runs words[0] to its end; "covary" is the program that runs this study. Error(kFailed) when it ends with another status
// than 0.
Taken taken_by(const std::vector<std::string>& words);
// The same; after so many whole CPU seconds it is stopped and nothing returned.
std::optional<Taken> taken_within(int cpu_limit_s, const std::vector<std::string>& words);

}  // namespace covary::studies
