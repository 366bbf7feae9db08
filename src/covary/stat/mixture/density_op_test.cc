#include "covary/stat/mixture/density_op.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

at::Tensor numbers(std::vector<int64_t> shape, uint64_t stream) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random random(7, stream);
  for (int64_t i = 0; i < t.numel(); ++i) t.data_ptr<double>()[i] = random.normal(uint64_t(i));
  return t;
}

// By torch's own operations, to be read.
at::Tensor by_torch(const at::Tensor& x, const at::Tensor& w, const at::Tensor& m,
                    const at::Tensor& f) {
  const at::Tensor z = (f.tril().unsqueeze(0) * (x.unsqueeze(1) - m).unsqueeze(2)).sum(3);
  const at::Tensor joint = w + f.diagonal(0, 1, 2).log().sum(1) - 0.5 * z.square().sum(2) -
                           0.5 * static_cast<double>(x.size(1)) * std::log(2 * M_PI);
  return at::logsumexp(joint, {1});
}

TEST(DensityOp, MixturesValuesAndGradientsAreTorchs) {
  std::vector<at::Tensor> in = {numbers({7, 3}, 1), numbers({4}, 2), numbers({4, 3}, 3),
                                numbers({4, 3, 3}, 4)};
  in[3].diagonal(0, 1, 2).abs_().add_(0.5);
  const at::Tensor g = numbers({7}, 5);
  std::vector<at::Tensor> slopes[2];
  at::Tensor values[2];
  for (int side = 0; side < 2; ++side) {
    std::vector<at::Tensor> own;
    for (const at::Tensor& t : in) own.push_back(t.clone().requires_grad_(true));
    values[side] = side ? by_torch(own[0], own[1], own[2], own[3])
                        : mixture_log_density(own[0], own[1], own[2], own[3]);
    (values[side] * g).sum().backward();
    for (const at::Tensor& t : own) slopes[side].push_back(t.grad());
  }
  EXPECT_LT((values[0] - values[1]).abs().max().item<double>(), 1e-12);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_LT((slopes[0][i] - slopes[1][i]).abs().max().item<double>(), 1e-11) << i;
}

TEST(DensityOp, TheKernelDensitysGradientIsItsScore) {
  KernelDensity kde({.bandwidth = "0.6"});
  kde.fit(test_points(0, 200));
  const at::Tensor x = test_points(300, 306).requires_grad_(true);
  kernel_log_density(kde, x).sum().backward();
  const double h = 1e-5;
  for (int64_t j = 0; j < 3; ++j) {
    const at::Tensor step = at::zeros({1, 3}, at::kDouble);
    step.data_ptr<double>()[j] = h;
    const at::Tensor slope =
        (kde.score_samples(x.detach() + step) - kde.score_samples(x.detach() - step)) / (2 * h);
    EXPECT_LT((x.grad().select(1, j) - slope).abs().max().item<double>(), 1e-7);
  }
}

TEST(DensityOp, BadOperandsAreNamed) {
  const at::Tensor x = numbers({2, 3}, 1), w = numbers({4}, 2), m = numbers({4, 3}, 3);
  const at::Tensor f = at::eye(3, at::kDouble).expand({4, 3, 3}).contiguous();
  EXPECT_THROW(mixture_log_density(x, w.slice(0, 1), m, f), Error);
  EXPECT_THROW(mixture_log_density(x, w, m, -f), Error);
  EXPECT_THROW(mixture_log_density(x / 0, w, m, f), Error);
}

}  // namespace
}  // namespace covary::mixture
