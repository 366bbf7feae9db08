#include "covary/stat/filter/particle.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();
constexpr int64_t kGrain = 256;  // particles

// Turns log-weights into normalised ones in place; returns the log of their sum.
double normalise(std::vector<double>& log_weights, int64_t t) {
  double highest = kNone;
  for (const double w : log_weights) highest = std::max(highest, w);
  if (!std::isfinite(highest)) {
    throw Error(ExitCode::kData, "no particle explains the observation",
                "step " + std::to_string(t), "take more particles, or a wider start, q or r");
  }
  const double total = highest + std::log(ordered_sum(int64_t(log_weights.size()), [&](int64_t i) {
                         return std::exp(log_weights[size_t(i)] - highest);
                       }));
  for (double& w : log_weights) w -= total;
  return total;
}

double effective_size(const std::vector<double>& log_weights) {
  return 1 / ordered_sum(int64_t(log_weights.size()),
                         [&](int64_t i) { return std::exp(2 * log_weights[size_t(i)]); });
}

// What the steps need of the model, with q and r factorised once where they are constant.
class Setting {
 public:
  Setting(const ParticleModel& m, const at::Tensor& y) : m_(m), v_(frame(m.model), y, {}) {
    if (!m.model.f || (!m.log_density && !m.model.h)) {
      throw Error(ExitCode::kUsage, "is not set", m.model.f ? "h" : "f");
    }
  }
  const ModelView& view() const { return v_; }

  VectorXd transition(const VectorXd& x, int64_t t) const {
    VectorXd out = VectorXd::Zero(x.size());
    m_.model.f({x.data(), size_t(x.size())}, t, {out.data(), size_t(out.size())});
    if (!out.allFinite()) {
      throw Error(ExitCode::kData, "returned something that is not finite",
                  "f at step " + std::to_string(t), "the state left the region of the model");
    }
    return out;
  }

  // r_root: of the rows that are present.
  double log_density(const VectorXd& x, int64_t t, const MatrixXd& r_root) const {
    const VectorXd y = v_.y(t);
    if (m_.log_density) {
      const double l =
          m_.log_density({y.data(), size_t(y.size())}, {x.data(), size_t(x.size())}, t);
      if (std::isnan(l) || l == std::numeric_limits<double>::infinity()) {
        throw Error(ExitCode::kData, "returned NaN or infinity",
                    "log_density at step " + std::to_string(t), "-inf is a density of 0");
      }
      return l;
    }
    VectorXd expected = VectorXd::Zero(v_.observations()), residual = expected;
    m_.model.h({x.data(), size_t(x.size())}, t, {expected.data(), size_t(expected.size())});
    if (!expected.allFinite()) return kNone;
    const std::vector<int>& rows = v_.present(t);
    if (m_.model.observation_residual) {
      VectorXd full = y;
      for (int64_t i = 0; i < full.size(); ++i) {
        if (std::isnan(full(i))) full(i) = expected(i);
      }
      m_.model.observation_residual({full.data(), size_t(full.size())},
                                    {expected.data(), size_t(expected.size())},
                                    {residual.data(), size_t(residual.size())});
    } else {
      residual = y - expected;
    }
    Scores<double> s;
    add_scores<double>(r_root, residual(rows), s);
    return s.log_likelihood;
  }

  MatrixXd r_root(int64_t t) const {
    if (m_.log_density) return {};
    const std::vector<int>& rows = v_.present(t);
    const Eigen::LLT<MatrixXd> llt(v_.r(t)(rows, rows));
    if (llt.info() != Eigen::Success) {
      throw Error(ExitCode::kData, "is singular", "R at step " + std::to_string(t),
                  "particles never meet an exact observation; give R some variance");
    }
    return llt.matrixL();
  }

 private:
  static LinearModel frame(const NonlinearModel& m) {
    LinearModel f;
    f.f = at::zeros({m.states, m.states}, at::kDouble);
    f.h = at::zeros({m.observations, m.states}, at::kDouble);
    f.q = m.q;
    f.r = m.r.defined() ? m.r : at::eye(m.observations, at::kDouble);
    f.mean0 = m.mean0;
    f.cov0 = m.cov0;
    return f;
  }
  const ParticleModel& m_;
  ModelView v_;
};

VectorXd normals(const Random& random, int64_t particle, int64_t n) {
  VectorXd z(n);
  for (int64_t k = 0; k < n; ++k) z(k) = random.normal(static_cast<uint64_t>(particle * n + k));
  return z;
}

void draw_ancestors(const std::string& method, const std::vector<double>& log_weights,
                    const Random& random, std::vector<int64_t>& ancestors) {
  std::vector<double> weights(log_weights.size()), uniforms(log_weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::exp(log_weights[i]);
    uniforms[i] = random.uniform(i);
  }
  ancestors = resample(method, weights, uniforms);
}

}  // namespace

std::vector<int64_t> resample(const std::string& method, std::span<const double> weights,
                              std::span<const double> uniforms) {
  const size_t n = uniforms.size();
  std::vector<int64_t> out;
  out.reserve(n);
  const double count = static_cast<double>(n);
  const int64_t last = static_cast<int64_t>(weights.size()) - 1;
  if (method == "systematic" || method == "stratified") {
    const bool one = method == "systematic";
    double sum = weights[0];
    int64_t at = 0;
    for (size_t i = 0; i < n; ++i) {
      const double u = (static_cast<double>(i) + uniforms[one ? 0 : i]) / count;
      while (u >= sum && at < last) sum += weights[size_t(++at)];
      out.push_back(at);
    }
    return out;
  }
  std::vector<double> cumulative(weights.size());
  double total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    double w = weights[i];
    if (method == "residual") {  // whole copies first, the rest by chance
      const double copies = std::floor(w * count);
      out.insert(out.end(), static_cast<size_t>(copies), static_cast<int64_t>(i));
      w = w * count - copies;
    }
    cumulative[i] = total += w;
  }
  // Rounding may count one copy too many of equal weights.
  if (out.size() > n) out.resize(n);
  for (size_t i = out.size(); i < n; ++i) {
    const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), uniforms[i] * total);
    out.push_back(std::min<int64_t>(last, at - cumulative.begin()));
  }
  return out;
}

ParticleFiltered particle_filter(const ParticleModel& model, const at::Tensor& y,
                                 const ParticleOptions& options, bool keep_history) {
  options.check();
  const Setting setting(model, y);
  const ModelView& v = setting.view();
  const int64_t steps = v.steps(), n = v.states(), count = options.particles;
  const bool auxiliary = options.method == "auxiliary";
  const uint64_t seed = static_cast<uint64_t>(options.seed);
  const auto o = at::kDouble;
  ParticleFiltered out{
      at::empty({steps, n}, o), at::empty({steps, n, n}, o), at::empty({steps}, o), 0, {}, {}};
  if (keep_history) {
    out.particles = at::empty({steps, count, n}, o);
    out.log_weights = at::empty({steps, count}, o);
  }
  MatrixXd x(n, count), moved(n, count);
  const double equal = -std::log(static_cast<double>(count));
  std::vector<double> log_weights(size_t(count), equal), pilot(size_t(count), 0.0);
  std::vector<int64_t> ancestors(static_cast<size_t>(count));
  const MatrixXd start_root = root_of(v.cov0());
  for (int64_t t = 0; t < steps; ++t) {
    const bool seen = !v.present(t).empty();
    const MatrixXd r_root = seen ? setting.r_root(t) : MatrixXd();
    const Random noise(seed, stream_of("filter.particle.noise", uint64_t(t)));
    bool drawn = false;
    if (t == 0) {
      parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          x.col(i) = v.mean0() + start_root * normals(noise, i, n);
        }
      });
    } else {
      parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          moved.col(i) = setting.transition(x.col(i), t - 1);
          if (auxiliary && seen) pilot[size_t(i)] = setting.log_density(moved.col(i), t, r_root);
        }
      });
      const bool weak = effective_size(log_weights) < options.threshold * double(count);
      drawn = auxiliary ? seen : weak;
      if (drawn) {
        if (auxiliary) {
          for (size_t i = 0; i < pilot.size(); ++i) log_weights[i] += pilot[i];
          out.log_likelihood += normalise(log_weights, t);
        }
        draw_ancestors(options.resampling, log_weights,
                       Random(seed, stream_of("filter.particle.resample", uint64_t(t))), ancestors);
        std::fill(log_weights.begin(), log_weights.end(), equal);
      }
      parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t from = drawn ? ancestors[size_t(i)] : i;
          x.col(i) = moved.col(from) + v.q_root(t - 1) * normals(noise, i, n);
        }
      });
    }
    if (seen) {
      parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          double l = setting.log_density(x.col(i), t, r_root);
          if (auxiliary && drawn) l -= pilot[size_t(ancestors[size_t(i)])];
          log_weights[size_t(i)] += l;
        }
      });
      out.log_likelihood += normalise(log_weights, t);
    }
    VectorXd weights(count);
    for (int64_t i = 0; i < count; ++i) weights(i) = std::exp(log_weights[size_t(i)]);
    const VectorXd mean = x * weights;
    const MatrixXd centred = x.colwise() - mean;
    put(out.mean, t, mean);
    put(out.cov, t, symmetrised<double>(centred * weights.asDiagonal() * centred.transpose()));
    out.effective[t] = effective_size(log_weights);
    if (keep_history) {
      put(out.particles, t, MatrixXd(x.transpose()));
      std::copy(log_weights.begin(), log_weights.end(),
                out.log_weights.mutable_data_ptr<double>() + t * count);
    }
  }
  return out;
}

at::Tensor particle_paths(const ParticleModel& model, const ParticleFiltered& filtered,
                          int64_t paths, int64_t seed) {
  if (!filtered.particles.defined()) {
    throw Error(ExitCode::kUsage, "was run without history", "particle_filter", "set keep_history");
  }
  if (paths < 0) throw Error(ExitCode::kUsage, "must not be negative", "paths");
  const int64_t steps = filtered.particles.size(0), count = filtered.particles.size(1);
  const int64_t n = filtered.particles.size(2);
  const Setting setting(model, at::zeros({steps, model.model.observations}, at::kDouble));
  at::Tensor out = at::empty({paths, steps, n}, at::kDouble);
  if (steps == 0) return out;
  double* path = out.mutable_data_ptr<double>();
  const double* log_weights = filtered.log_weights.const_data_ptr<double>();
  MatrixXd white(n, count);  // root of Q^-1 times f(x)
  for (int64_t t = steps - 1; t >= 0; --t) {
    const MatrixXd x = matrix_at(filtered.particles, t).transpose();
    const double* w = log_weights + t * count;
    const bool last = t == steps - 1;
    Eigen::LLT<MatrixXd> q;
    if (!last) {
      q.compute(setting.view().q(t));
      if (q.info() != Eigen::Success) {
        throw Error(ExitCode::kData, "is singular", "Q at step " + std::to_string(t),
                    "backward draws need noise in every state");
      }
      for (int64_t i = 0; i < count; ++i) {
        white.col(i) = q.matrixL().solve(setting.transition(x.col(i), t));
      }
    }
    const Random random(static_cast<uint64_t>(seed),
                        stream_of("filter.particle.path", uint64_t(t)));
    parallel_for(paths, 1, [&](int64_t begin, int64_t end) {
      std::vector<double> cumulative(static_cast<size_t>(count));
      for (int64_t k = begin; k < end; ++k) {
        VectorXd target;
        if (!last) {
          target = q.matrixL().solve(Eigen::Map<const VectorXd>(path + (k * steps + t + 1) * n, n));
        }
        double highest = kNone;
        for (int64_t i = 0; i < count; ++i) {
          cumulative[size_t(i)] = w[i] - (last ? 0 : 0.5 * (white.col(i) - target).squaredNorm());
          highest = std::max(highest, cumulative[size_t(i)]);
        }
        double total = 0;
        for (double& c : cumulative) c = total += std::exp(c - highest);
        const auto at = std::upper_bound(cumulative.begin(), cumulative.end(),
                                         random.uniform(uint64_t(k)) * total);
        const int64_t i = std::min<int64_t>(count - 1, at - cumulative.begin());
        Eigen::Map<VectorXd>(path + (k * steps + t) * n, n) = x.col(i);
      }
    });
  }
  return out;
}

}  // namespace covary::filter
