#include "covary/stat/filter/likelihood_op.h"

#include <ATen/ATen.h>

#include "covary/core/compute/autograd.h"
#include "covary/stat/filter/gradient.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

using compute::Tensors;

LinearModel model_of(const Tensors& in) {
  const auto plain = [](const at::Tensor& t) { return t.defined() ? t.detach() : t; };
  return {.f = plain(in[0]),
          .q = plain(in[1]),
          .h = plain(in[2]),
          .r = plain(in[3]),
          .b = plain(in[4]),
          .mean0 = plain(in[5]),
          .cov0 = plain(in[6]),
          .diffuse = plain(in[7])};
}

}  // namespace

at::Tensor log_likelihood_op(const LinearModel& m, const at::Tensor& y, const at::Tensor& u) {
  return compute::differentiable(
      "kalman_log_likelihood", {m.f, m.q, m.h, m.r, m.b, m.mean0, m.cov0, m.diffuse},
      [y, u](const Tensors& in) {
        return Tensors{at::scalar_tensor(kalman_log_likelihood(model_of(in), y, u), at::kDouble)};
      },
      [y, u](const compute::Saved& saved, const Tensors& gradients) {
        const LikelihoodGradient g = kalman_gradient(model_of(saved.inputs), y, u);
        const Tensors all = {g.f, g.q, g.h, g.r, g.b, g.mean0, g.cov0, g.diffuse};
        Tensors out;
        for (size_t i = 0; i < all.size(); ++i)
          out.push_back(saved.needs[i] && all[i].defined() ? all[i] * gradients[0] : at::Tensor());
        return out;
      })[0];
}

}  // namespace covary::filter
