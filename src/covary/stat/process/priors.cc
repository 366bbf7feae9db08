#include "covary/stat/process/priors.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

double range_of(const KernelParameter& p, const DataScales& scales) {
  if (p.dimension >= 0 && p.dimension < static_cast<int64_t>(scales.range.size())) {
    return scales.range[static_cast<size_t>(p.dimension)];
  }
  return *std::max_element(scales.range.begin(), scales.range.end());
}

}  // namespace

double rounding_variance(std::vector<double> y) {
  std::erase_if(y, [](double v) { return std::isnan(v); });
  const size_t n = y.size();
  if (n < 20) return 0;
  std::sort(y.begin(), y.end());
  const double range = y.back() - y.front();
  double step = range;
  size_t distinct = 1;
  for (size_t i = 1; i < n; ++i) {
    const double gap = y[i] - y[i - 1];
    if (gap <= 1e-9 * range) continue;
    ++distinct;
    step = std::min(step, gap);
  }
  return distinct >= 2 && 2 * distinct <= n ? step * step / 12 : 0;
}

DataScales scales_of(const GpData& data) {
  DataScales s{.variance = mean_square(data),
               .least_noise = 0,
               .rows = static_cast<double>(data.n),
               .range = data.scale};
  bool first = true;
  for (const GpGroup& g : data.groups) {
    for (int64_t o = 0; o < g.width(); ++o) {
      const double* y = g.y.data() + o * g.count();
      const double v = rounding_variance({y, y + g.count()});
      s.least_noise = first ? v : std::min(s.least_noise, v);
      first = false;
    }
  }
  return s;
}

void set_priors(Kernel* kernel, const std::string& preset, const DataScales& scales) {
  if (preset != "none" && preset != "weak" && preset != "gamma" && preset != "dim-scaled") {
    throw Error(ExitCode::kUsage, "must be none, weak, gamma or dim-scaled, not \"" + preset + "\"",
                "priors");
  }
  if (preset == "none") return;
  const bool weak = preset == "weak", gamma = preset == "gamma";
  const double v = scales.variance;
  const double d = static_cast<double>(scales.range.size());
  for (KernelParameter& p : kernel->parameters()) {
    if (p.fixed || p.tied_to >= 0) continue;
    if (p.role == ParameterRole::kWeight && p.prior.flat()) p.prior = Prior::normal(0, 1);
    if (p.real) continue;
    if (p.role == ParameterRole::kNoise && weak && scales.least_noise > p.lower && !p.given &&
        scales.least_noise < p.upper) {
      p.lower = scales.least_noise;
      p.value = std::max(p.value, p.lower);
    }
    if (!p.prior.flat()) continue;
    switch (p.role) {
      case ParameterRole::kLengthscale:
      case ParameterRole::kPeriod: {
        const double r = range_of(p, scales);
        if (weak) p.prior = Prior::log_box(r / std::max(500.0, 20 * scales.rows), 50 * r, 1);
        if (p.role == ParameterRole::kPeriod || weak) break;
        p.prior = gamma ? Prior::gamma(3, 6 / r)
                        : Prior::log_normal(std::sqrt(2.0) + 0.5 * std::log(d) + std::log(r),
                                            std::sqrt(3.0));
        break;
      }
      case ParameterRole::kVariance:
        if (!gamma) p.prior = Prior::log_box(v / 1000, 1000 * v, 1);
        if (gamma) p.prior = Prior::gamma(2, 0.15 / v);
        break;
      case ParameterRole::kNoise:
        p.prior = weak    ? Prior::log_box(v / 1e6, 10 * v, 1)
                  : gamma ? Prior::gamma(1.1, 0.05 / v)
                          : Prior::log_normal(-4 + std::log(v), 1);
        break;
      case ParameterRole::kShape:
        if (weak) p.prior = Prior::log_box(0.01 * p.start, 100 * p.start, 1);
        break;
      case ParameterRole::kWarp:
        p.prior = Prior::log_normal(0.25, 0.5);
        break;
      default:
        break;
    }
  }
}

void set_proper_priors(Kernel* kernel, const DataScales& scales) {
  const double v = scales.variance;
  for (KernelParameter& p : kernel->parameters()) {
    if (p.fixed || p.tied_to >= 0 || !p.prior.flat()) continue;
    const double r = range_of(p, scales);
    switch (p.role) {
      case ParameterRole::kVariance:
        p.prior = Prior::gamma(2, 0.15 / v);
        break;
      case ParameterRole::kNoise:
        p.prior = Prior::log_normal(std::log(v) - 4, 2);
        break;
      case ParameterRole::kLengthscale:
      case ParameterRole::kPeriod:
        p.prior = Prior::log_normal(std::log(r / 2), 1.5);
        break;
      case ParameterRole::kLinear:
        p.prior = Prior::log_normal(std::log(v / std::pow(r, p.power)), 2);
        break;
      case ParameterRole::kShape:
        p.prior = Prior::log_normal(std::log(p.start), 1.5);
        break;
      case ParameterRole::kWarp:
        p.prior = Prior::log_normal(0.25, 0.5);
        break;
      case ParameterRole::kOffset:
        p.prior = Prior::log_normal(0, 2);
        break;
      case ParameterRole::kSmoothness:
        p.prior = Prior::log_normal(std::log(1.5), 0.5);
        break;
      case ParameterRole::kLocation:
        if (p.lower < p.upper && std::isfinite(p.lower) && std::isfinite(p.upper))
          p.prior = Prior::smoothed_box(p.lower, p.upper, 0.05 * (p.upper - p.lower));
        break;
      case ParameterRole::kLoading:
      case ParameterRole::kWeight:
        p.prior = Prior::normal(0, 1);
        break;
    }
  }
}

}  // namespace covary::stat
