#include "covary/stat/process/expectation_propagation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostSweeps = 300;
constexpr double kAgreement = 1e-9;  // of moments, in deviations

}  // namespace

Cavity cavity_of(const SitePosterior& q, const SiteState& sites) {
  Cavity c{Vector(q.mean().size()), Vector(q.mean().size())};
  for (size_t i = 0; i < c.mean.size(); ++i) {
    const double v = q.variance()[i], m = q.mean()[i];
    // Without its site a row cannot be surer, nor less sure than the prior.
    const double rest = std::max(1 / v - sites.precision[i], 0.0);
    c.variance[i] = std::clamp(1 / rest, v, std::max(q.prior(static_cast<int64_t>(i)), v));
    c.mean[i] = c.variance[i] * (m / v - sites.shift[i]);
  }
  return c;
}

SiteResult expectation_propagation(const LatentModel& model, const LatentData& data,
                                   SiteState* state, LatentGradient* gradient) {
  if (!model.likelihood.log_concave()) {
    throw Error(ExitCode::kUsage,
                "expectation propagation needs a log-concave likelihood, which " +
                    std::string(model.likelihood.name()) + " is not",
                "--method ep", "write --method laplace or vi");
  }
  if (!data.weights.empty()) {
    throw Error(ExitCode::kUsage, "expectation propagation knows no weights of rows", "--method ep",
                "write --method laplace or vi");
  }
  const auto n = static_cast<size_t>(data.count());
  SiteResult r{.value = -std::numeric_limits<double>::infinity(),
               .posterior = SitePosterior(model.kernel, data.x, data.count())};
  SitePosterior& q = r.posterior;
  SiteState sites = *state;
  if (sites.shift.size() != n) sites = {Vector(n), Vector(n)};
  std::vector<TiltedMoments> tilted(n);
  Cavity cavity;
  double damping = 1, before = std::numeric_limits<double>::infinity();
  for (;; ++r.iterations) {
    if (!q.set(sites.precision, sites.shift)) return r;
    q.invert();
    cavity = cavity_of(q, sites);
    parallel_for(data.count(), 256, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        tilted[i] =
            model.likelihood.tilted(data.y[i], model.mean + cavity.mean[i], cavity.variance[i], {});
        tilted[i].mean -= model.mean;
      }
    });
    double off = 0;
    for (size_t i = 0; i < n; ++i) {
      off = std::max(off, std::abs(tilted[i].mean - q.mean()[i]) / std::sqrt(q.variance()[i]));
      off = std::max(off, std::abs(tilted[i].variance / q.variance()[i] - 1));
    }
    if (!std::isfinite(off)) return r;
    r.converged = off < kAgreement;
    if (r.converged || r.iterations == kMostSweeps) break;
    if (off > before) damping = std::max(0.7 * damping, 0.05);
    before = off;
    for (size_t i = 0; i < n; ++i) {
      const double v = std::max(tilted[i].variance, 1e-12 * cavity.variance[i]);
      const double precision = std::max(1 / v - 1 / cavity.variance[i], 0.0);
      const double shift = tilted[i].mean / v - cavity.mean[i] / cavity.variance[i];
      sites.precision[i] += damping * (precision - sites.precision[i]);
      sites.shift[i] += damping * (shift - sites.shift[i]);
    }
  }
  *state = sites;
  double value = -0.5 * q.log_determinant();
  for (size_t i = 0; i < n; ++i) {
    const double rest = 1 / cavity.variance[i], m = cavity.mean[i], w = sites.precision[i],
                 b = sites.shift[i];
    // log of the integral of the cavity times exp(-w g^2 / 2 + b g)
    const double site =
        -0.5 * std::log1p(w / rest) + (b * m + 0.5 * (b * b / rest - w * m * m)) / (1 + w / rest);
    value += tilted[i].log_z - site + 0.5 * b * q.mean()[i];
  }
  if (!std::isfinite(value)) return r;
  r.value = value;
  if (!gradient) return r;
  gradient->kernel.assign(model.kernel.parameters().size(), 0.0);
  q.contract(model.kernel, data.x, {}, gradient->kernel);
  gradient->mean = 0;
  for (const double a : q.alpha()) gradient->mean += a;
  const size_t own = model.likelihood.parameters().size();
  gradient->likelihood.assign(own, 0.0);
  std::vector<double> slopes(own);
  for (size_t i = 0; own > 0 && i < n; ++i) {
    model.likelihood.tilted(data.y[i], model.mean + cavity.mean[i], cavity.variance[i], slopes);
    for (size_t p = 0; p < own; ++p) gradient->likelihood[p] += slopes[p];
  }
  return r;
}

}  // namespace covary::stat
