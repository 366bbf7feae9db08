// JSON models of captures: the first byte picks the kind, the rest is the file.
#include <cstdint>

#include "fuzz/capture_folder.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace covary::scene;
  static covary::fuzz::CaptureFolder folder;
  if (size == 0) return 0;
  return covary::fuzz::expect_error_or_success([&] {
    const struct {
      const char* name;
      CaptureSource (*read)(const std::filesystem::path&, const std::filesystem::path&,
                            const CaptureOptions&);
    } kinds[] = {{"transforms.json", read_transforms_capture},
                 {"precomputed.json", read_precomputed_capture},
                 {"reconstruction.json", read_opensfm_capture},
                 {"sfm_data.json", read_openmvg_capture},
                 {"metadata.json", read_record3d_capture},
                 {"cameras.json", read_arrays_capture},
                 {"cameras.json", read_cameras_capture},
                 {"keyframes/corrected_cameras/a.json", read_polycam_capture}};
    const auto& kind = kinds[data[0] % std::size(kinds)];
    std::filesystem::path model = folder.put(kind.name, data + 1, size - 1);
    if (kind.read == read_polycam_capture) model = folder.path() / "keyframes";
    kind.read(folder.path(), model, {});
  });
}
