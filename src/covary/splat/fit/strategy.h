// Strategies: which Gaussians there are. A strategy watches each view's backward pass and edits the
// rows of the parameter table between steps, through nn::RowTable alone, so that parameters,
// moments and statistics never part.
//
//   auto strategy = make_strategy("default", options);
//   strategy->init(table, scene);
//   for each step:
//     for each view: strategy->before_backward(view); loss.backward(); strategy->after_backward(view);
//     adam.step(...); Edits e = strategy->after_step(step);
//
// A strategy keeps per-Gaussian statistics in the table (add_statistic), so that checkpoints and
// edits carry them, and anything else in state()/restore(). All draws come from base/random.h by
// (seed, step, row): a resumed run sees the same. The rows are "means" [N,3], "quats" [N,4],
// "scales" [N,3] logs, "opacities" [N] logits, "sh0" [N,1,3], "shN" [N,K-1,3].
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"

namespace covary::fit {

// What a strategy knows of the fit before it starts.
struct SceneFacts {
  double extent = 1;  // scene units; sizes are thresholds times this
  uint64_t seed = 42;
  Eigen::Vector3d focus = Eigen::Vector3d::Zero();  // what the training cameras look at
  int64_t views = 1;                                // for training
  double focal = 1000;                              // px, mean of the training cameras
};

// One view of a step, during and after its backward pass. Gradients are of that view's loss alone.
struct ViewFacts {
  int64_t step = 0;                      // from 1
  int64_t view = 0;                      // index in the capture
  const scene::Camera& camera;           // as rendered (width, height)
  const render::Footprints& footprints;  // screen_gradients filled after the backward pass
  const at::Tensor& loss;                // scalar
  const at::Tensor& rendered;            // [H,W,3] float
  const at::Tensor& truth;               // [H,W,3] uint8 or float
  const at::Tensor& mask;                // [H,W] float, 0 = does not count; or undefined
  at::Tensor extras_gradient =
      {};  // [N,E] by Primitives::extras, of all views of the step so far; after
           // the backward pass, where there are extras
};

// A finished step.
struct StepFacts {
  int64_t step = 0;     // from 1: steps taken
  double lr_means = 0;  // the rate just used, scene units
};

// What after_step did, for the log. Zero everywhere: nothing.
struct Edits {
  int64_t cloned = 0, split = 0, pruned = 0, moved = 0, added = 0;
  int64_t crossed = 0;  // of the cloned, where views meet: multi_view.h
  bool reset = false;   // opacities were reset
  bool rows() const { return cloned || split || pruned || moved || added; }  // other Gaussians
  bool any() const { return rows() || reset; }
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  // Adds the statistics that it keeps to a fresh table. Not called when a run is resumed: they came
  // with the table.
  virtual void init(nn::RowTable& table, const SceneFacts& scene) = 0;
  virtual void resume(nn::RowTable& table, const SceneFacts& scene,
                      const nlohmann::json& state) = 0;

  // Whether after_backward looks at the absolute parts of Footprints::screen_gradients, which the backward pass then sums.
  virtual bool reads_absolute_gradients() const { return true; }
  // Whether it looks at the gradients of Footprints::colors, and at Footprints::largest_weights, at this step.
  virtual bool reads_color_gradients(int64_t /*step*/) const { return false; }
  virtual bool reads_largest_weights(int64_t /*step*/) const { return false; }
  virtual void before_backward(const ViewFacts&) {}
  virtual void after_backward(const ViewFacts&) {}
  virtual Edits after_step(const StepFacts& step) = 0;

  // The run now has so many steps: schedules that follow its length move with it.
  virtual void retime(int64_t /*steps*/) {}

  // The cap on the number of Gaussians is another from the next refinement on. Where there are more, none is added until
  // pruning has brought them under it. False: this strategy has no cap.
  virtual bool recap(int64_t /*max_gaussians*/) { return false; }

  // What the log says of it beside the count; empty when there is nothing.
  virtual nlohmann::json figures() const { return nlohmann::json::object(); }

  // What is not in the table; empty when there is nothing.
  virtual nlohmann::json state() const { return nlohmann::json::object(); }
};

struct StrategyKind {
  std::string name, help;
  std::function<std::unique_ptr<Strategy>(const TrainOptions&)> make;
};
void register_strategy(
    StrategyKind kind);  // rooms above add theirs; the name is then accepted by --strategy
const std::vector<StrategyKind>& strategies();

// Error(kUsage) naming those there are.
std::unique_ptr<Strategy> make_strategy(const std::string& name, const TrainOptions& options);

}  // namespace covary::fit
