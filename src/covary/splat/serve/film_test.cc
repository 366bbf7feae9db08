#include "covary/splat/serve/film.h"

#include <gmock/gmock.h>

#include <string>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/refusal.h"
#include "covary/core/data/video.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json path_json(int cameras, int width = 32, int height = 24) {
  scene::CameraFile file;
  for (int i = 0; i < cameras; ++i) {
    scene::Camera c;
    c.width = width;
    c.height = height;
    c.fx = c.fy = 30;
    c.cx = width / 2.0;
    c.cy = height / 2.0;
    c.cam_from_world(0, 3) = 0.1 * i;
    c.cam_from_world(2, 3) = 5;
    file.cameras.push_back({std::to_string(i), "", c});
  }
  return scene::cameras_to_json(file);
}

TEST(Film, IsAVideoOfSoManyFramesOrEndsWhenToldTo) {
  if (data::find_program("ffmpeg").empty()) GTEST_SKIP() << "there is no ffmpeg";
  const render::Primitives scene =
      render::primitives_of(scene::testing_clouds::random_cloud(50, 1));
  const FilmRequest request =
      film_request({{"path", path_json(3)}, {"frames", 5}, {"fps", 10}, {"background", {1, 1, 1}}});
  EXPECT_EQ(request.path.size(), 3u);
  std::vector<int64_t> told;
  const std::vector<uint8_t> mp4 = film(scene, false, request, [&](int64_t done) {
    told.push_back(done);
    return true;
  });
  EXPECT_EQ(told, (std::vector<int64_t>{1, 2, 3, 4, 5}));
  ASSERT_GT(mp4.size(), 100u);
  EXPECT_EQ(std::string(mp4.begin() + 4, mp4.begin() + 8), "ftyp");
  int64_t last = 0;
  EXPECT_TRUE(film(scene, false, request, [&](int64_t done) { return (last = done) < 2; }).empty());
  EXPECT_EQ(last, 2);
}

TEST(Film, EndsAmidstItsFramesWhenItIsTooLarge) {
  if (data::find_program("ffmpeg").empty()) GTEST_SKIP() << "there is no ffmpeg";
  const render::Primitives scene =
      render::primitives_of(scene::testing_clouds::random_cloud(50, 1));
  // The encoder begins its file some frames after the first.
  const FilmRequest request =
      film_request({{"path", path_json(3, 160, 120)}, {"frames", 3600}, {"quality", 0}});
  int64_t last = 0;
  EXPECT_THAT(refusal([&] {
                (void)film(
                    scene, false, request,
                    [&](int64_t done) {
                      last = done;
                      return true;
                    },
                    0);
              }),
              HasSubstr("larger than a page"));
  EXPECT_LT(last, 3600);
}

TEST(Film, RefusesRequestsThatAreNone) {
  const auto says = [](const json& body) { return refusal([&] { (void)film_request(body); }); };
  EXPECT_EQ(says({{"path", path_json(2)}}), "accepted");
  EXPECT_THAT(says(json::array()), HasSubstr("no JSON object"));
  EXPECT_THAT(says(json::object()), HasSubstr("path"));
  EXPECT_THAT(says({{"path", path_json(1)}}), HasSubstr("path"));
  EXPECT_THAT(says({{"path", path_json(1001)}}), HasSubstr("path"));
  EXPECT_THAT(says({{"path", path_json(2, 5000, 5000)}}), HasSubstr("size"));
  EXPECT_THAT(says({{"path", {{"schema", "other"}}}}), HasSubstr("schema"));
  EXPECT_THAT(says({{"path", path_json(2)}, {"frames", 3601}}), HasSubstr("frames"));
  EXPECT_THAT(says({{"path", path_json(2)}, {"frames", 0}}), HasSubstr("frames"));
  EXPECT_THAT(says({{"path", path_json(2)}, {"fps", 1000}}), HasSubstr("fps"));
  EXPECT_THAT(says({{"path", path_json(2)}, {"quality", -1}}), HasSubstr("quality"));
}

}  // namespace
}  // namespace covary::serve
