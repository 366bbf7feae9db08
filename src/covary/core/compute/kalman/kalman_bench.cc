// 10,000 series of 1,000 steps, 4 states, 2 observations. Operations a series and step: 104
// multiply-adds to predict and 84 to update ("fma", lanes a second; the machine's ceiling for float
// is in eval/ceilings.h, half of it for double), or 32 where covariances are known; bytes: 16 read,
// and 32 written when means are wanted. Where gains have settled the whole recursion is not run, and
// its operations are counted all the same. stat/filter/batch_bench.cc gives the share of the
// ceiling in the same run.
#include <vector>

#include <benchmark/benchmark.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/kalman/kalman.h"
#include "covary/core/compute/kalman/kalman_test_data.h"

namespace covary::compute {
namespace {

void run(benchmark::State& state, KalmanCase c, double fma, bool means) {
  c.series = 10000;
  c.steps = 1000;
  c.states = 4;
  c.observations = 2;
  const int thread_count = static_cast<int>(state.range(0));
  const RandomKalmanBatch data(c);
  std::vector<double> log_likelihood(size_t(c.series));
  std::vector<double> mean(means ? size_t(c.series * c.steps * 4) : 0);
  const KalmanBatchOut out{.log_likelihood = log_likelihood.data(),
                           .mean = means ? mean.data() : nullptr};
  set_threads(thread_count);
  kalman_batch(data.batch(), out);
  for (auto _ : state) {
    kalman_batch(data.batch(), out);
    benchmark::DoNotOptimize(log_likelihood.data());
  }
  set_threads(0);
  const double items = static_cast<double>(state.iterations() * c.series * c.steps);
  state.counters["fma"] = benchmark::Counter(items * fma, benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<int64_t>(items) * (means ? 48 : 16));
}

void own_noise(benchmark::State& s) { run(s, {.own_noise = true}, 188, false); }
void own_noise_means(benchmark::State& s) { run(s, {.own_noise = true}, 188, true); }
// A hole in about a third of the chunks of a group: the whole recursion everywhere.
void own_noise_holes(benchmark::State& s) {
  run(s, {.own_noise = true, .missing = 0.02}, 188, false);
}
void own_models(benchmark::State& s) { run(s, {.own_models = true}, 188, false); }
void shared_model(benchmark::State& s) { run(s, {}, 32, false); }
void shared_model_means(benchmark::State& s) { run(s, {}, 32, true); }

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
BENCHMARK(own_noise_holes)->Apply(threads_1_2);
BENCHMARK(own_models)->Apply(threads_1_2);
BENCHMARK(shared_model)->Apply(threads_1_2);
BENCHMARK(shared_model_means)->Apply(threads_1_2);

}  // namespace
}  // namespace covary::compute
