// Bars 2a to 2c of core-mixture: CPU seconds beside scikit-learn's, one thread each, in the same run.
//
// The peers run in the Python that COVARY_PEERS names (scikit-learn in it), by the scripts of bench/peers,
// from the root of the repository; without it the bars are skipped, and say so.
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/kde.h"
#include "studies/core-mixture/bars.h"
#include "studies/shared/peers.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::StudyContext;

constexpr int kRuns = 3;

// Median CPU seconds of a case of a script, by scikit-learn.
double peer_seconds(StudyContext& c, const std::string& script, const std::string& name) {
  return peer_value(
      c,
      peer_lines(c, script,
                 "--json --only " + name + " --peers scikit-learn --runs " + std::to_string(kRuns)),
      "scikit-learn", "cpu");
}

double em_seconds(StudyContext& c, int64_t n, int64_t d, int64_t k, const std::string& covariance) {
  const at::Tensor places = normal_rows(k, d, c.seed(), 21);
  const at::Tensor x = normal_rows(n, d, c.seed(), 22) + places.repeat({n / k, 1});
  const at::Tensor one = at::eye(d, at::kDouble);
  return median_seconds(kRuns, [&] {
    mixture::GaussianMixture m(
        {.covariance = covariance, .init = "given", .steps = 10, .tolerance = 0});
    m.set_parameters(
        at::ones({k}, at::kDouble), places,
        covariance == "full" ? one.expand({k, d, d}).contiguous() : at::ones({k, d}, at::kDouble));
    m.fit(x);
  });
}

double density_seconds(StudyContext& c, int64_t n, int64_t d,
                       const mixture::KernelDensityOptions& options) {
  const at::Tensor x = normal_rows(n, d, c.seed(), 23), q = normal_rows(4096, d, c.seed(), 24);
  return median_seconds(kRuns, [&] {
    mixture::KernelDensity kde(options);
    kde.fit(x).score_samples(q);
  });
}

Bar faster(const std::string& part, const std::string& title, double times,
           const std::string& script, const std::string& name,
           std::function<double(StudyContext&)> ours) {
  char text[64];
  std::snprintf(text, sizeof(text), "scikit-learn >= %gx ours", times);
  return {.id = "2",
          .part = part,
          .title = title,
          .metric = "CPU, one thread",
          .unit = "s",
          .bound = text,
          .desk = true,
          .measure = [=](StudyContext& c) {
            const double peer = peer_seconds(c, script, name);
            BarResult r = times_faster("scikit-learn", peer, ours(c), times, kRuns);
            r.note = "medians of three runs";
            return r;
          }};
}

}  // namespace

std::vector<Bar> mixture_speed_bars() {
  return {
      faster("a", "ten EM steps, full, 100k x 32, k = 16", 15, "mixture.py", "em-32-full",
             [](StudyContext& c) { return em_seconds(c, 100000, 32, 16, "full"); }),
      faster("a2", "ten EM steps, diagonal, 100k x 32, k = 16", 8, "mixture.py", "em-32-diag",
             [](StudyContext& c) { return em_seconds(c, 100000, 32, 16, "diagonal"); }),
      faster("a3", "ten EM steps, full, 10k x 8, k = 4", 5, "mixture.py", "em-8-full",
             [](StudyContext& c) { return em_seconds(c, 10000, 8, 4, "full"); }),
      faster("b", "exact kernel density, 32,768 x 16, 4,096 queries", 60, "kde.py", "exact-16",
             [](StudyContext& c) { return density_seconds(c, 32768, 16, {.engine = "exact"}); }),
      faster("c", "dual tree, 100k x 2, width 0.05, rtol 1e-3, 4,096 queries", 5, "kde.py",
             "dual-2", [](StudyContext& c) {
               return density_seconds(c, 100000, 2, {.bandwidth = "0.05", .rtol = 1e-3});
             })};
}

}  // namespace covary::studies
