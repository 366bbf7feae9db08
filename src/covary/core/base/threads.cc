#include "covary/core/base/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

// The entry points of libgomp that a compiler would call for `#pragma omp parallel`. They are called directly
// because -fopenmp under clang would bring in libomp: a second pool beside the one inside libtorch.
extern "C" {
void GOMP_parallel(void (*fn)(void*), void* data, unsigned num_threads, unsigned flags);
int omp_get_thread_num();
int omp_get_num_threads();
int omp_get_max_threads();
int omp_get_num_procs();
int omp_in_parallel();
void omp_set_num_threads(int);
}

namespace covary {
namespace {

// Of the exceptions that threads meet, the one that a serial loop would have met first.
class FirstException {
 public:
  // Call within a catch block; order is the place in the serial loop.
  void offer(int64_t order) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error_ && order_ <= order) return;
    order_ = order;
    error_ = std::current_exception();
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  int64_t order_ = 0;
  std::exception_ptr error_;
};

// Runs fn(worker, workers) on every thread of the pool; fn throws nothing.
void on_all_threads(int workers, const std::function<void(int, int)>& fn) {
  GOMP_parallel(
      [](void* data) {
        (*static_cast<const std::function<void(int, int)>*>(data))(omp_get_thread_num(),
                                                                   omp_get_num_threads());
      },
      const_cast<std::function<void(int, int)>*>(&fn), static_cast<unsigned>(workers), 0);
}

}  // namespace

int threads() { return omp_get_max_threads(); }

void set_threads(int n) { omp_set_num_threads(n > 0 ? n : omp_get_num_procs()); }

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t wanted = std::min<int64_t>(
      threads(), (n + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1));
  if (wanted <= 1 || omp_in_parallel() != 0) {
    body(0, n);
    return;
  }
  FirstException error;
  on_all_threads(static_cast<int>(wanted), [&](int worker, int workers) {
    const int64_t chunk = (n + workers - 1) / workers;
    const int64_t begin = worker * chunk, end = std::min(n, begin + chunk);
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
      error.offer(begin);
    }
  });
  error.rethrow();
}

void parallel_tasks(int64_t n, const std::function<void(int64_t, int)>& body) {
  if (n <= 0) return;
  const int workers = static_cast<int>(std::min<int64_t>(threads(), n));
  if (workers <= 1 || omp_in_parallel() != 0) {
    for (int64_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  FirstException error;
  on_all_threads(workers, [&](int worker, int) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
      try {
        body(i, worker);
      } catch (...) {
        error.offer(i);
        next.store(n, std::memory_order_relaxed);  // all before i are handed out already
      }
    }
  });
  error.rethrow();
}

void parallel_tasks(int64_t n, const std::function<void(int64_t)>& body) {
  parallel_tasks(n, [&](int64_t i, int) { body(i); });
}

}  // namespace covary
