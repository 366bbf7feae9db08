#include "covary/stat/process/kernel_search.h"

#include <limits>
#include <utility>

namespace covary::stat {

numeric::Optimum search_kernel(const Kernel& kernel, const KernelObjective& log_likelihood,
                               std::vector<double> start, const numeric::LbfgsOptions& how,
                               const numeric::Curvature& known) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> lower, upper;
  kernel.bounds(&lower, &upper);
  Kernel trial = kernel;
  std::vector<double> all(kernel.parameters().size());
  return numeric::minimise(
      [&](std::span<const double> logs, std::span<double> gradient) {
        trial.unpack(logs);
        const double value = log_likelihood(trial, &all);
        if (value == -kInfinity) return kInfinity;
        const double prior = trial.log_prior(all);
        const std::vector<double> packed = trial.pack_gradient(all);
        for (size_t i = 0; i < packed.size(); ++i) gradient[i] = -packed[i];
        return -(value + prior);
      },
      std::move(start), lower, upper, how, known);
}

}  // namespace covary::stat
