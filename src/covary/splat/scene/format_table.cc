#include "covary/splat/scene/format_table.h"

namespace covary::scene {

// Those with marks of their own stand first; .ksplat and .splat, which have none, last.
const std::vector<SceneFormat>& scene_formats() {
  static const std::vector<SceneFormat> all = {
      ply_format(), compressed_ply_format(), spz_format(),
      sog_format(), gltf_format(),           npz_format(),
      csv_format(), ksplat_format(),         splat_format()};
  return all;
}

}  // namespace covary::scene
