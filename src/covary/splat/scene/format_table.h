// What each format_NAME.cc gives to the table. Within scene only.
#pragma once

#include "covary/splat/scene/format.h"

namespace covary::scene {

SceneFormat ply_format();
SceneFormat compressed_ply_format();
SceneFormat splat_format();
SceneFormat ksplat_format();
SceneFormat spz_format();
SceneFormat sog_format();
SceneFormat gltf_format();
SceneFormat csv_format();
SceneFormat npz_format();

}  // namespace covary::scene
