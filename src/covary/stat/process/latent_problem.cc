#include "covary/stat/process/latent_problem.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/start.h"

namespace covary::stat {

std::vector<double> LatentProblem::pack() const {
  std::vector<double> packed = kernel.pack();
  const std::vector<double> own = likelihood.pack();
  packed.insert(packed.end(), own.begin(), own.end());
  if (free_mean) packed.push_back(mean / unit);
  return packed;
}

void LatentProblem::unpack(std::span<const double> packed) {
  const size_t k = kernel.pack().size(), l = likelihood.pack().size();
  kernel.unpack(packed.first(k));
  likelihood.unpack(packed.subspan(k, l));
  if (free_mean) mean = packed[k + l] * unit;
}

void LatentProblem::bounds(std::vector<double>* lower, std::vector<double>* upper) const {
  kernel.bounds(lower, upper);
  std::vector<double> low, high;
  likelihood.bounds(&low, &high);
  lower->insert(lower->end(), low.begin(), low.end());
  upper->insert(upper->end(), high.begin(), high.end());
  if (free_mean) {  // far outside no value is likely
    lower->push_back(mean / unit - 1e3);
    upper->push_back(mean / unit + 1e3);
  }
}

std::vector<double> LatentProblem::pack_gradient(const LatentGradient& gradient) const {
  std::vector<double> packed = kernel.pack_gradient(gradient.kernel);
  const std::vector<double> own = likelihood.pack_gradient(gradient.likelihood);
  packed.insert(packed.end(), own.begin(), own.end());
  if (free_mean) packed.push_back(gradient.mean * unit);
  return packed;
}

double LatentProblem::log_prior(LatentGradient* gradient) const {
  return kernel.log_prior(gradient ? std::span<double>(gradient->kernel) : std::span<double>()) +
         likelihood.log_prior(gradient ? std::span<double>(gradient->likelihood)
                                       : std::span<double>());
}

std::vector<double> checked_weights(const at::Tensor& weights, int64_t n,
                                    const std::vector<int64_t>& rows) {
  if (!weights.defined()) return {};
  if (weights.dim() != 1 || weights.size(0) != n || weights.scalar_type() != at::kDouble)
    throw Error(ExitCode::kUsage, "must hold a double a row", "weights");
  const at::Tensor w = weights.contiguous();
  std::vector<double> out;
  double total = 0;
  for (const int64_t row : rows) {
    const double value = w.const_data_ptr<double>()[row];
    if (!(value >= 0) || std::isinf(value)) {
      throw Error(ExitCode::kData,
                  "the weight of row " + std::to_string(row) + " must be finite and not negative",
                  "weights");
    }
    out.push_back(value);
    total += value;
  }
  if (!(total > 0)) throw Error(ExitCode::kData, "are all 0", "weights");
  return out;
}

Kernel latent_kernel(GpData* data, const std::string& kernel, double unit, uint64_t seed) {
  Kernel out = Kernel::parse(kernel, data->dims);
  if (!out.has(ParameterRole::kVariance) && !out.has(ParameterRole::kLinear)) {
    const KernelTerms terms = part_from_white(kernel);
    if (terms.smooth.empty())
      throw Error(ExitCode::kUsage, "is white alone", "kernel", "it needs something to learn");
    out = Kernel::parse(
        "const*(" + terms.smooth + ")" + (terms.white.empty() ? "" : " + " + terms.white),
        data->dims);
  }
  // The start looks at the mean square of y: here it is that of the function.
  std::fill(data->groups[0].y.begin(), data->groups[0].y.end(), unit);
  start_by_data(&out, *data, seed);
  return out;
}

LatentProblem latent_problem(const at::Tensor& x, const at::Tensor& y, const std::string& kernel,
                             const std::string& likelihood, const std::string& mean, uint64_t seed,
                             const at::Tensor& weights) {
  if (mean != "zero" && mean != "const") {
    throw Error(ExitCode::kUsage, "a likelihood's function has the mean zero or const, not " + mean,
                "--mean " + mean);
  }
  GpData data = GpData::from(x, y, {}, Mean::kZero);
  if (data.outputs != 1) throw Error(ExitCode::kUsage, "must hold one output", "y");
  LatentProblem p;
  p.n = data.n;
  p.dims = data.dims;
  p.likelihood = Likelihood::parse(likelihood);
  p.likelihood.check({data.y.const_data_ptr<double>(), static_cast<size_t>(data.n)});
  GpGroup& group = data.groups[0];
  p.rows = group.rows;
  p.weights = checked_weights(weights, p.n, p.rows);
  p.x = group.x;
  p.y = group.y;
  p.likelihood.start_by_data(p.y);
  p.free_mean = mean == "const";
  p.mean = p.free_mean ? p.likelihood.start_mean(p.y) : 0;
  const double variance = p.likelihood.start_variance(p.y);
  p.unit = std::sqrt(variance);
  p.kernel = latent_kernel(&data, kernel, p.unit, seed);
  for (int64_t k = 0; k < p.dims; ++k) {
    double sum = 0, squares = 0;
    const double origin = data.centre[static_cast<size_t>(k)],
                 count = static_cast<double>(p.count());
    for (int64_t i = 0; i < p.count(); ++i) {
      const double d = p.x[static_cast<size_t>(i * p.dims + k)] - origin;
      sum += d / count;
      squares += d * d / count;
    }
    const double sd = std::sqrt(std::max(squares - sum * sum, 0.0));
    p.spread.push_back(sd > 0 ? sd : data.scale[static_cast<size_t>(k)]);
  }
  return p;
}

}  // namespace covary::stat
