// Bar 4 of core-gp: a Matern process in time on a million points.
#include <algorithm>
#include <cmath>
#include <vector>

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/state_space.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;

struct Series {
  std::vector<double> t, y;
};

// Irregular times and a noisy wave.
const Series& series(StudyContext& c) {
  return c.shared<Series>("series", [&] {
    const size_t n = c.smoke() ? 20000 : 1000000;
    const Random random(30, stream_of("study.series"));
    Series s;
    double now = 0;
    for (uint64_t i = 0; i < n; ++i) {
      now += random.uniform(2 * i);
      s.t.push_back(now);
      s.y.push_back(std::sin(0.05 * now) + 0.2 * random.normal(2 * i + 1));
    }
    return s;
  });
}

constexpr stat::MarkovModel kModel{stat::MarkovKind::kMatern32, 1, 20, 0.05};

double likelihood_seconds(StudyContext& c) {
  const Series& s = series(c);
  double best = INFINITY;
  for (int turn = 0; turn < 3; ++turn) {
    const double begin = cpu_seconds();
    if (!std::isfinite(stat::markov_log_likelihood(kModel, s.t, s.y, {}, nullptr))) return NAN;
    best = std::min(best, cpu_seconds() - begin);
  }
  return best;
}

double gradient_and_smoother_seconds(StudyContext& c) {
  const Series& s = series(c);
  double best = INFINITY;
  std::vector<double> mean(s.t.size()), variance(s.t.size());
  for (int turn = 0; turn < 3; ++turn) {
    const double begin = cpu_seconds();
    stat::MarkovGradient g;
    stat::markov_log_likelihood(kModel, s.t, s.y, {}, &g);
    if (!std::isfinite(stat::markov_smooth(kModel, s.t, s.y, {}, mean, variance))) return NAN;
    best = std::min(best, cpu_seconds() - begin);
  }
  return best;
}

double memory(StudyContext& c) {
  const Series& s = series(c);
  std::vector<double> mean(s.t.size()), variance(s.t.size());
  stat::markov_smooth(kModel, s.t, s.y, {}, mean, variance);
  return static_cast<double>(c.peak_memory_bytes()) / 1e9;
}

}  // namespace

std::vector<Bar> process_series_bars() {
  return {
      limited("4", "a", "log likelihood of 1e6 points, Matern 3/2", "CPU time", "s", {1.5, 0.2},
              likelihood_seconds),
      limited("4", "b", "with gradient, and smoother, of 1e6 points", "CPU time", "s", {6, 0.5},
              gradient_and_smoother_seconds),
      limited("4", "c", "peak memory of the process, 1e6 points smoothed", "memory", "GB", {1, 1},
              memory),
      motorcycle_bar(),
  };
}

}  // namespace covary::studies
