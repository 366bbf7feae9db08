// A process over rows that takes one Gaussian factor a row, by whatever algebra serves its kernel:
// dense (site_posterior.h) or the filter in time (markov_filter.h), linear in the rows.
//
//   auto process = site_process("state-space", kernel, x, n);    // or "vi": dense
//   process->set(sites);                        // exp(-w g^2 / 2 + b g) a row
//   process->mean();  process->variance();      // marginals of g, less the mean of the function
//   process->divergence();                      // KL of the posterior from the prior, nats
//   process->contract(gradient);                // of the log mass of prior times sites, sites held
//
// state-space wants one column, rows ascending, and precisions above 0 or none at all (0: the row
// tells nothing).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "covary/stat/process/kernel.h"
#include "covary/stat/process/laplace.h"

namespace covary::stat {

class SiteProcess {
 public:
  virtual ~SiteProcess() = default;
  virtual bool set(const SiteState& sites) = 0;  // false: no posterior
  virtual const std::vector<double>& mean() const = 0;
  virtual const std::vector<double>& variance() const = 0;
  virtual double divergence() const = 0;
  virtual void contract(std::span<double> gradient) const = 0;  // by all parameters, logarithms
  // Of g at points [count, dims]; after finish() for the last time that sites were set.
  virtual void finish() = 0;
  virtual void predict(const double* points, int64_t count, double* mean,
                       double* variance) const = 0;
};

std::unique_ptr<SiteProcess> site_process(const std::string& method, const Kernel& kernel,
                                          std::span<const double> x, int64_t n);

}  // namespace covary::stat
