// What a process by conjugate gradients will cost: operations by the sizes, seconds by rates that a
// short measurement gives.
//
//   const IterativeWork work = iterative_work({.rows = 25600, .rank = 1280, .fits = 20});
//   const double seconds = iterative_seconds(work, measured_rates(kernel));
//
// Steps of a solve are the one thing that sizes do not tell: they are taken from the bound
// 1/2 sqrt(c) log(2 / tolerance) of conjugate gradients, with c = 1 + kRest / share the condition
// that a preconditioner of pivots leaves: the rest of the kernel's spectrum, kRest times its variance
// in usual tables of several columns, over noise of `share` times that variance. Within a factor of
// two where the share is known, and as good as the guess of it where it is not.
#pragma once

#include <cstdint>

#include "covary/stat/process/kernel.h"

namespace covary::stat {

// Pivots of the preconditioner of so many rows: `asked`, or by the rows where that is 0, at most as
// many as four arrays of them in `memory` bytes.
int64_t preconditioner_rank(int64_t rows, int64_t asked, double memory);

struct IterativeSize {
  int64_t rows = 0, rank = 0;
  int64_t sides = 16;       // right-hand sides: y, the mean's basis, probes
  int64_t fits = 0;         // evaluations of a search, each with gradient
  double share = 1e-2;      // of noise in the kernel's variance
  double tolerance = 1e-2;  // of the probes' residuals
  double memory = 4e9;      // bytes for kernel entries that are kept
};

struct IterativeWork {
  double steps = 0;     // of a solve
  double entries = 0;   // of the kernel, doubles
  double products = 0;  // flops of entries with right-hand sides, floats
  double dense = 0;     // flops of matrix products, doubles
};
IterativeWork iterative_work(const IterativeSize& size);

// A second of all threads.
struct IterativeRates {
  double entries = 1, products = 1, dense = 1;
};
// By a tile of the kernel, a product of it and one of dense matrices, some milliseconds.
IterativeRates measured_rates(const Kernel& kernel);

double iterative_seconds(const IterativeWork& work, const IterativeRates& rates);

}  // namespace covary::stat
