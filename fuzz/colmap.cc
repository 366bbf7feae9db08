// COLMAP models: the first byte picks one of the six kinds of file.
#include <cstdint>
#include <string_view>

#include "covary/splat/scene/colmap.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    if (size == 0) return;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    using namespace covary::scene;
    if (data[0] % 6 == 0)
      for (const auto& [id, lens] : parse_colmap_cameras_bin(rest, "input")) lens.optimal_pinhole();
    if (data[0] % 6 == 1)
      for (const auto& [id, lens] : parse_colmap_cameras_txt(rest, "input")) lens.optimal_pinhole();
    if (data[0] % 6 == 2) parse_colmap_images_bin(rest, "input", true);
    if (data[0] % 6 == 3) parse_colmap_images_txt(rest, "input", true);
    std::vector<ColmapSighting> sightings;
    if (data[0] % 6 == 4) parse_colmap_points_bin(rest, "input", &sightings);
    if (data[0] % 6 == 5) parse_colmap_points_txt(rest, "input", &sightings);
  });
}
