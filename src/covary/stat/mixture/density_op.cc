#include "covary/stat/mixture/density_op.h"

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::mixture {
namespace {

using compute::Tensors;

at::Tensor doubles(const at::Tensor& t) {
  return t.detach().to(at::kCPU, at::kDouble).contiguous();
}

struct Operands {
  at::Tensor x, log_weights, means, factors;
  compute::GaussianMixtureView view() const {
    return {compute::CovarianceType::kFull,
            means.size(0),
            means.size(1),
            log_weights.data_ptr<double>(),
            means.data_ptr<double>(),
            factors.data_ptr<double>()};
  }
};

Operands operands_of(const Tensors& in) {
  return {doubles(in[0]), doubles(in[1]), doubles(in[2]), doubles(in[3]).tril()};
}

void check(const at::Tensor& x, const at::Tensor& w, const at::Tensor& m, const at::Tensor& f) {
  const auto refuse = [](const char* what, const char* where) {
    throw Error(ExitCode::kData, what, where);
  };
  if (x.dim() != 2 || x.size(1) < 1) refuse("must be [n,d]", "x");
  if (m.dim() != 2 || m.size(0) < 1 || m.size(1) != x.size(1)) refuse("must be [k,d]", "means");
  const int64_t k = m.size(0), d = m.size(1);
  if (w.dim() != 1 || w.size(0) != k) refuse("must be [k]", "log_weights");
  if (f.sizes() != at::IntArrayRef({k, d, d})) refuse("must be [k,d,d]", "precision_factors");
  if (!x.isfinite().all().item<bool>()) refuse("a value is not finite", "x");
  if (!m.isfinite().all().item<bool>()) refuse("a value is not finite", "means");
  if (!f.isfinite().all().item<bool>()) refuse("a value is not finite", "precision_factors");
  if (!(f.diagonal(0, 1, 2) > 0).all().item<bool>())
    refuse("a diagonal entry is not above 0", "precision_factors");
  if (!((w < std::numeric_limits<double>::infinity()).all().item<bool>()))
    refuse("a weight is not a number", "log_weights");
}

}  // namespace

at::Tensor mixture_log_density(const at::Tensor& x, const at::Tensor& log_weights,
                               const at::Tensor& means, const at::Tensor& precision_factors) {
  check(x, log_weights, means, precision_factors);
  return compute::differentiable(
      "mixture_log_density", {x, log_weights, means, precision_factors},
      [](const Tensors& in) {
        const Operands o = operands_of(in);
        at::Tensor out = at::empty({o.x.size(0)}, at::kDouble);
        compute::mixture_scores(o.view(), o.x.data_ptr<double>(), o.x.size(0),
                                {.log_density = out.data_ptr<double>()});
        return Tensors{out.to(in[0].options())};
      },
      [](const compute::Saved& saved, const Tensors& gradients) {
        const Operands o = operands_of(saved.inputs);
        const int64_t n = o.x.size(0), k = o.means.size(0), d = o.means.size(1);
        at::Tensor r = at::empty({n, k}, at::kDouble);
        compute::mixture_scores(o.view(), o.x.data_ptr<double>(), n,
                                {.responsibilities = r.data_ptr<double>()});
        r *= doubles(gradients[0]).unsqueeze(1);
        at::Tensor gx = at::zeros({n, d}, at::kDouble), gm = at::empty({k, d}, at::kDouble);
        at::Tensor gf = at::empty({k, d, d}, at::kDouble);
        for (int64_t c = 0; c < k; ++c) {
          const at::Tensor apart = o.x - o.means[c], w = o.factors[c];
          const at::Tensor z = apart.matmul(w.t()), weighted = r.select(1, c).unsqueeze(1) * z;
          const at::Tensor back = weighted.matmul(w);  // g r W'z
          gx -= back;
          gm[c] = back.sum(0);
          gf[c] =
              (at::diag(r.select(1, c).sum() / w.diagonal()) - weighted.t().matmul(apart)).tril();
        }
        const auto like = [&](const at::Tensor& t, size_t i) {
          return saved.needs[i] ? t.to(saved.inputs[i].options()) : at::Tensor();
        };
        return Tensors{like(gx, 0), like(r.sum(0), 1), like(gm, 2), like(gf, 3)};
      })[0];
}

at::Tensor kernel_log_density(const KernelDensity& kde, const at::Tensor& x) {
  return compute::differentiable(
      "kernel_log_density", {x},
      [&kde](const Tensors& in) {
        return Tensors{kde.score_samples(in[0].detach()).to(in[0].options())};
      },
      [&kde](const compute::Saved& saved, const Tensors& gradients) {
        const at::Tensor slope = kde.gradient(saved.inputs[0].detach());
        return Tensors{(slope * doubles(gradients[0]).unsqueeze(1)).to(saved.inputs[0].options())};
      })[0];
}

}  // namespace covary::mixture
