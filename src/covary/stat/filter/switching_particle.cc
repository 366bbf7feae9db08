#include "covary/stat/filter/switching_particle.h"

#include <cmath>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/particle.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

struct Particle {
  int64_t regime = 0;
  Belief<double> belief;
};

// The belief after y_t, and the log-density of y_t.
double update(const ModelView& v, int64_t t, Belief<double>& b) {
  if (v.present(t).empty()) return 0;
  Scores<double> s;
  const Observation o = observation_at(v, t);
  if (!joseph_update<double>(b, o.h, o.r, o.y, s)) sequential_update<double>(b, o.h, o.r, o.y, s);
  return s.log_likelihood;
}

int64_t draw(const VectorXd& weights, double uniform) {
  double sum = 0;
  const double at = uniform * weights.sum();
  for (int64_t k = 0; k + 1 < weights.size(); ++k) {
    sum += weights(k);
    if (at < sum) return k;
  }
  int64_t last = weights.size() - 1;
  while (last > 0 && !(weights(last) > 0)) --last;
  return last;
}

}  // namespace

SwitchingFiltered switching_particle_filter(const std::vector<LinearModel>& models,
                                            const at::Tensor& switching, const at::Tensor& start,
                                            const at::Tensor& y, const ParticleOptions& options,
                                            const at::Tensor& u) {
  options.check();
  const std::vector<ModelView> views = views_of_switching(models, switching, start, y, u);
  const int64_t kinds = static_cast<int64_t>(models.size()), count = options.particles;
  const int64_t steps = views[0].steps(), n = views[0].states();
  const MatrixXd chain = matrix_of(switching);
  const VectorXd first = vector_of(start);
  const uint64_t seed = static_cast<uint64_t>(options.seed);
  SwitchingFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble),
                        at::empty({steps, kinds}, at::kDouble), at::empty({steps}, at::kDouble), 0};
  std::vector<Particle> particles(static_cast<size_t>(count)), before;
  std::vector<double> logs(size_t(count), -std::log(static_cast<double>(count)));
  for (int64_t t = 0; t < steps; ++t) {
    if (t > 0) {
      std::vector<double> weights(logs.size()), uniforms(logs.size());
      double square = 0;
      const Random random(seed, stream_of("filter.switching.resample", uint64_t(t)));
      for (size_t i = 0; i < logs.size(); ++i) {
        weights[i] = std::exp(logs[i]);
        square += weights[i] * weights[i];
        uniforms[i] = random.uniform(i);
      }
      if (1 / square < options.threshold * static_cast<double>(count)) {
        const std::vector<int64_t> from = resample(options.resampling, weights, uniforms);
        before = particles;
        for (size_t i = 0; i < particles.size(); ++i) particles[i] = before[size_t(from[i])];
        std::fill(logs.begin(), logs.end(), -std::log(static_cast<double>(count)));
      }
    }
    const Random random(seed, stream_of("filter.switching.regime", uint64_t(t)));
    parallel_for(count, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Particle& p = particles[size_t(i)];
        const VectorXd prior = t == 0 ? first : VectorXd(chain.row(p.regime).transpose());
        const auto predicted = [&](int64_t k) {
          if (t == 0) return Belief<double>{views[size_t(k)].mean0(), views[size_t(k)].cov0()};
          Belief<double> b = p.belief;
          const ModelView& v = views[size_t(k)];
          joseph_predict<double>(b, v.f(t - 1), v.q(t - 1), v.input(t - 1));
          return b;
        };
        const double uniform = random.uniform(static_cast<uint64_t>(i));
        if (options.method == "auxiliary") {
          std::vector<Belief<double>> all(static_cast<size_t>(kinds));
          VectorXd l = VectorXd::Constant(kinds, kNone);
          for (int64_t k = 0; k < kinds; ++k) {
            if (!(prior(k) > 0)) continue;
            all[size_t(k)] = predicted(k);
            l(k) = std::log(prior(k)) + update(views[size_t(k)], t, all[size_t(k)]);
          }
          const double highest = l.maxCoeff();
          const VectorXd w = (l.array() - highest).exp();
          p.regime = draw(w, uniform);
          p.belief = all[size_t(p.regime)];
          logs[size_t(i)] += highest + std::log(w.sum());
        } else {
          p.regime = draw(prior, uniform);
          p.belief = predicted(p.regime);
          logs[size_t(i)] += update(views[size_t(p.regime)], t, p.belief);
        }
      }
    });
    double highest = kNone;
    for (const double l : logs) highest = std::max(highest, l);
    if (!std::isfinite(highest)) {
      throw Error(ExitCode::kData, "no particle explains the observation",
                  "step " + std::to_string(t), "take more particles, or more noise");
    }
    const double total = highest + std::log(ordered_sum(count, [&](int64_t i) {
                           return std::exp(logs[size_t(i)] - highest);
                         }));
    out.log_likelihood += total;
    VectorXd mean = VectorXd::Zero(n), probability = VectorXd::Zero(kinds);
    double square = 0;
    for (int64_t i = 0; i < count; ++i) {
      logs[size_t(i)] -= total;
      const double w = std::exp(logs[size_t(i)]);
      square += w * w;
      mean += w * particles[size_t(i)].belief.mean;
      probability(particles[size_t(i)].regime) += w;
    }
    MatrixXd cov = MatrixXd::Zero(n, n);
    for (int64_t i = 0; i < count; ++i) {
      const Belief<double>& b = particles[size_t(i)].belief;
      const VectorXd off = b.mean - mean;
      cov += std::exp(logs[size_t(i)]) * (b.cov + off * off.transpose());
    }
    put(out.mean, t, mean);
    put(out.cov, t, symmetrised<double>(cov));
    put(out.probability, t, probability);
    out.effective.mutable_data_ptr<double>()[t] = 1 / square;
  }
  return out;
}

}  // namespace covary::filter
