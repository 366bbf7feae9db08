// The pictures of a capture whose photos are not all in memory: decoded when one asks for them, and kept while there is room.
//
//   PhotoCache cache(512 << 20, pictures, load);      // bytes; what each view has; how a view is made
//   std::shared_ptr<View> v = cache.get(7);           // decoded, unless it is held; stays as long as v does
//   cache.expect({9, 4, 7}, 1);                       // uses to come, nearest first: 9 is decoded meanwhile
//
// What is held at once is at most most_bytes(), or, where that is less than what is in use, that and one view more. When
// room is needed the picture goes whose next use is farthest, by the order that was last expected; of those that are
// not in it, the one that was used longest ago. (Under shuffled epochs, whose order is known, that finds a share c of the
// uses held with room for a share c of the pictures. To drop the least recently used alone finds c^2 / 2.)
//
// A thread of its own decodes what is expected next, on one core, where room is without dropping what is used before. What
// fails there fails again, with its error, in the call that asks for it. get and load may be called from any thread. load must be
// a function of the view alone: then a cache changes no bit of what is made from its pictures.
// Source: Belady 1966 (the page whose next use is farthest).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "covary/splat/scene/capture.h"

namespace covary::scene {

class PhotoCache {
 public:
  using Load = std::function<View(int64_t)>;
  struct Pictures {
    ViewParts parts;
    int64_t bytes = 0;  // decoded
  };

  // working: bytes that decoding one view takes beside what it returns; maps of lenses and the like are in `standing`.
  PhotoCache(int64_t most_bytes, std::vector<Pictures> of_views, Load load, int64_t working = 0,
             int64_t standing = 0);
  ~PhotoCache();
  PhotoCache(const PhotoCache&) = delete;
  PhotoCache& operator=(const PhotoCache&) = delete;

  std::shared_ptr<View> get(int64_t view);
  // The view made anew, beside what is held.
  View load(int64_t view) const;

  // The order of uses to come, as far as it is known; its first `ahead` are decoded in the background.
  void expect(const std::vector<int64_t>& order, size_t ahead);

  // A picture of a view beside those of load, or in place of one, made after them whenever the view is decoded. It must not be in use.
  void add(int64_t view, bool ViewParts::* part, int64_t bytes, std::function<void(View&)> make);

  int64_t size() const { return static_cast<int64_t>(of_views_.size()); }
  const Pictures& pictures(int64_t view) const { return of_views_.at(static_cast<size_t>(view)); }
  int64_t bytes() const;  // of all views, decoded
  // Sets the bound, drops what is beyond it and returns what it was.
  int64_t limit(int64_t most_bytes);
  int64_t most_bytes() const { return most_; }
  // All that this takes at most while one view at a time is used: what is held, and what decoding takes.
  int64_t memory() const;
  int64_t working_bytes() const {
    return 2 * working_ + standing_;
  }  // the latter: of a view and the next

  int64_t held_bytes() const;  // now, with those being decoded
  int64_t peak_bytes() const;  // the most that these ever were
  int64_t loads() const;       // views that were decoded to be held, so far

 private:
  struct Held {
    std::shared_ptr<View> view;
    uint64_t used = 0;  // by the clock of uses
  };
  // Drops views that nobody uses and whose next use is after `rank`, until `bytes` more fit. Whether they do.
  bool make_room(int64_t bytes, int64_t rank);
  // Decodes a view for which there is room, or must be; the lock is open meanwhile.
  void decode(int64_t view, std::unique_lock<std::mutex>& lock);
  int64_t rank_of(int64_t view) const { return rank_[static_cast<size_t>(view)]; }
  void prefetch();

  std::vector<Pictures> of_views_;
  Load load_;
  struct More {
    bool ViewParts::* part;
    std::function<void(View&)> make;
  };
  std::map<int64_t, std::vector<More>> more_;
  int64_t working_, standing_;

  mutable std::mutex mutex_;
  std::condition_variable expected_, loaded_;
  int64_t most_;
  std::map<int64_t, Held> held_;
  int64_t bytes_ = 0, peak_ = 0, loads_ = 0;
  uint64_t clock_ = 0;
  std::vector<int64_t> rank_;   // place of each view in the expected order
  std::vector<int64_t> ahead_;  // to be decoded in the background, nearest first
  std::set<int64_t> loading_;   // views that are being decoded
  bool stop_ = false;
  std::thread thread_;  // begins with the first expectation
};

// What a cache of a capture's views at another size holds: photos, alphas and masks, no maps. size: (width, height) from a
// view's camera.
std::vector<PhotoCache::Pictures> resized_pictures(
    const Capture& capture, const std::function<std::pair<int, int>(const Camera&)>& size);

}  // namespace covary::scene
