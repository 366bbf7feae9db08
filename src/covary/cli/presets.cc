#include "covary/cli/presets.h"

namespace covary::cli {

const std::vector<Preset>& presets() {
  static const std::vector<Preset> table = {
      {"train",
       "preview",
       "500 steps on quarter-size photos: is the capture sound?",
       {{"steps", 500}, {"downscale", 4}, {"sh_degree", 1}}},
      {"train",
       "quick",
       "2,000 steps on half-size photos",
       {{"steps", 2000}, {"downscale", 2}, {"sh_degree", 2}}},
      {"train",
       "paper",
       "30,000 steps on photos as they are, as published results are made",
       {{"steps", 30000}, {"downscale", 1}, {"sh_degree", 3}}},
  };
  return table;
}

const Preset* find_preset(std::string_view verb, std::string_view name) {
  for (const Preset& p : presets())
    if (p.verb == verb && p.name == name) return &p;
  return nullptr;
}

}  // namespace covary::cli
