// 10,000 series of 1,000 steps, 4 states, 2 observations, as a user calls them. Operations a series
// and step: 188 multiply-adds with an R a series, 32 where all share one model; bytes: 16 read, and
// 32 written where filtered means are wanted too (_means). bench/peers/kalman.py puts the times
// beside those of other libraries.
// "share" is the rate over the machine's ceiling for double, measured in the same run (half of that
// for float), on as many threads.
#include <chrono>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/eval/ceilings.h"
#include "covary/stat/filter/batch.h"

namespace covary::filter {
namespace {

void batch(benchmark::State& state, bool own, bool means, double fma, bool settles = true) {
  const int64_t series = 10000, steps = 1000;
  const int thread_count = static_cast<int>(state.range(0));
  const auto o = at::kDouble;
  LinearModel m;
  m.f = 0.9 * at::eye(4, o) + 0.02 * at::ones({4, 4}, o);
  if (!settles) m.f = m.f.expand({steps, 4, 4}).contiguous();
  m.q = 0.1 * at::eye(4, o);
  m.h = at::eye(4, o).slice(0, 0, 2).contiguous();
  m.r = 0.5 * at::eye(2, o);
  m.mean0 = at::zeros({4}, o);
  m.cov0 = at::eye(4, o);
  const at::Tensor y = at::sin(at::arange(series * steps * 2, o)).reshape({series, steps, 2});
  const at::Tensor scale = at::linspace(0.5, 2, series, o).reshape({series, 1, 1});
  SeriesMatrices matrices;
  if (own) matrices.r = scale * m.r;
  set_threads(thread_count);
  kalman_filter_batch(m, y, matrices, means);
  double seconds = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(kalman_filter_batch(m, y, matrices, means).log_likelihood);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const double ceiling = eval::measure_rates(thread_count, 0.3).fma / 2;
  set_threads(0);
  const double rate = static_cast<double>(state.iterations() * series * steps) * fma / seconds;
  state.counters["fma"] = rate;
  state.counters["share"] = rate / ceiling;
  state.SetBytesProcessed(state.iterations() * series * steps * (means ? 48 : 16));
}

void own_noise(benchmark::State& s) { batch(s, true, false, 188); }
void own_noise_means(benchmark::State& s) { batch(s, true, true, 188); }
// F by step: the whole recursion at each, where a constant model's gains settle and are kept.
void own_noise_by_step(benchmark::State& s) { batch(s, true, false, 188, false); }
void shared_model(benchmark::State& s) { batch(s, false, false, 32); }
void shared_model_means(benchmark::State& s) { batch(s, false, true, 32); }

void threads_1_2(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")
      ->Arg(1)
      ->Arg(2)
      ->Unit(benchmark::kMillisecond)
      ->MeasureProcessCPUTime()
      ->UseRealTime();
}
BENCHMARK(own_noise)->Apply(threads_1_2);
BENCHMARK(own_noise_means)->Apply(threads_1_2);
BENCHMARK(own_noise_by_step)->Apply(threads_1_2);
BENCHMARK(shared_model)->Apply(threads_1_2);
BENCHMARK(shared_model_means)->Apply(threads_1_2);

}  // namespace
}  // namespace covary::filter
