#include "covary/stat/process/row_variational.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostSteps = 500;
constexpr double kNone = -std::numeric_limits<double>::infinity();

}  // namespace

RowVariational row_variational(const std::string& method, const std::vector<Kernel>& kernels,
                               std::span<const double> means, const RowLikelihood& likelihood,
                               std::span<const double> x, std::span<const double> y,
                               std::vector<SiteState>* states, RowGradient* gradient) {
  const size_t n = y.size(), latents = kernels.size();
  RowVariational r;
  r.value = kNone;
  for (const Kernel& kernel : kernels)
    r.processes.push_back(site_process(method, kernel, x, static_cast<int64_t>(n)));
  Vector by_mean(n * latents), by_variance(n * latents), m(latents), v(latents);
  const auto bound_at = [&](const std::vector<SiteState>& sites) {
    double bound = 0;
    for (size_t k = 0; k < latents; ++k) {
      if (!r.processes[k]->set(sites[k])) return kNone;
      bound -= r.processes[k]->divergence();
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t k = 0; k < latents; ++k) {
        m[k] = means[k] + r.processes[k]->mean()[i];
        v[k] = r.processes[k]->variance()[i];
      }
      bound += likelihood.expected(y[i], m, v, {by_mean.data() + i * latents, latents},
                                   {by_variance.data() + i * latents, latents});
    }
    return std::isfinite(bound) ? bound : kNone;
  };
  // What the optimum was a moment ago; else sites as at the means of the functions.
  std::vector<SiteState> first(latents, SiteState{Vector(n), Vector(n)});
  const Vector none(latents, 0.0);
  const Vector start(means.begin(), means.end());
  Vector slope(latents), curve(latents);
  for (size_t i = 0; i < n; ++i) {
    likelihood.expected(y[i], start, none, slope, curve);
    for (size_t k = 0; k < latents; ++k) {
      first[k].precision[i] = k == 0 ? -2 * curve[k] : 0.5;  // Fisher's, without an outlier's pull
      first[k].shift[i] = k == 0 ? slope[k] : 0;
    }
  }
  std::vector<SiteState> sites = first;
  double now = kNone;
  if (states->size() == latents && (*states)[0].shift.size() == n) {
    sites = *states;
    now = bound_at(sites);
  }
  const double fresh = now == kNone ? bound_at(first) : kNone;
  if (now == kNone) {
    sites = first;
    now = fresh;
  }
  if (now == kNone) return r;
  double rate = 1, most = 1, before = std::numeric_limits<double>::infinity();
  for (; r.iterations < kMostSteps; ++r.iterations) {
    double off = 0;
    std::vector<SiteState> target(latents, SiteState{Vector(n), Vector(n)});
    for (size_t k = 0; k < latents; ++k) {
      const Vector &mean = r.processes[k]->mean(), &variance = r.processes[k]->variance();
      for (size_t i = 0; i < n; ++i) {
        const double w = -2 * by_variance[i * latents + k],
                     b = by_mean[i * latents + k] + w * mean[i];
        target[k].precision[i] = w;
        target[k].shift[i] = b;
        const double sd = std::sqrt(variance[i]), dw = w - sites[k].precision[i];
        off = std::max(off, sd * std::abs(b - sites[k].shift[i] - dw * mean[i]));
        off = std::max(off, variance[i] * std::abs(dw));
      }
    }
    if (off < 1e-9) {
      r.converged = true;
      break;
    }
    // Steps that overshoot turn around the optimum without end, below what the bound can tell.
    if (off > before) most = std::max(0.2, 0.8 * most);
    before = off;
    rate = std::min(rate, most);
    bool higher = false;
    for (; rate > 1e-5; rate *= 0.5) {
      std::vector<SiteState> trial = sites;
      for (size_t k = 0; k < latents; ++k) {
        for (size_t i = 0; i < n; ++i) {
          trial[k].precision[i] += rate * (target[k].precision[i] - trial[k].precision[i]);
          trial[k].shift[i] += rate * (target[k].shift[i] - trial[k].shift[i]);
        }
      }
      const double next = bound_at(trial);
      if (next >= now - 1e-11 * std::abs(now)) {
        sites = std::move(trial);
        now = next;
        higher = true;
        break;
      }
    }
    if (!higher) {  // rounding is all that is left
      now = bound_at(sites);
      r.converged = off < 1e-5;
      break;
    }
    rate = std::min(most, 1.5 * rate);
  }
  *states = sites;
  r.value = now;
  if (!gradient) return r;
  gradient->kernels.resize(latents);
  gradient->means.assign(latents, 0.0);
  for (size_t k = 0; k < latents; ++k) {
    gradient->kernels[k].assign(kernels[k].parameters().size(), 0.0);
    r.processes[k]->contract(gradient->kernels[k]);
    for (size_t i = 0; i < n; ++i) gradient->means[k] += by_mean[i * latents + k];
  }
  return r;
}

}  // namespace covary::stat
