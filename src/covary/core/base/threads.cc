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

// Runs fn(worker, workers) on every thread of the pool and rethrows the first exception.
void on_all_threads(int workers, const std::function<void(int, int)>& fn) {
  struct Shared {
    const std::function<void(int, int)>* fn;
    std::exception_ptr error;
    std::mutex mutex;
  } shared{&fn, nullptr, {}};
  GOMP_parallel(
      [](void* data) {
        auto& s = *static_cast<Shared*>(data);
        try {
          (*s.fn)(omp_get_thread_num(), omp_get_num_threads());
        } catch (...) {
          const std::lock_guard<std::mutex> lock(s.mutex);
          if (!s.error) s.error = std::current_exception();
        }
      },
      &shared, static_cast<unsigned>(workers), 0);
  if (shared.error) std::rethrow_exception(shared.error);
}

}  // namespace

int threads() { return omp_get_max_threads(); }

void set_threads(int n) { omp_set_num_threads(n > 0 ? n : omp_get_num_procs()); }

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t wanted = std::min<int64_t>(threads(), (n + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1));
  if (wanted <= 1 || omp_in_parallel() != 0) {
    body(0, n);
    return;
  }
  on_all_threads(static_cast<int>(wanted), [&](int worker, int workers) {
    const int64_t chunk = (n + workers - 1) / workers;
    const int64_t begin = worker * chunk, end = std::min(n, begin + chunk);
    if (begin < end) body(begin, end);
  });
}

void parallel_tasks(int64_t n, const std::function<void(int64_t, int)>& body) {
  if (n <= 0) return;
  const int workers = static_cast<int>(std::min<int64_t>(threads(), n));
  if (workers <= 1 || omp_in_parallel() != 0) {
    for (int64_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  on_all_threads(workers, [&](int worker, int) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) body(i, worker);
  });
}

void parallel_tasks(int64_t n, const std::function<void(int64_t)>& body) {
  parallel_tasks(n, [&](int64_t i, int) { body(i); });
}

}  // namespace covary
