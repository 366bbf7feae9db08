// Loss terms: what a fit minimises is a list of weighted terms, each named and logged.
//
//   std::vector<LossTerm> terms = standard_terms(options);
//   terms.push_back({.name = "depth", .weight = nn::constant(1e-2), .value = [](const LossContext&
//   c) { ... }});
//
// A term sees one view and returns a differentiable scalar; the loss of a view is the sum of weight
// x value, that of a step the sum over its views. A term whose weight is 0 at a step is not
// evaluated.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/nn/optim/schedule.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

// A photo made ready for comparison with a rendering.
struct Target {
  at::Tensor image;       // [H,W,3] uint8 (the photo itself, not copied), or float where something
                          // shows the background
  at::Tensor mask;        // [H,W] float, 1 = counts, 0 = does not; undefined = all count
  at::Tensor background;  // [3] float, behind the rendering
};

struct LossContext {
  int64_t step = 0;
  const scene::View& view;
  const Target& target;
  const render::Rendered& rendered;      // of this view alone: V = 1
  const render::Primitives& primitives;  // activated, differentiable
  int64_t steps = 0;                     // of the whole run
};

// A term's value, and figures inside it for the log.
struct TermValue {
  at::Tensor value;  // scalar
  std::vector<std::pair<std::string, double>> parts = {};
};

struct LossTerm {
  std::string name;
  nn::Schedule weight;
  std::function<TermValue(const LossContext&)> value;
};

// Photometric ("photometric"), and the regularisers whose weight is not 0 ("opacity", "scale").
std::vector<LossTerm> standard_terms(const TrainOptions& options);

// Mean of all values (float or double), in fixed order: the same bits on any number of threads.
at::Tensor ordered_mean(const at::Tensor& values);

// The photo of a view, and which of its pixels count, ready for a rendering in front of `background`
// ([3] float). Where the photo is transparent it shows that background, whatever it was loaded on. A
// mask is that of the view, unless mask_mode is "off".
Target make_target(const scene::View& view, const scene::Capture& capture,
                   const std::string& mask_mode, const at::Tensor& background);

}  // namespace covary::fit
