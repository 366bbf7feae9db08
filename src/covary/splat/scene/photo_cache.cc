#include "covary/splat/scene/photo_cache.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <limits>
#include <utility>

#include "covary/core/base/threads.h"

namespace covary::scene {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();  // rank of what is not expected

}  // namespace

PhotoCache::PhotoCache(int64_t most_bytes, std::vector<Pictures> of_views, Load load,
                       int64_t working, int64_t standing)
    : of_views_(std::move(of_views)),
      load_(std::move(load)),
      working_(working),
      standing_(standing),
      most_(most_bytes),
      rank_(of_views_.size(), kUnknown) {}

PhotoCache::~PhotoCache() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  expected_.notify_all();
  if (thread_.joinable()) thread_.join();
}

View PhotoCache::load(int64_t view) const {
  View made = load_(view);
  std::vector<More> more;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = more_.find(view); found != more_.end()) more = found->second;
  }
  for (const More& m : more) m.make(made);
  return made;
}

bool PhotoCache::make_room(int64_t bytes, int64_t rank) {
  while (bytes_ + bytes > most_) {
    auto farthest = held_.end();
    for (auto h = held_.begin(); h != held_.end(); ++h) {
      if (h->second.view.use_count() > 1) continue;  // in use
      if (farthest == held_.end() || rank_of(h->first) > rank_of(farthest->first) ||
          (rank_of(h->first) == rank_of(farthest->first) && h->second.used < farthest->second.used))
        farthest = h;
    }
    if (farthest == held_.end() || rank_of(farthest->first) <= rank) return false;
    bytes_ -= pictures(farthest->first).bytes;
    held_.erase(farthest);
  }
  return true;
}

void PhotoCache::decode(int64_t view, std::unique_lock<std::mutex>& lock) {
  const int64_t bytes = pictures(view).bytes;
  bytes_ += bytes;
  peak_ = std::max(peak_, bytes_);
  loading_.insert(view);
  lock.unlock();
  std::shared_ptr<View> made;
  std::exception_ptr fault;
  try {
    made = std::make_shared<View>(load(view));
  } catch (...) {
    fault = std::current_exception();
  }
  lock.lock();
  loading_.erase(view);
  loaded_.notify_all();
  if (fault) {
    bytes_ -= bytes;
    std::rethrow_exception(fault);
  }
  ++loads_;
  held_[view] = {std::move(made), ++clock_};
}

std::shared_ptr<View> PhotoCache::get(int64_t view) {
  std::unique_lock lock(mutex_);
  loaded_.wait(lock, [&] { return !loading_.contains(view); });
  if (!held_.contains(view)) {
    make_room(pictures(view).bytes, -1);  // all that nobody uses may go for what is needed now
    decode(view, lock);
  }
  Held& held = held_.at(view);
  held.used = ++clock_;
  return held.view;
}

void PhotoCache::expect(const std::vector<int64_t>& order, size_t ahead) {
  {
    const std::scoped_lock lock(mutex_);
    rank_.assign(of_views_.size(), kUnknown);
    for (size_t i = order.size(); i-- > 0;)
      rank_.at(static_cast<size_t>(order[i])) = static_cast<int64_t>(i);
    ahead_.assign(order.begin(),
                  order.begin() + static_cast<std::ptrdiff_t>(std::min(ahead, order.size())));
    if (!thread_.joinable() && !ahead_.empty() && most_ > 0) {
      // Signals are for the thread that polls them.
      sigset_t all, before;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      thread_ = std::thread([this] { prefetch(); });
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
  }
  expected_.notify_all();
}

void PhotoCache::prefetch() {
  set_threads(1);  // of this thread alone: the others are at work
  std::unique_lock lock(mutex_);
  for (;;) {
    expected_.wait(lock, [&] { return stop_ || !ahead_.empty(); });
    if (stop_) return;
    const int64_t view = ahead_.front();
    ahead_.erase(ahead_.begin());
    if (held_.contains(view) || loading_.contains(view) ||
        !make_room(pictures(view).bytes, rank_of(view)))
      continue;
    try {
      decode(view, lock);
    } catch (...) {  // NOLINT(bugprone-empty-catch): whoever asks for it meets the fault
    }
  }
}

void PhotoCache::add(int64_t view, bool ViewParts::* part, int64_t bytes,
                     std::function<void(View&)> make) {
  std::unique_lock lock(mutex_);
  loaded_.wait(lock, [&] { return !loading_.contains(view); });
  Pictures& p = of_views_.at(static_cast<size_t>(view));
  if (const auto held = held_.find(view); held != held_.end()) {
    bytes_ -= p.bytes;
    held_.erase(held);
  }
  if (!(p.parts.*part)) p.bytes += bytes;  // else it takes the place of one that was there
  p.parts.*part = true;
  std::vector<More>& more = more_[view];
  const auto same =
      std::find_if(more.begin(), more.end(), [&](const More& m) { return m.part == part; });
  if (same != more.end())
    same->make = std::move(make);
  else
    more.push_back({part, std::move(make)});
}

int64_t PhotoCache::bytes() const {
  int64_t all = 0;
  for (const Pictures& p : of_views_) all += p.bytes;
  return all;
}

int64_t PhotoCache::limit(int64_t most_bytes) {
  const std::scoped_lock lock(mutex_);
  const int64_t before = std::exchange(most_, most_bytes);
  make_room(0, -1);
  return before;
}

int64_t PhotoCache::memory() const {
  int64_t largest = 0;
  for (const Pictures& p : of_views_) largest = std::max(largest, p.bytes);
  return std::max(std::min(most_, bytes()), largest) + working_bytes();
}

int64_t PhotoCache::held_bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

int64_t PhotoCache::peak_bytes() const {
  const std::scoped_lock lock(mutex_);
  return peak_;
}

int64_t PhotoCache::loads() const {
  const std::scoped_lock lock(mutex_);
  return loads_;
}

std::vector<PhotoCache::Pictures> resized_pictures(
    const Capture& capture, const std::function<std::pair<int, int>(const Camera&)>& size) {
  std::vector<PhotoCache::Pictures> pictures;
  for (size_t i = 0; i < capture.views.size(); ++i) {
    ViewParts parts = capture.parts(static_cast<int64_t>(i));
    parts.depth = parts.normal = false;
    const auto [width, height] = size(capture.views[i].camera);
    pictures.push_back({parts, parts.bytes(width, height)});
  }
  return pictures;
}

}  // namespace covary::scene
