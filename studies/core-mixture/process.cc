// Bar 4 of core-mixture: Dirichlet-process mixtures find the number of clusters.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/stat/mixture/gaussian_mixture.h"
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
           .title = "evidence bound below the log-evidence of long Gibbs sampling",
           .metric = "nats",
           .bound = "ours <= Gibbs",
           .desk = true},
          at_most("4", "d", "held-out log-likelihood of the mixture chosen by BIC, less predictive",
                  "nats a row", 0.02, [](StudyContext& c) { return fits(c).worst_gap; })};
}

}  // namespace covary::studies
