#include "covary/stat/process/laplace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostSteps = 200;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double log_density(const LatentModel& model, const LatentData& data, const Vector& g) {
  double sum = 0;
  for (size_t i = 0; i < g.size(); ++i)
    sum += data.weight(i) * model.likelihood.log_density(data.y[i], model.mean + g[i]).value +
           model.likelihood.weight_term(data.weight(i)).value;
  return std::isfinite(sum) ? sum : -std::numeric_limits<double>::infinity();
}

}  // namespace

SiteResult laplace(const LatentModel& model, const LatentData& data, SiteState* state,
                   LatentGradient* gradient) {
  const auto n = static_cast<size_t>(data.count());
  SiteResult r{.value = -std::numeric_limits<double>::infinity(),
               .posterior = SitePosterior(model.kernel, data.x, data.count())};
  SitePosterior& q = r.posterior;
  Vector a(n), g(n), precision(n), shift(n), slope(n);
  double now = log_density(model, data, g);
  if (state->shift.size() == n) {  // what was the optimum a moment ago, when it still is better
    Vector warm(n);
    if (q.set(state->precision, state->shift)) {
      const double there = log_density(model, data, q.mean()) - 0.5 * dot(q.alpha(), q.mean());
      if (there > now) {
        now = there;
        a = q.alpha();
        g = q.mean();
      }
    }
  }
  if (!std::isfinite(now)) return r;
  for (; r.iterations < kMostSteps; ++r.iterations) {
    double off = 0, largest = 1;
    for (size_t i = 0; i < n; ++i) {
      slope[i] = data.weight(i) * model.likelihood.log_density(data.y[i], model.mean + g[i]).d1;
      precision[i] = data.weight(i) *
                     std::max(model.likelihood.curvature(data.y[i], model.mean + g[i]).value, 0.0);
      shift[i] = precision[i] * g[i] + slope[i];
      off = std::max(off, std::abs(slope[i] - a[i]));
      largest = std::max(largest, std::abs(slope[i]));
    }
    if (!q.set(precision, shift)) return r;
    if (off < 1e-10 * largest) {
      r.converged = true;
      break;
    }
    // The log posterior along the step, which Newton's full length nearly always raises.
    Vector da(n), dg(n);
    for (size_t i = 0; i < n; ++i) {
      da[i] = q.alpha()[i] - a[i];
      dg[i] = q.mean()[i] - g[i];
    }
    const double a_g = dot(a, g), a_dg = dot(a, dg), da_dg = dot(da, dg);
    double step = 1, next = now;
    Vector moved(n);
    for (; step > 1e-8; step *= 0.5) {
      for (size_t i = 0; i < n; ++i) moved[i] = g[i] + step * dg[i];
      next = log_density(model, data, moved) - 0.5 * (a_g + step * (2 * a_dg + step * da_dg));
      if (next >= now - 1e-13 * std::abs(now)) break;
    }
    if (!(step > 1e-8)) {  // rounding is all that is left
      r.converged = true;
      break;
    }
    for (size_t i = 0; i < n; ++i) a[i] += step * da[i];
    g = moved;
    now = next;
  }
  // The sites at the mode: their posterior has the mode as its mean.
  state->precision = precision;
  state->shift = shift;
  r.value = log_density(model, data, q.mean()) - 0.5 * dot(q.alpha(), q.mean()) -
            0.5 * q.log_determinant();
  if (!std::isfinite(r.value)) r.value = -std::numeric_limits<double>::infinity();
  if (!gradient || !std::isfinite(r.value)) return r;

  q.invert();
  const Vector &mode = q.mean(), &variance = q.variance();
  // By the mode: it moves log |B| alone. u = (I + W K)^-1 of that.
  Vector by_mode(n);
  for (size_t i = 0; i < n; ++i)
    by_mode[i] = -0.5 * data.weight(i) * variance[i] *
                 model.likelihood.curvature(data.y[i], model.mean + mode[i]).slope;
  Vector u = q.times_r(q.times_k(by_mode));
  for (size_t i = 0; i < n; ++i) u[i] = by_mode[i] - u[i];
  // The curvature of the search is not that of the posterior where W is Fisher's information; but
  // then by_mode is nothing.
  gradient->kernel.assign(model.kernel.parameters().size(), 0.0);
  q.contract(model.kernel, data.x, u, gradient->kernel);
  gradient->mean = 0;
  for (size_t i = 0; i < n; ++i) gradient->mean += q.alpha()[i] + u[i];
  const size_t own = model.likelihood.parameters().size();
  gradient->likelihood.assign(own, 0.0);
  if (own == 0) return r;
  const Vector reach = q.times_k(u);
  std::array<ParameterSlope, Likelihood::kMostParameters> slopes;
  for (size_t i = 0; i < n; ++i) {
    model.likelihood.parameter_slopes(data.y[i], model.mean + mode[i], slopes.data());
    for (size_t p = 0; p < own; ++p)
      gradient->likelihood[p] += data.weight(i) * (slopes[p].value + reach[i] * slopes[p].d1 -
                                                   0.5 * variance[i] * slopes[p].curvature);
    gradient->likelihood[0] += model.likelihood.weight_term(data.weight(i)).by_noise;
  }
  return r;
}

}  // namespace covary::stat
