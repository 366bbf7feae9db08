#include "covary/core/compute/autograd.h"

#include <memory>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include "covary/core/base/error.h"

namespace covary::compute {
namespace {

namespace ag = torch::autograd;

using Backward = std::function<Tensors(const Saved&, const Tensors&)>;

class FunctionNode : public ag::Node {
 public:
  FunctionNode(std::string name, Backward backward, Differentiable times, ag::edge_list&& edges)
      : ag::Node(std::move(edges)),
        name_(std::move(name)),
        backward_(std::move(backward)),
        times_(times) {}

  std::string name() const override { return name_; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto& v : inputs_) v.reset_data();
    for (auto& v : outputs_) v.reset_data();
  }

  void save(const Tensors& inputs, const Tensors& outputs) {
    for (const auto& t : inputs) inputs_.emplace_back(t, false);
    // An output is saved without its history (is_output), or it would hold this node, which holds
    // it.
    for (const auto& t : outputs) outputs_.emplace_back(t, true);
  }

 private:
  ag::variable_list apply(ag::variable_list&& gradients) override {
    if (c10::GradMode::is_enabled() && times_ == Differentiable::kOnce) {
      throw Error(ExitCode::kFailed, "has no second derivative", name_,
                  "call backward without create_graph");
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    Tensors inputs, outputs;
    inputs.reserve(inputs_.size());
    outputs.reserve(outputs_.size());
    for (const auto& v : inputs_) inputs.push_back(v.unpack());
    const auto self = getptr();
    for (const auto& v : outputs_) outputs.push_back(v.unpack(self));
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined() && !input_metadata(i).was_default_constructed()) {
        gradients[i] = input_metadata(i).zeros_like();
      }
    }
    std::vector<bool> needs(inputs.size());
    for (size_t i = 0; i < needs.size(); ++i) needs[i] = task_should_compute_output(i);
    Tensors result = backward_(Saved{inputs, outputs, needs}, gradients);
    if (result.size() != inputs.size()) {
      throw Error(ExitCode::kFailed,
                  "backward returned " + std::to_string(result.size()) + " gradients for " +
                      std::to_string(inputs.size()) + " inputs",
                  name_);
    }
    for (size_t i = 0; i < needs.size(); ++i) {
      if (!needs[i]) result[i].reset();
    }
    return result;
  }

  std::string name_;
  Backward backward_;
  Differentiable times_;
  std::vector<ag::SavedVariable> inputs_, outputs_;
  std::mutex mutex_;
};

}  // namespace

Tensors differentiable(const std::string& name, const Tensors& inputs,
                       const std::function<Tensors(const Tensors&)>& forward,
                       const Backward& backward, Differentiable times) {
  bool wanted = false;
  if (c10::GradMode::is_enabled()) {
    for (const auto& t : inputs) wanted = wanted || (t.defined() && t.requires_grad());
  }
  Tensors outputs;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    const c10::AutoGradMode no_gradient(false);
    outputs = forward(inputs);
  }
  if (!wanted) return outputs;
  for (const auto& out : outputs) {
    for (const auto& in : inputs) {
      if (out.defined() && in.defined() && out.has_storage() && in.has_storage() &&
          out.numel() > 0 && out.is_alias_of(in)) {
        throw Error(ExitCode::kFailed, "an output aliases an input", name,
                    "clone it in the forward function");
      }
    }
  }
  const auto node =
      c10::make_intrusive<FunctionNode>(name, backward, times, ag::collect_next_edges(inputs));
  for (const auto& out : outputs) {
    if (out.defined() && ag::isDifferentiableType(out.scalar_type())) {
      ag::impl::set_gradient_edge(out, {node, node->add_input_metadata(out)});
    } else {
      node->add_input_metadata(ag::Node::undefined_input());
    }
  }
  node->save(inputs, outputs);
  return outputs;
}

void backward(const Tensors& outputs, const Tensors& gradients) {
  Tensors from, by;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!gradients[i].defined()) continue;
    from.push_back(outputs[i]);
    by.push_back(gradients[i]);
  }
  if (!from.empty()) ag::backward(from, by);
}

}  // namespace covary::compute
