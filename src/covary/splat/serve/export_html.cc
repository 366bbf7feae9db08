#include "covary/splat/serve/export_html.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/serve/page.h"
#include "covary/splat/serve/splat_stream.h"
#include "covary/splat/serve/viewer.h"

namespace covary::serve {
namespace {

std::vector<uint8_t> gzipped(const std::vector<uint8_t>& bytes) {
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw Error(ExitCode::kFailed, "out of memory", "gzip");
  std::vector<uint8_t> out;
  std::vector<uint8_t> piece(1 << 18);
  size_t read = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (z.avail_in == 0 && read < bytes.size()) {  // zlib counts in 32 bits
      const size_t n = std::min<size_t>(bytes.size() - read, 1 << 30);
      z.next_in = const_cast<Bytef*>(bytes.data() + read);
      z.avail_in = static_cast<uInt>(n);
      read += n;
    }
    z.next_out = piece.data();
    z.avail_out = static_cast<uInt>(piece.size());
    state = deflate(&z, read == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    out.insert(out.end(), piece.data(), z.next_out);
  }
  deflateEnd(&z);
  return out;
}

std::string base64(const std::vector<uint8_t>& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t v = uint32_t{bytes[i]} << 16;
    if (i + 1 < bytes.size()) v |= uint32_t{bytes[i + 1]} << 8;
    if (i + 2 < bytes.size()) v |= bytes[i + 2];
    out += kDigits[v >> 18];
    out += kDigits[v >> 12 & 63];
    out += i + 1 < bytes.size() ? kDigits[v >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kDigits[v & 63] : '=';
  }
  return out;
}

}  // namespace

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
                              base64(gzipped(encode_splats(cloud, order)))));
}

}  // namespace covary::serve
