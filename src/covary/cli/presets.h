// Presets: named bags of options, compiled in; --preset NAME, or --preset FILE.json with the same
// shape.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace covary::cli {

struct Preset {
  std::string verb, name, help;
  nlohmann::json options;  // as --config takes them
};

const std::vector<Preset>& presets();
const Preset* find_preset(std::string_view verb, std::string_view name);

}  // namespace covary::cli
