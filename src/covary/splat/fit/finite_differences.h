// For tests: the gradient of a scalar function of a double tensor, by central differences.
#pragma once

#include <functional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace covary::fit {

inline at::Tensor central_differences(const std::function<at::Tensor(const at::Tensor&)>& f,
                                      const at::Tensor& x, double h = 1e-6) {
  const at::NoGradGuard no_gradient;
  at::Tensor out = at::zeros_like(x, at::MemoryFormat::Contiguous);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto at = [&](double by) {
      at::Tensor moved = x.detach().clone(at::MemoryFormat::Contiguous);
      moved.data_ptr<double>()[i] += by;
      return f(moved).item<double>();
    };
    out.data_ptr<double>()[i] = (at(h) - at(-h)) / (2 * h);
  }
  return out;
}

inline at::Tensor gradient_of(const std::function<at::Tensor(const at::Tensor&)>& f,
                              const at::Tensor& x) {
  const at::Tensor leaf = x.detach().clone().requires_grad_();
  f(leaf).backward();
  return leaf.grad();
}

// The largest difference over the largest element.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

}  // namespace covary::fit
