// A training in the browser while it runs: the scene as it grows, its curves, pause, resume and stop.
//
//   LiveTraining live({.port = 7007}, "fox");
//   context.watch = [&](const fit::Trainer& t, const nlohmann::json& figures) { return live.look(t, figures); };
//   trainer.run(context);                       // the trainer outlives `live`
//
// The scene is sent when somebody looks, and so seldom that making its bytes takes at most 3% of the time of training; the
// training itself sees nothing of it, its bits stay. (Sending and drawing are on threads and programs of their own, but on
// the same cores where browser and training share a machine.)
#pragma once

#include <atomic>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/splat/fit/trainer.h"
#include "covary/splat/serve/viewer.h"

namespace covary::serve {

class LiveTraining {
 public:
  LiveTraining(HttpOptions options, std::string name);  // binds and serves; errors as HttpServer

  // After a step, on the thread that trains; figures: what was logged at it, or null. Waits while paused. False: stop here.
  bool look(const fit::Trainer& trainer, const nlohmann::json& figures);

  std::string address() const { return viewer_.address(); }
  int port() const { return viewer_.port(); }
  int64_t scenes_sent() const { return sent_; }

 private:
  void show(const fit::Trainer& trainer);

  std::string name_;
  std::atomic<bool> paused_{false}, stopped_{false};
  double next_ = 0;  // wall clock at which the scene may be sent again, s
  int64_t sent_ = 0, sent_at_ = -1;
  Viewer viewer_;  // last: its thread ends before the rest goes
};

}  // namespace covary::serve
