#include "covary/stat/filter/simulate.h"

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

Simulated simulate(const LinearModel& model, int64_t steps, int64_t seed, const at::Tensor& u) {
  if (steps < 0) throw Error(ExitCode::kUsage, "must not be negative", "steps");
  if (model.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "a diffuse start has no draw", "diffuse",
                "give the start a covariance");
  }
  model.check(steps);
  const ModelView v(model, at::zeros({steps, model.observations()}, at::kDouble), u);
  const int64_t n = v.states(), p = v.observations();
  Simulated out{at::empty({steps, n}, at::kDouble), at::empty({steps, p}, at::kDouble)};
  const uint64_t key = static_cast<uint64_t>(seed);
  const Random state_noise(key, stream_of("filter.simulate.state"));
  const Random noise(key, stream_of("filter.simulate.observation"));
  VectorXd x = v.mean0() + root_of(v.cov0()) * normals(state_noise, 0, n);
  for (int64_t t = 0; t < steps; ++t) {
    put(out.states, t, x);
    put(out.y, t, VectorXd(v.h(t) * x + v.r_root(t) * normals(noise, t, p)));
    x = (v.f(t) * x + v.input(t) + v.q_root(t) * normals(state_noise, t + 1, n)).eval();
  }
  return out;
}

}  // namespace covary::filter
