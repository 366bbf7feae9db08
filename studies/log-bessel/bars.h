// The parts of the study log-bessel: each file gives its bars, log-bessel.cc puts them in order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "covary/core/eval/study.h"

namespace covary::studies {

std::vector<eval::Bar> bessel_accuracy_bars();   // the oracle, and 1: errors everywhere
std::vector<eval::Bar> bessel_identity_bars();   // 2: identities, 5: gradients, 6: values
std::vector<eval::Bar> bessel_speed_bars();      // 3: CPU time
std::vector<eval::Bar> bessel_direction_bars();  // 4: von Mises-Fisher fits

using eval::at_most;

}  // namespace covary::studies
