#include "covary/stat/process/surrogate.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

namespace covary::stat {
namespace {

// Standardised units. The least noise keeps the factorisation of nearly equal rows well behaved.
constexpr double kLeastNoise = 1e-8, kMostNoise = 10;
constexpr double kLeastScale = 0.01, kMostScale = 100;

Kernel kernel_of(const SearchSpace& space, const OptimizerOptions& options, double scale) {
  const auto d = static_cast<double>(space.width());
  Kernel kernel = Kernel::parse("const*" + options.kernel + "(ard) + white", space.width());
  const bool scaled = options.priors == "dim-scaled", gamma = options.priors == "gamma";
  for (KernelParameter& p : kernel.parameters()) {
    p.given = true;
    switch (p.role) {
      case ParameterRole::kLengthscale:
        if (gamma) p.prior = Prior::gamma(3, 6);
        if (scaled) p.prior = Prior::log_normal(std::sqrt(2.0) + 0.5 * std::log(d), std::sqrt(3.0));
        p.value = scaled ? 0.5 * std::sqrt(d) : 0.5;
        p.lower = kLeastScale;
        p.upper = kMostScale;
        break;
      case ParameterRole::kNoise:
        if (options.noise >= 0) {
          p.value = std::max(options.noise * options.noise / (scale * scale), kLeastNoise);
          p.fixed = true;
          break;
        }
        if (gamma) p.prior = Prior::gamma(1.1, 0.05);
        if (scaled) p.prior = Prior::log_normal(-4, 1);
        p.value = 1e-3;
        p.lower = kLeastNoise;
        p.upper = kMostNoise;
        break;
      default:
        if (gamma) p.prior = Prior::gamma(2, 0.15);
        p.fixed = scaled;
        p.value = 1;
        p.lower = 1e-2;
        p.upper = 1e3;
    }
  }
  // Columns of one categorical parameter share their length scale.
  const std::string leaf = options.kernel + ".lengthscale";
  const auto name = [&](int64_t k) {
    return space.width() > 1 ? leaf + "[" + std::to_string(k) + "]" : leaf;
  };
  for (int64_t i = 0; i < space.size(); ++i) {
    for (int64_t k = 1; k < space.columns(i); ++k)
      kernel.tie(name(space.column(i) + k), name(space.column(i)));
  }
  return kernel;
}

}  // namespace

Surrogate fit_surrogate(const SearchSpace& space, const OptimizerOptions& options,
                        const std::vector<double>& codes, const std::vector<double>& y) {
  const auto n = static_cast<int64_t>(y.size());
  double centre = 0, square = 0, size = 0;
  for (const double v : y) centre += v / static_cast<double>(n);
  for (const double v : y) {
    square += (v - centre) * (v - centre) / static_cast<double>(std::max<int64_t>(n - 1, 1));
    size = std::max(size, std::abs(v));
  }
  // Equal values differ by rounding only: their scale is then that of the values, or 1.
  double scale = std::sqrt(square);
  if (!(scale > 1e-12 * size)) scale = size > 0 ? size : 1;
  const at::Tensor x = at::empty({n, space.width()}, at::kDouble), z = at::empty({n}, at::kDouble);
  std::copy(codes.begin(), codes.end(), x.data_ptr<double>());
  for (int64_t i = 0; i < n; ++i)
    z.data_ptr<double>()[i] = (y[static_cast<size_t>(i)] - centre) / scale;
  GpOptions gp{.mean = n > 1 ? "const" : "zero",
               .starts = options.fit_starts,
               .seed = options.seed,
               .constant_columns = true};
  gp.search.gradient_tolerance = 1e-3;
  gp.search.iterations = 100;
  return {GaussianProcess(x, z, kernel_of(space, options, scale), gp), centre, scale};
}

}  // namespace covary::stat
