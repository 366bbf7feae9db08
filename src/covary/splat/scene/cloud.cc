#include "covary/splat/scene/cloud.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/splat/scene/convex.h"

namespace covary::scene {

int Cloud::sh_degree() const {
  const int64_t rest = shN.defined() && shN.dim() == 3 ? shN.size(1) : 0;
  int degree = 0;
  // More than any degree has is refused by check().
  while (degree < 5 && (degree + 1) * (degree + 1) - 1 < rest) ++degree;
  return degree;
}

void Cloud::check() const {
  const int64_t n = size();
  const auto expect = [&](const char* name, const at::Tensor& t, at::IntArrayRef shape) {
    if (!t.defined()) throw Error(ExitCode::kFailed, "the tensor is missing", name);
    if (t.sizes() == shape) return;
    std::string want, have;
    for (const int64_t d : shape) want += " " + std::to_string(d);
    for (const int64_t d : t.sizes()) have += " " + std::to_string(d);
    throw Error(ExitCode::kFailed, "the shape is" + have + ", not" + want, name);
  };
  expect("means", means, {n, 3});
  expect("quats", quats, {n, 4});
  expect("scales", scales, {n, 3});
  expect("opacities", opacities, {n});
  expect("sh0", sh0, {n, 1, 3});
  const int degree = sh_degree();
  if (degree > 4) throw Error(ExitCode::kFailed, "spherical harmonics beyond degree 4", "shN");
  expect("shN", shN, {n, (degree + 1) * (degree + 1) - 1, 3});
  if (footprint == "generalized" &&
      (columns.count("shape") == 0 || columns.at("shape").sizes() != at::IntArrayRef({n})))
    throw Error(ExitCode::kFailed, "a scene of shaped primitives has no column of their shapes [N]",
                "shape");
  if (footprint == kConvex && convex_points(*this) == 0)
    throw Error(ExitCode::kFailed, "a scene of convexes has no whole columns of their points [N]",
                "hull_0 ...");
  for (const auto& [name, t] : columns)
    if (!t.defined() || t.dim() < 1 || t.dim() > 2 || t.size(0) != n)
      throw Error(ExitCode::kFailed,
                  "the column is not [" + std::to_string(n) + "] or [" + std::to_string(n) + ", k]",
                  name);
}

namespace {

// Each tensor with rows through `f`; what is said of the whole cloud stays.
template <class F>
Cloud by_tensor(const Cloud& cloud, const F& f) {
  Cloud out = cloud;
  for (at::Tensor* t : {&out.means, &out.quats, &out.scales, &out.opacities, &out.sh0, &out.shN})
    *t = f(*t);
  for (auto& [name, t] : out.columns) t = f(t);
  return out;
}

}  // namespace

Cloud select(const Cloud& cloud, const at::Tensor& rows) {
  // A mask becomes indices once, not for every tensor.
  const at::Tensor index = rows.scalar_type() == at::kBool ? rows.nonzero().squeeze(1) : rows;
  return by_tensor(cloud, [&](const at::Tensor& t) { return t.index_select(0, index); });
}

Cloud slice(const Cloud& cloud, int64_t first, int64_t count) {
  return by_tensor(cloud, [&](const at::Tensor& t) { return t.narrow(0, first, count); });
}

Cloud cloud_like(const Cloud& cloud) {
  // Copies: a view would keep all rows alive.
  return by_tensor(cloud, [](const at::Tensor& t) { return t.narrow(0, 0, 0).clone(); });
}

Cloud as_gaussians(const Cloud& cloud) {
  Cloud out = cloud;
  out.footprint = "gaussian";
  if (cloud.footprint == "analytic") out.antialiased = true;
  if (cloud.footprint == kConvex) {
    std::erase_if(out.columns, [](const auto& column) { return is_convex_column(column.first); });
    // A disc of radius r has the total pi r^2, the Gaussian of points on its ball 2 pi r^2 / 3.
    const auto type = out.opacities.scalar_type();
    out.opacities =
        (1.5 * out.opacities.to(at::kDouble).sigmoid()).clamp(1e-6, 0.999).logit().to(type);
  }
  if (cloud.footprint != "generalized") return out;
  const at::Tensor b = out.columns.at("shape").to(at::kDouble).clamp(1, 8);
  out.columns.erase("shape");
  // of exp(-r^b / 2) in the plane: the total over that of b = 2, and the second moment over the total
  const at::Tensor power = (2 / b * std::log(2.0)).exp();
  const at::Tensor total = power * (2 / b).lgamma().exp() / b;
  const at::Tensor square = 0.5 * power * ((4 / b).lgamma() - (2 / b).lgamma()).exp();
  const auto type = out.scales.scalar_type();
  out.scales = (out.scales + 0.5 * square.log().unsqueeze(1)).to(type);
  out.opacities = (out.opacities.to(at::kDouble).sigmoid() * total / square)
                      .clamp(1e-6, 0.999)
                      .logit()
                      .to(type);
  return out;
}

Cloud in_double(const Cloud& cloud) {
  Cloud out = cloud;
  for (at::Tensor* t : {&out.means, &out.quats, &out.scales, &out.opacities, &out.sh0, &out.shN})
    *t = t->to(at::kDouble);
  return out;
}

}  // namespace covary::scene
