#include "covary/core/eval/ceilings.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"
#include "covary/core/eval/ceilings_kernel.h"

namespace covary::eval {
namespace {

constexpr int kRepeats = 5;
constexpr size_t kCopyBytes = size_t{32} << 20;  // a thread's source: beyond every cache

// The best rate of kRepeats runs of work(thread, amount), which returns what one thread has done;
// the amount is chosen so that a run takes seconds / kRepeats.
double best_rate(int thread_count, double seconds, int64_t amount,
                 const std::function<int64_t(int64_t, int64_t)>& work) {
  const auto run = [&](int64_t rounds) {
    std::vector<int64_t> done(static_cast<size_t>(thread_count));
    const double t0 = wall_seconds();
    parallel_for(thread_count, 0, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) done[static_cast<size_t>(t)] = work(t, rounds);
    });
    const double t = wall_seconds() - t0;
    int64_t sum = 0;
    for (int64_t d : done) sum += d;
    return std::pair<double, double>(static_cast<double>(sum), std::max(t, 1e-9));
  };
  double t = run(amount).second;  // wakes the threads, fills the caches, touches the pages
  t = run(amount).second;
  const double target = seconds / (kRepeats + 1);
  amount = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(amount) * target / t));
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto [sum, wall] = run(amount);
    best = std::max(best, sum / wall);
  }
  return best;
}

}  // namespace

CeilingRates measure_rates(int thread_count, double budget_s) {
  const int before = threads();
  set_threads(thread_count);
  CeilingRates r;
  std::vector<float> sinks(static_cast<size_t>(thread_count) * 16);  // a cache line each
  const double share = budget_s / 3;
  r.fma = best_rate(thread_count, share, 100000, [&](int64_t t, int64_t n) {
    return run_fma(n, &sinks[static_cast<size_t>(t) * 16]);
  });
  r.exp = best_rate(thread_count, share, 20000, [&](int64_t t, int64_t n) {
    return run_exp(n, &sinks[static_cast<size_t>(t) * 16]);
  });
  std::vector<std::vector<char>> from(static_cast<size_t>(thread_count)), to(from);
  for (size_t t = 0; t < from.size(); ++t) {
    from[t].assign(kCopyBytes, 1);
    to[t].assign(kCopyBytes, 0);
  }
  r.copy = best_rate(thread_count, share, 1, [&](int64_t t, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(to[static_cast<size_t>(t)].data(), from[static_cast<size_t>(t)].data(),
                  kCopyBytes);
    }
    return static_cast<int64_t>(2 * kCopyBytes) * n;
  });
  set_threads(before);
  return r;
}

Ceilings measure_ceilings(double budget_s) {
  const int before = threads();
  set_threads(0);
  const int cores = threads();
  set_threads(before);
  Ceilings c;
  c.one = measure_rates(1, budget_s / 2);
  c.two = cores > 1 ? measure_rates(2, budget_s / 2) : c.one;
  c.simd = simd_name();
  return c;
}

std::string simd_name() { return dispatched_target(); }

}  // namespace covary::eval
