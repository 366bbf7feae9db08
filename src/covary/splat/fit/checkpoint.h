// A fit's whole state in one .cov file: the row table, and a JSON document beside it.
//
//   write_state("out/fox/checkpoint/state.cov", {table.arrays(), document});
//   State s = read_state(path);    s.arrays.at("parameter/means"), s.document["step"]
//
// Written under another name and renamed when complete: the old one stays until then.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/rows.h"

namespace covary::fit {

struct State {
  nn::NamedTensors arrays;
  nlohmann::json document;
};

void write_state(const std::filesystem::path& file, const State& state);  // Error(kData)
State read_state(const std::filesystem::path& file);                      // Error(kData)

}  // namespace covary::fit
