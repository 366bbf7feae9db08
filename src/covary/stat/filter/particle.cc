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
#include "covary/stat/filter/filter_parts.h"
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
    return call(m_.model.f, x, t, x.size(), "f");
  }

  // Whether observations are h and Gaussian noise.
  bool gaussian() const { return !m_.log_density; }
  bool has_jacobian() const { return bool(m_.model.h_jacobian); }

  VectorXd expected(const VectorXd& x, int64_t step) const {
    VectorXd out = VectorXd::Zero(v_.observations());
    m_.model.h({x.data(), size_t(x.size())}, step, {out.data(), size_t(out.size())});
    return out;
  }
  // y less what is expected; 0 where y is missing.
  VectorXd residual(const VectorXd& y, const VectorXd& expected) const {
    VectorXd full = y;
    for (int64_t i = 0; i < full.size(); ++i) {
      if (std::isnan(full(i))) full(i) = expected(i);
    }
    if (!m_.model.observation_residual) return full - expected;
    VectorXd out(full.size());
    m_.model.observation_residual({full.data(), size_t(full.size())},
                                  {expected.data(), size_t(expected.size())},
                                  {out.data(), size_t(out.size())});
    return out;
  }
  VectorXd average(const MatrixXd& images, const VectorXd& weights) const {
    if (!m_.model.observation_mean) return images * weights;
    VectorXd out(images.rows());
    m_.model.observation_mean({images.data(), size_t(images.size())},
                              {weights.data(), size_t(weights.size())},
                              {out.data(), size_t(out.size())});
    return out;
  }

  // t: of the series at hand; step: since the start. r_root: of the rows that are present. image:
  // where the expected observation is wanted too.
  double log_density(const VectorXd& x, int64_t t, int64_t step, const MatrixXd& r_root,
                     Eigen::Ref<VectorXd> image) const {
    const VectorXd y = v_.y(t);
    if (m_.log_density) {
      const double l =
          m_.log_density({y.data(), size_t(y.size())}, {x.data(), size_t(x.size())}, step);
      if (std::isnan(l) || l == std::numeric_limits<double>::infinity()) {
        throw Error(ExitCode::kData, "returned NaN or infinity",
                    "log_density at step " + std::to_string(step), "-inf is a density of 0");
      }
      return l;
    }
    image = expected(x, step);
    if (!image.allFinite()) return kNone;
    Scores<double> s;
    add_scores<double>(r_root, residual(y, image)(v_.present(t)), s);
    return s.log_likelihood;
  }

  // Moves x, the place before the noise, by root e with e ~ N(0, I) drawn from z near what y_t asks
  // for; returns the log of p(e) over the law that it was drawn from.
  double guide(Eigen::Ref<VectorXd> x, const MatrixXd& root, const VectorXd& z, int64_t t,
               int64_t step) const {
    const std::vector<int>& rows = v_.present(t);
    const int64_t n = x.size(), p = v_.observations();
    const VectorXd centre = x;
    VectorXd flat = VectorXd::Zero(p * n);
    m_.model.h_jacobian({centre.data(), size_t(n)}, step, {flat.data(), size_t(p * n)});
    const VectorXd image = expected(centre, step);
    if (!flat.allFinite() || !image.allFinite()) {  // nothing to go by: the noise as it is
      x += root * z;
      return 0;
    }
    const MatrixXd h =
        Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(flat.data(), p, n);
    const MatrixXd c = MatrixXd(h(rows, Eigen::all)) * root;
    const MatrixXd s = c * c.transpose() + v_.r(t)(rows, rows);
    const Eigen::LLT<MatrixXd> llt(s);
    const MatrixXd white = llt.matrixL().solve(c);
    const VectorXd told = llt.matrixL().solve(VectorXd(residual(v_.y(t), image)(rows)));
    const VectorXd mean = white.transpose() * told;
    const MatrixXd cov = MatrixXd::Identity(root.cols(), root.cols()) - white.transpose() * white;
    const Eigen::LLT<MatrixXd> own(0.5 * (cov + cov.transpose()));
    const MatrixXd own_root = own.matrixL();
    const VectorXd e = mean + own_root * z;
    x += root * e;
    return 0.5 * (z.squaredNorm() - e.squaredNorm()) + own_root.diagonal().array().log().sum();
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
    LinearModel f = frame_of(m);
    if (!f.r.defined()) f.r = at::eye(m.observations, at::kDouble);
    return f;
  }
  const ParticleModel& m_;
  ModelView v_;
};

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

namespace {

// The particles between two steps.
struct Cloud {
  MatrixXd x, moved;  // [n,N]
  std::vector<double> log_weights, pilot;
  std::vector<int64_t> ancestors;
  int64_t step = 0;
};

Cloud empty_cloud(int64_t n, int64_t count) {
  Cloud c;
  c.x.resize(n, count);
  c.moved.resize(n, count);
  c.log_weights.assign(size_t(count), -std::log(static_cast<double>(count)));
  c.pilot.assign(size_t(count), 0.0);
  c.ancestors.assign(size_t(count), 0);
  return c;
}

VectorXd weights_of(const Cloud& c) {
  VectorXd w(static_cast<Eigen::Index>(c.log_weights.size()));
  for (Eigen::Index i = 0; i < w.size(); ++i) w(i) = std::exp(c.log_weights[size_t(i)]);
  return w;
}

ParticleFiltered empty_result(int64_t steps, int64_t n, int64_t p, bool gaussian) {
  const auto o = at::kDouble;
  ParticleFiltered out;
  out.mean = at::empty({steps, n}, o);
  out.cov = at::empty({steps, n, n}, o);
  out.effective = at::empty({steps}, o);
  out.log_likelihoods = at::zeros({steps}, o);
  if (gaussian) {
    out.predicted_observation = at::empty({steps, p}, o);
    out.innovation = at::empty({steps, p}, o);
    out.innovation_cov = at::empty({steps, p, p}, o);
  }
  return out;
}

// One step: row t of the setting's series, step c.step since the start. Writes row t of out.
void advance(const Setting& setting, const ParticleOptions& options, int64_t t, Cloud& c,
             ParticleFiltered& out) {
  const ModelView& v = setting.view();
  const int64_t n = v.states(), p = v.observations(), count = options.particles, step = c.step;
  const bool auxiliary = options.method == "auxiliary", seen = !v.present(t).empty();
  const bool guided = options.method == "guided" && seen;
  if (guided && (!setting.gaussian() || !setting.has_jacobian())) {
    throw Error(ExitCode::kUsage, "needs h with its Jacobian and Gaussian noise", "method guided",
                "take bootstrap or auxiliary");
  }
  std::vector<double> guidance(guided ? size_t(count) : 0, 0.0);
  const uint64_t seed = static_cast<uint64_t>(options.seed);
  const double equal = -std::log(static_cast<double>(count));
  const MatrixXd r_root = seen ? setting.r_root(t) : MatrixXd();
  const Random noise(seed, stream_of("filter.particle.noise", uint64_t(step)));
  double log_likelihood = 0;
  bool drawn = false;
  if (step == 0) {
    const MatrixXd start_root = root_of(v.cov0());
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const VectorXd z = normals(noise, i, n);
        c.x.col(i) = v.mean0();
        if (guided) {
          guidance[size_t(i)] = setting.guide(c.x.col(i), start_root, z, t, step);
        } else {
          c.x.col(i) += start_root * z;
        }
      }
    });
  } else {
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
      VectorXd unused(p);
      for (int64_t i = begin; i < end; ++i) {
        c.moved.col(i) = setting.transition(c.x.col(i), step - 1);
        if (auxiliary && seen) {
          c.pilot[size_t(i)] = setting.log_density(c.moved.col(i), t, step, r_root, unused);
        }
      }
    });
    const bool weak = effective_size(c.log_weights) < options.threshold * double(count);
    drawn = auxiliary ? seen : weak;
    if (drawn) {
      if (auxiliary) {
        for (size_t i = 0; i < c.pilot.size(); ++i) c.log_weights[i] += c.pilot[i];
        log_likelihood += normalise(c.log_weights, step);
      }
      draw_ancestors(options.resampling, c.log_weights,
                     Random(seed, stream_of("filter.particle.resample", uint64_t(step))),
                     c.ancestors);
      std::fill(c.log_weights.begin(), c.log_weights.end(), equal);
    }
    const MatrixXd& q_root = v.q_root(std::max<int64_t>(t - 1, 0));
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t from = drawn ? c.ancestors[size_t(i)] : i;
        const VectorXd z = normals(noise, i, n);
        c.x.col(i) = c.moved.col(from);
        if (guided) {
          guidance[size_t(i)] = setting.guide(c.x.col(i), q_root, z, t, step);
        } else {
          c.x.col(i) += q_root * z;
        }
      }
    });
  }
  // Weights before y_t, for what was expected of it; the auxiliary filter's and the guided one's
  // undo the look that they took at y_t.
  VectorXd before = weights_of(c);
  if (auxiliary && drawn) {
    for (int64_t i = 0; i < count; ++i) {
      before(i) = std::exp(-c.pilot[size_t(c.ancestors[size_t(i)])]);
    }
    before /= before.sum();
  }
  if (guided) {
    double highest = kNone;
    for (int64_t i = 0; i < count; ++i)
      highest = std::max(highest, c.log_weights[size_t(i)] + guidance[size_t(i)]);
    for (int64_t i = 0; i < count; ++i)
      before(i) = std::exp(c.log_weights[size_t(i)] + guidance[size_t(i)] - highest);
    before /= before.sum();
  }
  MatrixXd images(p, setting.gaussian() ? count : 0);
  std::vector<double> gained(size_t(count), 0.0);
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    VectorXd image(p);
    for (int64_t i = begin; i < end; ++i) {
      if (seen) {
        gained[size_t(i)] = setting.log_density(c.x.col(i), t, step, r_root, image);
      } else if (setting.gaussian()) {
        image = setting.expected(c.x.col(i), step);
      }
      if (!setting.gaussian()) continue;
      if (!image.allFinite()) before(i) = 0;  // h is not defined there: the weight is 0 too
      images.col(i) = before(i) > 0 ? image : VectorXd(VectorXd::Zero(p));
    }
  });
  if (before.sum() > 0) before /= before.sum();
  if (seen) {
    for (size_t i = 0; i < gained.size(); ++i) {
      if (guided) c.log_weights[i] += guidance[i];
      c.log_weights[i] += gained[i] - (auxiliary && drawn ? c.pilot[size_t(c.ancestors[i])] : 0);
    }
    log_likelihood += normalise(c.log_weights, step);
  }
  if (setting.gaussian()) {
    const VectorXd expected = setting.average(images, before);
    MatrixXd off(p, count);
    for (int64_t i = 0; i < count; ++i) off.col(i) = setting.residual(images.col(i), expected);
    VectorXd innovation = setting.residual(v.y(t), expected);
    for (int64_t i = 0; i < p; ++i) {
      if (std::isnan(v.y(t)(i))) innovation(i) = std::nan("");
    }
    put(out.predicted_observation, t, expected);
    put(out.innovation, t, innovation);
    put(out.innovation_cov, t,
        symmetrised<double>(off * before.asDiagonal() * off.transpose() + v.r(t)));
  }
  const VectorXd weights = weights_of(c), mean = c.x * weights;
  const MatrixXd centred = c.x.colwise() - mean;
  put(out.mean, t, mean);
  put(out.cov, t, symmetrised<double>(centred * weights.asDiagonal() * centred.transpose()));
  out.effective.mutable_data_ptr<double>()[t] = effective_size(c.log_weights);
  out.log_likelihoods.mutable_data_ptr<double>()[t] = log_likelihood;
  out.log_likelihood += log_likelihood;
  ++c.step;
}

}  // namespace

ParticleFiltered particle_filter(const ParticleModel& model, const at::Tensor& y,
                                 const ParticleOptions& options, bool keep_history) {
  options.check();
  const Setting setting(model, y);
  const ModelView& v = setting.view();
  const int64_t steps = v.steps(), n = v.states(), count = options.particles;
  ParticleFiltered out = empty_result(steps, n, v.observations(), setting.gaussian());
  if (keep_history) {
    out.particles = at::empty({steps, count, n}, at::kDouble);
    out.log_weights = at::empty({steps, count}, at::kDouble);
  }
  Cloud cloud = empty_cloud(n, count);
  for (int64_t t = 0; t < steps; ++t) {
    advance(setting, options, t, cloud, out);
    if (keep_history) {
      put(out.particles, t, MatrixXd(cloud.x.transpose()));
      std::copy(cloud.log_weights.begin(), cloud.log_weights.end(),
                out.log_weights.mutable_data_ptr<double>() + t * count);
    }
  }
  return out;
}

struct ParticleStream::State {
  const ParticleModel& model;
  ParticleOptions options;
  Cloud cloud;
};

ParticleStream::ParticleStream(const ParticleModel& model, const ParticleOptions& options) {
  options.check();
  state_ = std::make_unique<State>(
      State{model, options, empty_cloud(model.model.states, options.particles)});
}
ParticleStream::~ParticleStream() = default;

ParticleFiltered ParticleStream::step(const at::Tensor& y) {
  const Setting setting(state_->model, y.reshape({1, -1}));
  const ModelView& v = setting.view();
  ParticleFiltered out = empty_result(1, v.states(), v.observations(), setting.gaussian());
  advance(setting, state_->options, 0, state_->cloud, out);
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
