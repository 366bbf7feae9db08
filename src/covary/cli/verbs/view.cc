// covary view RUN|SCENE
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/cli/view_options.h"
#include "covary/core/base/child.h"
#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/serve/run_follower.h"
#include "covary/splat/serve/viewer.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kPhotoCache = 256e6;  // bytes of decoded photos
constexpr int kFollowEvery = 5;        // polls between looks at a run
constexpr std::chrono::milliseconds kPoll{200};

// The photos of a run's capture, loaded when the first is asked for, from any thread. A capture that is gone is an error
// of the photo, not of the scene.
class Photos {
 public:
  Photos(std::string capture, scene::CaptureOptions how)
      : capture_name_(std::move(capture)), how_(std::move(how)) {
    how_.normalize = false;
    how_.photo_cache = kPhotoCache;
  }

  const scene::Capture& capture() {
    const std::lock_guard lock(mutex_);
    if (!capture_) {
      capture_ = load_and_tell(capture_name_, how_);
      for (size_t i = 0; i < capture_->views.size(); ++i)
        index_[capture_->views[i].name] = static_cast<int64_t>(i);
    }
    return *capture_;
  }

  data::Image8 photo(const std::string& name) {
    const scene::Capture& c = capture();
    const auto found = index_.find(name);
    if (found == index_.end())
      throw Error(ExitCode::kData, "the capture has no photo of this name", name);
    return *c.image(found->second);
  }

 private:
  std::string capture_name_;
  scene::CaptureOptions how_;
  std::mutex mutex_;
  std::optional<scene::Capture> capture_;
  std::map<std::string, int64_t> index_;
};

// The scene with its cameras and photos, as far as they are known.
serve::ViewedScene viewed(const std::string& input, std::shared_ptr<Photos>& photos) {
  fit::LoadedScene loaded = fit::load_scene(input);
  serve::ViewedScene shown;
  shown.name = name_of(input);
  shown.note = loaded.note;
  const std::string capture = capture_of(loaded);
  if (!photos && !capture.empty())
    photos = std::make_shared<Photos>(capture, train_options_of(loaded.config).capture);
  try {
    if (auto own = cameras_of_run(loaded))
      shown.cameras = std::move(*own);
    else if (photos)
      shown.cameras = scene::cameras_of(photos->capture());
  } catch (const Error& e) {  // one can look at a scene without them
    log_warning("no cameras: " + std::string(e.what()));
  }
  if (photos && !shown.cameras.cameras.empty())
    shown.photo = [photos](const scene::NamedCamera& c) { return photos->photo(c.name); };
  shown.cloud = std::move(loaded.cloud);
  return shown;
}

void say_address(const Job& job, const serve::Viewer& viewer, const std::string& scene) {
  if (job.invocation.json) return;
  std::printf("%s: %s\n", scene.c_str(), viewer.address().c_str());
  std::fflush(stdout);
  log_info("Ctrl-C ends it");
}

void open_browser(const std::string& address) {
  // A browser may stay for as long as its window: nobody waits for it.
  std::thread([address] {
    try {
      if (run_program({"xdg-open", address}, {}).status == 0) return;
    } catch (const Error& e) {
      log_warning(e.what());
    }
    log_warning("no browser could be opened: open " + address + " yourself");
  }).detach();
}

}  // namespace

Result run_view(const Job& job) {
  const auto options = job.options<ViewOptions>();
  const std::string& input = job.invocation.inputs[0];
  if (!job.invocation.outputs.empty())
    throw Error(ExitCode::kUsage, "covary view writes no file", "-o " + job.invocation.outputs[0],
                "covary render makes pictures and videos");
  serve::HttpOptions http{.host = options.host, .port = options.port};
  http.token = options.token == "auto" ? serve::random_token() : options.token;
  http.check();  // before a large scene is read

  std::shared_ptr<Photos> photos;
  serve::ViewedScene scene = viewed(input, photos);
  if (scene.cloud.size() == 0)
    throw Error(ExitCode::kData, "holds no Gaussian", input, "give another scene");
  if (!scene.note.empty()) log_warning(input + ": " + scene.note);
  std::optional<serve::RunFollower> follower;
  if (options.follow && fs::is_directory(input)) follower.emplace(input);

  const InterruptGuard interrupts;
  serve::Viewer viewer(http, {.remote = options.remote});
  if (options.port != 0 && viewer.port() != options.port)
    log_info("port " + std::to_string(options.port) + " is taken, this is the next free one");
  const int64_t count = scene.cloud.size();
  viewer.show(std::move(scene));
  viewer.start();
  say_address(job, viewer, input);
  Result result;
  if (job.invocation.json) {
    // Whoever reads the document wants the address now, not at the end.
    std::printf("%s\n", json{{"address", viewer.address()}, {"gaussians", count}}.dump().c_str());
    std::fflush(stdout);
  }
  if (options.open) open_browser(viewer.address());

  for (int64_t polls = 0; interrupted() == 0; ++polls) {
    if (follower && polls % kFollowEvery == 0) {
      for (const json& figures : follower->new_figures()) viewer.progress(figures);
      if (follower->scene_changed()) try {
          viewer.show(viewed(input, photos));
        } catch (const Error& e) {
          log_warning("the new scene cannot be read: " + std::string(e.what()));
        }
    }
    std::this_thread::sleep_for(kPoll);
  }
  viewer.stop();
  return result;
}

}  // namespace covary::cli
