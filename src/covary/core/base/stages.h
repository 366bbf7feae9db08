// Where the time of a piece of work goes: named stages in the code itself, timed only while someone listens.
//
//   void step() {
//     const StageTimer stage("step");
//     { StageTimer inner("project"); ...; inner.add_items(splats); }
//   }
//
//   StageClock clock;                       // listens from here until it goes
//   step();
//   for (const StageTotal& s : clock.take()) use(s.path, s.self_wall_s);   // "step", "step/project"
//
// Without a listener a stage costs one relaxed load and nothing is stored. Stages nest: one that begins while another is
// open on the same thread is its child, and its path is the parent's with "/name" behind it. The self times of a stage are
// its own less those of its children, so that the self times of all stages add up to the time of the outermost ones. A
// stage on another thread has no parent there. CPU time is that of the whole process: it counts the threads of a parallel
// loop inside the stage, and it is the stage's own only while stages are open on one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace covary {

struct StageTotal {
  std::string path;        // names from the outermost stage, joined by "/"
  int64_t calls = 0;       // stages of this path that ended
  double wall_s = 0;       // children included
  double cpu_s = 0;        // user + system of all threads, children included
  double self_wall_s = 0;  // children left out
  double self_cpu_s = 0;   // children left out
  double items = 0;        // what add_items was told: splats, pairs, pixels; the stage says which
};

// Listens while it lives. One at a time: Error(kFailed) when another is there.
class StageClock {
 public:
  StageClock();
  ~StageClock();
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  // The totals since the clock began or was last asked, by path; stages still open are not in them.
  std::vector<StageTotal> take();
};

class StageTimer {
 public:
  // name: a literal, or text that outlives the stage, without "/".
  explicit StageTimer(const char* name) {
    if (listening_.load(std::memory_order_relaxed)) begin(name);
  }
  ~StageTimer() {
    if (name_ != nullptr) end();
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

  void add_items(int64_t n) {
    if (name_ != nullptr) items_ += static_cast<double>(n);
  }

 private:
  friend class StageClock;
  void begin(const char* name);
  void end();
  std::string path() const;

  static std::atomic<bool> listening_;
  const char* name_ = nullptr;  // null: nobody listened when it began
  StageTimer* parent_ = nullptr;
  double wall_ = 0, cpu_ = 0, child_wall_ = 0, child_cpu_ = 0, items_ = 0;
};

// What work() gives, timed as one stage.
template <class F>
decltype(auto) in_stage(const char* name, F&& work) {
  const StageTimer stage(name);
  return work();
}

}  // namespace covary
