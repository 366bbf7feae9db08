// The fixed scenes of bench/train_step: a trainer at a given state, and the view that its steps are taken on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "covary/splat/fit/trainer.h"

namespace covary::bench {

struct Places {
  std::string data_root;  // holds fox/ and garden_points/; empty: no data sets
  std::string trained;    // run folder or .ply of a trained fox; empty: none
};

struct SceneSource {
  std::string name, help;
  bool on_request = false;  // only when --scenes names it
  // Null and a reason where the data are absent.
  std::function<std::unique_ptr<fit::Trainer>(const Places&, std::string& reason)> make;
};

const std::vector<SceneSource>& scenes();

}  // namespace covary::bench
