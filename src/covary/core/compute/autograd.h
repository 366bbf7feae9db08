// The one autograd node of the project: a forward and a backward as functions over tensors.
//
//   auto y = differentiable(
//       "square", {x}, [](auto& in) { return TensorList{in[0] * in[0]}; },
//       [](auto& saved, auto& grad) { return TensorList{2 * saved[0] * grad[0]}; });
//
// Rules: outputs must not alias inputs; an undefined incoming gradient arrives as zeros; backward
// returns one tensor an input (undefined = no gradient). Integer outputs carry no gradient. Second
// derivatives are refused with an error, unless the function is said to be kTwice: then its backward
// is written in differentiable operations, of torch or of ours, and is recorded when a caller
// asks for it (create_graph).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::compute {

using Tensors = std::vector<at::Tensor>;

// What backward sees: the inputs, the outputs, and whether each input wants a gradient.
struct Saved {
  const Tensors& inputs;
  const Tensors& outputs;
  const std::vector<bool>& needs;
};

enum class Differentiable { kOnce, kTwice };

// inputs may hold undefined tensors (optional arguments).
Tensors differentiable(
    const std::string& name, const Tensors& inputs,
    const std::function<Tensors(const Tensors& inputs)>& forward,
    const std::function<Tensors(const Saved& saved, const Tensors& gradients)>& backward,
    Differentiable times = Differentiable::kOnce);

// Sends gradients back from several outputs in one pass, as their graphs may share nodes. Outputs whose gradient is
// undefined are left out.
void backward(const Tensors& outputs, const Tensors& gradients);

}  // namespace covary::compute
