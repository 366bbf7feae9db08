// The kinds of acquisition functions, each in a file of its own; acquisition.cc chooses.
#pragma once

#include <memory>

#include "covary/stat/process/acquisition.h"

namespace covary::stat {

std::unique_ptr<Acquisition> analytic_acquisition(const AcquisitionOptions& options,
                                                  const AcquisitionModel& model);
std::unique_ptr<Acquisition> monte_carlo_acquisition(const AcquisitionOptions& options,
                                                     const AcquisitionModel& model);
std::unique_ptr<Acquisition> knowledge_gradient(const AcquisitionOptions& options,
                                                const AcquisitionModel& model);
std::unique_ptr<Acquisition> max_value_entropy(const AcquisitionOptions& options,
                                               const AcquisitionModel& model);
std::unique_ptr<Acquisition> thompson_sampling(const AcquisitionOptions& options,
                                               const AcquisitionModel& model);

// Draws of the values at the training points and the process that each of them, without noise, would be fitted by:
// output s of it is draw s. Shared by the two forms of noisy-ei.
struct NoiseFree {
  GaussianProcess process;
  std::vector<double> best;  // of each draw
};
NoiseFree noise_free(const GaussianProcess& gp, int64_t draws, uint64_t seed);

}  // namespace covary::stat
