// A folder with the photos that small models name, in which a fuzzer puts its input as one file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/image.h"
#include "covary/splat/scene/capture_source.h"

namespace covary::fuzz {

class CaptureFolder {
 public:
  CaptureFolder() : folder_("fuzz") {
    for (const char* photo : {"images/a.png", "images/b.png", "rgb/0.png", "rgb/1.png",
                              "keyframes/corrected_images/a.png"}) {
      const std::filesystem::path p = folder_.path() / photo;
      std::filesystem::create_directories(p.parent_path());
      data::write_image(p, data::Image8(48, 64, 3));
    }
    std::filesystem::create_directories(folder_.path() / "keyframes" / "corrected_cameras");
  }

  const std::filesystem::path& path() const { return folder_.path(); }

  // The input as a file of that name; the one before it is gone.
  std::filesystem::path put(const std::string& name, const uint8_t* data, size_t size) {
    std::error_code ignored;
    std::filesystem::remove(last_, ignored);
    last_ = folder_.path() / name;
    std::ofstream(last_, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return last_;
  }

 private:
  TemporaryFolder folder_;
  std::filesystem::path last_;
};

}  // namespace covary::fuzz
