// What it is worth to evaluate several objectives at some points: the expected enlargement of the
// hypervolume of their front, with gradients by the points.
//
//   HypervolumeModel model{.objectives = {&cost, &yield}, .reference = {0, 0}, .observed = y};
//   const auto acquisition = hypervolume_acquisition(model);
//   auto worker = acquisition->worker(4);                 // as in acquisition.h
//   const Candidates best = find_hypervolume_batch(model, space, 4, {}, seed);
//
// All objectives are maximised: an objective to be minimised is fitted, and given a reference, with
// its sign changed. Objectives and constraints are independent processes.
//   one point, nothing pending, known front   the logarithm of the closed form
//                                             (expected_hypervolume.h), plus the log probability
//                                             that the constraints are met
//   else                                      log_value of sampled_hypervolume.h over `draws` joint
//                                             draws of the batch and the pending points by fixed
//                                             Sobol normals; constraints as soft weights
// find_hypervolume_batch chooses one point after another, the ones before taken as pending: the gain
// of a batch is submodular, so that at most 1 / e of the best is lost, and in practice this finds far
// better ones than a search over all coordinates at once, where a point that gains nothing beside
// the others stays where it is.
//
// The front is that of `observed`, which should hold the feasible points' values (or the posterior
// means there). With `noisy` it is not known: each draw has its own, of the objectives' values at
// their training points, and observed is not read. All objectives must then have the same training
// rows, and there can be no constraints.
//
// Costs beside the posteriors': see the headers named. Errors: kUsage for wrong numbers and shapes.
// Source: Daulton, Balandat and Bakshy 2020, 2021 (their section on sequential greedy batches).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "covary/stat/process/acquisition.h"
#include "covary/stat/process/candidates.h"
#include "covary/stat/process/search_space.h"

namespace covary::stat {

struct HypervolumeModel {
  std::vector<const GaussianProcess*> objectives = {};  // one output each, the same columns
  std::vector<double> reference = {};                   // an objective, units of y
  std::vector<double> observed = {};                    // [points, objectives]; may be empty
  bool noisy = false;
  std::vector<AcquisitionModel::Limit> constraints = {};
  std::vector<double> pending = {};   // points whose values are awaited, [count, d]
  int64_t draws = 128;                // of a batch's values
  double constraint_softness = 1e-3;  // units of a constraint: bend of its step in batches
  uint64_t seed = 0;
};

// The processes must outlive it.
std::unique_ptr<Acquisition> hypervolume_acquisition(HypervolumeModel model);

// Points [count, width], and as value the logarithm of the gain of the whole batch with what is
// pending. incumbents as in find_candidates; each point is chosen by a seed of its own.
Candidates find_hypervolume_batch(HypervolumeModel model, const SearchSpace& space, int64_t count,
                                  const CandidateOptions& options, uint64_t seed,
                                  const std::vector<double>& incumbents = {});

}  // namespace covary::stat
