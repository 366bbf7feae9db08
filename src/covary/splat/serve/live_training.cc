#include "covary/splat/serve/live_training.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"

namespace covary::serve {
namespace {

constexpr double kShare = 0.03;  // of the time of training, at most
constexpr double kLeastGap = 1;  // s between two scenes
constexpr std::chrono::milliseconds kPausePoll{50};

}  // namespace

LiveTraining::LiveTraining(HttpOptions options, std::string name)
    : name_(std::move(name)), viewer_(std::move(options)) {
  viewer_.on_command([this](const std::string& word) {
    if (word == "stop") stopped_ = true;
    paused_ = word == "pause";
  });
  viewer_.start();
}

bool LiveTraining::look(const fit::Trainer& trainer, const nlohmann::json& figures) {
  if (figures.is_object()) {
    nlohmann::json numbers = nlohmann::json::object();
    for (const auto& [key, value] : figures.items())
      if (value.is_number()) numbers[key] = value;
    viewer_.progress(numbers);
  }
  const auto send = [&] {
    if (sent_at_ == trainer.steps_done()) return;
    const double now = wall_seconds();
    if (sent_ > 0 && (now < next_ || viewer_.server().event_clients() == 0)) return;
    show(trainer);
    const double cost = wall_seconds() - now;
    next_ = now + cost + std::max(kLeastGap, cost / kShare);
    sent_at_ = trainer.steps_done();
    ++sent_;
  };
  send();
  while (paused_ && !stopped_ && interrupted() == 0) {
    std::this_thread::sleep_for(kPausePoll);
    send();  // whoever begins to look now sees the scene of now
  }
  return !stopped_;
}

void LiveTraining::show(const fit::Trainer& trainer) {
  ViewedScene scene;
  scene.name = name_;
  scene.note = "step " + std::to_string(trainer.steps_done()) + " of " +
               std::to_string(trainer.options().steps);
  scene.cloud = trainer.exported();
  scene.cameras = fit::cameras_in_capture_frame(trainer);
  const scene::Capture* capture = &trainer.capture();
  scene.photo = [capture](const scene::NamedCamera& camera) {
    for (size_t i = 0; i < capture->views.size(); ++i)
      if (capture->views[i].name == camera.name) return *capture->image(static_cast<int64_t>(i));
    throw Error(ExitCode::kData, "the capture has no photo of this name", camera.name);
  };
  viewer_.show(std::move(scene));
}

}  // namespace covary::serve
