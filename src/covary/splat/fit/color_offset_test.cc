#include "covary/splat/fit/color_offset.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/splat/fit/finite_differences.h"

namespace covary::fit {
namespace {

using compute::test_normal;

const OffsetNetwork kSmall{.embedding = 3, .features = 5, .degree = 2};

// Weights of a network that was trained: no layer is 0.
at::Tensor weights_of(const OffsetNetwork& network) {
  return 0.25 * test_normal(1, 1, {network.count()});
}

struct Inputs {
  at::Tensor weights = weights_of(kSmall), embedding = test_normal(1, 2, {3}),
             features = test_normal(1, 3, {12, 5}), ids = at::tensor({1, 4, 5, 9, 11}, at::kLong),
             directions = 2 * test_normal(1, 4, {5, 3});

  at::Tensor offsets() const {
    return color_offsets(kSmall, weights, embedding, features, ids, directions);
  }
};

// The header's formula, in torch's own operations.
at::Tensor by_formula(const Inputs& in) {
  const auto w = named_weights(kSmall, in.weights);
  at::Tensor basis = at::empty({5, 9}, at::kDouble);
  const at::Tensor unit = in.directions / in.directions.norm(2, 1, true);
  for (int64_t i = 0; i < 5; ++i)
    compute::sh_basis(2, unit.const_data_ptr<double>() + 3 * i, basis.data_ptr<double>() + 9 * i);
  const auto network = [&](const at::Tensor& e) {
    const at::Tensor first = e.unsqueeze(0).mm(w.at("embedding")) +
                             in.features.index_select(0, in.ids).mm(w.at("feature")) +
                             basis.mm(w.at("direction")) + w.at("bias1");
    return (first.relu().mm(w.at("hidden")) + w.at("bias2")).relu().mm(w.at("out"));
  };
  return network(in.embedding) - network(at::zeros_like(in.embedding));
}

TEST(ColorOffset, IsTheNetworkLessThatOfEmbeddingZero) {
  Inputs in;
  EXPECT_LT((in.offsets() - by_formula(in)).abs().max().item<double>(), 1e-12);
  EXPECT_GT(in.offsets().abs().min().item<double>(), 1e-4);
  EXPECT_EQ(kSmall.count(), (3 + 5 + 9 + 1) * 64 + 65 * 64 + 64 * 3);
  in.embedding = at::zeros({3}, at::kDouble);
  EXPECT_EQ(in.offsets().abs().max().item<double>(), 0);
}

TEST(ColorOffset, GradientsAreThoseOfFiniteDifferences) {
  const at::Tensor upstream = test_normal(1, 5, {5, 3});
  for (at::Tensor Inputs::* part : {&Inputs::embedding, &Inputs::features, &Inputs::directions}) {
    const auto f = [&](const at::Tensor& x) {
      Inputs in;
      in.*part = x;
      return (in.offsets() * upstream).sum();
    };
    const at::Tensor x = Inputs().*part, g = gradient_of(f, x);
    // a feature that nobody sees has no row in the gradient
    EXPECT_EQ(g.is_sparse(), part == &Inputs::features);
    const at::Tensor dense = g.is_sparse() ? g.to_dense() : g;
    EXPECT_LT(relative_error(dense, central_differences(f, x)), 1e-6);
  }
  // the weights are many: along 20 directions
  const at::Tensor along = test_normal(1, 6, {20, kSmall.count()});
  const auto moved = [&](const at::Tensor& steps) {
    Inputs in;
    in.weights = in.weights + steps.unsqueeze(0).mm(along).squeeze(0);
    return (in.offsets() * upstream).sum();
  };
  const at::Tensor still = at::zeros({20}, at::kDouble);
  EXPECT_LT(relative_error(gradient_of(moved, still), central_differences(moved, still)), 1e-6);
  // of what is no leaf all rows are there
  const at::Tensor leaf = Inputs().features.requires_grad_();
  Inputs in;
  in.features = leaf * 1.0;
  (in.offsets() * upstream).sum().backward();
  EXPECT_FALSE(leaf.grad().is_sparse());
}

TEST(ColorOffset, FloatsFollowDoublesOnAnyNumberOfThreads) {
  const OffsetNetwork network;
  constexpr int64_t kCount = 1500;  // more than a share, and no whole number of blocks
  const at::Tensor weights = weights_of(network), embedding = test_normal(2, 2, {16}),
                   features = test_normal(2, 3, {kCount, 32}), ids = at::arange(kCount),
                   directions = test_normal(2, 4, {kCount, 3}),
                   upstream = test_normal(2, 5, {kCount, 3});
  const auto results = [&](at::ScalarType type) {
    std::vector<at::Tensor> in;
    for (const at::Tensor& t : {weights, embedding, features, directions})
      in.push_back(t.to(type).detach().clone().requires_grad_());
    const at::Tensor out = color_offsets(network, in[0], in[1], in[2], ids, in[3]);
    (out * upstream.to(type)).sum().backward();
    return std::vector<at::Tensor>{out.detach(), in[0].grad(), in[1].grad(),
                                   in[2].grad().to_dense(), in[3].grad()};
  };
  const auto doubles = results(at::kDouble);
  set_threads(1);
  const auto one = results(at::kFloat);
  set_threads(2);
  const auto two = results(at::kFloat);
  set_threads(0);
  for (size_t i = 0; i < doubles.size(); ++i) {
    EXPECT_TRUE(one[i].equal(two[i])) << i;
    EXPECT_LT(relative_error(one[i].to(at::kDouble), doubles[i]), 1e-4) << i;
  }
}

TEST(ColorOffset, BeginsWithoutAnOffset) {
  const OffsetNetwork network;
  const at::Tensor weights = starting_weights(network, 3);
  EXPECT_TRUE(weights.equal(starting_weights(network, 3)));
  EXPECT_FALSE(weights.equal(starting_weights(network, 4)));
  EXPECT_GT(named_weights(network, weights).at("hidden").abs().min().item<float>(), 0);
  const at::Tensor offsets = color_offsets(network, weights, at::ones({16}), at::ones({4, 32}),
                                           at::arange(4), at::ones({4, 3}));
  EXPECT_EQ(offsets.abs().max().item<float>(), 0);
}

TEST(ColorOffset, OtherShapesAndTypesAreRefused) {
  for (at::Tensor Inputs::* part : {&Inputs::weights, &Inputs::embedding, &Inputs::features,
                                    &Inputs::ids, &Inputs::directions}) {
    Inputs in;
    in.*part = (in.*part).narrow(-1, 0, 2);
    EXPECT_THROW(in.offsets(), Error);
    Inputs floats;
    floats.*part = (floats.*part).to(at::kFloat);
    EXPECT_THROW(floats.offsets(), Error);
  }
}

}  // namespace
}  // namespace covary::fit
