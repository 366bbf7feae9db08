// Niantic's .spz in memory, for files and for glTF that embeds one. Coordinates are as stored (by
// convention right, up, back). Within scene only.
//
//   Cloud cloud = parse_spz(bytes, "biker.spz");          // versions 1 to 4
//   std::vector<uint8_t> file = pack_spz(cloud, {.spz_version = 4});
//
// Error(kData, where) for damaged bytes, before memory is taken for what they cannot hold.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "covary/splat/scene/format.h"

namespace covary::scene {

Cloud parse_spz(std::span<const uint8_t> bytes, const std::string& where);
std::vector<uint8_t> pack_spz(const Cloud& cloud, const WriteOptions& options);

}  // namespace covary::scene
