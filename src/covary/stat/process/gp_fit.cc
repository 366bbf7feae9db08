// The fit: first guesses by the data, a competition on a sample, one search on everything.
#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNoiseStep = 3;  // by which a sample may lower the logarithm of the noise
}  // namespace

void GaussianProcess::fit(const GpOptions& options) {
  std::vector<double> lower, upper;
  kernel_.bounds(&lower, &upper);
  const std::vector<double> first = kernel_.pack();
  if (first.empty()) return;
  linalg::CholeskyReport failure;
  failure.done = true;

  const auto search = [&](const GpData& data, const std::vector<double>& start,
                          const numeric::LbfgsOptions& how, const numeric::Curvature& known) {
    MarginalLikelihood likelihood(data, options.memory_limit);
    return search_kernel(
        kernel_,
        [&](const Kernel& kernel, std::vector<double>* gradient) {
          const MarginalValue v = likelihood.evaluate(kernel, *gradient);
          if (v.report.done) return v.log_likelihood;
          failure = v.report;
          return -kInfinity;
        },
        start, how, known);
  };

  // The first guess by the data, then shorter and longer scales, then others at random.
  std::vector<double> start = first;
  numeric::Curvature curvature;
  const std::vector<const KernelParameter*> free = kernel_.free_parameters();
  if (options.starts > 1) {
    const GpData sample = data_.n > options.sample
                              ? data_.sample(options.sample, static_cast<uint64_t>(options.seed))
                              : data_;
    numeric::LbfgsOptions brief = options.search;
    brief.iterations = std::min<int64_t>(brief.iterations, 20);
    const Random random(static_cast<uint64_t>(options.seed), stream_of("process.starts"));
    double best = kInfinity;
    for (int64_t s = 0; s < options.starts; ++s) {
      std::vector<double> trial = first;
      for (size_t i = 0; i < free.size(); ++i) {
        const ParameterRole role = free[i]->role;
        if (role == ParameterRole::kWeight && s > 0) {  // another network
          trial[i] = random.normal(static_cast<uint64_t>(s) * 10007 + i);
          continue;
        }
        const bool scale = role == ParameterRole::kLengthscale || role == ParameterRole::kPeriod;
        const double shift = s == 0   ? 0
                             : s == 1 ? (scale ? -1.5 : 0)
                             : s == 2 ? (scale ? 1.0 : 0)
                                      : 1.5 * random.normal(static_cast<uint64_t>(s) * 10007 + i);
        trial[i] = std::clamp(trial[i] + shift, lower[i], upper[i]);
      }
      const numeric::Optimum o = search(sample, trial, brief, {});
      report_.evaluations += o.evaluations;
      if (o.value < best) {
        best = o.value;
        start = o.x;
        curvature = o.curvature;
      }
    }
    // A likelihood of so many times more rows is so many times as curved.
    curvature.scale(static_cast<double>(data_.n) / static_cast<double>(sample.n));
    // Few rows say little about small noise, and the way back from too little is long.
    for (size_t i = 0; i < free.size(); ++i) {
      if (free[i]->role == ParameterRole::kNoise) {
        start[i] = std::max(start[i], first[i] - kNoiseStep);
      }
    }
  }
  const numeric::Optimum o = search(data_, start, options.search, curvature);
  if (o.value == kInfinity) failure.check("kernel matrix");
  kernel_.unpack(o.x);
  record(o, kernel_, &report_);
  report_.curvature = o.curvature;
}

}  // namespace covary::stat
