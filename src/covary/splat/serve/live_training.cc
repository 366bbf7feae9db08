#include "covary/splat/serve/live_training.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"

namespace covary::serve {
namespace {

constexpr double kScenes = 0.008, kPictures = 0.008;  // of the time of training, at most
constexpr double kLeastGap = 1;                       // s between two scenes
constexpr std::chrono::milliseconds kPausePoll{50};

HttpOptions on_one_thread(HttpOptions options) {
  options.lane_threads = 1;
  return options;
}

}  // namespace

LiveTraining::LiveTraining(HttpOptions options, std::string name, int64_t most_gaussians)
    : name_(std::move(name)),
      most_gaussians_(most_gaussians),
      scenes_(kScenes),
      viewer_(on_one_thread(std::move(options)), {.films = false,
                                                  .files = false,
                                                  .drawing = kPictures,
                                                  .most_pixels = kMostTrainingPixels}) {
  viewer_.on_command([this](const Command& command) { take(command); });
  viewer_.start();
}

void LiveTraining::take(const Command& command) {
  if (command.word == "cap") {
    if (!has_cap_)
      throw Error(ExitCode::kUsage, "this training keeps its number of Gaussians: it has no cap",
                  "", "train with another --strategy than none");
    if (command.max_gaussians > most_gaussians_)
      throw Error(
          ExitCode::kUsage,
          std::to_string(command.max_gaussians) + " Gaussians are more than the memory holds", "",
          "at most " + std::to_string(most_gaussians_));
    asked_cap_ = command.max_gaussians;
    return;
  }
  if (command.word == "stop") stopped_ = true;
  paused_ = command.word == "pause";
  viewer_.set_drawing_share(paused_ ? 1 : kPictures);
}

bool LiveTraining::look(const fit::Trainer& trainer, const nlohmann::json& figures) {
  if (figures.is_object()) {
    nlohmann::json numbers = nlohmann::json::object();
    for (const auto& [key, value] : figures.items())
      if (value.is_number()) numbers[key] = value;
    viewer_.progress(numbers);
  }
  has_cap_ = trainer.options().strategy != "none";
  if (cap_ != trainer.max_gaussians()) {
    const bool changed = cap_ >= 0;
    cap_ = trainer.max_gaussians();
    const bool none = cap_ == std::numeric_limits<int64_t>::max();
    viewer_.set_fact("max_gaussians", none ? nlohmann::json() : nlohmann::json(cap_));
    viewer_.set_fact("most_gaussians", has_cap_ ? most_gaussians_ : 0);
    if (changed) viewer_.progress({{"step", trainer.steps_done()}, {"max_gaussians", cap_}});
  }
  const auto send = [&] {
    if (sent_at_ == trainer.steps_done()) return;
    const double now = wall_seconds();
    if (sent_ > 0 && (now < next_ || !scenes_.free() || viewer_.server().event_clients() == 0))
      return;
    show(trainer);
    scenes_.spend(wall_seconds() - now);
    next_ = wall_seconds() + kLeastGap;
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
  int64_t most_pixels = kMostTrainingPixels;
  for (const scene::NamedCamera& c : scene.cameras.cameras)
    most_pixels = std::max(most_pixels, int64_t{c.camera.width} * c.camera.height);
  viewer_.set_most_pixels(most_pixels);
  const scene::Capture* capture = &trainer.capture();
  scene.photo = [capture](const scene::NamedCamera& camera) {
    for (size_t i = 0; i < capture->views.size(); ++i)
      if (capture->views[i].name == camera.name) return *capture->image(static_cast<int64_t>(i));
    throw Error(ExitCode::kData, "the capture has no photo of this name", camera.name);
  };
  viewer_.show(std::move(scene));
}

}  // namespace covary::serve
