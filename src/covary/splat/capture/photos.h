// The photos of a folder, a ZIP file or a video, brought together as one folder of upright pictures.
//
//   PhotoSet photos = gather_photos("holiday/", "out/images", options);      // photos.names, photos.notes
//
// A folder is searched with its sub-folders; images/ in it is taken alone when there. Left out, and said: files that
// cannot be read as pictures, kinds that are not read (HEIC, camera raw), masks/ and hidden ones. A photo that was stored
// turned (EXIF orientation) is turned upright and written again at JPEG quality 97, with what its EXIF states of the exposure:
// no program that follows has to know. Masks (masks/ beside images/ or among the photos) go with their photos. Errors: Error(kData): no photos, a name twice, fewer than 3 photos.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/core/data/exif.h"
#include "covary/core/data/image.h"
#include "covary/splat/capture/photo_options.h"

namespace covary::capture {

struct Photo {
  std::string name;           // below the folder of photos, with '/'
  int width = 0, height = 0;  // px, upright
  data::Exif exif;            // of the file as it was; orientation 1 after turning
};

struct PhotoSet {
  std::vector<Photo> photos;  // by name
  bool sequence = false;      // frames of one video: neighbours by name are neighbours in time
  std::vector<std::string> notes;
};

// What an input is, by content.
enum class InputKind { kFolder, kZip, kVideo, kOther };
InputKind kind_of(const std::filesystem::path& input);

// Whether there is any picture or video below a folder.
bool holds_photos(const std::filesystem::path& folder);

// The folder that holds photos without cameras: `folder` or its images/, or the only sub-folder's of either kind.
std::filesystem::path folder_of_photos(const std::filesystem::path& folder);

// Photos below a folder, not decoded; files that are no photos of ours become notes.
PhotoSet list_photos(const std::filesystem::path& folder);

// The same, linked, copied or turned into `images` (made here). Names stay, but for white space, which
// COLMAP's lists cannot hold.
PhotoSet gather_photos(const std::filesystem::path& folder, const std::filesystem::path& images,
                       const PhotoOptions& options);

// Frames of a video into `images`.
PhotoSet gather_frames(const std::filesystem::path& video, const std::filesystem::path& images,
                       const PhotoOptions& options);

// A picture as it was held (Exif::orientation 1..8).
data::Image8 upright(const data::Image8& image, int orientation);

}  // namespace covary::capture
