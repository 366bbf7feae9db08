#include "covary/splat/serve/export_html.h"

#include <nlohmann/json.hpp>

#include "covary/core/base/base64.h"
#include "covary/core/base/file.h"
#include "covary/core/data/streams.h"
#include "covary/splat/serve/page.h"
#include "covary/splat/serve/splat_stream.h"
#include "covary/splat/serve/viewer.h"

namespace covary::serve {
void export_html(const scene::Cloud& cloud, const std::filesystem::path& path,
                 const HtmlOptions& options) {
  const at::Tensor order = importance_order(cloud);
  ViewedScene scene;
  scene.name = options.name;
  scene.cloud = cloud;
  scene.cloud.columns.clear();
  scene.cameras = options.cameras;
  nlohmann::json facts = facts_of(scene, order.size(0));
  facts["revision"] = 1;
  facts["camera_file"] = scene::cameras_to_json(options.cameras);
  write_file(path, whole_page(facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                              base64(data::gzip(encode_splats(cloud, order)))));
}

}  // namespace covary::serve
