#include "covary/stat/filter/filter_run.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <Eigen/QR>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/nonlinear.h"
#include "covary/stat/filter/particle.h"

namespace covary::filter {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::string method_of(const FilterModel& m, const RunOptions& o) {
  o.check();
  const std::string method = o.method != "auto" ? o.method : m.is_linear() ? "kalman" : "ukf";
  if (method == "kalman" && !m.is_linear()) {
    throw Error(ExitCode::kUsage, "the model " + m.text() + " is not linear", "method",
                "take --method ekf, ukf, ckf or particle");
  }
  return method;
}

NonlinearOptions nonlinear_options(const RunOptions& o, const std::string& method) {
  NonlinearOptions n = o.nonlinear;
  n.method = method;
  return n;
}

NonlinearModel gaussian_of(const FilterModel& m, const at::Tensor& u) {
  if (m.named) return m.named->gaussian();
  const LinearModel l = m.linear();
  if (l.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "method",
                "take --method kalman, or give the start mean0 and cov0");
  }
  return nonlinear_of(l, u);
}

ParticleModel particle_of(const FilterModel& m, const at::Tensor& u) {
  if (m.named) return m.named->particle();
  return {.model = gaussian_of(m, u), .log_density = {}};
}

at::Tensor deviations(const at::Tensor& cov) {
  return cov.diagonal(0, -2, -1).clamp_min(0).sqrt().contiguous();
}

// What is left to say of innovations, for every method.
void finish(FilterRun& r, const at::Tensor& innovation_cov) {
  if (!r.sd.defined()) r.sd = deviations(r.cov);
  if (!r.innovation.defined()) return;
  if (!r.predicted_sd.defined()) r.predicted_sd = deviations(innovation_cov);
  r.standardised = r.innovation / r.predicted_sd;
  if (!r.nis.defined()) {
    r.nis = at::empty({r.innovation.size(0)}, at::kDouble);
    for (int64_t t = 0; t < r.nis.size(0); ++t) {
      const VectorXd v = vector_at(r.innovation, t);
      std::vector<int> rows;
      for (int64_t i = 0; i < v.size(); ++i)
        if (!std::isnan(v(i))) rows.push_back(static_cast<int>(i));
      const MatrixXd s = matrix_at(innovation_cov, t)(rows, rows);
      const VectorXd seen = v(rows);
      r.nis.mutable_data_ptr<double>()[t] =
          rows.empty() ? 0 : seen.dot(s.completeOrthogonalDecomposition().solve(seen));
    }
  }
  // Nothing is standardised by a deviation that is infinite.
  r.nis = r.nis.masked_fill(at::logical_or(r.observed == 0, at::isinf(r.predicted_sd).any(1)),
                            std::nan(""));
}

at::Tensor observed_of(const at::Tensor& y) { return at::isfinite(y).sum(1); }

// H of the linear model at every step, applied to states [T,n]; with their deviations.
void set_fitted(FilterRun& r, const LinearModel& m) {
  const at::Tensor h = m.h.dim() == 3 ? m.h : m.h.unsqueeze(0);
  r.fitted = at::matmul(h, r.mean.unsqueeze(-1)).squeeze(-1).contiguous();
  r.fitted_sd = deviations(at::matmul(at::matmul(h, r.cov), h.transpose(-1, -2)));
}

void set_fitted(FilterRun& r, const NonlinearModel& m) {
  if (!m.h) return;
  r.fitted = at::empty({r.mean.size(0), m.observations}, at::kDouble);
  for (int64_t t = 0; t < r.mean.size(0); ++t) {
    const VectorXd x = vector_at(r.mean, t);
    VectorXd y = VectorXd::Zero(m.observations);
    m.h({x.data(), size_t(x.size())}, t, {y.data(), size_t(y.size())});
    put(r.fitted, t, y);
  }
}

FilterRun of_kalman(const LinearModel& model, const Filtered& f) {
  FilterRun r;
  r.method = "kalman";
  r.mean = f.mean;
  r.cov = f.cov;
  r.innovation = f.innovation;
  r.observed = f.observed;
  r.nis = f.nis;
  r.log_likelihoods = f.log_likelihoods;
  r.log_likelihood = f.log_likelihood;
  r.sd = deviations(f.cov);
  r.predicted_sd = deviations(f.innovation_cov);
  const at::Tensor h = model.h.dim() == 3 ? model.h : model.h.unsqueeze(0);
  r.predicted = at::matmul(h, f.predicted_mean.unsqueeze(-1)).squeeze(-1).contiguous();
  set_fitted(r, model);
  // Diffuse directions reach a state, or an observation: nothing is known of it.
  const auto unknown = [](const at::Tensor& reach, const at::Tensor& size) {
    return reach.norm(2, -1) > 1e-9 * size.norm().clamp_min(1e-300);
  };
  for (int64_t t = 0; t < f.diffuse_steps; ++t) {
    const at::Tensor ht = h.size(0) == 1 ? h[0] : h[t];
    r.sd[t].masked_fill_(unknown(f.diffuse[t], model.diffuse), kInfinite);
    r.fitted_sd[t].masked_fill_(unknown(at::matmul(ht, f.diffuse[t]), model.diffuse), kInfinite);
    r.predicted_sd[t].masked_fill_(unknown(at::matmul(ht, f.predicted_diffuse[t]), model.diffuse),
                                   kInfinite);
  }
  finish(r, f.innovation_cov);
  return r;
}

FilterRun of_nonlinear(const NonlinearModel& model, const NonlinearFiltered& f,
                       const std::string& method, const at::Tensor& y) {
  FilterRun r;
  r.method = method;
  r.mean = f.mean;
  r.cov = f.cov;
  r.predicted = f.predicted_observation;
  r.innovation = f.innovation;
  r.observed = observed_of(y);
  r.nis = f.nis;
  r.log_likelihoods = f.log_likelihoods;
  r.log_likelihood = f.log_likelihood;
  set_fitted(r, model);
  finish(r, f.innovation_cov);
  return r;
}

FilterRun of_particles(const ParticleModel& model, const ParticleFiltered& f, const at::Tensor& y) {
  FilterRun r;
  r.method = "particle";
  r.mean = f.mean;
  r.cov = f.cov;
  r.predicted = f.predicted_observation;
  r.innovation = f.innovation;
  r.observed = observed_of(y);
  r.log_likelihoods = f.log_likelihoods;
  r.log_likelihood = f.log_likelihood;
  r.effective = f.effective;
  if (!model.log_density) set_fitted(r, model.model);
  finish(r, f.innovation_cov);
  return r;
}

at::Tensor prepared(const FilterModel& m, const at::Tensor& y) {
  return m.named ? m.named->prepare(y) : y;
}

void replace_by_smoothed(FilterRun& r, const at::Tensor& mean, const at::Tensor& cov) {
  r.mean = mean;
  r.cov = cov;
  r.sd = deviations(cov);
}

}  // namespace

FilterRun run_filter(const FilterModel& m, const at::Tensor& y, const at::Tensor& u,
                     const RunOptions& o) {
  const std::string method = method_of(m, o);
  if (method == "kalman") {
    const LinearModel l = m.linear();
    return of_kalman(l, kalman_filter(l, y, u, o.kalman));
  }
  if (method == "particle") {
    const ParticleModel p = particle_of(m, u);
    return of_particles(p, particle_filter(p, y, o.particle, false), y);
  }
  const NonlinearModel n = gaussian_of(m, u);
  const at::Tensor seen = prepared(m, y);
  return of_nonlinear(n, nonlinear_filter(n, seen, nonlinear_options(o, method)), method, seen);
}

FilterRun run_smoother(const FilterModel& m, const at::Tensor& y, const at::Tensor& u,
                       const RunOptions& o) {
  const std::string method = method_of(m, o);
  if (method == "kalman") {
    const LinearModel l = m.linear();
    const Filtered f = kalman_filter(l, y, u, o.kalman);
    FilterRun r = of_kalman(l, f);
    const Smoothed s = f.diffuse_steps > 0 ? bryson_frazier_smoother(l, y, f) : rts_smoother(l, f);
    replace_by_smoothed(r, s.mean, s.cov);
    set_fitted(r, l);
    return r;
  }
  if (method == "particle") {
    const ParticleModel p = particle_of(m, u);
    const ParticleFiltered f = particle_filter(p, y, o.particle);
    FilterRun r = of_particles(p, f, y);
    const at::Tensor paths = particle_paths(p, f, o.paths, o.particle.seed);
    const at::Tensor mean = paths.mean(0), off = paths - mean;
    replace_by_smoothed(r, mean, (off.unsqueeze(-1) * off.unsqueeze(-2)).mean(0).contiguous());
    if (!p.log_density) set_fitted(r, p.model);
    return r;
  }
  const NonlinearModel n = gaussian_of(m, u);
  const at::Tensor seen = prepared(m, y);
  const NonlinearFiltered f = nonlinear_filter(n, seen, nonlinear_options(o, method));
  FilterRun r = of_nonlinear(n, f, method, seen);
  const Smoothed s = nonlinear_smoother(n, f);
  replace_by_smoothed(r, s.mean, s.cov);
  set_fitted(r, n);
  return r;
}

Simulated simulate(const FilterModel& m, int64_t steps, int64_t seed, const at::Tensor& u) {
  if (m.named) return m.named->simulate(steps, seed);
  LinearModel l = m.linear();
  l.diffuse = at::Tensor();
  return simulate(l, steps, seed, u);
}

at::Tensor sample_states(const FilterModel& m, const at::Tensor& y, const at::Tensor& u,
                         int64_t draws, const RunOptions& o) {
  if (draws < 0) throw Error(ExitCode::kUsage, "must not be negative", "samples");
  if (!m.is_linear() || o.method == "particle") {
    const ParticleModel p = particle_of(m, u);
    return particle_paths(p, particle_filter(p, y, o.particle), draws, o.particle.seed);
  }
  // x = x+ + E[x | y - y+], with x+, y+ drawn about 0; the diffuse part of the start drops out.
  const LinearModel l = m.linear();
  LinearModel about = l;
  about.diffuse = at::Tensor();
  about.mean0 = at::zeros_like(l.mean0);
  const int64_t steps = y.size(0);
  const at::Tensor mean = kalman_smoother(l, y, u, o.kalman).mean;
  LinearModel centred = l;
  centred.mean0 = about.mean0;
  at::Tensor out = at::empty({draws, steps, l.states()}, at::kDouble);
  for (int64_t k = 0; k < draws; ++k) {
    const int64_t seed = static_cast<int64_t>(
        stream_of("filter.sample", static_cast<uint64_t>(o.particle.seed * 1000003 + k)) >> 1);
    const Simulated s = simulate(about, steps, seed);
    const at::Tensor holes = s.y.masked_fill(at::isnan(y), std::nan(""));
    out[k] = mean + s.states - kalman_smoother(centred, holes, {}, o.kalman).mean;
  }
  return out;
}

struct FilterStream::State {
  FilterModel model;
  RunOptions options;
  std::string method;
  LinearModel linear;        // kalman: its start is the state predicted
  NonlinearModel nonlinear;  // likewise
  ParticleModel particle;
  std::unique_ptr<ParticleStream> particles;
  int64_t step = 0;
};

FilterStream::FilterStream(const FilterModel& model, const RunOptions& options)
    : state_(new State{model, options, method_of(model, options), {}, {}, {}, {}, 0}) {
  State& s = *state_;
  if (s.method == "kalman") {
    s.linear = model.linear();
  } else if (s.method == "particle") {
    s.particle = particle_of(model, {});
    s.particles = std::make_unique<ParticleStream>(s.particle, options.particle);
  } else {
    s.nonlinear = gaussian_of(model, {});
  }
  if (s.method != "kalman" && model.matrices) {
    for (const auto& [m, name] :
         {std::pair{&model.matrices->f, "F"}, std::pair{&model.matrices->h, "H"},
          std::pair{&model.matrices->q, "Q"}, std::pair{&model.matrices->r, "R"}}) {
      if (m->dim() == 3) {
        throw Error(ExitCode::kUsage, "changes with the step", name,
                    "a stream of such a model takes --method kalman");
      }
    }
  }
}
FilterStream::~FilterStream() = default;

FilterRun FilterStream::step(const at::Tensor& y, const at::Tensor& u) {
  State& s = *state_;
  const int64_t t = s.step++;
  const at::Tensor row = y.reshape({1, -1});
  if (s.method == "particle") return of_particles(s.particle, s.particles->step(y), row);
  if (s.method != "kalman") {
    // The model's clock starts where this row stands.
    NonlinearModel shifted = s.nonlinear;
    const auto at_clock = [t](const StepFunction& f) -> StepFunction {
      if (!f) return f;
      return [f, t](std::span<const double> x, int64_t step, std::span<double> out) {
        f(x, t + step, out);
      };
    };
    shifted.f = at_clock(shifted.f);
    shifted.h = at_clock(shifted.h);
    shifted.f_jacobian = at_clock(shifted.f_jacobian);
    shifted.h_jacobian = at_clock(shifted.h_jacobian);
    const at::Tensor seen = prepared(s.model, row);
    const NonlinearFiltered f =
        nonlinear_filter(shifted, seen, nonlinear_options(s.options, s.method));
    s.nonlinear.mean0 = f.next_mean;
    s.nonlinear.cov0 = f.next_cov;
    return of_nonlinear(shifted, f, s.method, seen);
  }
  LinearModel now = s.linear;
  const auto at_step = [&](at::Tensor& m, const char* name) {
    if (!m.defined() || m.dim() != 3) return;
    if (t >= m.size(0)) {
      throw Error(ExitCode::kData, "ends at step " + std::to_string(m.size(0)), name,
                  "give one matrix for all steps, or more of them");
    }
    m = m[t];
  };
  at_step(now.f, "F");
  at_step(now.q, "Q");
  at_step(now.h, "H");
  at_step(now.r, "R");
  at_step(now.b, "B");
  const Filtered f =
      kalman_filter(now, row, u.defined() ? u.reshape({1, -1}) : u, s.options.kalman);
  s.linear.mean0 = f.next_mean;
  s.linear.cov0 = f.next_cov;
  if (f.diffuse_steps > 0 && !f.resolved) {
    s.linear.diffuse = at::matmul(now.f, f.diffuse[0]);
  } else {
    s.linear.diffuse = at::Tensor();
  }
  return of_kalman(now, f);
}

}  // namespace covary::filter
