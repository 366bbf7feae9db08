// CPU time of work on one thread, for bars that compare it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"

namespace covary::studies {

// One thread while it lives.
class OneThread {
 public:
  OneThread() : before_(threads()) { set_threads(1); }
  ~OneThread() { set_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// The median CPU seconds of some turns of work(), on one thread.
template <class F>
double median_seconds(int64_t turns, F&& work) {
  const OneThread one_thread;
  std::vector<double> all;
  for (int64_t turn = 0; turn < turns; ++turn) {
    const double begin = cpu_seconds();
    work();
    all.push_back(cpu_seconds() - begin);
  }
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace covary::studies
