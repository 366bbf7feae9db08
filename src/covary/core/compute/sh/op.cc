#include "covary/core/compute/sh/op.h"

#include <algorithm>
#include <array>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/sh/sh.h"

namespace covary::compute {
namespace {

enum Input { kSh0, kShN, kIds, kDirections, kOffsets };

template <class T>
ShInput<T> input_of(const Tensors& in, int degree) {
  return {.count = in[kDirections].size(0),
          .degree = degree,
          .bands = in[kShN].defined() ? static_cast<int>(in[kShN].size(1)) + 1 : 1,
          .ids = in[kIds].defined() ? in[kIds].const_data_ptr<int64_t>() : nullptr,
          .sh0 = in[kSh0].const_data_ptr<T>(),
          .shN = in[kShN].defined() ? in[kShN].const_data_ptr<T>() : nullptr,
          .directions = in[kDirections].const_data_ptr<T>(),
          .offsets = in[kOffsets].defined() ? in[kOffsets].const_data_ptr<T>() : nullptr};
}

template <class T>
Tensors forward(const Tensors& in, int degree) {
  at::Tensor colors = at::empty({in[kDirections].size(0), 3}, in[kDirections].options());
  if constexpr (std::is_same_v<T, float>) {
    sh_color(input_of<T>(in, degree), colors.data_ptr<T>());
  } else {
    sh_color_reference(input_of<T>(in, degree), colors.data_ptr<T>());
  }
  return {colors};
}

// The gradient of a whole tensor from that of the rows ids.
at::Tensor sparse(const at::Tensor& ids, const at::Tensor& values, const at::Tensor& like) {
  return at::_sparse_coo_tensor_unsafe(ids.unsqueeze(0), values, like.sizes(),
                                       like.options().layout(at::kSparse), true);
}

template <class T>
Tensors backward(const Saved& saved, const Tensors& gradients, int degree, bool compact) {
  const Tensors& in = saved.inputs;
  StageTimer stage("sh");
  stage.add_items(in[kDirections].size(0));
  Tensors out(in.size());
  for (const Input i : {kSh0, kShN}) {
    if (!saved.needs[i]) continue;
    std::vector<int64_t> shape = in[i].sizes().vec();
    if (compact) shape[0] = in[kDirections].size(0);
    // The kernel sets every number of a row but those of bands above the degree.
    const bool all = compact && (i == kSh0 || in[kShN].size(1) + 1 == (degree + 1) * (degree + 1));
    out[i] = all ? at::empty(shape, in[i].options()) : at::zeros(shape, in[i].options());
  }
  for (const Input i : {kDirections, kOffsets})
    if (saved.needs[i]) out[i] = at::empty_like(in[i]);
  const auto to = [&](Input i) {
    return out[i].defined() ? out[i].template data_ptr<T>() : nullptr;
  };
  const ShGradients<T> v{to(kSh0), to(kShN), to(kDirections), compact, to(kOffsets)};
  const at::Tensor v_colors = gradients[0].contiguous();
  if constexpr (std::is_same_v<T, float>) {
    sh_color_vjp(input_of<T>(in, degree), v_colors.const_data_ptr<T>(), v);
  } else {
    sh_color_vjp_reference(input_of<T>(in, degree), v_colors.const_data_ptr<T>(), v);
  }
  for (const Input i : {kSh0, kShN}) {
    if (compact && out[i].defined()) out[i] = sparse(in[kIds], out[i], in[i]);
  }
  return out;
}

}  // namespace

int sh_degree_of(int64_t bands) {
  for (int degree = 0; degree <= kMaxShDegree; ++degree)
    if (bands == (degree + 1) * (degree + 1)) return degree;
  throw Error(ExitCode::kUsage,
              std::to_string(bands) + " coefficients are no whole number of SH bands", "shN",
              "1, 4, 9, 16 or 25 with that of degree 0");
}

at::Tensor sh_color(const at::Tensor& sh0, const at::Tensor& shN, const at::Tensor& ids,
                    const at::Tensor& directions, int degree, ShGradientRows rows,
                    const at::Tensor& offsets) {
  const auto type = directions.scalar_type();
  if (!sh0.defined() || sh0.dim() != 3 || sh0.size(1) != 1 || sh0.size(2) != 3 ||
      sh0.scalar_type() != type)
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "sh0",
                "it must be [N,1,3] of the type of the directions");
  const bool above = shN.defined() && shN.size(1) > 0;
  if (above && (shN.dim() != 3 || shN.size(0) != sh0.size(0) || shN.size(2) != 3 ||
                shN.scalar_type() != type))
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "shN",
                "it must be [N,K-1,3] of the type of sh0");
  if (directions.dim() != 2 || directions.size(1) != 3 ||
      (!ids.defined() && directions.size(0) != sh0.size(0)) ||
      (ids.defined() && (ids.scalar_type() != at::kLong || ids.numel() != directions.size(0))))
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "directions",
                "it must be [M,3], a row an id");
  if (offsets.defined() && (!offsets.is_same_size(directions) || offsets.scalar_type() != type))
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "offsets",
                "it must be [M,3] of the type of the directions");
  const int there = sh_degree_of(above ? shN.size(1) + 1 : 1);
  const int used = degree < 0 ? there : std::min(degree, there);
  const Tensors inputs = {sh0.contiguous(), above ? shN.contiguous() : at::Tensor(), ids,
                          directions.contiguous(),
                          offsets.defined() ? offsets.contiguous() : at::Tensor()};
  bool compact = rows == ShGradientRows::kSparse && ids.defined();
  for (const Input i : {kSh0, kShN}) {
    compact = compact && (!inputs[i].defined() || inputs[i].is_leaf());
  }
  return differentiable(
      "sh_color", inputs,
      [&](const Tensors& in) {
        return type == at::kFloat ? forward<float>(in, used) : forward<double>(in, used);
      },
      [type, used, compact](const Saved& saved, const Tensors& gradients) {
        return type == at::kFloat ? backward<float>(saved, gradients, used, compact)
                                  : backward<double>(saved, gradients, used, compact);
      })[0];
}

at::Tensor rotate_sh(const at::Tensor& coefficients, const at::Tensor& rotation) {
  const int degree = sh_degree_of(coefficients.size(1));
  const at::Tensor r = rotation.to(at::kDouble).contiguous().view({-1, 9});
  const at::Tensor in = coefficients.detach().to(at::kDouble).contiguous();
  at::Tensor out = in.clone();
  const int64_t n = in.size(0), bands = in.size(1);
  if (r.size(0) != 1 && r.size(0) != n)
    throw Error(ExitCode::kUsage, "has the wrong shape", "rotation", "it must be [3,3] or [N,3,3]");
  std::array<double, 9 + 25 + 49 + 81> m{};
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || r.size(0) > 1)
      sh_rotation(degree, r.const_data_ptr<double>() + (r.size(0) > 1 ? 9 * i : 0), m.data());
    const double* from = in.const_data_ptr<double>() + i * bands * 3;
    double* to = out.data_ptr<double>() + i * bands * 3;
    const double* row = m.data();
    for (int l = 1; l <= degree; ++l)
      for (int a = l * l; a < (l + 1) * (l + 1); ++a, row += 2 * l + 1)
        for (int c = 0; c < 3; ++c) {
          double s = 0;
          for (int b = 0; b < 2 * l + 1; ++b) s += row[b] * from[3 * (l * l + b) + c];
          to[3 * a + c] = s;
        }
  }
  return out.to(coefficients.scalar_type());
}

}  // namespace covary::compute
