// Other libraries beside ours in a study: the scripts of bench/peers, run by the Python that the environment variable
// COVARY_PEERS names, from the root of the repository. They print one JSON object a line.
//
//   for (const auto& line : peer_lines(c, "gp.py", "--json --n 2000 --peers sklearn")) use(line["cpu"]);
//
// A script that is not at hand, a Python that does not start, a library it does not have: the bar is skipped and says
// so. A script that fails is a skip too, with its last words on stderr.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/eval/study.h"

namespace covary::studies {

// `arguments` go to the shell as they are.
std::vector<nlohmann::json> peer_lines(eval::StudyContext& c, const std::string& script,
                                       const std::string& arguments);

// The program that runs this study, for the scripts that compare with it; quoted for the shell.
std::string this_program();

// The entry `key` of the line whose "who" is `peer`; skipped where there is none.
double peer_value(eval::StudyContext& c, const std::vector<nlohmann::json>& lines,
                  const std::string& peer, const std::string& key);

// A bar "peer >= times * ours" in CPU seconds.
eval::BarResult times_faster(const std::string& peer, double peer_seconds, double own_seconds,
                             double times, int64_t runs);

}  // namespace covary::studies
