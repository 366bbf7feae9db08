// What a camera wrote into a photo: how it was held, its lens, its exposure and where it stood.
//
//   const Exif e = read_exif("IMG_0412.jpg");
//   if (e.orientation != 1) note("the photo is stored turned");
//   if (const auto ev = e.log2_exposure()) gains.push_back(*ev);
//
// Fields that the file lacks, or states without sense (no finite positive number), stay at their defaults; a file that
// is no JPEG, or has no EXIF block, gives all defaults. Never throws on a damaged block. Source: CIPA DC-008 (Exif 2.32).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <Eigen/Core>

namespace covary::data {

struct Exif {
  // Tag 0x0112, 1..8: which row and column of the stored picture stand first when it is shown. 1: as it is stored;
  // 3: turned by 180 degrees; 6: to be turned by 90 degrees clockwise to stand upright; 8: counter-clockwise; 2, 4, 5
  // and 7 are mirrored.
  int orientation = 1;
  double focal_mm = 0;    // 0 = unknown
  double focal_35mm = 0;  // as of a 36 mm wide film; 0 = unknown
  double exposure_s = 0;  // 0 = unknown
  double f_number = 0;    // 0 = unknown
  double iso = 0;         // 0 = unknown
  std::string camera;     // maker and model, "Apple iPhone 12"
  // Latitude and longitude in degrees (north and east positive), altitude in m (0 when not stated).
  std::optional<Eigen::Vector3d> gps;

  // log2(t * ISO / 100 / N^2): twice the light is 1 more. Empty unless all three are known.
  std::optional<double> log2_exposure() const;
};

Exif read_exif(const std::filesystem::path& path);

// An EXIF block ("Exif", two zeros, a TIFF header, ...) that states the orientation and what is known of the exposure, and
// nothing else; empty when that is orientation 1. For photos that are written again.
std::string exif_block(const Exif& exif);
// The JPEG file with the block behind its first marker; as it is when the block is empty, or too long for one (64 KiB).
std::vector<uint8_t> with_exif_block(const std::vector<uint8_t>& jpeg, const std::string& block);

}  // namespace covary::data
