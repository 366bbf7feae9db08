// The bars of the study mvgs, by what they look at.
#pragma once

#include <vector>

#include "covary/core/eval/study.h"

namespace covary::studies {

std::vector<eval::Bar>
multi_view_quality_bars();  // 1, 2, 4, 5: what steps on several views give, and cost
std::vector<eval::Bar> multi_view_growth_bars();  // 3: whether boxes find what is missing
std::vector<eval::Bar> multi_view_oracle_bars();  // 6: what must hold exactly

}  // namespace covary::studies
