// A scene as the page takes it: rows of bytes that go to the graphics card as they are, the most important first.
//
//   const at::Tensor order = importance_order(cloud);        // int64 [N]
//   std::vector<uint8_t> bytes = encode_splats(cloud, order);
//
// The first rows alone already show the whole scene coarsely: the page draws each block as it comes. Importance is opacity
// times the area of the largest cross-section, the product of the two larger standard deviations.
//
// Layout, little-endian:
//   0   8 bytes  "CVSPLAT1"
//   8   u32      rows N
//   12  u32      SH coefficients a row and channel, K = 1, 4, 9 or 16 (degree 4 of a cloud is cut to 3)
//   16  u32      rows a block B (the last block may be shorter)
//   20  u32      1 = antialiased (render with the screen-space filter), else 0
//   24  8 bytes  0
// then blocks, each of n rows:
//   n x 32 bytes: mean f32 x 3 (world), row of the cloud u32, quaternion i16 x 4 (w x y z, unit, times 32767),
//                 log standard deviation u16 x 3 (-20 .. 12 in 65535 steps), opacity u16 (0 .. 1, not a logit)
//   n x 6K bytes: SH coefficients f16, coefficient-major (r g b of the first, of the second, ...); degree 0 first
//   0 to 3 zero bytes, to a multiple of 4
// What it loses: 0.02% of a scale, 3e-5 of a rotation, 8e-6 of an opacity, 11 of 24 bits of a colour's coefficient: pictures
// differ by less than an 8-bit step. Rows that hold NaN or infinity are left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/cloud.h"

namespace covary::serve {

constexpr int64_t kSplatBlock = 16384;
constexpr int64_t kMaxSplats = int64_t{1} << 24;  // that a page can hold

// Finite rows, most important first; equal ones by their row.
at::Tensor importance_order(const scene::Cloud& cloud);

// Error(kFailed) for more rows than kMaxSplats.
std::vector<uint8_t> encode_splats(const scene::Cloud& cloud, const at::Tensor& order);

// A column as f32 in that order. name: of cloud.columns; of a column [N,k], with _0 .. _k-1 behind it. Error(kData) when
// there is none.
std::vector<uint8_t> encode_column(const scene::Cloud& cloud, const at::Tensor& order,
                                   const std::string& name);
std::vector<std::string> column_names(const scene::Cloud& cloud);
// The same as a tensor [N], in the order of the cloud.
at::Tensor column_values(const scene::Cloud& cloud, const std::string& name);

}  // namespace covary::serve
