// The 3DGS `.ply`: little-endian float32, x y z nx ny nz f_dc_0..2 f_rest_* (channel-major) opacity
// scale_0..2 rot_0..3. Reading takes any property order and type, ASCII and big-endian, and keeps
// unknown columns. Writing what was read gives the same bytes for files laid out as above. Columns [N] of
// any type are properties of their name, columns [N,k] become name_0 .. name_k-1 (int64 is written as
// int). How it is to be drawn travels as comment lines, those of Brush ("SplatRenderMode: mip") and
// Postshot ("antialiased 1"), and Cloud::footprint as "covary footprint NAME". Without a scale_2 the
// Gaussians are discs: Cloud::flat.
#pragma once

#include <filesystem>
#include <memory>

#include "covary/splat/scene/cloud.h"
#include "covary/splat/scene/rows.h"

namespace covary::scene {

// Error(kData) naming file and property: truncated, absurd count, missing property, wrong f_rest
// count, NaN positions unless those are wanted.
Cloud read_ply(const std::filesystem::path& path, bool take_not_finite = false);
void write_ply(const std::filesystem::path& path, const Cloud& cloud);  // atomic

// The same by rows. Null for ASCII, whose rows have no places. plan.count may be more than come: the header is mended.
std::unique_ptr<RowSource> open_ply(const std::filesystem::path& path,
                                    bool take_not_finite = false);
std::unique_ptr<RowSink> create_ply(const std::filesystem::path& path, const RowPlan& plan);

}  // namespace covary::scene
