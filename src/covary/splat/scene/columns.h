// Every number of a splat by a name and in a unit: what expressions, histograms and tables of a scene speak of.
//
//   at::Tensor o = column(cloud, "opacity");          // [N] double, in (0, 1)
//   at::Tensor s = column(cloud, "scale");            // [N,3] double, world
//   at::Tensor keep = rows_where(cloud, Expression::parse("opacity > 0.1 && max(scale) < 0.5"));
//
//   x y z, position [3]                 world
//   scale_0 .. 2, scale [3]             standard deviations, world
//   opacity                             0 .. 1
//   rot_0 .. 3, rotation [4]            unit quaternion w x y z
//   red green blue, color [3]           without view dependence: 0.5 + C0 f_dc, as displayed
//   f_dc_0 .. 2, f_dc [3]               degree-0 SH coefficients, as stored
//   f_rest_0 .. , f_rest [3M]           SH coefficients above, as stored in a .ply: all of red first
//   scale_0_raw .., scale_raw [3]       natural logs, as stored
//   opacity_raw                         logit, as stored
//   rot_0_raw .., rotation_raw [4]      as stored
//   volume                              product of the standard deviations, world^3
//   index                               of the row, from 0
//   NAME, NAME_k, NAME [k]              columns of the file, as stored
//
// A column of the file that has one of the names above is not reached.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/base/expression.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// [N], or [N,k] for a vector; double, contiguous. Error(kUsage) for a name that this cloud does not have, with the
// nearest one.
at::Tensor column(const Cloud& cloud, const std::string& name);

// Whether every splat has a number or a vector of this name, whatever the scene; such a column would not be reached.
bool is_own_number(const std::string& name);

// Whether the cloud's footprint reads this column: it says what a splat looks like, and must be finite.
bool is_footprint_column(const Cloud& cloud, const std::string& name);

// Names of single numbers, in the order above, without the raw ones, volume and index: each number of a splat once.
std::vector<std::string> number_names(const Cloud& cloud);

// [N] double: what the expression is, row by row. [N] bool: where it is not 0. Error(kUsage) for unknown
// names and vectors that do not fit.
at::Tensor values_of(const Cloud& cloud, const Expression& expression);
at::Tensor rows_where(const Cloud& cloud, const Expression& expression);

}  // namespace covary::scene
