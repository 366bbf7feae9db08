#include "covary/core/compute/adam/op.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::compute {
namespace {

TEST(AdamOp, FloatAndDoubleAgree) {
  const at::Tensor p = at::linspace(-1, 1, 42, at::kDouble).reshape({7, 2, 3});
  const at::Tensor g = (p * 5).cos();
  const at::Tensor ids = at::tensor({0, 2, 3, 6}, at::kLong);
  for (const auto unseen : {UnseenRows::kDecay, UnseenRows::kKeep}) {
    const AdamTensors d{p.clone(), at::zeros_like(p), at::zeros_like(p), {}};
    const AdamTensors f{p.to(at::kFloat), at::zeros({7, 2, 3}), at::zeros({7, 2, 3}), {}};
    for (int64_t t = 1; t < 4; ++t) {
      adam_step({.rate = 0.01, .update = t}, d, g.index_select(0, ids), ids, unseen);
      adam_step({.rate = 0.01, .update = t}, f, g.index_select(0, ids).to(at::kFloat), ids, unseen);
    }
    EXPECT_TRUE(at::allclose(f.value.to(at::kDouble), d.value, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(f.second.to(at::kDouble), d.second, 1e-5, 1e-9));
    EXPECT_FALSE(at::allclose(d.value, p, 1e-3, 1e-3));
  }
}

TEST(AdamOp, ReadsStridedGradients) {
  const AdamTensors t{at::zeros({3, 4}), at::zeros({3, 4}), at::zeros({3, 4}), {}};
  const at::Tensor g = at::tensor({1.0f, -1.0f, 1.0f}).unsqueeze(1).expand({3, 4});
  adam_step({.rate = 1}, t, g);
  EXPECT_TRUE(at::allclose(t.value, -g));
}

TEST(AdamOp, RefusesMomentsOfAnotherShapeAndWholeNumbers) {
  EXPECT_THROW(adam_step({}, {at::zeros({3, 4}), at::zeros({3, 3}), at::zeros({3, 4}), {}},
                         at::zeros({3, 4})),
               Error);
  const at::Tensor whole = at::zeros({3}, at::kLong);
  EXPECT_THROW(adam_step({}, {whole, whole, whole, {}}, whole), Error);
  EXPECT_THROW(adam_step({}, {at::zeros({2, 2}).t(), at::zeros({2, 2}), at::zeros({2, 2}), {}},
                         at::zeros({2, 2})),
               Error);
}

TEST(AdamOp, FindsNonFiniteValues) {
  at::Tensor x = at::zeros({5}, at::kDouble);
  EXPECT_TRUE(is_finite(x));
  x[3] = INFINITY;
  EXPECT_FALSE(is_finite(x));
  EXPECT_FALSE(is_finite(x.to(at::kFloat)));
}

}  // namespace
}  // namespace covary::compute
