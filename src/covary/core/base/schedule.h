// How busy threads would be: the costs of a loop's items replayed through the rules of threads.h, for more threads than
// this machine has.
//
//   busy_share_of_tasks(cost_of_tile, 16)    // of parallel_tasks: 0.97 = a thread waits 3 % of the time
//
// parallel_tasks hands items out one by one in index order to the thread that is free first; parallel_for gives each thread
// one chunk of ceil(n / threads). Handing out is free here, and so are caches and memory: this is what the split of the work
// alone allows.
#pragma once

#include <cstdint>
#include <span>

namespace covary {

// Sum of costs over workers * (time of the last worker to finish), in (0, 1]; 1 when there is nothing to do. Costs of any
// unit, >= 0. Error(kUsage) for fewer than one worker.
double busy_share_of_tasks(std::span<const double> costs, int workers);
double busy_share_of_chunks(std::span<const double> costs, int workers);  // parallel_for, grain 1

}  // namespace covary
