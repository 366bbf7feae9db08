// Parallel loops on the one OpenMP pool of the process (libtorch's), with results that do not depend on the
// number of threads.
//
//   parallel_for(n, 1024, [&](int64_t begin, int64_t end) { for (int64_t i = begin; i < end; ++i) f(i); });
//   double s = ordered_sum(n, [&](int64_t i) { return x[i]; });   // same bits on 1 and on 64 threads
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace covary {

// Threads a parallel loop will use; set_threads(0) returns to all cores.
int threads();
void set_threads(int n);

// Calls body(begin, end) for chunks that cover [0, n). Serial when n <= grain, with one thread, or inside another
// parallel loop. The exception that a serial loop would meet first is rethrown on the calling thread. Chunk borders
// depend on the number of threads, so a body must not sum across its chunk: use ordered_sum or blocks of fixed size.
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// Calls body(i) for i in [0, n); items are handed out one by one (dynamic), for uneven costs such as tiles.
// Exceptions as in parallel_for; after one, no further item is begun.
void parallel_tasks(int64_t n, const std::function<void(int64_t)>& body);

// Calls body(i, worker) likewise; worker in [0, threads()) names scratch memory of the calling thread.
void parallel_tasks(int64_t n, const std::function<void(int64_t, int)>& body);

// Items a block; the order of a sum depends on this alone.
constexpr int64_t kReductionBlock = 4096;

// sum of f(i), in blocks of kReductionBlock added in index order.
template <class F>
double ordered_sum(int64_t n, F&& f) {
  const int64_t blocks = (n + kReductionBlock - 1) / kReductionBlock;
  std::vector<double> partial(static_cast<size_t>(blocks));
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t last = std::min(n, (b + 1) * kReductionBlock);
      double s = 0;
      for (int64_t i = b * kReductionBlock; i < last; ++i) s += f(i);
      partial[static_cast<size_t>(b)] = s;
    }
  });
  double total = 0;
  for (double s : partial) total += s;
  return total;
}

}  // namespace covary
