// The cameras of a capture in the words of COLMAP or of transforms.json, whatever kind they were read from.
//
//   export_cameras("scan/transforms.json", "colmap", CameraFiles::kColmapBinary);
//   colmap/images/...             the photos, as hard links where the disk allows, else copies
//   colmap/sparse/0/cameras.bin   lenses as they are, distortion included; images, points3D likewise
//   export_cameras("colmap", "scan/transforms.json", CameraFiles::kTransforms);
//   scan/transforms.json          photos named by their way from here; scan/transforms_points.ply
//
// Poses and points keep the frame that the capture was read in. What is left out is a note: masks, depth, a split of
// the capture's own, and which photos see which points. Errors: Error(kData) naming a photo whose lens the other
// program has no words for, or a file that cannot be written.
// Sources: COLMAP's documentation, "Output Format"; nerfstudio's, "Data conventions".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace covary::scene {

enum class CameraFiles { kColmapBinary, kColmapText, kTransforms };

struct ExportedCameras {
  int64_t photos = 0, lenses = 0, points = 0;
  std::vector<std::string> notes;
};
ExportedCameras export_cameras(const std::string& capture, const std::filesystem::path& out,
                               CameraFiles kind);

}  // namespace covary::scene
