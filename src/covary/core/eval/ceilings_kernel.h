// The loops behind ceilings.h; torch-free, dispatched at run time.
#pragma once

#include <cstdint>

namespace covary::eval {

// Runs rounds of independent fused multiply-adds (exponentials); returns how many lanes' worth were
// done. *sink receives a value that depends on all of them.
int64_t run_fma(int64_t rounds, float* sink);
int64_t run_exp(int64_t rounds, float* sink);
const char* dispatched_target();

}  // namespace covary::eval
