// The bars of the study turbo-gs, by what they look at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/eval/study.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/scene/capture.h"

namespace covary::studies {

std::vector<eval::Bar>
turbo_quality_bars();  // 1, 3, 5: a third of the steps, and what each part gives
std::vector<eval::Bar> turbo_stride_bars();  // 2, 4: large pictures, and what makes a step fast
std::vector<eval::Bar> turbo_oracle_bars();  // 6: what must hold exactly

// "chair" or "fox", both sides divided; at smoke scale a few small views of the built-in studio, whatever the name.
const scene::Capture& turbo_photos(eval::StudyContext& c, const std::string& name,
                                   int64_t downscale);

}  // namespace covary::studies
