// Depth and normal maps of the photos from folders of pictures: `--depth FOLDER`, `--normals FOLDER`.
//
//   take_depths(capture, "depth", "inverse");    // depth/IMG_7.png (16 bit) belongs to IMG_7.jpg
//   take_normals(capture, "normals");            // normals/IMG_7.png (8 bit, 3 channels)
//
// A map has the name of its photo with .png for the extension, the folders of the name included, and the shape of the photo as it is
// loaded, which is without lens distortion; another size is taken by nearest pixel. Depth: grey, 16 bit (8 is coarse, but read), 0 =
// unknown; "inverse": larger is nearer, as networks guess it, "distance": larger is farther (camera z). Its unit and, for inverse,
// its offset are fitted (depth_terms.h). Normals: 2 v / 255 - 1 in camera axes (x right, y down, z forward), toward the
// camera; shorter than a half = unknown. Photos without a map keep what the capture knew. Returned: how many have one.
// Errors: Error(kData) naming the file: no map for any training photo, another shape than its photo, channels, damaged pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "covary/splat/scene/capture.h"

namespace covary::fit {

int64_t take_depths(scene::Capture& capture, const std::filesystem::path& folder,
                    const std::string& kind);
int64_t take_normals(scene::Capture& capture, const std::filesystem::path& folder);

}  // namespace covary::fit
