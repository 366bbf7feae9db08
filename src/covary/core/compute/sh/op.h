// Spherical harmonics as torch operators; see sh.h.
//
//   at::Tensor colors = sh_color(sh0, shN, ids, directions);
#pragma once

#include <ATen/core/Tensor.h>

namespace covary::compute {

// What the gradient of a leaf sh0 or shN is. kSparse: a sparse COO tensor of its shape with indices ids and the rows of those
// alone, [M,...], so that nothing is cleared or read for rows that nobody saw; without ids, and of a tensor that is no leaf,
// it is dense all the same.
enum class ShGradientRows { kDense, kSparse };

// Colours [M,3] of the rows ids (int64 [M]; undefined = all) seen along directions [M,3]. sh0 [N,1,3]; shN [N,K-1,3] or
// undefined; degree limits the bands used, -1 = all; offsets [M,3] are added before the clamp, undefined = none. Gradients
// to sh0, shN, directions and offsets. float or double.
at::Tensor sh_color(const at::Tensor& sh0, const at::Tensor& shN, const at::Tensor& ids,
                    const at::Tensor& directions, int degree = -1,
                    ShGradientRows rows = ShGradientRows::kDense, const at::Tensor& offsets = {});

// Coefficients [N,K,3] of the functions turned by rotation [3,3]: value of the new at R d = value of the old at d. With
// rotation [N,3,3] each row by its own. No gradient.
at::Tensor rotate_sh(const at::Tensor& coefficients, const at::Tensor& rotation);

// The degree of K = (degree + 1)^2 bands; Error(kUsage) when K is no such square or above 25.
int sh_degree_of(int64_t bands);

}  // namespace covary::compute
