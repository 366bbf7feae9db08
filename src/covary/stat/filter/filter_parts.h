// Small pieces that several filters of this room are made of.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/base/random.h"
#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/nonlinear.h"

namespace covary::filter {

// Standard normals of one element of a stream, n of them.
VectorXd normals(const Random& random, int64_t element, int64_t n);

// function(x, step), [size]; Error(kData) that names it and the step when that is not finite.
VectorXd call(const StepFunction& function, const VectorXd& x, int64_t step, int64_t size,
              const char* name);

// The parts of the model that a LinearModel's check and view know how to read.
LinearModel frame_of(const NonlinearModel& m);

// The views of models that a Markov chain switches between: switching [M,M], start [M]. Throws
// Error(kUsage) for no models, Error(kData) for what are no probabilities, for a diffuse start and
// for models of different numbers of states.
std::vector<ModelView> views_of_switching(const std::vector<LinearModel>& models,
                                          const at::Tensor& switching, const at::Tensor& start,
                                          const at::Tensor& y, const at::Tensor& u);

}  // namespace covary::filter
