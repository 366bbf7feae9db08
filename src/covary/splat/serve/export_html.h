// A scene as one HTML file that holds the page and the scene, opens from disk and fetches nothing.
//
//   export_html(cloud, "fox.html", {.name = "fox"});
//
// The scene inside is the page's own format (splat_stream.h), gzip, base64: some 160 bytes a Gaussian at SH degree 3, 45 at
// degree 0; --sh-degree of what writes the cloud makes it smaller. Loses what splat_stream.h says, and extra columns.
#pragma once

#include <filesystem>
#include <string>

#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/cloud.h"

namespace covary::serve {

struct HtmlOptions {
  std::string name = "scene";
  scene::CameraFile cameras = {};  // where one looks from first, and what is behind the scene
};

// Atomic. Error(kData) when it cannot be written, Error(kFailed) for more Gaussians than a page can hold.
void export_html(const scene::Cloud& cloud, const std::filesystem::path& path,
                 const HtmlOptions& options = {});

}  // namespace covary::serve
