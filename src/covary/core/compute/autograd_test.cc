#include "covary/core/compute/autograd.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>

#include "covary/core/base/error.h"

namespace covary::compute {
namespace {

at::Tensor squared(const at::Tensor& x) {
  return differentiable(
      "square", {x}, [](const Tensors& in) { return Tensors{in[0] * in[0]}; },
      [](const Saved& saved, const Tensors& grad) {
        return Tensors{2 * saved.inputs[0] * grad[0]};
      })[0];
}

at::Tensor leaf(at::ArrayRef<double> values) {
  return at::tensor(values, at::kDouble).set_requires_grad(true);
}

TEST(Differentiable, GradientFollowsTheChainRule) {
  const at::Tensor x = leaf({1, -2, 3});
  squared(squared(x) + x).sum().backward();
  const at::Tensor y = x.detach();
  EXPECT_TRUE(at::allclose(x.grad(), 2 * (y * y + y) * (2 * y + 1)));
}

TEST(Differentiable, OutputsAreSavedWithoutHistory) {
  const at::Tensor x = leaf({0.5, 2});
  const auto exp = [](const at::Tensor& t) {
    return differentiable(
        "exp", {t}, [](const Tensors& in) { return Tensors{in[0].exp()}; },
        [](const Saved& s, const Tensors& g) { return Tensors{s.outputs[0] * g[0]}; })[0];
  };
  c10::weak_intrusive_ptr<torch::autograd::Node> node{c10::intrusive_ptr<torch::autograd::Node>()};
  {
    const at::Tensor y = exp(x);
    node = c10::weak_intrusive_ptr<torch::autograd::Node>(y.grad_fn());
    EXPECT_FALSE(node.expired());
    y.sum().backward();
  }
  EXPECT_TRUE(node.expired()) << "the node holds itself through its output";
  EXPECT_TRUE(at::allclose(x.grad(), x.detach().exp()));
}

TEST(Differentiable, MissingGradientsArriveAsZerosAndIntegersCarryNone) {
  const at::Tensor x = leaf({1, 2});
  const auto out = differentiable(
      "three", {x, at::Tensor()},
      [](const Tensors& in) {
        EXPECT_FALSE(in[1].defined());
        return Tensors{in[0] * 1, in[0] * 2, in[0].to(at::kLong)};
      },
      [](const Saved& s, const Tensors& g) {
        EXPECT_TRUE(s.needs[0]);
        EXPECT_FALSE(s.needs[1]);
        EXPECT_TRUE(at::equal(g[0], at::zeros({2}, at::kDouble)));
        EXPECT_FALSE(g[2].defined());
        return Tensors{g[0] + 2 * g[1], at::Tensor()};
      });
  EXPECT_FALSE(out[2].requires_grad());
  out[1].sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::full({2}, 2.0, at::kDouble)));
}

TEST(Differentiable, NoGraphWithoutGradients) {
  EXPECT_FALSE(squared(at::ones({2})).requires_grad());
  const at::Tensor x = leaf({1});
  const c10::NoGradGuard guard;
  EXPECT_FALSE(squared(x).requires_grad());
}

TEST(Differentiable, RefusesAliasesSecondDerivativesAndSecondPasses) {
  const at::Tensor x = leaf({1, 2});
  EXPECT_THROW(differentiable(
                   "view", {x}, [](const Tensors& in) { return Tensors{in[0].view({2, 1})}; },
                   [](const Saved&, const Tensors& g) { return g; }),
               Error);
  EXPECT_THROW(squared(x).sum().backward({}, /*retain_graph=*/true, /*create_graph=*/true), Error);
  const at::Tensor y = squared(x).sum();
  y.backward();
  EXPECT_ANY_THROW(y.backward());
}

TEST(Differentiable, GoesBackOnceFromOutputsOfOneNode) {
  const at::Tensor x = leaf({1, 2});
  const auto both = differentiable(
      "twice and square", {x}, [](const Tensors& in) { return Tensors{2 * in[0], in[0] * in[0]}; },
      [](const Saved& saved, const Tensors& g) {
        return Tensors{2 * g[0] + 2 * saved.inputs[0] * g[1]};
      });
  backward({both[0], both[1], both[0]}, {at::ones({2}), 3 * at::ones({2}), at::Tensor()});
  EXPECT_TRUE(at::equal(x.grad(), 2 + 6 * x.detach()));
}

TEST(Differentiable, RefusesAWrongNumberOfGradients) {
  const at::Tensor x = leaf({1});
  const auto y = differentiable(
      "bad", {x}, [](const Tensors& in) { return Tensors{in[0] + 1}; },
      [](const Saved&, const Tensors&) { return Tensors{}; })[0];
  EXPECT_THROW(y.sum().backward(), Error);
}

}  // namespace
}  // namespace covary::compute
