// Checks, starts and the fit of a process of several outputs.
#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/multi_output.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Calls visit(entry, is_log) for every number that a fit moves beside the kernels', in a fixed order.
template <class F>
void over_entries(const std::vector<at::Tensor>& loadings, const std::vector<at::Tensor>& own,
                  const at::Tensor& noise, F&& visit) {
  const auto all = [&](const at::Tensor& t, bool logarithm) {
    double* v = t.data_ptr<double>();
    for (int64_t i = 0; i < t.numel(); ++i) visit(v[i], logarithm);
  };
  for (size_t q = 0; q < loadings.size(); ++q) {
    all(loadings[q], false);
    all(own[q], true);
  }
  all(noise, true);
}

}  // namespace

void MultiOutputProcess::take(const at::Tensor& x, const at::Tensor& y, const std::string& mean) {
  constant_ = mean == "const";
  if (!y.defined() || y.dim() != 2)
    throw Error(ExitCode::kUsage, "must hold one column an output", "y");
  const GpData data = GpData::from(x, y, {}, constant_ ? Mean::kConst : Mean::kZero);
  x_ = data.x;
  y_ = data.y;
}

MultiOutputProcess::MultiOutputProcess(const at::Tensor& x, const at::Tensor& y,
                                       const MultiOutputOptions& options) {
  options.check();
  take(x, y, options.mean);
  const double known = at::logical_not(at::isnan(y_)).sum().item<double>();
  if (16 * known * known > static_cast<double>(options.memory_limit) &&
      (options.kernels.size() > 1 || y_.isnan().any().item<bool>())) {
    throw Error(ExitCode::kFailed,
                "the matrix of " + std::to_string(static_cast<int64_t>(known)) +
                    " values takes more than the limit of " +
                    std::to_string(options.memory_limit / 1000000) + " MB",
                "process", "raise memory_limit, or fit fewer rows");
  }
  start_by_data(options);
  if (options.fit) fit(options);
  condition();
}

MultiOutputProcess::MultiOutputProcess(const at::Tensor& x, const at::Tensor& y,
                                       MultiOutputParameters parameters, const std::string& mean)
    : parameters_(std::move(parameters)) {
  take(x, y, mean);
  const int64_t m = y_.size(1);
  const auto require = [](bool holds, const char* rule) {
    if (!holds) throw Error(ExitCode::kUsage, rule, "process parameters");
  };
  const size_t latent = parameters_.kernels.size();
  require(latent > 0 && parameters_.loadings.size() == latent && parameters_.own.size() == latent,
          "need loadings and own variances of each kernel");
  const auto positive = [m](const at::Tensor& t) {
    return t.defined() && t.dim() == 1 && t.size(0) == m && t.scalar_type() == at::kDouble &&
           (t > 0).all().item<bool>() && t.isfinite().all().item<bool>();
  };
  require(positive(parameters_.noise), "need a positive noise variance an output");
  for (size_t q = 0; q < latent; ++q) {
    require(parameters_.kernels[q].dims() == x_.size(1), "need kernels for the columns of X");
    require(positive(parameters_.own[q]), "need a positive own variance an output");
    const at::Tensor& w = parameters_.loadings[q];
    require(w.defined() && w.dim() == 2 && w.size(0) == m && w.scalar_type() == at::kDouble &&
                w.isfinite().all().item<bool>(),
            "need loadings [outputs, rank]");
  }
  condition();
}

void MultiOutputProcess::start_by_data(const MultiOutputOptions& o) {
  const int64_t m = y_.size(1), rank = std::min(o.rank, m);
  const auto latent = static_cast<double>(o.kernels.size());
  // Covariances between outputs over the rows that both know.
  const at::Tensor known = at::logical_not(at::isnan(y_)).to(at::kDouble);
  const at::Tensor filled = at::nan_to_num(y_, 0.0);
  const at::Tensor mean = constant_ ? filled.sum(0) / known.sum(0) : at::zeros({m}, at::kDouble);
  const at::Tensor centred = (filled - mean) * known;
  at::Tensor variance = centred.square().sum(0) / known.sum(0);
  const at::Tensor size = filled.abs().amax(0);
  variance = at::maximum(variance, at::maximum(size.square() * 1e-16, at::full_like(size, 1e-280)));
  variance = at::where(size > 0, variance, at::ones_like(variance));
  const at::Tensor sd = variance.sqrt();
  const at::Tensor pairs = known.t().matmul(known).clamp_min(1);
  const at::Tensor correlation =
      (centred.t().matmul(centred) / pairs / at::outer(sd, sd)).clamp(-1, 1);
  const auto [values, vectors] = at::linalg_eigh(correlation);
  parameters_.noise = (0.1 * variance).contiguous();
  for (size_t q = 0; q < o.kernels.size(); ++q) {
    Kernel kernel = Kernel::parse(o.kernels[q], x_.size(1));
    if (kernel.has(ParameterRole::kNoise) || kernel.has(ParameterRole::kVariance)) {
      throw Error(ExitCode::kUsage, "has const or white: scale and noise belong to the outputs",
                  "kernels", "leave them out");
    }
    const GpData data = GpData::from(x_, y_, {}, constant_ ? Mean::kConst : Mean::kZero);
    stat::start_by_data(&kernel, data, static_cast<uint64_t>(o.seed));
    for (KernelParameter& p : kernel.parameters()) {
      // Latent processes that started alike would stay alike.
      if (p.role == ParameterRole::kLengthscale && !p.given && !p.fixed) {
        p.value = std::clamp(p.value * std::pow(0.4, static_cast<double>(q)), p.lower, p.upper);
      }
    }
    parameters_.kernels.push_back(std::move(kernel));
    at::Tensor w = at::zeros({m, rank}, at::kDouble);
    for (int64_t r = 0; r < rank; ++r) {
      const int64_t from = m - 1 - (r + static_cast<int64_t>(q)) % m;
      w.select(1, r).copy_(sd * vectors.select(1, from) *
                           (0.7 * values[from].clamp_min(0.05) / latent).sqrt());
    }
    parameters_.loadings.push_back(w);
    parameters_.own.push_back((0.2 / latent * variance).contiguous());
  }
}

void MultiOutputProcess::fit(const MultiOutputOptions& options) {
  std::vector<double> start, lower, upper;
  for (const Kernel& kernel : parameters_.kernels) {
    std::vector<double> low, high;
    kernel.bounds(&low, &high);
    const std::vector<double> logs = kernel.pack();
    start.insert(start.end(), logs.begin(), logs.end());
    lower.insert(lower.end(), low.begin(), low.end());
    upper.insert(upper.end(), high.begin(), high.end());
  }
  const size_t of_kernels = start.size();
  // Loadings in units of each output's spread, so that the search sees numbers about 1.
  std::vector<double> unit;
  const at::Tensor spread = (10 * parameters_.noise).sqrt();
  for (const at::Tensor& w : parameters_.loadings) {
    for (int64_t i = 0; i < w.size(0); ++i) {
      unit.insert(unit.end(), static_cast<size_t>(w.size(1)), spread[i].item<double>());
    }
    unit.insert(unit.end(), static_cast<size_t>(w.size(0)), 1.0);
  }
  unit.insert(unit.end(), static_cast<size_t>(spread.size(0)), 1.0);
  size_t at = 0;
  over_entries(parameters_.loadings, parameters_.own, parameters_.noise,
               [&](double& v, bool logarithm) {
                 const double value = logarithm ? std::log(v) : v / unit[at];
                 start.push_back(value);
                 lower.push_back(logarithm ? value - 14 : -1e3);
                 upper.push_back(logarithm ? value + 7 : 1e3);
                 ++at;
               });
  MultiOutputParameters p = parameters_;
  for (at::Tensor& t : p.loadings) t = t.clone();
  for (at::Tensor& t : p.own) t = t.clone();
  p.noise = p.noise.clone();
  const auto take = [&](std::span<const double> from) {
    for (Kernel& kernel : p.kernels) {
      const size_t count = kernel.pack().size();
      kernel.unpack(from.first(count));
      from = from.subspan(count);
    }
    size_t i = 0;
    over_entries(p.loadings, p.own, p.noise, [&](double& v, bool logarithm) {
      v = logarithm ? std::exp(from[i]) : from[i] * unit[i];
      ++i;
    });
  };
  const numeric::Optimum o = numeric::minimise(
      [&](std::span<const double> from, std::span<double> gradient) {
        take(from);
        MultiOutputGradient g;
        at::Tensor coefficients;
        const double value =
            multi_output_log_likelihood(p, x_, y_, constant_ ? &coefficients : nullptr, &g);
        if (value == -kInfinity) return kInfinity;
        double prior = 0;
        size_t k = 0;
        for (size_t q = 0; q < p.kernels.size(); ++q) {
          prior += p.kernels[q].log_prior(g.kernels[q]);
          for (const double v : p.kernels[q].pack_gradient(g.kernels[q])) gradient[k++] = -v;
        }
        for (at::Tensor& t : g.loadings) t = t.contiguous();
        for (at::Tensor& t : g.own) t = t.contiguous();
        over_entries(g.loadings, g.own, g.noise.contiguous(), [&](double& v, bool) {
          gradient[k] = -v * unit[k - of_kernels];
          ++k;
        });
        return -(value + prior);
      },
      start, lower, upper, options.search);
  take(o.x);
  parameters_ = p;
  report_.fitted = true;
  report_.ending = o.ending;
  report_.gradient_norm = o.gradient_norm;
  report_.iterations = o.iterations;
  report_.evaluations = o.evaluations;
}

}  // namespace covary::stat
