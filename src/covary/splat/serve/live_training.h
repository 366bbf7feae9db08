// A training in the browser while it runs: the scene as it grows, its curves, pause, resume, stop, and another cap on the
// number of Gaussians.
//
//   LiveTraining live({.port = 7007}, "fox");
//   context.watch = [&](const fit::Trainer& t, const nlohmann::json& figures) { return live.look(t, figures); };
//   context.new_cap = [&] { return live.new_cap(); };
//   trainer.run(context);                       // the trainer outlives `live`
//
// The scene is sent when somebody looks, and so seldom that making its bytes takes at most 2% of the time of training;
// pictures for pages that cannot draw take at most 0.8% of it, on one thread, and as much as they like while it is paused.
// The training itself sees nothing of it, its bits stay, but for a cap that somebody changes. (Sending and drawing are on
// threads and programs of their own, but on the same cores where browser and training share a machine.) Its memory is bounded:
// no videos, no files of pages, and no pictures beyond 3840x2400 px or the largest photo.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/splat/fit/trainer.h"
#include "covary/splat/serve/allowance.h"
#include "covary/splat/serve/splat_stream.h"
#include "covary/splat/serve/viewer.h"

namespace covary::serve {

class LiveTraining {
 public:
  // Binds and serves; errors as HttpServer. most_gaussians: that a cap may name, of what the memory holds.
  LiveTraining(HttpOptions options, std::string name, int64_t most_gaussians = kMaxSplats);

  // After a step, on the thread that trains; figures: what was logged at it, or null. Waits while paused. False: stop here.
  bool look(const fit::Trainer& trainer, const nlohmann::json& figures);
  // What a page has asked for since the last call, or 0: fit::RunContext::new_cap.
  int64_t new_cap() { return asked_cap_.exchange(0); }

  std::string address() const { return viewer_.address(); }
  int port() const { return viewer_.port(); }
  int64_t scenes_sent() const { return sent_; }

 private:
  // Error(kUsage): a cap beyond the memory, or where the strategy has none.
  void take(const Command& command);
  void show(const fit::Trainer& trainer);

  std::string name_;
  int64_t most_gaussians_;
  std::atomic<bool> paused_{false}, stopped_{false};
  std::atomic<bool> has_cap_{true};  // the strategy of the training, once it is looked at
  std::atomic<int64_t> asked_cap_{0};
  Allowance scenes_;
  double next_ = 0;  // wall clock at which the next scene may be sent at the soonest, s
  int64_t sent_ = 0, sent_at_ = -1;
  int64_t cap_ = -1;  // that pages know of
  Viewer viewer_;     // last: its threads end before the rest goes
};

}  // namespace covary::serve
