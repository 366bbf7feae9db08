#include "covary/stat/process/variational_sites.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostSteps = 300;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

SiteResult variational_sites(const LatentModel& model, const LatentData& data, SiteState* state,
                             LatentGradient* gradient) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  const auto n = static_cast<size_t>(data.count());
  SiteResult r{.value = kNone, .posterior = SitePosterior(model.kernel, data.x, data.count())};
  SitePosterior& q = r.posterior;
  const size_t own = model.likelihood.parameters().size();
  std::vector<ExpectedDensity> e(n);
  Vector by_parameters(own * n);
  // The bound at some sites; kNone when it is not finite.
  const auto bound_at = [&](const SiteState& sites) {
    if (!q.set(sites.precision, sites.shift)) return kNone;
    q.invert();
    parallel_for(data.count(), 256, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        e[i] = model.likelihood.expected(data.y[i], model.mean + q.mean()[i], q.variance()[i],
                                         {by_parameters.data() + i * own, own});
        const double weight = data.weight(i);
        const Likelihood::WeightTerm term = model.likelihood.weight_term(weight);
        e[i].value = weight * e[i].value + term.value;
        e[i].by_mean *= weight;
        e[i].by_variance *= weight;
        for (size_t p = 0; p < own; ++p) by_parameters[i * own + p] *= weight;
        if (own > 0) by_parameters[i * own] += term.by_noise;
      }
    });
    double sum = 0;
    for (const ExpectedDensity& one : e) sum += one.value;
    const double bound = sum - 0.5 * (q.trace() + dot(q.alpha(), q.mean()) -
                                      static_cast<double>(n) + q.log_determinant());
    return std::isfinite(bound) ? bound : kNone;
  };
  SiteState sites{Vector(n), Vector(n)};
  double now = kNone;
  if (state->shift.size() == n) {
    now = bound_at(*state);
    if (now != kNone) sites = *state;
  }
  // A prior so wide that exp(f) has no expectation: sites of the curvature at the mean come first.
  if (now == kNone) now = bound_at(sites);
  if (now == kNone) {
    for (size_t i = 0; i < n; ++i) {
      sites.precision[i] = data.weight(i) * model.likelihood.curvature(data.y[i], model.mean).value;
      sites.shift[i] = data.weight(i) * model.likelihood.log_density(data.y[i], model.mean).d1;
    }
    now = bound_at(sites);
  }
  if (now == kNone) return r;
  double rate = 1, most = 1, before = std::numeric_limits<double>::infinity();
  for (; r.iterations < kMostSteps; ++r.iterations) {
    double off = 0;
    SiteState target{Vector(n), Vector(n)};
    for (size_t i = 0; i < n; ++i) {
      const double sd = std::sqrt(q.variance()[i]);
      target.precision[i] = -2 * e[i].by_variance;
      target.shift[i] = e[i].by_mean + target.precision[i] * q.mean()[i];
      off = std::max(off, sd * std::abs(q.alpha()[i] - e[i].by_mean));
      off = std::max(off, sd * sd * std::abs(target.precision[i] - sites.precision[i]));
    }
    if (off < 1e-9) {
      r.converged = true;
      break;
    }
    // Steps that overshoot turn around the optimum without end, below what the bound can tell.
    if (off > before) most = std::max(0.3, 0.8 * most);
    before = off;
    rate = std::min(rate, most);
    bool higher = false;
    for (; rate > 1e-4; rate *= 0.5) {
      SiteState trial = sites;
      for (size_t i = 0; i < n; ++i) {
        trial.precision[i] += rate * (target.precision[i] - trial.precision[i]);
        trial.shift[i] += rate * (target.shift[i] - trial.shift[i]);
      }
      const double next = bound_at(trial);
      if (next >= now - 1e-12 * std::abs(now)) {
        sites = trial;
        now = next;
        higher = true;
        break;
      }
    }
    if (!higher) {  // rounding is all that is left
      now = bound_at(sites);
      break;
    }
    rate = std::min(most, 1.5 * rate);
  }
  *state = sites;
  r.value = now;
  if (!gradient) return r;
  gradient->kernel.assign(model.kernel.parameters().size(), 0.0);
  q.contract(model.kernel, data.x, {}, gradient->kernel);
  gradient->mean = 0;
  gradient->likelihood.assign(own, 0.0);
  for (size_t i = 0; i < n; ++i) {
    gradient->mean += e[i].by_mean;
    for (size_t p = 0; p < own; ++p) gradient->likelihood[p] += by_parameters[i * own + p];
  }
  return r;
}

}  // namespace covary::stat
