#include "covary/splat/serve/viewer.h"
#include "covary/splat/scene/test_clouds.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/video.h"
#include "covary/splat/scene/format.h"
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
  std::string origin() const {
    return "Origin: http://127.0.0.1:" + std::to_string(viewer.port()) + "\r\n";
  }
  std::string post(const std::string& target, const std::string& body) {
    return ask(viewer.port(), "POST", target, origin(), body);
  }
  // The status of a film once another one is over, or 503 when that goes on for 10 s.
  int first_film(const json& body) {
    int status = 503;
    const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (status == 503 && std::chrono::steady_clock::now() < last) {
      status = status_of(post("/api/film", body.dump()));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return status;
  }
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
  EXPECT_EQ(facts["files"], true);

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

TEST_F(ViewerTest, TakesFourCommandsWhereSomebodyListens) {
  std::string taken;
  viewer.on_command([&](const Command& command) {
    if (command.max_gaussians > 1000) throw Error(ExitCode::kUsage, "more than the memory holds");
    taken += command.word + " " + std::to_string(command.max_gaussians) + " ";
  });
  viewer.set_fact("max_gaussians", 70);
  viewer.show(test_scene());
  viewer.start();
  EXPECT_EQ(json::parse(body_of(get("/api/scene")))["max_gaussians"], 70);
  const auto say = [&](const std::string& body) { return status_of(post("/api/command", body)); };
  EXPECT_EQ(say(R"({"do": "pause"})"), 200);
  EXPECT_EQ(say(R"({"do": "stop"})"), 200);
  EXPECT_EQ(say(R"({"do": "cap", "max_gaussians": 500})"), 200);
  for (const char* bad :
       {R"({"do": "erase"})", R"({"do": 1})", "[]", "{", "x", R"({"do": "cap"})",
        R"({"do": "cap", "max_gaussians": 0})", R"({"do": "cap", "max_gaussians": 1.5})",
        R"({"do": "cap", "max_gaussians": 1e300})", R"({"do": "cap", "max_gaussians": "5"})"})
    EXPECT_EQ(say(bad), 400) << bad;
  EXPECT_THAT(post("/api/command", R"({"do": "cap", "max_gaussians": 1001})"),
              HasSubstr("more than the memory holds"));
  EXPECT_EQ(taken, "pause 0 stop 0 cap 500 ");
}

json frame_body() {
  const scene::CameraFile file = test_scene().cameras;
  return {{"camera", scene::cameras_to_json(file)["cameras"][0]}};
}

TEST_F(ViewerTest, DrawsForPagesThatCannot) {
  viewer.start();
  EXPECT_EQ(status_of(post("/api/frame", frame_body().dump())), 404);  // no scene yet
  viewer.show(test_scene());
  const std::string answer = post("/api/frame", frame_body().dump());
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_THAT(answer, HasSubstr("Content-Type: image/jpeg\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("X-Covary-Range")));
  const std::string jpeg = body_of(answer);
  const data::Image8 frame = data::decode_image(
      std::span(reinterpret_cast<const uint8_t*>(jpeg.data()), jpeg.size()), "frame");
  EXPECT_EQ(frame.width, 8);
  EXPECT_EQ(frame.height, 6);
  json body = frame_body();
  body["mode"] = "column label";
  EXPECT_THAT(post("/api/frame", body.dump()), HasSubstr("X-Covary-Range: [2.0,97.0]\r\n"));
  body["mode"] = "column other";
  EXPECT_EQ(status_of(post("/api/frame", body.dump())), 404);
  EXPECT_EQ(status_of(post("/api/frame", "{}")), 400);
  EXPECT_EQ(status_of(post("/api/frame", "{")), 400);
  EXPECT_EQ(status_of(ask(viewer.port(), "POST", "/api/frame", "", frame_body().dump())), 403);

  body = frame_body();
  body["x"] = body["y"] = 3;
  const json hit = json::parse(body_of(post("/api/pick", body.dump())));
  EXPECT_TRUE(hit.empty() || hit.contains("row"));
  body["x"] = 9;
  EXPECT_EQ(status_of(post("/api/pick", body.dump())), 400);
}

TEST_F(ViewerTest, DrawsForSeveralAtOnceEachFromItsOwnPlace) {
  viewer.show(test_scene(2000));
  viewer.start();
  const auto body_at = [](int i) {
    json body = frame_body();
    body["camera"]["cam_from_world"][0][3] = 0.3 * i;
    body["exact"] = true;
    return body.dump();
  };
  std::vector<std::string> alone;
  for (int i = 0; i < 6; ++i) alone.push_back(body_of(post("/api/frame", body_at(i))));
  EXPECT_NE(alone[0], alone[5]);
  std::atomic<int> right{0};
  std::vector<std::thread> pages;
  for (int i = 0; i < 6; ++i)
    pages.emplace_back([&, i] {
      for (int k = 0; k < 5; ++k)
        right += body_of(post("/api/frame", body_at(i))) == alone[static_cast<size_t>(i)];
    });
  for (std::thread& t : pages) t.join();
  EXPECT_EQ(right, 30);
}

TEST(Viewer, KeepsItsRowsWhereItDrawsForAll) {
  Viewer viewer({.port = 0}, {.remote = true});
  viewer.show(test_scene());
  viewer.start();
  const json facts = json::parse(body_of(ask(viewer.port(), "GET", "/api/scene")));
  EXPECT_EQ(facts["remote"], true);
  EXPECT_EQ(facts["rows_sent"], false);
  EXPECT_EQ(status_of(ask(viewer.port(), "GET", "/api/splats?revision=1")), 404);
}

TEST_F(ViewerTest, MakesOneVideoAtATimeAndEndsItWithItsClient) {
  if (data::find_program("ffmpeg").empty()) GTEST_SKIP() << "there is no ffmpeg";
  viewer.show(test_scene());
  viewer.start();
  EXPECT_EQ(json::parse(body_of(get("/api/scene")))["films"], true);
  json body = {
      {"id", "mine"}, {"frames", 3}, {"path", scene::cameras_to_json(test_scene().cameras)}};
  TestClient page(viewer.port());
  page.send(request_text(viewer.port(), "GET", "/api/events"));
  const std::string mp4 = post("/api/film", body.dump());
  EXPECT_THAT(mp4, HasSubstr("Content-Type: video/mp4\r\n"));
  EXPECT_EQ(body_of(mp4).substr(4, 4), "ftyp");
  EXPECT_THAT(page.receive(2000, "\"done\":3"),
              HasSubstr("event: film\ndata: {\"done\":3,\"frames\":3,\"id\":\"mine\"}"));
  body["frames"] = 4000;
  EXPECT_EQ(status_of(post("/api/film", body.dump())), 400);
  {
    body["frames"] = 3600;
    body["id"] = "long";
    for (json& camera : body["path"]["cameras"])
      for (const char* size : {"width", "height"}) camera[size] = 400;
    TestClient maker(viewer.port());
    maker.send(request_text(viewer.port(), "POST", "/api/film", origin(), body.dump()));
    page.receive(5000, "long");
    EXPECT_EQ(status_of(post("/api/film", body.dump())), 503);
  }
  json next = body;
  next["frames"] = 2;
  EXPECT_EQ(first_film(next), 200);  // the long one has ended with its client
  body["id"] = "other";
  {
    TestClient maker(viewer.port());
    maker.send(request_text(viewer.port(), "POST", "/api/film", origin(), body.dump()));
    page.receive(5000, "other");
    maker.send("x");  // its end lies behind this
    EXPECT_EQ(status_of(post("/api/film", next.dump())), 503);
  }
  EXPECT_EQ(first_film(next), 200);
}

TEST(Viewer, TakesNoFilesAndDrawsNoMorePixelsWhereItShallNot) {
  Viewer viewer({.port = 0}, {.files = false, .most_pixels = 48});
  viewer.show(test_scene());
  viewer.start();
  const auto post = [&](const std::string& target, const json& body) {
    return status_of(ask(viewer.port(), "POST", target,
                         "Origin: http://127.0.0.1:" + std::to_string(viewer.port()) + "\r\n",
                         body.dump()));
  };
  EXPECT_EQ(post("/api/convert?name=a.spz", {}), 404);
  json body = frame_body();  // of 8x6 px
  EXPECT_EQ(post("/api/frame", body), 200);
  body["camera"]["width"] = 9;
  EXPECT_EQ(post("/api/frame", body), 400);
  body["x"] = body["y"] = 3;
  EXPECT_EQ(post("/api/pick", body), 200);  // of which one pixel is drawn
  viewer.set_most_pixels(54);
  EXPECT_EQ(post("/api/frame", body), 200);
  viewer.show(test_scene());
  const json facts = json::parse(body_of(ask(viewer.port(), "GET", "/api/scene")));
  EXPECT_EQ(facts["files"], false);
  EXPECT_EQ(facts["most_pixels"], 54);
}

TEST_F(ViewerTest, ReadsFilesOfOtherFormatsAndForgetsThem) {
  viewer.start();
  const TemporaryFolder folder("convert");
  const scene::Cloud cloud = test_scene().cloud;
  for (const char* name :
       {"a.splat", "a.spz", "a.sog", "a.ksplat", "a.glb", "a.compressed.ply", "a.ply"}) {
    scene::save_cloud(folder.path() / name, cloud);
    const std::string rows =
        body_of(post(std::string("/api/convert?name=") + name, read_file(folder.path() / name)));
    const scene::Cloud read = scene::load_cloud(folder.path() / name);
    const std::vector<uint8_t> truth = encode_splats(read, importance_order(read));
    EXPECT_EQ(rows, std::string(truth.begin(), truth.end())) << name;
  }
  const std::string bytes = read_file(folder.path() / "a.spz");
  EXPECT_EQ(status_of(post("/api/convert?name=a.spz", bytes.substr(0, bytes.size() / 2))), 422);
  EXPECT_EQ(status_of(post("/api/convert?name=../../a.txt", "hello")), 422);
  EXPECT_EQ(status_of(post("/api/convert", "hello")), 422);
  EXPECT_EQ(status_of(ask(viewer.port(), "POST", "/api/convert?name=a.spz", "", bytes)), 403);
}

// Before the file is taken in: its client never sends it whole.
TEST_F(ViewerTest, RefusesFilesOfTooManyRowsByTheirFirstBytes) {
  viewer.start();
  const auto refused = [&](const std::string& name, const std::string& head, size_t bytes) {
    TestClient client(viewer.port());
    client.send("POST /api/convert?name=" + name +
                " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(viewer.port()) + "\r\n" +
                origin() + "Content-Length: " + std::to_string(bytes) + "\r\n\r\n" + head);
    return client.receive(5000, "draws them itself");
  };
  const std::string rows(100000, 'x');
  std::string ksplat(rows);
  const uint32_t count = 20000000;
  std::memcpy(ksplat.data() + 16, &count, sizeof count);
  const std::string ply =
      "ply\nformat binary_little_endian 1.0\nelement vertex 20000000\nproperty float "
      "x\nend_header\n";
  for (const auto& [name, head, bytes] : {std::tuple("a.ply", ply + rows, size_t{2000000000}),
                                          std::tuple("a.splat", rows, size_t{640000000}),
                                          std::tuple("a.ksplat", ksplat, size_t{2000000000})}) {
    const std::string answer = refused(name, head, bytes);
    EXPECT_EQ(status_of(answer), 422) << name;
    EXPECT_THAT(answer, HasSubstr("20000000 Gaussians are more than a page can hold")) << name;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << name;
  }
  // One that is whole before it is looked at; the next is taken on the same connection.
  EXPECT_EQ(status_of(refused("a.ply", ply, ply.size())), 422);
  const TemporaryFolder folder("rows");
  scene::save_cloud(folder.path() / "a.spz", test_scene().cloud);
  EXPECT_EQ(status_of(post("/api/convert?name=a.spz", read_file(folder.path() / "a.spz"))), 200);
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
