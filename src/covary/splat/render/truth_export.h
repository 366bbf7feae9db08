// Writes a capture as an ordinary COLMAP folder, for people to look at and other programs to train on.
//
//   write_capture(make_studio({}, {}), "studio");
//
//   studio/images/view_0000.png      8 bit; RGBA (straight colours) where the view has alpha
//          sparse/0/cameras.txt      PINHOLE, equal cameras once; images.txt; points3D.txt without tracks
//          masks/view_0000.png       where the view has a mask: 255 = use
//          depth/view_0000.npy       float32 H x W, camera z, 0 = unknown; where the view has depth
//          normal/view_0000.npy      float32 H x W x 3, camera axes
//
// Coordinates and depth are the capture's own, not the normalised frame's. Errors: Error(kData) naming the file
// that cannot be written; Error(kUsage) for cameras that COLMAP's PINHOLE cannot say.
#pragma once

#include <filesystem>

#include "covary/splat/scene/capture.h"

namespace covary::render {

void write_capture(const scene::Capture& capture, const std::filesystem::path& folder);

}  // namespace covary::render
