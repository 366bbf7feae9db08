// Draws of a process's parameters as a part of a page: a table, and a trace and a histogram each.
//
//   body += posterior_section(*process.posterior(), columns);
#pragma once

#include <string>
#include <vector>

#include "covary/stat/process/hyper_sample.h"

namespace covary::stat {

// labels: of the parameters as a person knows them, one each; others have the names of kernel.h.
std::string posterior_section(const HyperSample& sample, const std::vector<std::string>& labels);

}  // namespace covary::stat
