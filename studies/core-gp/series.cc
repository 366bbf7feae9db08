// Bar 4 of core-gp: a Matern process in time on a million points.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/state_space.h"
#include "studies/core-gp/bars.h"
#include "studies/shared/peers.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
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

// The values of bench/peers/state_space.py.
Series peer_series() {
  Series s;
  for (int64_t i = 0; i < 1000000; ++i) {
    const double at = static_cast<double>(i);
    double whole;
    s.t.push_back(at / 2 + std::modf((at + 1) * std::sqrt(2.0), &whole) / 4);
    s.y.push_back(std::sin(s.t.back() / 20) + 0.2 * std::sqrt(2.0) * std::cos(37 * at));
  }
  return s;
}

// peer: a name of that script.
Bar beside(const std::string& part, const std::string& peer, double times, bool gradient) {
  return {.id = "4",
          .part = part,
          .title = "log likelihood of 1e6 points, Matern 3/2" +
                   std::string(gradient ? ", with gradient" : "") + ", beside " + peer,
          .metric = "CPU, one thread",
          .unit = "s",
          .bound = peer + " >= " + std::to_string(static_cast<int>(times)) + "x ours",
          .desk = true,
          .takes_long = true,
          .measure = [=](StudyContext& c) {
            const auto lines = peer_lines(c, "state_space.py", "--runs 3 --peers '" + peer + "'");
            const Series s = peer_series();
            double value = 0;
            stat::MarkovGradient g;
            const double seconds = median_seconds(3, [&] {
              value = stat::markov_log_likelihood(kModel, s.t, s.y, {}, gradient ? &g : nullptr);
            });
            BarResult r = times_faster(peer, peer_value(c, lines, peer, "cpu"), seconds, times, 3);
            char note[96];
            std::snprintf(note, sizeof note, "log likelihood %.6f, theirs %.6f", value,
                          peer_value(c, lines, peer, "log_likelihood"));
            r.note = note;
            return r;
          }};
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
      beside("g", "celerite2", 2, false),
      beside("h", "tinygp", 2, false),
      beside("i", "jax gradient", 30, true),
  };
}

}  // namespace covary::studies
