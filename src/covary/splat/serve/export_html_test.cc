#include "covary/splat/serve/export_html.h"
#include "covary/splat/scene/test_clouds.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "covary/core/base/base64.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/scene/ply.h"
#include "covary/splat/serve/splat_stream.h"

namespace covary::serve {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin) + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

TEST(ExportHtml, HoldsTheSceneAndThePageAndAsksForNothing) {
  const TemporaryFolder folder("export_html");
  const scene::Cloud cloud = scene::testing_clouds::random_cloud(1000, 3);
  export_html(cloud, folder.path() / "scene.html", {.name = "a </script><b>\"name\""});
  const std::string html = read_file(folder.path() / "scene.html");

  const std::vector<uint8_t> truth = encode_splats(cloud, importance_order(cloud));
  std::vector<uint8_t> packed =
      from_base64(between(html, "id=\"scene-bytes\">", "</script>"), "page");
  std::vector<uint8_t> unpacked(truth.size() + 1);
  z_stream z{};
  ASSERT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
  z.next_in = packed.data();
  z.avail_in = static_cast<uInt>(packed.size());
  z.next_out = unpacked.data();
  z.avail_out = static_cast<uInt>(unpacked.size());
  EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
  unpacked.resize(z.total_out);
  inflateEnd(&z);
  EXPECT_EQ(unpacked, truth);

  const auto facts = nlohmann::json::parse(between(html, "id=\"scene-facts\">", "</script>"));
  EXPECT_EQ(facts["name"], "a </script><b>\"name\"");
  EXPECT_EQ(facts["count"], 1000);
  EXPECT_THAT(html, Not(HasSubstr("src=\"")));
  EXPECT_THAT(html, Not(HasSubstr("rel=\"stylesheet\"")));
  EXPECT_THAT(html, HasSubstr("Content-Security-Policy"));
}

TEST(ExportHtml, SaysAPlaceThatCannotBeWritten) {
  EXPECT_THROW(export_html(scene::testing_clouds::random_cloud(2, 0), "/nowhere/at/all/scene.html"),
               Error);
}

// web/tests/browser.mjs opens what this writes.
TEST(ExportHtml, WritesAFileForTheBrowserTest) {
  const char *from = std::getenv("COVARY_EXPORT_FROM"), *to = std::getenv("COVARY_EXPORT_TO");
  if (from == nullptr || to == nullptr) GTEST_SKIP() << "web/tests/browser.mjs asks for it";
  export_html(scene::read_ply(from), to, {.name = "from disk"});
  EXPECT_GT(std::filesystem::file_size(to), 0u);
}

}  // namespace
}  // namespace covary::serve
