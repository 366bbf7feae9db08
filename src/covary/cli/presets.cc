#include "covary/cli/presets.h"

namespace covary::cli {
namespace {

// A third of the usual steps, with all that docs/turbo.md says. 8,500 steps draw 10,000 views, since the last 2,000 are taken
// four at a time.
nlohmann::json turbo() {
  return {
      {"steps", 8500},
      {"max_gaussians", 500000},
      {"render_stride", 2},
      {"init_midpoints", true},
      {"final_views", 4},
      {"growth",
       {{"appearance", true}, {"budget", true}, {"visits", true}, {"prune_schedule", "0.5:0.6"}}}};
}

}  // namespace

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
      {"train", "turbo",
       "8,500 steps on every other pixel, growth by colour, convergence and visits", turbo()},
      {"train", "turbo-gs", "another name of turbo", turbo()},
  };
  return table;
}

const Preset* find_preset(std::string_view verb, std::string_view name) {
  for (const Preset& p : presets())
    if (p.verb == verb && p.name == name) return &p;
  return nullptr;
}

}  // namespace covary::cli
