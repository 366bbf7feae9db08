#include "covary/stat/process/grid_spectrum.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace covary::stat {

at::Tensor along_axis(const at::Tensor& t, int64_t axis, const at::Tensor& m) {
  const at::Tensor first = t.movedim(axis, 0);
  std::vector<int64_t> shape = first.sizes().vec();
  shape[0] = m.size(0);
  return m.matmul(first.reshape({first.size(0), -1})).reshape(shape).movedim(0, axis);
}

at::Tensor outer_product(const std::vector<at::Tensor>& vectors) {
  at::Tensor out = vectors[0];
  for (size_t k = 1; k < vectors.size(); ++k) out = out.unsqueeze(-1) * vectors[k];
  return out;
}

GridSpectrum::GridSpectrum(const GridAxes& axes, std::span<const Kernel> kernels, double noise) {
  std::vector<at::Tensor> sums;
  for (size_t k = 0; k < axes.size(); ++k) {
    const auto n = static_cast<int64_t>(axes[k].size());
    at::Tensor m = at::empty({n, n}, at::kDouble);
    kernels[k].matrix(axes[k].data(), n, m.data_ptr<double>(), n);
    if (!m.isfinite().all().item<bool>()) return;
    auto [w, v] = at::linalg_eigh(m);
    matrices.push_back(m);
    vectors.push_back(v);
    values.push_back(w.clamp_min(0));
    sums.push_back(v.sum(0));
  }
  spectrum = outer_product(values) + noise;
  ones = outer_product(sums);
  good = spectrum.min().item<double>() > 0 && spectrum.isfinite().all().item<bool>();
}

at::Tensor GridSpectrum::turned(at::Tensor t) const {
  const auto d = static_cast<int64_t>(vectors.size());
  for (int64_t k = 0; k < d; ++k)
    t = along_axis(t, t.dim() - d + k, vectors[static_cast<size_t>(k)].t());
  return t;
}

at::Tensor GridSpectrum::back(at::Tensor t) const {
  const auto d = static_cast<int64_t>(vectors.size());
  for (int64_t k = 0; k < d; ++k)
    t = along_axis(t, t.dim() - d + k, vectors[static_cast<size_t>(k)]);
  return t;
}

at::Tensor GridSpectrum::back_squared(at::Tensor t) const {
  const auto d = static_cast<int64_t>(vectors.size());
  for (int64_t k = 0; k < d; ++k)
    t = along_axis(t, t.dim() - d + k, vectors[static_cast<size_t>(k)].square());
  return t;
}

std::vector<double> axis_gradient(const std::vector<double>& axis, const Kernel& kernel,
                                  const at::Tensor& vectors, const at::Tensor& weights) {
  const auto n = static_cast<int64_t>(axis.size());
  const at::Tensor w = vectors.matmul(weights).matmul(vectors.t()).contiguous();
  std::vector<double> gradient(kernel.parameters().size());
  kernel.contract(axis.data(), n, w.const_data_ptr<double>(), n, gradient);
  return gradient;
}

}  // namespace covary::stat
