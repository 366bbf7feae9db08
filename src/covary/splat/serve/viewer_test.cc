#include "covary/splat/serve/viewer.h"
#include "covary/splat/scene/test_clouds.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/splat/serve/page.h"
#include "covary/splat/serve/splat_stream.h"
#include "covary/splat/serve/test_client.h"

namespace covary::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

ViewedScene test_scene(int64_t rows = 100) {
  ViewedScene scene;
  scene.name = "test";
  scene.cloud = scene::testing_clouds::random_cloud(rows, 1);
  scene.cloud.columns["label"] = at::arange(rows, at::kFloat);
  for (const char* name : {"a.png", "b.png"}) {
    scene::Camera camera;
    camera.width = 8;
    camera.height = 6;
    camera.fx = camera.fy = 8;
    camera.cx = 4;
    camera.cy = 3;
    camera.cam_from_world(2, 3) = 5;
    scene.cameras.cameras.push_back({name, "train", camera});
  }
  scene.photo = [](const scene::NamedCamera& c) {
    if (c.name == "b.png") throw Error(ExitCode::kData, "is gone", "/home/somebody/b.png");
    data::Image8 photo(6, 8, 3);
    photo.at(2, 3)[1] = 200;
    return photo;
  };
  return scene;
}

class ViewerTest : public testing::Test {
 protected:
  ViewerTest() : viewer({.port = 0}) {}
  std::string get(const std::string& target) { return ask(viewer.port(), "GET", target); }
  Viewer viewer;
};

TEST_F(ViewerTest, ServesThePageAndTheScene) {
  viewer.show(test_scene());
  viewer.start();
  EXPECT_EQ(body_of(get("/")), page_file("index.html"));
  EXPECT_EQ(body_of(get("/viewer.js")), page_file("viewer.js"));
  EXPECT_THAT(get("/viewer.js"), HasSubstr("Content-Type: text/javascript; charset=utf-8\r\n"));
  EXPECT_THAT(get("/"), HasSubstr("script-src 'self'; style-src 'self'"));

  const json facts = json::parse(body_of(get("/api/scene")));
  EXPECT_EQ(facts["name"], "test");
  EXPECT_EQ(facts["revision"], 1);
  EXPECT_EQ(facts["count"], 100);
  EXPECT_EQ(facts["sh_degree"], 1);
  EXPECT_EQ(facts["columns"], json({"label"}));
  EXPECT_EQ(facts["cameras"], 2);
  EXPECT_EQ(facts["live"], false);

  const std::string splats = body_of(get("/api/splats?revision=1"));
  const scene::Cloud cloud = test_scene().cloud;
  const std::vector<uint8_t> truth = encode_splats(cloud, importance_order(cloud));
  EXPECT_EQ(splats, std::string(truth.begin(), truth.end()));
  EXPECT_EQ(body_of(get("/api/column?revision=1&name=label")).size(), 400u);
  EXPECT_EQ(status_of(get("/api/column?revision=1&name=other")), 404);
  EXPECT_EQ(json::parse(body_of(get("/api/cameras?revision=1")))["cameras"].size(), 2u);
}

TEST_F(ViewerTest, SendsPhotosByTheNumberOfTheirCameraAlone) {
  viewer.show(test_scene());
  viewer.start();
  const std::string png = body_of(get("/api/photo?revision=1&camera=0"));
  const data::Image8 photo = data::decode_image(
      std::span(reinterpret_cast<const uint8_t*>(png.data()), png.size()), "photo");
  EXPECT_EQ(photo.at(2, 3)[1], 200);
  EXPECT_EQ(status_of(get("/api/photo?revision=1&camera=2")), 400);
  EXPECT_EQ(status_of(get("/api/photo?revision=1&camera=../a.png")), 400);
  const std::string gone = get("/api/photo?revision=1&camera=1");
  EXPECT_EQ(status_of(gone), 404);
  EXPECT_THAT(gone, Not(HasSubstr("somebody")));
}

TEST_F(ViewerTest, TellsPagesOfANewSceneAndOfFigures) {
  viewer.show(test_scene(10));
  viewer.progress({{"step", 1}, {"loss", 0.5}});
  viewer.start();
  TestClient page(viewer.port());
  page.send(request_text(viewer.port(), "GET", "/api/events"));
  EXPECT_THAT(page.receive(2000, "0.5"),
              HasSubstr("event: history\ndata: [{\"loss\":0.5,\"step\":1}]"));
  viewer.show(test_scene(20));
  EXPECT_THAT(page.receive(2000, "\n\n"), HasSubstr("\"count\":20"));
  viewer.progress({{"step", 2}});
  EXPECT_THAT(page.receive(2000, "\n\n"), HasSubstr("event: progress\ndata: {\"step\":2}\n"));
  EXPECT_EQ(status_of(get("/api/splats?revision=1")), 404);
  EXPECT_EQ(status_of(get("/api/splats?revision=2")), 200);
}

TEST_F(ViewerTest, SaysWhyThereIsNoScene) {
  viewer.start();
  EXPECT_EQ(json::parse(body_of(get("/api/scene")))["error"], "there is no scene yet");
  viewer.show({.name = "broken", .error = "the file ends early"});
  EXPECT_EQ(json::parse(body_of(get("/api/scene")))["error"], "the file ends early");
  EXPECT_EQ(status_of(get("/api/splats?revision=1")), 404);
}

TEST_F(ViewerTest, TakesThreeCommandsWhereSomebodyListens) {
  std::string taken;
  viewer.on_command([&](const std::string& word) { taken += word + " "; });
  viewer.show(test_scene());
  viewer.start();
  const std::string origin = "Origin: http://127.0.0.1:" + std::to_string(viewer.port()) + "\r\n";
  const auto say = [&](const std::string& body) {
    return status_of(ask(viewer.port(), "POST", "/api/command", origin, body));
  };
  EXPECT_EQ(say(R"({"do": "pause"})"), 200);
  EXPECT_EQ(say(R"({"do": "stop"})"), 200);
  for (const char* bad : {R"({"do": "erase"})", R"({"do": 1})", "[]", "{", "x"})
    EXPECT_EQ(say(bad), 400) << bad;
  EXPECT_EQ(taken, "pause stop ");
}

TEST_F(ViewerTest, ManyPagesLookAtOnce) {
  viewer.show(test_scene(20000));
  viewer.start();
  const size_t bytes = body_of(get("/api/splats?revision=1")).size();
  std::vector<std::thread> pages;
  std::atomic<int> right{0};
  for (int i = 0; i < 20; ++i)
    pages.emplace_back([&] { right += body_of(get("/api/splats?revision=1")).size() == bytes; });
  for (std::thread& t : pages) t.join();
  EXPECT_EQ(right, 20);
}

}  // namespace
}  // namespace covary::serve
