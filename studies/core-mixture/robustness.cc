// Bar 3 of core-mixture: hostile data sets, and the faults that users of other programs reported.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "studies/core-mixture/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;
using mixture::GaussianMixture;

// A data set of a few rows with duplicates, constant columns, scales from 1e-8 to 1e8, far offsets.
at::Tensor hostile_rows(uint64_t seed, uint64_t round) {
  const Random random(seed, stream_of("hostile", round));
  uint64_t draw = 0;
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random.below(n, draw++)); };
  const int64_t n = 1 + below(60), d = 1 + below(5);
  at::Tensor x = normal_rows(n, d, seed, stream_of("hostile rows", round));
  for (int64_t j = 0; j < d; ++j) {
    const int64_t kind = below(5);
    const double scale = std::pow(10.0, static_cast<double>(below(17)) - 8);
    auto column = x.select(1, j);
    if (kind == 0) column.fill_(scale);                         // constant
    if (kind == 1) column.copy_(column.sign() * scale);         // two values
    if (kind == 2) column.copy_(column * scale + 1e4 * scale);  // far from 0
    if (kind == 3) column.mul_(scale);
    if (kind == 4 && j > 0) column.copy_(x.select(1, 0));  // a copy of another
  }
  const int64_t repeated = below(static_cast<uint64_t>(n));
  for (int64_t i = 0; i < repeated; ++i) x.select(0, below(static_cast<uint64_t>(n))).copy_(x[0]);
  return below(2) == 0 ? x.to(at::kFloat) : x;
}

// Whether a fit leaves a finite model whose likelihood never fell.
bool sound(const at::Tensor& x, const mixture::GaussianMixtureOptions& o) {
  try {
    GaussianMixture m(o);
    m.fit(x);
    const auto& trace = m.report().trace;
    for (size_t i = 1; i < trace.mean_log_likelihood.size(); ++i) {
      const double before = trace.mean_log_likelihood[i - 1];
      const bool reseeded = std::find(trace.reseeds.begin(), trace.reseeds.end(),
                                      static_cast<int64_t>(i)) != trace.reseeds.end();
      if (!reseeded &&
          !(trace.mean_log_likelihood[i] >= before - 1e-9 * std::max(1.0, std::abs(before))))
        return false;
    }
    return m.score_samples(x).isfinite().all().item<bool>() &&
           m.predict_proba(x).isfinite().all().item<bool>() &&
           m.sample(5, 1).isfinite().all().item<bool>();
  } catch (const Error&) {
    return false;
  }
}

double hostile_failures(StudyContext& c) {
  static const char* const kTypes[] = {"spherical", "diagonal", "tied", "full"};
  const uint64_t sets = c.smoke() ? 300 : 1000;
  double failures = 0;
  for (uint64_t round = 0; round < sets; ++round) {
    const at::Tensor x = hostile_rows(c.seed(), round);
    const int64_t k = std::min<int64_t>(x.size(0), 1 + static_cast<int64_t>(round % 5));
    if (!sound(x,
               {.components = k, .covariance = kTypes[round / 5 % 4], .starts = 1, .steps = 60})) {
      c.log("hostile data set " + std::to_string(round) + " fails");
      ++failures;
    }
  }
  return failures;
}

double reported_failures(StudyContext& c) {
  double failures = 0;
  // scikit-learn 30382: float32 values far apart made a negative variance.
  const at::Tensor apart = at::tensor({9999.0F, 9999.0F, 0.0F, 0.0F}, at::kFloat).view({4, 1});
  for (const int64_t k : {1, 2})
    failures += !sound(apart, {.components = k, .covariance = "full", .starts = 1});
  // mlpack 496: identical points made NaN covariances and an endless loop.
  failures += !sound(at::ones({30, 3}, at::kDouble), {.components = 3, .starts = 1});
  // PyCave 20: a Cholesky factor failed in high dimensions, with fewer rows than columns.
  const int64_t d = c.smoke() ? 100 : 2000;
  failures +=
      !sound(normal_rows(d / 2, d, c.seed(), 9), {.components = 2, .starts = 1, .steps = 3});
  return failures;
}

}  // namespace

std::vector<Bar> robustness_bars() {
  return {at_most("3", "a", "hostile data sets without a finite, monotone fit", "count", 0,
                  hostile_failures),
          at_most("3", "b", "reported faults of other programs that are ours too", "count", 0,
                  reported_failures),
          at_most("3", "c", "reported faults of other filters that are ours too", "count", 0,
                  reported_filter_failures)};
}

}  // namespace covary::studies
