// Bar 4 of core-mixture: Dirichlet-process mixtures find the number of clusters.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/gibbs_mixture.h"
#include "covary/stat/mixture/variational_mixture.h"
#include "studies/core-mixture/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

struct Found {
  double right = 0, seeds = 0;   // fits with the true number
  double largest_fall = 0;       // of a bound from step to step, nats
  double worst_gap = -INFINITY;  // held-out, GMM chosen by BIC less predictive, nats a row
};

// Three to five clumps, truncation 20.
const Found& fits(StudyContext& c) {
  return c.shared<Found>("process", [&] {
    Found f;
    f.seeds = c.smoke() ? 5 : 20;
    const int64_t n = c.smoke() ? 300 : 600;
    for (int64_t i = 0; i < static_cast<int64_t>(f.seeds); ++i) {
      const int64_t k = 3 + i % 3;
      const uint64_t seed = c.seed() + static_cast<uint64_t>(i);
      const at::Tensor x = clump_rows(n, k, 6, seed), held = clump_rows(n, k, 6, seed + 1000);
      mixture::VariationalMixture m({.components = 20, .seed = static_cast<int64_t>(seed)});
      m.fit(x);
      f.right += m.effective(0.02) == k;
      const auto& bounds = m.report().bounds;
      for (size_t b = 1; b < bounds.size(); ++b)
        f.largest_fall = std::max(f.largest_fall, bounds[b - 1] - bounds[b]);
      const mixture::Selection s = mixture::select_mixture(x, {1, 2, 3, 4, 5, 6}, {"full"});
      f.worst_gap = std::max(f.worst_gap, s.model.score(held) - m.score(held));
    }
    return f;
  });
}

BarResult count(StudyContext& c) {
  const Found& f = fits(c);
  const double least = c.smoke() ? 4 : 18;
  BarResult r;
  r.ours = Quantity{.value = f.right, .unit = "seeds", .n = static_cast<int64_t>(f.seeds)};
  r.bound = {.text = c.smoke() ? "ours >= 4 of 5 seeds" : "ours >= 18 of 20 seeds",
             .left = f.right,
             .op = ">=",
             .right = least};
  return r;
}

// The bound beside the evidence that annealed importance sampling gives, on clumps apart and
// overlapping.
BarResult below_evidence(StudyContext& c) {
  struct Set {
    int64_t clumps;
    double radius;
  };
  const std::vector<Set> sets = c.smoke() ? std::vector<Set>{{3, 6}, {2, 2}}
                                          : std::vector<Set>{{1, 0}, {3, 6}, {5, 6}, {3, 2}};
  const int64_t n = c.smoke() ? 40 : 150, seeds = c.smoke() ? 1 : 2;
  eval::Table table{.name = "evidence",
                    .columns = {"clumps", "radius", "seed", "bound", "log_evidence",
                                "standard_error", "effective_runs", "gap"},
                    .rows = {}};
  double worst = -INFINITY, least = INFINITY, most = -INFINITY, widest = 0;
  for (const Set& set : sets) {
    for (int64_t i = 0; i < seeds; ++i) {
      const uint64_t seed = c.seed() + static_cast<uint64_t>(i);
      const at::Tensor x = clump_rows(n, set.clumps, set.radius, seed);
      const int64_t components = c.smoke() ? 6 : 20;
      mixture::VariationalMixture m({.components = components, .seed = static_cast<int64_t>(seed)});
      const double bound = m.fit(x).report().bound;
      const mixture::GibbsMixture g({.components = components,
                                     .runs = c.smoke() ? 8 : 16,
                                     .particles = c.smoke() ? 16 : 64,
                                     .seed = static_cast<int64_t>(seed)});
      const mixture::Evidence e = g.log_evidence(x);
      const double gap = e.value - bound;
      table.rows.push_back(
          {set.clumps, set.radius, seed, bound, e.value, e.standard_error, e.effective, gap});
      worst = std::max(worst, -gap - 3 * e.standard_error);
      least = std::min(least, gap);
      most = std::max(most, gap);
      widest = std::max(widest, e.standard_error);
    }
  }
  BarResult r;
  r.ours = Quantity{.value = worst, .unit = "nats", .n = static_cast<int64_t>(table.rows.size())};
  r.bound = {.text = "bound - log-evidence - 3 standard errors <= 0",
             .left = worst,
             .op = "<=",
             .right = 0};
  char note[128];
  std::snprintf(note, sizeof note,
                "log-evidence less bound %.2f to %.2f nats, largest standard error %.3f", least,
                most, widest);
  r.note = note;
  c.table(std::move(table));
  return r;
}

}  // namespace

std::vector<Bar> process_bars() {
  return {{.id = "4",
           .part = "a",
           .title = "fits with the true number of components above 2 %, truncation 20",
           .metric = "seeds",
           .unit = "seeds",
           .bound = "ours >= 18 of 20 seeds",
           .smoke = true,
           .desk = true,
           .measure = count},
          at_most("4", "b", "largest fall of the evidence bound", "nats", 1e-9,
                  [](StudyContext& c) { return fits(c).largest_fall; }),
          {.id = "4",
           .part = "c",
           .title = "evidence bound above the log-evidence of annealed Gibbs sampling",
           .metric = "nats, less 3 standard errors, the worst of all sets",
           .unit = "nats",
           .bound = "bound - log-evidence - 3 standard errors <= 0",
           .smoke = true,
           .desk = true,
           .measure = below_evidence},
          at_most("4", "d", "held-out log-likelihood of the mixture chosen by BIC, less predictive",
                  "nats a row", 0.02, [](StudyContext& c) { return fits(c).worst_gap; })};
}

}  // namespace covary::studies
