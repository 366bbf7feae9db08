// What it is worth to evaluate a function at some points: acquisition functions of Bayesian optimisation, with gradients.
//
//   const auto acquisition = make_acquisition({.acquisition = "logei"}, {.objective = &gp, .best = y.max()});
//   auto worker = acquisition->worker(4);                  // for batches of 4 points, for one thread
//   const double v = worker->value(x, gradient);           // x [4, d], gradient [4, d]
//
// The objective is maximised; a constraint holds where its function is at most its limit. Of one point (u = (mean - best)
// / sd, sd of the function without noise):
//   logei      log(sd (phi(u) + u Phi(u))), the logarithm of the expected improvement; plus the log probability of
//              every constraint. best = -infinity (nothing feasible is known): those probabilities alone
//   ei         the expected improvement, times those probabilities
//   pi         log Phi(u), the logarithm of the probability of improvement; constraints as in logei
//   ucb        mean + sqrt(beta) sd
//   noisy-ei   log mean over draws of the training points' values of the expected improvement over the best of them
//   kg         knowledge gradient: how much the largest of the means at `support` points, at the training points and at
//              x is expected to rise by an observation at x
//   mes        max-value entropy: what an observation at x tells of the maximum, in nats
//   thompson   one draw of the whole function a point of the batch, each maximised at its own point
// Of batches, and with points that are pending, logei, ei, ucb and noisy-ei are means over draws of the batch's joint
// values by fixed Sobol points, the best of a batch counting: logei and noisy-ei are smooth by compute/improvement, the
// others have the slopes of their pieces. pi, kg and mes take one point and no pending ones: Error(kUsage) else.
// Constraints go with logei, ei, pi and noisy-ei. With a process of the logarithm of the cost, its mean times
// cost_power is taken from a logarithm, or ei is divided by the cost.
//
// A batch of q costs 2 q n^2 + q^2 draws flops and about 5 ns x q x draws, the gradient twice that. A worker takes no
// memory after it was made. The same seed gives the same bits.
// Source: Jones, Schonlau and Welch 1998 (ei); Ament et al. 2023 (logei); Wilson, Hutter and Deisenroth 2018 (batches);
// Gardner et al. 2014 (constraints); Letham et al. 2019 (noisy-ei); Frazier, Powell and Dayanik 2009 (kg); Wang and
// Jegelka 2017 (mes); Snoek, Larochelle and Adams 2012 (cost, pending); Wilson et al. 2021 (thompson: see paths.h).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "covary/stat/process/acquisition_options.h"
#include "covary/stat/process/gp.h"

namespace covary::stat {

struct AcquisitionModel {
  struct Limit {
    const GaussianProcess* process;  // one output
    double upper;                    // that it must not exceed
  };
  const GaussianProcess* objective = nullptr;              // one output, maximised
  double best = -std::numeric_limits<double>::infinity();  // the largest value so far, units of y
  std::vector<Limit> constraints = {};
  const GaussianProcess* log_cost = nullptr;
  std::vector<double> pending = {};  // points whose values are awaited, [count, d]
  // Where candidates may lie, for kg, mes and thompson; empty: the unit cube.
  std::vector<double> lower = {}, upper = {};
  uint64_t seed = 0;
};

class Acquisition {
 public:
  class Worker {
   public:
    virtual ~Worker() = default;
    // x [q, d]; gradient [q, d], or empty when it is not asked for. Finite, or -infinity.
    virtual double value(std::span<const double> x, std::span<double> gradient) = 0;
  };

  virtual ~Acquisition() = default;
  virtual int64_t dims() const = 0;
  // The acquisition must outlive its workers. Callable from several threads.
  virtual std::unique_ptr<Worker> worker(int64_t points) const = 0;
};

// The processes must outlive it. Throws Error(kUsage) for bad options and for what the kind cannot do.
std::unique_ptr<Acquisition> make_acquisition(const AcquisitionOptions& options,
                                              AcquisitionModel model);

}  // namespace covary::stat
