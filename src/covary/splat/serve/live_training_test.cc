#include "covary/splat/serve/live_training.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>
#include <string>
#include <thread>

#include "covary/splat/fit/small_capture.h"
#include "covary/splat/serve/test_client.h"

namespace covary::serve {
namespace {

using testing::HasSubstr;

fit::TrainOptions short_training(int64_t steps) {
  fit::TrainOptions options;
  options.steps = steps;
  options.eval_every = 5;
  return options;
}

int post(int port, const std::string& target, const std::string& body) {
  return status_of(
      ask(port, "POST", target, "Origin: http://127.0.0.1:" + std::to_string(port) + "\r\n", body));
}
int say(int port, const std::string& word) {
  return post(port, "/api/command", "{\"do\": \"" + word + "\"}");
}

// A trainer that is looked at on a thread of its own.
struct Looked {
  explicit Looked(int64_t planned) : Looked(short_training(planned)) {}
  explicit Looked(const fit::TrainOptions& options)
      : trainer(fit::small_capture(), options), live({.port = 0}, "small", 5000) {
    thread = std::thread([this] {
      fit::RunContext context;
      context.new_cap = [this] { return live.new_cap(); };
      context.watch = [this](const fit::Trainer& t, const nlohmann::json& figures) {
        steps = t.steps_done();
        return live.look(t, figures);
      };
      result = trainer.run(context);
    });
  }
  fit::Trainer trainer;
  LiveTraining live;
  fit::RunResult result;
  std::atomic<int64_t> steps{0};
  std::thread thread;  // last: the rest is there when it begins
};

TEST(LiveTraining, ShowsTheSceneAndItsFiguresAndLeavesTheBitsAlone) {
  Looked looked(20);
  TestClient page(looked.live.port());
  page.send(request_text(looked.live.port(), "GET", "/api/events"));
  looked.thread.join();
  const std::string told = page.receive(300);
  EXPECT_THAT(told, HasSubstr("event: scene\ndata: {"));
  EXPECT_THAT(told, HasSubstr("\"live\":true"));
  EXPECT_THAT(told, HasSubstr("\"test_psnr\":"));
  EXPECT_GE(looked.live.scenes_sent(), 1);
  const fit::RunResult alone = fit::Trainer(fit::small_capture(), short_training(20)).run({});
  EXPECT_TRUE(at::equal(looked.result.scene.means, alone.scene.means));
  EXPECT_TRUE(at::equal(looked.result.scene.sh0, alone.scene.sh0));
}

TEST(LiveTraining, PausesGoesOnAndStops) {
  Looked looked(1000000);
  const int port = looked.live.port();
  ASSERT_EQ(say(port, "pause"), 200);
  // The step of the pause may still be under way.
  int64_t at = -1;
  while (looked.steps == 0 || at != looked.steps) {
    at = looked.steps;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  EXPECT_LT(at, 1000000);
  ASSERT_EQ(say(port, "resume"), 200);
  while (looked.steps < at + 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_EQ(say(port, "stop"), 200);
  looked.thread.join();
  EXPECT_LT(looked.result.steps, 1000000);
  EXPECT_THAT(looked.result.metrics["note"].get<std::string>(), HasSubstr("stopped by hand"));
}

TEST(LiveTraining, DrawsForPagesThatCannotAndLeavesTheBitsAlone) {
  Looked looked(40);
  const int port = looked.live.port();
  const fit::Trainer other(fit::small_capture(), short_training(1));
  const nlohmann::json cameras = scene::cameras_to_json(fit::cameras_in_capture_frame(other));
  const std::string frame = nlohmann::json{{"camera", cameras["cameras"][0]}}.dump();
  std::atomic<bool> over{false};
  std::thread page([&] {
    while (!over) post(port, "/api/frame", frame);
  });
  looked.thread.join();
  over = true;
  page.join();
  EXPECT_EQ(post(port, "/api/frame", frame), 200);
  EXPECT_EQ(post(port, "/api/film", "{}"), 404);  // not while it trains
  EXPECT_EQ(post(port, "/api/convert?name=a.spz", "hello"), 404);
  nlohmann::json large = cameras["cameras"][0];
  large["width"] = 3840;
  large["height"] = 2401;
  EXPECT_EQ(post(port, "/api/frame", nlohmann::json{{"camera", large}}.dump()), 400);
  const fit::RunResult alone = fit::Trainer(fit::small_capture(), short_training(40)).run({});
  EXPECT_TRUE(at::equal(looked.result.scene.means, alone.scene.means));
  EXPECT_TRUE(at::equal(looked.result.scene.opacities, alone.scene.opacities));
}

TEST(LiveTraining, TakesAnotherCap) {
  Looked looked(1000000);
  const int port = looked.live.port();
  EXPECT_EQ(post(port, "/api/command", R"({"do": "cap", "max_gaussians": 5001})"), 400);
  ASSERT_EQ(post(port, "/api/command", R"({"do": "cap", "max_gaussians": 77})"), 200);
  const int64_t asked_at = looked.steps;
  while (looked.steps < asked_at + 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  TestClient page(port);
  page.send(request_text(port, "GET", "/api/events"));
  EXPECT_THAT(page.receive(3000, "\"max_gaussians\":77"), HasSubstr("\"max_gaussians\":77"));
  ASSERT_EQ(say(port, "stop"), 200);
  looked.thread.join();
  EXPECT_EQ(looked.trainer.max_gaussians(), 77);
  EXPECT_EQ(looked.result.metrics["caps"][0]["max_gaussians"], 77);
}

TEST(LiveTraining, RefusesACapWhereNothingGrows) {
  fit::TrainOptions options = short_training(1000000);
  options.strategy = "none";
  Looked looked(options);
  const int port = looked.live.port();
  while (looked.steps < 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(post(port, "/api/command", R"({"do": "cap", "max_gaussians": 77})"), 400);
  ASSERT_EQ(say(port, "stop"), 200);
  looked.thread.join();
  EXPECT_FALSE(looked.result.metrics.contains("caps"));
}

}  // namespace
}  // namespace covary::serve
